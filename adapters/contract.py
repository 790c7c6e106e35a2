"""The shared words: what an edit is, what can be bought, one HTTP exchange as data, and what a reply means.

Everything here is a frozen value. An adapter turns an `Attempt` into an `HttpCall` and an `HttpReply` into an
`Outcome`; whoever holds the socket, the clock and the money is elsewhere (`gateway/engine`). Money is an `int` of
micro-dollars; times are seconds unless a name says otherwise.
"""

from datetime import date
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from adapters.options import Options

# --- what is wanted -------------------------------------------------------------------------------------------------


class Tier(StrEnum):
    """Quality as a promise, lowest first. A tier asked for is a floor."""

    PREVIEW = "preview"
    DRAFT = "draft"
    STANDARD = "standard"
    PREMIUM = "premium"

    @property
    def rank(self) -> int:
        return list(Tier).index(self)


class ImageFormat(StrEnum):
    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        return f"image/{self.value}"


class Picture(Struct, frozen=True):
    """A checked input picture, named by its content: `digest` is the SHA-256 of its bytes, in hex."""

    digest: str
    format: ImageFormat
    width: int
    height: int
    bytes: int


class AutoSize(Struct, frozen=True, tag="auto"):
    """Keep the first input's shape: the nearest ratio that the offer supports."""


class ModelSize(Struct, frozen=True, tag="model"):
    """Send no size and let the model choose; offers that require one are excluded."""


class Ratio(Struct, frozen=True, tag="ratio"):
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}:{self.height}"


class Pixels(Struct, frozen=True, tag="pixels"):
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


SizeWish = AutoSize | ModelSize | Ratio | Pixels


class Edit(Struct, frozen=True, kw_only=True, omit_defaults=True, cache_hash=True):
    """What is wanted, provider-free. `None` means the offer's own documented default, and nothing is sent.

    `mask` has the first image's size. Where it has an alpha channel, transparent is edited (OpenAI's meaning); else
    white is edited. `safety` is 0 (strictest) to 6 (most permissive). Inside `options`, pictures are digests and
    `option_pictures` describes them. `strict` turns every adjustment into an exclusion.
    """

    prompt: str
    images: tuple[Picture, ...]
    mask: Picture | None = None
    size: SizeWish = AutoSize()
    n: int = 1
    seed: int | None = None
    guidance: float | None = None
    steps: int | None = None
    negative_prompt: str | None = None
    safety: int | None = None
    flag_nsfw: bool = False
    enhance_prompt: bool | None = None
    output_format: ImageFormat = ImageFormat.PNG
    output_quality: int = 95
    options: Options = Options()
    option_pictures: tuple[Picture, ...] = ()
    strict: bool = False

    def picture(self, digest: str) -> Picture:
        """The description of any picture this edit names, by digest. Raises `KeyError` for a foreign one."""
        mask = (self.mask,) if self.mask else ()
        for picture in (*self.images, *mask, *self.option_pictures):
            if picture.digest == digest:
                return picture
        raise KeyError(digest)


# --- what can be bought ---------------------------------------------------------------------------------------------


class Range(Struct, frozen=True):
    """Both ends are included."""

    least: float
    most: float

    def clamp(self, value: float) -> float:
        return min(max(value, self.least), self.most)


class SizeLaw(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sizes of a model that takes many: both sides are multiples of `step`, the longer is at most `side` pixels and
    at most `ratio` times the shorter, and their product lies between `least` and `most`."""

    step: int = 1
    ratio: float = 3.0
    side: int = 4096
    least: int = 1
    most: int = 4096 * 4096


class Abilities(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, cache_hash=True):
    """What an offer can do as asked. An absent ability is `None`, `False` or empty.

    `sizes`: the only sizes it can make, as `WxH`; empty where it takes any, or any that `size_law` allows. `ratios`:
    where shape is chosen by name instead of by pixels. `size_required`: the wire refuses a request without one.
    `safety`: our scale's values that it can promise. `dials`: names under `options.<provider>` that this model takes.
    `refused_tags`: what must not stand in a prompt, in lower case, because the server reads it as settings of its
    engine.
    """

    images: int = 1
    n: int = 1
    sizes: tuple[str, ...] = ()
    size_law: SizeLaw | None = None
    ratios: tuple[str, ...] = ()
    size_required: bool = False
    prompt: int = 3000
    mask: bool = False
    seed: bool = False
    guidance: Range | None = None
    steps: Range | None = None
    negative_prompt: bool = False
    safety: Range | None = None
    flag_nsfw: bool = False
    enhance_prompt: bool = False
    dials: tuple[str, ...] = ()
    refused_tags: tuple[str, ...] = ()


class Price(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one picture costs from a day on, in micro-dollars, with where that was read.

    With `size` or `steps` the price is for exactly those (a price by compute was seen there and nowhere else).
    """

    micro_usd: int
    since: date
    source: str
    size: str | None = None
    steps: int | None = None


class GpuPrice(Struct, frozen=True, kw_only=True):
    """What work on a machine of one's own costs: micro-dollars a second, for as long as a call runs. `timeout_s`: so
    long a call may always take. `most_micro`: an edit is never booked above it; None sets no limit but time."""

    second_micro: int
    timeout_s: float
    most_micro: int | None = None


class Offer(Struct, frozen=True, kw_only=True, cache_hash=True):
    """Something that can be bought: a provider's model. `wire_model` is the provider's own name for it. `billed`:
    somebody sends a bill for it. `gpu`: nobody does, and its seconds are booked as cost all the same. `engine`: what
    its server must say that it runs, for it to be sold. `overflow_after_s`: where an edit would wait longer, it goes
    elsewhere."""

    provider: str
    model: str
    wire_model: str
    tier: Tier
    abilities: Abilities
    prices: tuple[Price, ...] = ()
    billed: bool = True
    gpu: GpuPrice | None = None
    engine: str | None = None
    overflow_after_s: float | None = None
    usual_s: float = 10.0
    default_steps: int | None = None

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"


class Adjustment(Struct, frozen=True):
    """A field that could not be sent as asked. `sent` is None where nothing was sent."""

    field: str
    asked: str
    sent: str | None
    why: str


class Attempt(Struct, frozen=True, kw_only=True):
    """One try of one edit at one offer. `id` is 128 bits in hex that the gateway derived; an adapter only shapes it."""

    id: str
    number: int
    edit: Edit
    offer: Offer
    callback_url: str | None = None


# --- one HTTP exchange as data --------------------------------------------------------------------------------------


class Step(StrEnum):
    """`submit` and `resubmit` may cost money; nothing else does. `look_up` asks what became of a lost answer."""

    SUBMIT = "submit"
    RESUBMIT = "resubmit"
    UPLOAD = "upload"
    POLL = "poll"
    LOOK_UP = "look_up"
    FETCH = "fetch"
    CANCEL = "cancel"

    @property
    def may_cost(self) -> bool:
        return self in (Step.SUBMIT, Step.RESUBMIT)


class MaskMeaning(StrEnum):
    """What a server reads in a mask's pixels. Both are PNG, of the mask's size."""

    ALPHA = "alpha"  # alpha 0 is edited, all else is kept (OpenAI)
    LUMA = "luma"  # one channel of brightness: white is edited, black is kept (diffusers, stable-diffusion.cpp)


class Upload(Struct, frozen=True, omit_defaults=True):
    """Picture bytes, named instead of held: the sender reads them when it sends. `path` is the place of the
    placeholder in a JSON document, as keys and indexes (unused for the other body forms). `mask`: the picture is a mask
    in an edit's meaning, and is sent as a PNG in this one; None sends it as it is. `png`: it is sent as a PNG, whatever
    it is kept as."""

    digest: str
    as_: Literal["data_uri", "base64", "part", "bytes"]
    path: tuple[str | int, ...] = ()
    mask: MaskMeaning | None = None
    png: bool = False


class Json(Struct, frozen=True, tag="json"):
    """A JSON document as text; each upload replaces the `null` at its path."""

    text: str
    uploads: tuple[Upload, ...] = ()


class FormFile(Struct, frozen=True):
    """One file part. `filename` and `media_type` are ours, never the caller's."""

    name: str
    filename: str
    media_type: str
    upload: Upload


class Form(Struct, frozen=True, tag="form"):
    """multipart/form-data: text fields first, then files, in this order."""

    fields: tuple[tuple[str, str], ...]
    files: tuple[FormFile, ...] = ()


class Bytes(Struct, frozen=True, tag="bytes"):
    """One picture as the whole body."""

    upload: Upload
    media_type: str


class HttpCall(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One HTTP request as data, without credential and without picture bytes.

    `url` is relative to the provider's base or absolute; the sender adds the credential to relative ones only.
    `carry` holds small strings that `read` needs from earlier replies: stored, never sent. Storable is not loggable:
    the body holds the prompt.
    """

    step: Step
    method: Literal["GET", "POST", "PUT", "DELETE"]
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: Json | Form | Bytes | None = None
    carry: dict[str, str] = {}


class HttpReply(Struct, frozen=True):
    """Header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Auth(Struct, frozen=True):
    """How the sender presents a provider's key. `header` None sends none."""

    header: str | None = "Authorization"
    scheme: str = "Bearer"


# --- what a reply means ---------------------------------------------------------------------------------------------


class FailureKind(StrEnum):
    """What a failure means for what comes next. The only list; the adapter assigns it, policies react to it."""

    INVALID = "invalid"  # the request itself is wrong, anywhere
    UNSUPPORTED = "unsupported"  # this offer cannot do it; another might
    MODERATED = "moderated"  # refused for its content
    CREDENTIAL = "credential"  # the provider refuses our key
    CREDIT = "credit"  # the provider refuses for lack of our money
    RATE_LIMITED = "rate_limited"  # too many or too much at once, by our account
    BUSY = "busy"  # the provider has no capacity or is down, and said so
    NOT_SENT = "not_sent"  # never connected
    LOST = "lost"  # a submit's answer was lost or unreadable
    TASK_FAILED = "task_failed"  # accepted, then failed, and said so about our task
    BAD_PICTURE = "bad_picture"  # done, but a picture is missing or undecodable
    EXPIRED = "expired"  # accepted, and its result is gone or never came in time


class Fate(StrEnum):
    """What became of the work, as far as the reply proves it."""

    NOT_RUN = "not_run"
    MAY_HAVE_RUN = "may_have_run"
    RAN = "ran"


class Link(Struct, frozen=True, tag="link"):
    """A result to fetch. `nsfw` is the provider's own flag where it gave one; `id` tells results of a task apart."""

    url: str
    id: str | None = None
    seed: int | None = None
    nsfw: bool | None = None


class Inline(Struct, frozen=True, tag="inline"):
    """A result that came in the reply, as base64 text or a data URI (not yet decoded or checked)."""

    data: str
    id: str | None = None
    seed: int | None = None
    nsfw: bool | None = None


class Done(Struct, frozen=True, kw_only=True, tag="done"):
    """Finished. Fewer pictures than asked is a partial result. `cost_micro` is the provider's own figure for all of
    them, or None where it gave none worth believing. `refresh` asks for fresh links to the same pictures.
    `notes` are short words of the engine behind the offer for the caller (what a preview did not apply). `worked_s`:
    for how long its machine worked, by its own word."""

    pictures: tuple[Link | Inline, ...]
    cost_micro: int | None = None
    refresh: HttpCall | None = None
    notes: tuple[str, ...] = ()
    worked_s: float | None = None


class Next(Struct, frozen=True, kw_only=True, tag="next"):
    """The next call to make. `after`: seconds from now (for polls, the least; the engine has its own rhythm).
    `guard`: seconds that must have passed since this attempt's last submit or resubmit ended. `partial`: what this
    reply already delivered; replies are cumulative."""

    call: HttpCall
    after: float = 0.0
    guard: float = 0.0
    partial: Done | None = None


class Failed(Struct, frozen=True, kw_only=True, tag="failed"):
    """`message` is safe to show: our words and the provider's code, never its free text. `cost_micro` where the
    provider charged all the same."""

    kind: FailureKind
    fate: Fate
    message: str
    retry_after: float | None = None
    cost_micro: int | None = None


class Unclear(Struct, frozen=True, kw_only=True, tag="unclear"):
    """The reply proves nothing. After a poll, poll again; after a look-up, ask `recover` for the next way.
    `hopeless`: no further way can tell (an id that turns out to be somebody else's): the attempt is unresolved."""

    message: str
    hopeless: bool = False


Outcome = Done | Next | Failed | Unclear


# --- how a server is ------------------------------------------------------------------------------------------------


class ServerState(StrEnum):
    """What a server of one's own is, by its own word or by its silence."""

    READY = "ready"
    LOADING = "loading"
    FAILED = "failed"
    SILENT = "silent"  # nothing answers at its address


class Steps(Struct, frozen=True):
    """How far the model is with an edit: `done` of `of`."""

    done: int
    of: int


class Load(Struct, frozen=True, kw_only=True):
    """What a server says of itself. `engine`: what edits its pictures, where it says so. `running` and `waiting`: edits
    there, at most `limit`; `running` None: it tells no queue. `edit_s`: seconds that one edit takes. `steps`: how far
    each edit is, by its attempt's id, where the server tells."""

    state: ServerState = ServerState.READY
    engine: str | None = None
    running: int | None = None
    waiting: int = 0
    limit: int | None = None
    edit_s: float | None = None
    steps: dict[str, Steps] = {}


class Adapter(Protocol):
    """One provider's wire, both ways. Pure: the same arguments give the same value, and nothing is touched.

    `submit` may return an upload first; the call that may cost money follows from `read`. `read` never raises,
    whatever the reply holds. `recover` is the tried-th way (from 0) to learn what became of a submit whose answer was
    lost; None says that no way is left. `cancel` is None where the provider cannot. `client_ids`: a task's id is ours
    to choose, so that a repeated submit is refused by the provider instead of bought again. `health_path`: where the
    server tells how it is, beside its `/v1`; None where nothing is to be asked. `load` is None for an answer that tells
    nothing.
    """

    @property
    def auth(self) -> Auth: ...

    @property
    def client_ids(self) -> bool: ...

    def submit(self, attempt: Attempt) -> Next: ...

    def read(self, attempt: Attempt, call: HttpCall, reply: HttpReply) -> Outcome: ...

    def recover(self, attempt: Attempt, tried: int) -> Next | None: ...

    def cancel(self, attempt: Attempt, call: HttpCall) -> HttpCall | None: ...

    @property
    def health_path(self) -> str | None: ...

    def load(self, reply: HttpReply) -> Load | None: ...


@runtime_checkable
class CallsBack(Protocol):
    """An adapter whose provider can be given an address (`Attempt.callback_url`) at which it says that work has ended.
    What is said there comes as a reply to `read`, if it is signed; else it is a hint to poll now, and nothing more.
    """

    def is_signed(self, callback: HttpReply, secrets: tuple[str, ...]) -> bool:
        """Whether one of `secrets` proves that the provider sent exactly this body."""
        ...
