"""What is sent for each thing that can be asked, and what its answers mean. Without I/O: see `steps`."""

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import TypeVar

import msgspec

from gateway.client import spending
from gateway.client.asking import KEY_HEADER, Asking
from gateway.client.edits import Edit, Image, Page
from gateway.client.errors import (
    AlreadyEndedError,
    KontextError,
    ProblemError,
    StillRunningError,
    UnreachableError,
    ended_error,
    error_of,
)
from gateway.client.events import Event
from gateway.client.following import Following
from gateway.client.models import Model, Models
from gateway.client.quotes import Quote
from gateway.client.spending import Spending
from gateway.client.steps import Call, File, Give, Reply, Steps
from gateway.client.uploads import Upload
from gateway.client.wishes import Wish, body_of, upload_of

T = TypeVar("T")
EDITS = "/v1/edits"
WAIT_S = 60.0
"""So long one answer is waited for; what goes on for longer is followed by its events."""
MARGIN_S = 30.0
MOST_IN_PAGE = 100


class Protocol:
    """`new_key`: an Idempotency-Key, a new one at each call."""

    def __init__(self, asking: Asking, new_key: Callable[[], str]) -> None:
        self._asking, self._new_key = asking, new_key

    # --- one edit -----------------------------------------------------------------------------------------------------

    def edit(
        self, wish: Wish, key: str | None, timeout_s: float | None, on_event: Callable[[Event], object] | None
    ) -> Steps[Edit]:
        """Until it ended well."""
        until = self._until(timeout_s)
        wait_s = 0.0 if on_event else WAIT_S if timeout_s is None else min(WAIT_S, timeout_s)
        edit = _succeeded((yield from self._begun(wish, key, wait_s)))
        return (yield from self._ended(edit, until, on_event)) if edit.goes_on else edit

    def submit(self, wish: Wish, key: str | None) -> Steps[Edit]:
        """As it was accepted; or, where the key is known, as it stands."""
        return self._begun(wish, key, 0.0)

    def wait(
        self, edit_id: str, timeout_s: float | None, on_event: Callable[[Event], object] | None = None
    ) -> Steps[Edit]:
        until = self._until(timeout_s)
        edit = _succeeded((yield from self.get(edit_id)))
        return (yield from self._ended(edit, until, on_event)) if edit.goes_on else edit

    def get(self, edit_id: str) -> Steps[Edit]:
        return self._got(f"{EDITS}/{edit_id}", Edit)

    def events(self, edit_id: str, after: str) -> Steps[None]:
        following = Following(self._asking, edit_id, after)
        while (event := (yield from following.next())) is not None:
            yield Give(event)

    def cancel(self, edit_id: str) -> Steps[Edit]:
        """A repeat of one's own cancel finds the edit cancelled: that is no error."""
        try:
            reply = yield from self._asking.send(Call(method="DELETE", path=f"{EDITS}/{edit_id}"))
        except AlreadyEndedError as ended:
            if ended.edit is not None and ended.edit.status == "cancelled":
                return ended.edit
            raise
        return _read(reply, Edit)

    def erase(self, edit_id: str) -> Steps[Edit]:
        reply = yield from self._asking.send(
            Call(method="DELETE", path=f"{EDITS}/{edit_id}/content", patience_s=WAIT_S)
        )
        return _read(reply, Edit)

    def picture(self, image: Image) -> Steps[bytes]:
        """Checked against its digest."""
        text = image.base64 or (image.data_uri or "").partition(",")[2]
        if text:
            return b64decode(text)
        if image.url is None:
            raise KontextError("the picture is gone: the edit has neither its address nor itself")
        reply = yield from self._asking.send(Call(method="GET", path=image.url))
        if sha256(reply.body).hexdigest() != image.sha256:
            raise KontextError("what came is not the picture: its digest is another one")
        return reply.body

    def _begun(self, wish: Wish, key: str | None, wait_s: float) -> Steps[Edit]:
        prefer = f"wait={int(wait_s)}" if wait_s >= 1 else "respond-async"
        headers = {KEY_HEADER: key or self._new_key(), "prefer": prefer}
        call = Call(method="POST", path=EDITS, headers=headers, body=body_of(wish), patience_s=wait_s + MARGIN_S)
        try:
            reply = yield from self._asking.send(call)
        except ProblemError as problem:  # of an edit that was there already, and has ended
            if problem.edit is not None:
                return problem.edit
            raise
        unresolved = error_of(reply.body, None) if reply.status == 202 else None
        return unresolved.edit if unresolved and unresolved.edit else _read(reply, Edit)

    def _ended(self, edit: Edit, until: float, on_event: Callable[[Event], object] | None) -> Steps[Edit]:
        following = Following(self._asking, edit.id, until=until)
        while (event := (yield from following.next())) is not None:
            if on_event:
                on_event(event)
        edit = _succeeded((yield from self.get(edit.id)))
        if edit.goes_on:
            raise StillRunningError(edit)
        return edit

    def _until(self, timeout_s: float | None) -> float:
        return float("inf") if timeout_s is None else self._asking.now() + timeout_s

    # --- everything else ----------------------------------------------------------------------------------------------

    def quote(self, wish: Wish, key: str | None) -> Steps[Quote]:
        headers = {KEY_HEADER: key} if key else {}
        reply = yield from self._asking.send(
            Call(method="POST", path="/v1/quotes", headers=headers, body=body_of(wish), patience_s=WAIT_S)
        )
        return _read(reply, Quote)

    def list(self, statuses: Sequence[str], tags: Mapping[str, str], **filters: datetime | str | None) -> Steps[None]:
        tagged = tuple(("tag", f"{name}:{value}") for name, value in tags.items())
        params = (*_params(status=",".join(statuses) or None, limit=str(MOST_IN_PAGE), **filters), *tagged)
        cursor: tuple[tuple[str, str], ...] = ()
        while True:
            page = yield from self._got(EDITS, Page, (*params, *cursor))
            for edit in page.data:
                yield Give(edit)
            if page.next is None:
                return
            cursor = (("cursor", page.next),)

    def upload(self, picture: File | str) -> Steps[Upload]:
        """The same picture again is the same upload, so a repeat needs no key."""
        call = Call(method="POST", path="/v1/images", body=upload_of(picture), patience_s=WAIT_S)
        return _read((yield from self._asking.send(call)), Upload)

    def models(self) -> Steps[tuple[Model, ...]]:
        return (yield from self._got("/v1/models", Models)).data

    def usage(
        self, by: Sequence[str], since: date | None, until: date | None, team: str | None
    ) -> Steps[tuple[Spending, ...]]:
        params = _params(**{"by": ",".join(by) or None, "from": since, "to": until, "team": team})
        reply = yield from self._asking.send(Call(method="GET", path="/v1/usage", params=params))
        return spending.read(reply.body)

    def _got(self, path: str, kind: type[T], params: tuple[tuple[str, str], ...] = ()) -> Steps[T]:
        reply = yield from self._asking.send(Call(method="GET", path=path, params=params))
        return _read(reply, kind)


def _succeeded(edit: Edit) -> Edit:
    """Raises for one that ended otherwise."""
    if edit.goes_on or edit.status == "succeeded":
        return edit
    raise ended_error(edit)


def _read(reply: Reply, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreachableError(f"what answered is no gateway that this client knows: {error}") from None


def _params(**given: date | str | None) -> tuple[tuple[str, str], ...]:
    texts = ((name, value.isoformat() if isinstance(value, date) else value) for name, value in given.items())
    return tuple((name, text) for name, text in texts if text is not None)
