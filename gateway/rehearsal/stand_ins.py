"""The stand-ins in a process of their own, asked and scripted over HTTP as anybody may."""

import asyncio
from typing import Any

import httpx

from gateway.ledger.evidence import Charge
from gateway.rehearsal.faults import Fault


class StandIns:
    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http, self.url = http, url
        self._scripting = asyncio.Lock()

    async def add(self, provider: str, fault: Fault, **more: object) -> None:
        """One more fault at the end of the provider's script. Read and put: a fault that is met between the two comes
        twice, which a storm does not mind."""
        async with self._scripting:
            scripts: list[dict[str, Any]] = (await self._get("faults"))[provider]
            body = [*scripts, {"fault": fault.value, "times": 1, **more}]
            reply = await self._http.put(f"{self.url}/rehearsal/faults/{provider}", json=body)
            reply.raise_for_status()

    async def quiet(self) -> None:
        """Nothing goes wrong any more."""
        (await self._http.delete(f"{self.url}/rehearsal/faults")).raise_for_status()

    async def charges(self) -> tuple[Charge, ...]:
        """The bill."""
        entries: list[dict[str, Any]] = (await self._get("bill"))["entries"]
        return tuple(
            Charge(provider=one["provider"], key=one["key"], amount_micro=one["cost_micro_usd"]) for one in entries
        )

    async def submits(self) -> tuple[int, int]:
        """How many submits came, and how many of them met a fault."""
        exchanges: list[dict[str, Any]] = (await self._get("log"))["exchanges"]
        submits = [one for one in exchanges if one["step"] == "submit"]
        return len(submits), sum(one["fault"] is not None for one in submits)

    async def _get(self, page: str) -> dict[str, Any]:
        reply = await self._http.get(f"{self.url}/rehearsal/{page}")
        reply.raise_for_status()
        return reply.json()
