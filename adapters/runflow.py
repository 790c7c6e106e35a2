"""Runflow: start a run, poll it to its end, and find a run whose answer was lost by the `client_ref` that we gave it.

Its protocol was read from documentation and public clients, never called: whatever they left open or told in two ways
is a setting, and `read` accepts every shape that one of them shows. Runflow does not promise idempotent submits, so a
lost answer is looked up for `quarantine_s` and never simply sent again. That a run was never started is known only
where `absent_after_s` says when the run list can be believed.
"""

import hmac
import re
from typing import Literal
from urllib.parse import quote

import msgspec
from msgspec import Struct

from adapters import replies
from adapters import runflow_runs as runs
from adapters.contract import (
    Attempt,
    Auth,
    Bytes,
    Done,
    Failed,
    FailureKind,
    Fate,
    HttpCall,
    HttpReply,
    ImageFormat,
    Json,
    Load,
    Next,
    Outcome,
    Picture,
    Step,
    Unclear,
    Upload,
)
from adapters.fit import Fit, Sent, fit
from adapters.options import RunflowOptions
from adapters.runflow_settings import RunflowSettings, Style

# --- what the wire calls things -------------------------------------------------------------------------------------

GUIDANCE = 3.5  # always sent: Runflow's pages name two different defaults
PRESETS = {
    "1:1": "square_hd",
    "4:3": "landscape_4_3",
    "16:9": "landscape_16_9",
    "3:4": "portrait_4_3",
    "9:16": "portrait_16_9",
}
OTHER_STYLE: dict[Style, Style] = {"ratio": "preset", "preset": "ratio"}

MODERATED = "Runflow refused the request for its content"
ADVICE = {
    401: "; check {provider}.api_key",
    402: "; the account is out of credit",
    403: "; the key of {provider} may not run this model",
    404: "; is {provider}.models.{model}.id the provider's own name of the model?",
    405: "; {provider}.models.{model}.id must be owner/name",
}

SIGNATURE = "runflow-signature"
POLL_LEAST_S = 0.5
FIRST_LOOK_S = 2.0
PROOFS = 3  # the whole list is read so often: it may be away
PAGE_RUNS, MOST_PAGES = 500, 200
DATA_URI_HEAD = len("data:image/jpeg;base64,")

# Statuses that prove that nothing was started. Every other one on a submit proves nothing.
REFUSALS: dict[int, FailureKind] = {
    400: FailureKind.INVALID,
    401: FailureKind.CREDENTIAL,
    402: FailureKind.CREDIT,
    403: FailureKind.CREDENTIAL,
    404: FailureKind.UNSUPPORTED,
    405: FailureKind.UNSUPPORTED,
    413: FailureKind.UNSUPPORTED,
    415: FailureKind.UNSUPPORTED,
    422: FailureKind.INVALID,
    429: FailureKind.RATE_LIMITED,
    503: FailureKind.BUSY,
}
# A picture that Runflow's storage will not take may be welcome elsewhere; and no upload can have bought anything.
UPLOAD_REFUSALS = {**REFUSALS, 400: FailureKind.UNSUPPORTED, 422: FailureKind.UNSUPPORTED}


class Input(Struct, kw_only=True, omit_defaults=True):
    """What the model is given. `image_url` is null where the sender puts the picture in."""

    prompt: str
    image_url: str | None
    aspect_ratio: str | None = None
    num_images: int
    guidance_scale: float
    output_format: Literal["png", "jpeg"]
    safety_tolerance: str | None = None
    enhance_prompt: bool | None = None
    seed: int | None = None
    sync_mode: bool | None = None


def model_path(wire_model: str) -> str:
    """A model id as a part of a path: each segment encoded. Raises `ValueError` for one that would leave its place."""
    segments = wire_model.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise ValueError(f"a Runflow model id is owner/name without empty, . or .. segments; got {wire_model!r}")
    return "/".join(quote(segment, safe="") for segment in segments)


# --- the adapter ----------------------------------------------------------------------------------------------------


class Runflow(Struct, frozen=True):
    settings: RunflowSettings = RunflowSettings()

    @property
    def auth(self) -> Auth:
        return self.settings.auth

    @property
    def client_ids(self) -> bool:
        """False: `client_ref` finds a run, but does not keep a second one from being started."""
        return False

    def submit(self, attempt: Attempt) -> Next:
        """Raises `ValueError` for an edit that the offer cannot take and for a malformed model id: planning and the
        start-up check come before."""
        picture = attempt.edit.images[0]
        call = self._run(attempt, self.settings.aspect_ratio_style, {})
        return Next(call=call if self._fits_inline(picture) else self._open_upload(picture))

    def read(self, attempt: Attempt, call: HttpCall, reply: HttpReply) -> Outcome:
        if call.step is Step.UPLOAD:
            return self._read_upload(attempt, call, reply)
        if call.step.may_cost:
            return self._read_submit(attempt, call, reply)
        if call.step is Step.LOOK_UP:
            return self._read_look_up(attempt, call, reply)
        return self._read_poll(attempt, call, reply)

    def recover(self, attempt: Attempt, tried: int) -> Next | None:
        """Look-ups with doubling gaps that add up to the quarantine. Then, where silence may count, the whole list once
        the submit is old enough; else nothing is left to ask."""
        waited, gap = 0.0, FIRST_LOOK_S
        for way in range(1, tried + 1):
            waited, gap = waited + gap, gap * 2
            if waited >= self.settings.quarantine_s:
                return self._proof(attempt, tried - way)
        return Next(call=self._look_up(attempt), after=min(gap, self.settings.quarantine_s - waited))

    def _proof(self, attempt: Attempt, number: int) -> Next | None:
        guard_s = self.settings.absent_after_s
        if guard_s is None or number >= PROOFS:
            return None
        return Next(call=self._page(attempt, 1), after=FIRST_LOOK_S * number, guard=guard_s)

    def cancel(self, attempt: Attempt, call: HttpCall) -> HttpCall | None:
        """None: the only cancel is an administrator's, and it neither stops the work nor refunds it."""
        del attempt, call
        return None

    @property
    def health_path(self) -> str | None:
        """None: an account is judged by what it answers."""
        return None

    def load(self, reply: HttpReply) -> Load | None:
        """None: it is not asked."""
        del reply
        return None

    def is_signed(self, callback: HttpReply, secrets: tuple[str, ...]) -> bool:
        """HMAC-SHA256 of the raw body in hex, under the whole text of a secret; absent where none is registered. It
        holds no time, so an old one may come again."""
        sent = callback.headers.get(SIGNATURE, "").lower()
        made = (hmac.new(secret.encode(), callback.body, "sha256").hexdigest() for secret in secrets)
        return any(hmac.compare_digest(one.encode(), sent.encode()) for one in made)

    # --- calls ---

    def _api(
        self,
        step: Step,
        method: Literal["GET", "POST"],
        path: str,
        body: object = None,
        *,
        uploads: tuple[Upload, ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
        carry: dict[str, str] | None = None,
    ) -> HttpCall:
        organization = self.settings.organization_id
        return HttpCall(
            step=step,
            method=method,
            url=path.lstrip("/"),  # `//host` would be another server
            headers=(*((("X-Organization-Id", organization),) if organization else ()), *headers),
            body=None if body is None else Json(msgspec.json.encode(body).decode(), uploads),
            carry=carry or {},
        )

    def _run(self, attempt: Attempt, style: Style, carry: dict[str, str]) -> HttpCall:
        """The call that buys. `carry` holds the uploaded picture's address, and `style` once that was changed."""
        key = self.settings.input_key
        body: dict[str, object] = {key: self._input(attempt, style, carry.get("image_url")), "client_ref": attempt.id}
        if attempt.callback_url:
            body["callback_url"] = attempt.callback_url
        inline = Upload(attempt.edit.images[0].digest, "data_uri", (key, "image_url"))
        # The same key with another body is refused as a conflict, so a changed style has a key of its own.
        idempotency = attempt.id + (f"-{style}" if "style" in carry else "")
        return self._api(
            Step.SUBMIT,
            "POST",
            self.settings.submit_path.replace("{model_id}", model_path(attempt.offer.wire_model)),
            body,
            uploads=() if "image_url" in carry else (inline,),
            headers=(("Idempotency-Key", idempotency),) if self.settings.send_idempotency_key else (),
            carry=carry,
        )

    def _input(self, attempt: Attempt, style: Style, image_url: str | None) -> Input:
        sent, edit, own = _sent(attempt), attempt.edit, _own_dials(attempt)
        return Input(
            prompt=edit.prompt,
            image_url=image_url,
            aspect_ratio=own.aspect_ratio or _aspect_ratio(sent.ratio, style),
            num_images=sent.n,
            guidance_scale=GUIDANCE if sent.guidance is None else sent.guidance,
            output_format="jpeg" if edit.output_format is ImageFormat.JPEG else "png",
            safety_tolerance=None if sent.safety is None else str(sent.safety),
            enhance_prompt=sent.enhance_prompt,
            seed=sent.seed,
            sync_mode=own.sync_mode,
        )

    def _look_up(self, attempt: Attempt, more: str = "", carry: dict[str, str] | None = None) -> HttpCall:
        wanted = quote(f"client_ref.EQ:'{attempt.id}'", safe="")
        return self._api(Step.LOOK_UP, "GET", f"{self.settings.list_path}?q={wanted}{more}", carry=carry)

    def _page(self, attempt: Attempt, number: int, cursor: str = "") -> HttpCall:
        """A page of the whole list: its silence counts with that of all others."""
        after = f"&pq={quote(cursor, safe='')}" if cursor else ""
        return self._look_up(attempt, f"&limit={PAGE_RUNS}{after}", {"page": str(number)})

    def _poll(self, run_id: str) -> HttpCall:
        path = self.settings.poll_path.replace("{run_id}", quote(run_id, safe=""))
        return self._api(Step.POLL, "GET", path, carry={"run_id": run_id})

    # --- a picture too large for the request: open, put, confirm, and then the run ---

    def _fits_inline(self, picture: Picture) -> bool:
        return DATA_URI_HEAD + (picture.bytes + 2) // 3 * 4 <= self.settings.inline_limit_bytes

    def _open_upload(self, picture: Picture) -> HttpCall:
        media_type = picture.format.media_type
        body = {"filename": f"input.{picture.format}", "mime_type": media_type, "size_bytes": picture.bytes}
        return self._api(Step.UPLOAD, "POST", self.settings.upload_path, body, carry={"upload": "open"})

    def _read_upload(self, attempt: Attempt, call: HttpCall, reply: HttpReply) -> Outcome:
        if not _is_success(reply):
            return self._upload_refused(call, reply)
        answer, stage = replies.tree(replies.document(reply)), call.carry.get("upload")
        if stage == "open":
            return self._put(attempt, answer)
        asset_id = call.carry.get("asset_id", "")
        if stage == "put":
            path = self.settings.confirm_path.replace("{asset_id}", quote(asset_id, safe=""))
            carry = {"upload": "confirm", "asset_id": asset_id}
            return Next(call=self._api(Step.UPLOAD, "POST", path, {"folder_id": None}, carry=carry))
        address = replies.text(answer.get("url")) or f"runflow://assets/{asset_id}"
        carry = {"asset_id": asset_id, "image_url": address}
        return Next(call=self._run(attempt, self.settings.aspect_ratio_style, carry))

    def _upload_refused(self, call: HttpCall, reply: HttpReply) -> Failed:
        """Nothing was bought. The storage behind the signed address is no judge of our key, so there all is trouble."""
        kinds = {} if call.carry.get("upload") == "put" else UPLOAD_REFUSALS
        kind, told = kinds.get(reply.status, FailureKind.BUSY), replies.refusal(reply)
        if kind is FailureKind.UNSUPPORTED and self._is_moderation(told.code, told.words):
            return Failed(kind=FailureKind.MODERATED, fate=Fate.NOT_RUN, message=MODERATED)
        message = f"Runflow did not take the picture's upload: {told}"
        return Failed(kind=kind, fate=Fate.NOT_RUN, message=message, retry_after=replies.retry_after(reply))

    def _put(self, attempt: Attempt, answer: replies.Tree) -> Outcome:
        asset_id, address = replies.identifier(answer.get("asset_id")), replies.text(answer.get("upload_url"))
        if not asset_id or not address.startswith(("https://", "http://")):
            message = "Runflow's upload service gave no usable address"
            return Failed(kind=FailureKind.BUSY, fate=Fate.NOT_RUN, message=message)
        picture = attempt.edit.images[0]
        body = Bytes(Upload(picture.digest, "bytes"), picture.format.media_type)
        carry = {"upload": "put", "asset_id": asset_id}
        # Absolute, so that it gets no credential: the address itself is signed.
        return Next(call=HttpCall(step=Step.UPLOAD, method="PUT", url=address, body=body, carry=carry))

    # --- replies ---

    def _read_submit(self, attempt: Attempt, call: HttpCall, reply: HttpReply) -> Outcome:
        if not _is_success(reply):
            return self._read_refusal(attempt, call, reply)
        run = replies.tree(replies.document(reply))
        run_id = replies.identifier(run.get("id"))
        if not run_id or runs.is_foreign(run, attempt):
            return _lost(f"Runflow's answer (HTTP {reply.status}) names no run of ours")
        return self._judge(attempt, run, run_id)

    def _read_refusal(self, attempt: Attempt, call: HttpCall, reply: HttpReply) -> Outcome:
        told = replies.refusal(reply)
        if reply.status == 422 and (restyled := self._restyled(attempt, call, told)):
            return restyled
        kind = REFUSALS.get(reply.status)
        if kind is None or (kind is FailureKind.BUSY and not self.settings.trust_503):
            return _lost(f"Runflow's answer proves nothing: {told}")
        if kind is FailureKind.INVALID and self._is_moderation(told.code, told.words):
            return Failed(kind=FailureKind.MODERATED, fate=Fate.NOT_RUN, message=MODERATED)
        message = f"Runflow refused the request: {told}{_advice(attempt, reply)}"
        return Failed(kind=kind, fate=Fate.NOT_RUN, message=message, retry_after=replies.retry_after(reply))

    def _restyled(self, attempt: Attempt, call: HttpCall, told: replies.Refusal) -> Next | None:
        """The same run with its shape spelt the other way, once: the sources disagree about which one is taken, and a
        refused request is not billed."""
        named = "aspect_ratio" in told.words or any("aspect_ratio" in field for field in told.fields)
        if not named or "style" in call.carry or _own_dials(attempt).aspect_ratio:
            return None
        first = self.settings.aspect_ratio_style
        other, ratio = OTHER_STYLE[first], _sent(attempt).ratio
        if _aspect_ratio(ratio, first) == _aspect_ratio(ratio, other):
            return None
        return Next(call=self._run(attempt, other, {**call.carry, "style": other}))

    def _read_poll(self, attempt: Attempt, call: HttpCall, reply: HttpReply) -> Outcome:
        """Only a reply that names our run is a verdict; anything else is asked again."""
        if not _is_success(reply):
            return Unclear(message=f"Runflow answered a poll with HTTP {reply.status}")
        run = replies.tree(replies.document(reply))
        run_id = replies.identifier(run.get("id") or run.get("run_id"))
        if not run_id or run_id != call.carry.get("run_id") or runs.is_foreign(run, attempt):
            return Unclear(message="Runflow's answer to a poll does not name our run")
        if "event" in run:  # a callback, without cost or reason and perhaps unsigned: only a hint to ask now
            return Next(call=self._poll(run_id))
        return self._judge(attempt, run, run_id)

    def _read_look_up(self, attempt: Attempt, call: HttpCall, reply: HttpReply) -> Outcome:
        """A run that is found is read by itself: the list may leave out its output and cost."""
        document = replies.document(reply)
        found = runs.of_attempt(document, attempt)
        if _is_success(reply) and not found and "page" in call.carry:
            return self._read_page(attempt, int(call.carry["page"]), runs.page(document))
        if not _is_success(reply) or not found:
            return Unclear(message=f"no run of ours in Runflow's list (HTTP {reply.status})")
        own = [run for run in found if runs.holds_our_prompt(run, attempt)]
        if not own:
            return Unclear(message="Runflow holds another request under our reference", hopeless=True)
        statuses = self.settings.statuses
        ended_badly = (*statuses.failed, *statuses.cancelled)
        best = min(own, key=lambda run: runs.status(run) in ended_badly)
        return Next(call=self._poll(replies.identifier(best.get("id"))))

    def _read_page(self, attempt: Attempt, number: int, page: runs.Page) -> Outcome:
        """Without a run of ours. Only a list that was read to its end, and names what its runs refer to, proves that
        there is none."""
        if not page.is_told or self.settings.absent_after_s is None:
            return _UNTOLD
        if page.cursor and number < MOST_PAGES:
            return Next(call=self._page(attempt, number + 1, page.cursor))
        if page.cursor or page.length >= PAGE_RUNS:
            return _UNTOLD
        message = "Runflow lists no run of ours, long enough after the submit: it never arrived"
        return Failed(kind=FailureKind.NOT_SENT, fate=Fate.NOT_RUN, message=message)

    def _judge(self, attempt: Attempt, run: replies.Tree, run_id: str) -> Outcome:
        statuses, status = self.settings.statuses, runs.status(run)
        if status in statuses.succeeded or status in statuses.partial:
            return self._delivered(attempt, run, run_id)
        if status in statuses.failed:
            return self._failed(attempt, run)
        if status in statuses.cancelled:
            message, cost = "the run was cancelled at Runflow", runs.cost(attempt, run)
            # A cancel at Runflow neither stops the work nor refunds it: buying elsewhere would pay a second time.
            fate = Fate.RAN if cost else Fate.MAY_HAVE_RUN
            return Failed(kind=FailureKind.EXPIRED, fate=fate, message=message, cost_micro=cost)
        return Next(call=self._poll(run_id), after=POLL_LEAST_S)

    def _delivered(self, attempt: Attempt, run: replies.Tree, run_id: str) -> Outcome:
        output, cost = replies.tree(run.get("output")), runs.cost(attempt, run)
        if replies.flag(output.get("nsfw_detected")):
            message = "Runflow withheld the result for its content"
            return Failed(kind=FailureKind.MODERATED, fate=Fate.RAN, message=message, cost_micro=cost)
        pictures = runs.pictures(output, self.settings.output_paths)[: attempt.edit.n]
        if not pictures:
            message = "Runflow's run succeeded without a picture where one is looked for (output_paths)"
            return Failed(kind=FailureKind.BAD_PICTURE, fate=Fate.RAN, message=message, cost_micro=cost)
        return Done(pictures=pictures, cost_micro=cost, refresh=self._poll(run_id))  # reads sign the addresses anew

    def _failed(self, attempt: Attempt, run: replies.Tree) -> Failed:
        error, cost = replies.tree(run.get("error")), runs.cost(attempt, run)
        code = replies.code(run.get("failure_code") or error.get("code"))
        words = replies.text(run.get("failure_message")) or replies.text(error.get("message"))
        fate = Fate.RAN if cost else Fate.NOT_RUN  # failed runs are not billed, unless this one says that it was
        if self._is_moderation(code, words):
            return Failed(kind=FailureKind.MODERATED, fate=fate, message=MODERATED, cost_micro=cost)
        kind = FailureKind.INVALID if code == "INPUT_VALIDATION_FAILED" else FailureKind.TASK_FAILED
        message = f"the run failed at Runflow ({code or 'without a code'})"
        return Failed(kind=kind, fate=fate, message=message, cost_micro=cost)

    def _is_moderation(self, code: str, words: str) -> bool:
        return re.search(self.settings.moderation, f"{code} {words}", re.IGNORECASE) is not None


# --- reading, without settings --------------------------------------------------------------------------------------

_UNTOLD = Unclear(message="Runflow's list cannot be read to its end, so its silence proves nothing")


def _is_success(reply: HttpReply) -> bool:
    """Any 2xx: the documentation does not say which one a submit answers."""
    return 200 <= reply.status < 300


def _sent(attempt: Attempt) -> Sent:
    fitted = fit(attempt.edit, attempt.offer)
    if isinstance(fitted, Fit):
        return fitted.sent
    raise ValueError(f"{attempt.offer.name} cannot take the edit: {fitted.field} {fitted.why}")


def _aspect_ratio(ratio: str | None, style: Style) -> str | None:
    """A shape as the wire spells it; shapes without a preset keep the colon form, which both styles know."""
    return PRESETS.get(ratio, ratio) if ratio and style == "preset" else ratio


def _own_dials(attempt: Attempt) -> RunflowOptions:
    """The caller's `options.runflow`, as far as the model takes them: the rest has been reported as an adjustment."""
    asked, taken = attempt.edit.options.runflow or RunflowOptions(), attempt.offer.abilities.dials
    return RunflowOptions(
        sync_mode=asked.sync_mode if "runflow.sync_mode" in taken else None,
        aspect_ratio=asked.aspect_ratio if "runflow.aspect_ratio" in taken else None,
    )


def _advice(attempt: Attempt, reply: HttpReply) -> str:
    """What the operator can set about it."""
    offer = attempt.offer
    return ADVICE.get(reply.status, "").format(provider=f"providers.{offer.provider}", model=offer.model)


def _lost(message: str) -> Failed:
    return Failed(kind=FailureKind.LOST, fate=Fate.MAY_HAVE_RUN, message=message)
