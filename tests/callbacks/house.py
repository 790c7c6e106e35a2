"""What a test of callbacks has at hand."""

import itertools
from typing import Any

import httpx

from gateway.rehearsal.server import Rehearsal
from tests.end_to_end.stage import PHOTO_URI, Answer

KEY, SECRET, SECONDS = "kx_called", "whsec_Q2FsbCBtZSBiYWNr", 0.3
_VARIANTS = itertools.count(1)


class House:
    def __init__(self, url: str, rehearsal: Rehearsal, http: httpx.AsyncClient) -> None:
        self.url, self.rehearsal, self.http = url, rehearsal, http
        self._headers = {"authorization": f"Bearer {KEY}"}

    async def post(self, policy: str, prefer: str = "wait=10", **fields: Any) -> httpx.Response:
        """Waited for less long than until the first poll."""
        document = {"prompt": f"Make it blue {next(_VARIANTS)}", "images": [PHOTO_URI], "policy": policy, **fields}
        headers = {**self._headers, "prefer": prefer}
        return await self.http.post(f"{self.url}/v1/edits", json=document, headers=headers)

    async def get(self, edit: str) -> Answer:
        return (await self.http.get(f"{self.url}/v1/edits/{edit}", headers=self._headers)).json()

    async def call(self, url: str, body: bytes = b"{}", **headers: str) -> int:
        return (await self.http.post(url, content=body, headers=headers)).status_code

    async def counted(self) -> dict[str, float]:
        """Calls, by what they were taken for."""
        lines = (await self.http.get(f"{self.url}/metrics", headers=self._headers)).text.splitlines()
        found = [line.rpartition(" ") for line in lines if line.startswith("kontext_callbacks_total{")]
        return {name.partition('"')[2].rstrip('"}'): float(value) for name, _, value in found}

    def polls(self, provider: str) -> int:
        return len(self.rehearsal.log.of(provider, "poll"))
