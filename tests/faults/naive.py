"""Clients of Runware without a protocol, and one with it: what each would write into its books."""

import secrets
import uuid
from typing import Any

import httpx

from gateway.ledger.rows import Row, RowKind
from gateway.rehearsal.verdict import WISH
from tests.end_to_end.stage import PHOTO_URI

PRICE_MICRO = 40_000
TRIES = 6


class Client:
    """Posts until it is told that its task was taken, and books one price for a wish that was."""

    def __init__(self, http: httpx.AsyncClient, url: str, key: str) -> None:
        self._http, self._url, self._key = http, url, key
        self.rows: list[Row] = []

    def new_id(self, number: int, tried: int) -> str:
        """A new id for each try: the mistake."""
        return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))

    async def is_known(self, task: str) -> bool:
        """Whether it looks before it posts again."""
        return False

    async def wish(self, number: int) -> str | None:
        """Its last status: succeeded where the client believes so, else None."""
        self._book(RowKind.ACCEPT, number, tags={WISH: f"{number}"}, held_micro=PRICE_MICRO)
        for tried in range(TRIES):
            task = self.new_id(number, tried)
            self._open(number, tried, task)
            if await self._posted(number, task) or await self.is_known(task):
                self._close(number, tried, task, PRICE_MICRO)
                self._book(RowKind.FINISH, number, outcome="succeeded")
                return "succeeded"
            self._close(number, tried, task, None)
        return None

    async def _posted(self, number: int, task: str) -> bool:
        order = {
            "taskType": "imageInference", "taskUUID": task, "model": "bfl:3@1",
            "positivePrompt": f"Make mug {number} blue",
            "inputs": {"referenceImages": [PHOTO_URI]}, "width": 1248, "height": 832, "deliveryMethod": "async",
            "includeCost": True, "outputType": "URL", "outputFormat": "PNG", "numberResults": 1,
        }  # fmt: skip
        reply = await self._call(order)
        return reply is not None and self.takes(reply)

    def takes(self, reply: httpx.Response) -> bool:
        return reply.status_code == 200 and "json" in reply.headers.get("content-type", "")

    async def _call(self, order: dict[str, Any]) -> httpx.Response | None:
        try:
            return await self._http.post(self._url, json=[order], headers={"authorization": f"Bearer {self._key}"})
        except httpx.HTTPError:
            return None

    # --- its books --------------------------------------------------------------------------------------------------

    def _open(self, number: int, tried: int, task: str) -> None:
        self._book(RowKind.OPEN, number, tried=tried, task=task, quoted_micro=PRICE_MICRO, held_micro=PRICE_MICRO)

    def _close(self, number: int, tried: int, task: str, cost_micro: int | None) -> None:
        outcome = "released" if cost_micro is None else "done"
        held = PRICE_MICRO if cost_micro is None else 0
        self._book(
            RowKind.CLOSE, number, tried=tried, task=task, settled_micro=cost_micro, outcome=outcome, held_micro=held
        )

    def _book(self, kind: RowKind, number: int, *, tried: int = -1, task: str | None = None, **more: Any) -> None:
        edit = f"edit_{number:032x}"
        about = {} if task is None else {"attempt": tried + 1, "attempt_id": task, "offer": "runware/kontext-pro"}
        name = f"{edit}/{kind}" if task is None else f"{edit}/{tried + 1}/{kind}"
        place = f"{len(self.rows):08d}"
        self.rows.append(Row(id=name, kind=kind, edit=edit, team="t", key_id="k", place=place, **about, **more))


class Looking(Client):
    """Polls before it posts again: a poll cannot prove absence, so it still posts under a new id."""

    async def is_known(self, task: str) -> bool:
        asked = await self._call({"taskType": "getTaskDetails", "taskUUID": task})
        return asked is not None and asked.status_code == 200 and b"not visible" in asked.content


class Protocol(Client):
    """Posts the same id and body again; a conflict proves that an earlier post arrived."""

    def new_id(self, number: int, tried: int) -> str:
        return str(uuid.UUID(int=number + 1, version=4))

    def takes(self, reply: httpx.Response) -> bool:
        return super().takes(reply) or b"conflictTaskUUID" in reply.content

    def _open(self, number: int, tried: int, task: str) -> None:
        if tried == 0:
            super()._open(number, 0, task)

    def _close(self, number: int, tried: int, task: str, cost_micro: int | None) -> None:
        if cost_micro is not None:
            super()._close(number, 0, task, cost_micro)
