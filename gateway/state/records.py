"""What the store keeps of an edit: the wish and its plan (written once), its attempts (each written before it is sent),
and its end (written once). All times are epoch milliseconds of the store's clock unless a name says otherwise."""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from adapters.contract import Edit, FailureKind, Fate, HttpCall, ImageFormat, Tier
from policies.hedge import Terms as Hedge
from policies.plans import Plan

VERSION = 1
"""Of the record's schema. Raised where a release before could go wrong with what this one writes."""


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    UNRESOLVED = "unresolved"

    @property
    def is_terminal(self) -> bool:
        return self in (Status.SUCCEEDED, Status.FAILED, Status.REFUSED, Status.CANCELLED)


class AttemptState(StrEnum):
    """Forward only. `intent`: stamped and about to be sent; `accepted`: the provider has it; `unknown`: its answer was
    lost; the rest are ends."""

    INTENT = "intent"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    SETTLED = "settled"
    RELEASED = "released"
    UNRESOLVED = "unresolved"

    @property
    def is_open(self) -> bool:
        return self in (AttemptState.INTENT, AttemptState.ACCEPTED, AttemptState.UNKNOWN)


GPU_SECONDS = "gpu_seconds"
"""The source of a cost that is booked by the time of a machine of one's own: nobody sends a bill for it."""


class AttemptRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try of one offer. `call` is the exact next (or last) HTTP call, enough to go on from after a crash.

    `price_micro` is for all of its `pictures`, and what is held for it. `posted_ms` is the stamp of the last submit or
    resubmit, `first_posted_ms` of the first. `tried` counts the ways of `recover` already used. `cost_micro` is set
    when settled. `beside` is the number of the slower attempt that it was started beside; `lost`: another one ended the
    edit first, and what this one costs is the price of that race.
    `callback_url`: where its provider was asked to say that it is done; a repeat of the submit says the same.
    """

    id: str
    number: int
    offer: str
    provider: str
    price_micro: int
    pictures: int = 1
    state: AttemptState
    call: HttpCall
    opened_ms: int = 0
    posted_ms: int = 0
    first_posted_ms: int = 0
    accepted_ms: int = 0
    closed_ms: int = 0
    tried: int = 0
    polls: int = 0
    cost_micro: int | None = None
    cost_source: str | None = None
    failure: FailureKind | None = None
    fate: Fate | None = None
    retry_after_s: float | None = None
    message: str = ""
    beside: int | None = None
    lost: bool = False
    callback_url: str | None = None

    @property
    def charged_micro(self) -> int | None:
        """What a settled attempt cost; its price, where nobody told the cost. None for one that is not settled."""
        if self.state is not AttemptState.SETTLED:
            return None
        return self.price_micro if self.cost_micro is None else self.cost_micro

    @property
    def overrun_micro(self) -> int:
        """What it cost above its price."""
        return max(0, (self.charged_micro or 0) - self.price_micro)


class Output(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the caller wants the pictures handed over."""

    delivery: str = "url"
    upload_url: str | None = None
    ttl_s: int | None = None


class Webhook(Struct, frozen=True):
    """Where an edit's own end is told: an address that lies under an endpoint of its team."""

    endpoint: str
    url: str


class Wish(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an edit asks for beyond the picture: quality, money, time, and where the answer goes. `tier` None: the
    policy's, as its rules stood at the plan."""

    tier: Tier | None = None
    policy: str
    models: tuple[str, ...] = ()
    max_cost_micro: int | None = None
    deadline_s: float = 120.0
    output: Output = Output()
    webhook: Webhook | None = None
    metadata: dict[str, str] = {}


class Image(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A delivered picture: `digest` names its bytes in the result store."""

    digest: str
    format: ImageFormat
    width: int
    height: int
    bytes: int
    seed: int | None = None
    nsfw: bool | None = None
    warnings: tuple[str, ...] = ()


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an edit did not succeed, in words for its caller. `kind` is a problem type of the API."""

    kind: str
    detail: str


class End(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an edit ended. `offer` is the one that delivered."""

    status: Status
    offer: str | None = None
    images: tuple[Image, ...] = ()
    cost_micro: int = 0
    late: bool = False
    notes: tuple[str, ...] = ()
    problem: Problem | None = None


class EditRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One edit, whole. `version` is the record's schema: a release reads its own and the one before.

    `origin` is what attempt ids derive from. `owner` is the replica that works on it; every write carries `epoch`.
    `trace_id` and `span_id` name the span that began it. `hedge`: the second runner that was bought and held for.
    `cancel_ms`: when its caller asked for its end; `erase_ms`: for its content to go; `emptied_ms`: when its prompt and
    calls went.
    """

    id: str
    team: str
    key_id: str
    origin: str
    edit: Edit
    wish: Wish
    plan: Plan
    revision: str
    hedge: Hedge | None = None
    trace_id: str | None = None
    span_id: str | None = None
    version: int = VERSION
    status: Status = Status.QUEUED
    owner: str = ""
    epoch: int = 0
    created_ms: int = 0
    finished_ms: int = 0
    cancel_ms: int = 0
    erase_ms: int = 0
    emptied_ms: int = 0
    attempts: tuple[AttemptRecord, ...] = ()
    end: End | None = None

    def left_s(self, now_ms: int) -> float:
        """Of the deadline; all of it for an edit that is only about to be accepted."""
        return self.wish.deadline_s - (now_ms - (self.created_ms or now_ms)) / 1000

    def pictures_until_s(self, usual_s: float) -> float:
        """Until when the pictures of a finished edit can be fetched, in epoch seconds. `usual_s`: for how long they are
        kept whose caller named no time."""
        return self.finished_ms / 1000 + (self.wish.output.ttl_s or usual_s)


def with_attempt(record: EditRecord, attempt: AttemptRecord) -> EditRecord:
    """The record with `attempt` in the place of its number, whether it was there or is new."""
    others = (other for other in record.attempts if other.number != attempt.number)
    return replace(record, attempts=tuple(sorted((*others, attempt), key=lambda each: each.number)))
