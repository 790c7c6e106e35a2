"""The stage of process deaths: one folder, a gateway that stands still where it is told to, two that go on after it,
and a stand-in for every case, so that each has a script and a bill of its own."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct
from redis.asyncio import Redis

from gateway.clock import SystemClock
from gateway.ledger.book import Book
from gateway.ledger.evidence import Charge
from gateway.ledger.outbox import Outbox
from gateway.ledger.rows import Row
from gateway.rehearsal.fleet import TEAM_KEY, Account, Fleet, Terms, write_terms
from gateway.rehearsal.server import Rehearsal
from gateway.rehearsal.verdict import WISH, Verdict, judge
from gateway.state.connection import connect
from gateway.state.embedded import ensure
from tests.end_to_end.processes import environment
from tests.end_to_end.receiver import Receiver
from tests.end_to_end.stage import PHOTO_URI, Answer, eventually, state_folder
from tests.faults.cases import CHARGED, HALF_BODY, Case
from tests.faults.half_way import HalfWay, half_way

SECONDS = 0.3
VICTIM = Path(__file__).with_name("victim.py")
MODEL = "kontext-pro"
QUICK = ("timeout_s = 2", "guard_s = 1")
PATIENT = ("timeout_s = 2", "quarantine_s = 6")


class Told(Struct, frozen=True):
    """How a case ended: what its caller was told, what was billed, and the books' rows about it."""

    answer: Answer
    charges: tuple[Charge, ...]
    rows: tuple[Row, ...]
    epochs: int

    @property
    def verdict(self) -> Verdict:
        return judge({"it": self.answer["status"]}, self.charges, self.rows)


class Victim:
    """The gateway that is to die."""

    def __init__(self, process: Process, url: str) -> None:
        self.process, self.url = process, url
        self._at: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, config: Path, points: dict[str, str], log: Path) -> "Victim":
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(VICTIM), str(config), json.dumps(points),
                stdin=PIPE, stdout=PIPE, stderr=errors, env=environment(),
            )  # fmt: skip
        assert process.stdout is not None
        url = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        assert url.startswith("http"), f"the victim did not start: see {log}"
        return cls(process, url)

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self._at[line.decode().split()[1]].set()

    async def arrives(self, prompt: str) -> None:
        """Returns when the edit stands at its point."""
        try:
            await asyncio.wait_for(self._at[prompt].wait(), 20)
        except TimeoutError:
            there = sorted(name for name, event in self._at.items() if event.is_set())
            raise AssertionError(f"{prompt} never came to its point; there are {there}") from None

    def let_go(self) -> None:
        """Whoever stands at a point goes on."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")

    async def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """The exit code after a signal."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 20)
        await self._listening
        return code


class Tragedy:
    def __init__(
        self, folder: Path, http: httpx.AsyncClient, stack: AsyncExitStack, hooks: Receiver | None = None
    ) -> None:
        self.folder, self.http, self.stack, self.hooks = folder, http, stack, hooks
        self.config = folder / "kontext.toml"
        self.survivors = Fleet(folder, self.config)
        self.stand_ins: dict[str, Rehearsal] = {}
        self.wires: dict[str, HalfWay] = {}

    async def cast(self, cases: tuple[Case, ...]) -> None:
        """Gives each case its stand-in, and writes the configuration that knows them all."""
        accounts = [await self._account(case) for case in cases]
        policies = {case.name: (f"{case.name}/{MODEL}",) for case in cases}
        allowed = (f"127.0.0.1:{self.hooks.port}",) if self.hooks else ()
        terms = Terms(accounts=tuple(accounts), policies=policies, seconds=SECONDS, allow_hosts=allowed)
        write_terms(self.folder, terms)

    async def _account(self, case: Case) -> Account:
        stand_in = await self.stack.enter_async_context(Rehearsal.serve(seconds=SECONDS, fast=True))
        stand_in.faults.put(case.adapter, case.script)
        self.stand_ins[case.name] = stand_in
        url = stand_in.url
        if case.point == HALF_BODY:
            self.wires[case.name], url = await self.stack.enter_async_context(half_way(url))
        base_url = f"{url}/runware/v1" if case.adapter == "runware" else f"{url}/runflow"
        settings = QUICK if case.adapter == "runware" else PATIENT
        places = ("max_concurrency = 1",) if case.queued else ()
        return Account(name=case.name, adapter=case.adapter, base_url=base_url, settings=(*settings, *places))

    async def victim(self, cases: tuple[Case, ...]) -> Victim:
        points = {case.name: case.point for case in cases if case.point not in (HALF_BODY, CHARGED)}
        points |= {first_of(case): "before poll" for case in cases if case.queued}
        victim = await Victim.start(self.config, points, self.folder / "victim.log")
        self.stack.push_async_callback(victim.end)
        return victim

    # --- what a caller does -----------------------------------------------------------------------------------------

    async def post(self, url: str, policy: str, prompt: str, **headers: str) -> httpx.Response:
        sent = {"authorization": f"Bearer {TEAM_KEY}", "idempotency-key": f"key-{prompt}", **headers}
        document: dict[str, Any] = {"prompt": prompt, "images": [PHOTO_URI], "policy": policy}
        document["metadata"] = {WISH: prompt}
        if self.hooks:
            document["webhook_url"] = f"{self.hooks.url}/told/{prompt}"
        return await self.http.post(f"{url}/v1/edits", json=document, headers=sent)

    async def listen(self, url: str) -> str:
        """Whoever is told registers; the secret."""
        assert self.hooks is not None
        headers = {"authorization": f"Bearer {TEAM_KEY}"}
        document = {"url": f"{self.hooks.url}/told", "receives": "named"}
        response = await self.http.post(f"{url}/v1/webhooks", json=document, headers=headers)
        return response.json()["secret"]

    async def begin(self, victim: Victim, case: Case) -> None:
        """Posts the case's edit and returns when it stands at its point. Nobody gets an answer from the dead."""
        if case.queued:
            await self._post_in_vain(victim, case.name, first_of(case))
            await victim.arrives(first_of(case))
        await self._post_in_vain(victim, case.name, case.name)
        if case.point == HALF_BODY:
            await asyncio.wait_for(self.wires[case.name].reached.wait(), 20)
        elif case.point == CHARGED:
            await eventually(lambda: self._is_billed(case))
        else:
            await victim.arrives(case.name)

    async def _post_in_vain(self, victim: Victim, policy: str, prompt: str) -> None:
        async def post() -> None:
            try:
                await self.post(victim.url, policy, prompt, prefer="respond-async")
            except httpx.TransportError:
                return

        task = asyncio.create_task(post())

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.stack.push_async_callback(stop)

    async def _is_billed(self, case: Case) -> bool:
        return bool(self.stand_ins[case.name].bill.entries)

    async def retried(self, policy: str, prompt: str) -> Answer:
        """The end, as a caller learns it who sends the same request with the same key to any gateway that lives."""

        async def probe() -> Answer | None:
            response = await self.post(self.survivors.urls[0], policy, prompt, prefer="wait=20")
            answer = response.json()
            answer = answer.get("edit", answer)
            return answer if answer.get("status") in ENDS and "id" in answer else None

        return await eventually(probe, 40)

    async def told(self, case: Case) -> Told:
        """The case's end, all of it."""
        prompts = (first_of(case), case.name) if case.queued else (case.name,)
        answers = [await self.retried(case.name, prompt) for prompt in prompts]
        every = await self.rows()
        edits = {row.edit for row in every if row.tags.get(WISH) in prompts}
        rows = tuple(row for row in every if row.edit in edits)
        epoch = await self.epoch(answers[-1]["id"])
        return Told(answers[-1], charges_of(self.stand_ins[case.name]), rows, epoch)

    # --- the books and the store ------------------------------------------------------------------------------------

    @asynccontextmanager
    async def store(self) -> AsyncGenerator[Redis]:
        client = await connect("unix://" + await ensure(self.folder / "state"), folder=self.folder)
        try:
            yield client
        finally:
            await client.aclose()

    async def rows(self) -> list[Row]:
        """Every row: what reached SQL, and what still waits in the outbox."""
        book = await Book.open(f"sqlite:{self.folder / 'state' / 'ledger.db'}")
        try:
            async with self.store() as store:
                waiting = [row async for row in Outbox(store, book, SystemClock()).waiting()]
            written = [row async for row in book.rows()]
        finally:
            await book.aclose()
        known = {row.id: row for row in (*waiting, *written)}
        return sorted(known.values(), key=lambda row: row.place)

    async def epoch(self, edit: str) -> int:
        async with self.store() as store:
            found: Any = await store.hget(f"{{kontext}}:edit:{edit}", "epoch")
            return int(found)


ENDS = ("succeeded", "failed", "refused", "cancelled", "unresolved")


def first_of(case: Case) -> str:
    """The edit that has the only place of the account, so that the case's own is queued."""
    return f"{case.name}_first"


def charges_of(stand_in: Rehearsal) -> tuple[Charge, ...]:
    return tuple(
        Charge(provider=entry.provider.value, key=entry.key, amount_micro=entry.cost_micro_usd)
        for entry in stand_in.bill.entries
    )


@asynccontextmanager
async def tragedy(
    cases: tuple[Case, ...], survivors: int = 2, hooks: Receiver | None = None
) -> AsyncGenerator[Tragedy]:
    async with state_folder() as folder, AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=60))
        play = Tragedy(folder, http, stack, hooks)
        await play.cast(cases)
        stack.push_async_callback(play.survivors.aclose)
        await play.survivors.add(survivors)
        yield play
