"""A caller as the documents ask for one: each wish has one Idempotency-Key, sent again to any gateway that lives until
there is an answer."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
from msgspec import Struct

from gateway.rehearsal.fleet import TEAM_KEY
from gateway.rehearsal.verdict import ENDS, WISH

LEAST_PAUSE_S, MOST_PAUSE_S = 0.1, 2.0


class Answer(Struct, frozen=True, kw_only=True):
    """What a caller learnt of its wish: the edit and its last known status, None where nobody ever said."""

    edit: str | None = None
    status: str | None = None
    picture: str | None = None


class Caller:
    """`gateways` tells where gateways answer now. `statuses` counts every HTTP status that was seen."""

    def __init__(self, http: httpx.AsyncClient, gateways: Callable[[], tuple[str, ...]], chance: random.Random) -> None:
        self._http, self._gateways, self._chance = http, gateways, chance
        self.statuses: Counter[int] = Counter()
        self.broken = 0

    async def wish(self, name: str, document: dict[str, Any], until_s: float, *, wait_s: int = 0) -> Answer:
        """`document` as an edit, followed to its end or to the monotonic second `until_s`."""
        edit: str | None = None
        status: str | None = None
        while time.monotonic() < until_s:
            found = await self._ask(name, document, edit, wait_s)
            if isinstance(found, Answer):
                edit, status = found.edit, found.status
                if status in ENDS:
                    return found
            await asyncio.sleep(found if isinstance(found, float) else 0.3)
        return Answer(edit=edit, status=status)

    async def _ask(self, name: str, document: dict[str, Any], edit: str | None, wait_s: int) -> Answer | float:
        """What was said, or the seconds after which to ask again."""
        urls = self._gateways()
        if not urls:
            return LEAST_PAUSE_S
        try:
            reply = await self._send(self._chance.choice(urls), name, document, edit, wait_s)
        except httpx.TransportError:  # killed, or about to listen
            self.broken += 1
            return LEAST_PAUSE_S
        self.statuses[reply.status_code] += 1
        return _read(reply) or _pause_s(reply)

    async def _send(
        self, url: str, name: str, document: dict[str, Any], edit: str | None, wait_s: int
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {TEAM_KEY}"}
        if edit is not None:
            return await self._http.get(f"{url}/v1/edits/{edit}", headers=headers)
        prefer = f"wait={wait_s}" if wait_s else "respond-async"
        sent = {**document, "metadata": {WISH: name}}
        headers |= {"idempotency-key": f"key-{name}", "prefer": prefer}
        return await self._http.post(f"{url}/v1/edits", json=sent, headers=headers)


def _read(reply: httpx.Response) -> Answer | None:
    """The edit of an answer or of a problem; None where there is none in it."""
    if "json" not in reply.headers.get("content-type", ""):
        return None
    said: dict[str, Any] = reply.json()
    known: dict[str, Any] = said.get("edit", said)  # a problem holds its edit; an unresolved one is a problem under 202
    if "status" not in known or "id" not in known:
        return None
    images: list[dict[str, Any]] = known.get("images") or []
    return Answer(edit=known["id"], status=known["status"], picture=images[0]["sha256"] if images else None)


def _pause_s(reply: httpx.Response) -> float:
    named = reply.headers.get("retry-after", "")
    return min(MOST_PAUSE_S, float(named)) if named.isdecimal() and int(named) else LEAST_PAUSE_S
