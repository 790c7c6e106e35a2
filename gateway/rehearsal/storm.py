"""A storm: many edits, bad submits of every kind, and gateways that are killed all the time. Then the bill is held
against the books.

Everything is on loopback and ends by itself. The seed fixes what is drawn; what meets what is the machine's doing.
"""

import asyncio
import base64
import contextlib
import io
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct
from msgspec.structs import replace
from PIL import Image

from gateway.ledger.accounts import accounts
from gateway.ledger.book import Book
from gateway.ledger.rows import Row, RowKind
from gateway.rehearsal.caller import Answer, Caller
from gateway.rehearsal.faults import Fault
from gateway.rehearsal.fleet import Account, Fleet, Serving, Terms, fleet, write_terms
from gateway.rehearsal.stand_ins import StandIns
from gateway.rehearsal.verdict import Verdict, judge

SECONDS = 0.3
"""How long an edit takes at the stand-ins."""

BAD_SHARE, TASK_SHARE = 0.42, 0.05
"""Drawn for each edit. Fewer submits are bad in the end, about 30 %: circuits keep them away from a sick provider."""

AT_ONCE = 48
LIMIT_S = 480.0
BOOKS_WITHIN_S = 40.0
LATE_S = 2.0

SUBMIT_FAULTS = (
    Fault.DOWN,
    Fault.DOWN_HTML,
    Fault.HANG,
    Fault.RESET_BEFORE_ACCEPT,
    Fault.ERROR_BEFORE_ACCEPT,
    Fault.RATE_LIMITED,
    Fault.CONCURRENT,
    Fault.BUSY,
    Fault.ERRORS_UNDER_200,
    Fault.ACCEPT_THEN_RESET,
    Fault.ACCEPT_THEN_5XX,
    Fault.HANG_AFTER_ACCEPT,
    Fault.ACCEPT_LATE_RESET,
    Fault.SYNC_TIMEOUT,
    Fault.GARBAGE,
    Fault.CUT,
)
"""Drawn for the share of bad submits. Refusals of the account or the content are left out: they end an edit rightly."""

LATE_503 = Fault.ACCEPT_LATE
"""503 now and accepted later. Where a 503 is not trusted it is an answer that proves nothing; where it is, the edit
goes to another offer, and the late charge is found by the reconciler."""

RECONCILE_S = 2.0
FOUND_WITHIN_S = 60.0

TASK_FAULTS = (
    Fault.POLL_TROUBLE,
    Fault.POLL_RESET,
    Fault.OTHER_TASK,
    Fault.INVISIBLE,
    Fault.TASK_FAILED,
    Fault.ODD_STATUS,
    Fault.BAD_PICTURE,
    Fault.EXPIRED_LINK,
    Fault.MODERATED_ON_POLL,
)
"""Of accepted work. `cancelled` is left out: nobody says that it is not charged, so it ends unresolved."""

LASTING = frozenset({Fault.ACCEPT_LATE, Fault.ACCEPT_LATE_RESET, Fault.INVISIBLE})

POLICIES = {
    "runware_first": ("runware/kontext-pro", "runflow/kontext-pro"),
    "runflow_first": ("runflow/kontext-pro", "runware/kontext-pro"),
}


class Storm(Struct, frozen=True, kw_only=True):
    """`late_503`: submits answered 503 and accepted all the same are drawn too. `trust_503`, `absent_after_s`: the
    providers' settings of those names; `trust_503` left out is False with `late_503`."""

    edits: int
    seed: int
    replicas: int = 3
    kill_every_s: float | None = 5.0
    late_503: bool = False
    trust_503: bool | None = None
    absent_after_s: float | None = None

    @property
    def trusts_503(self) -> bool:
        return not self.late_503 if self.trust_503 is None else self.trust_503

    @property
    def is_found_late(self) -> bool:
        """Charges come that no edit waits for."""
        return self.late_503 and self.trusts_503


class Weather(Struct, frozen=True, kw_only=True):
    """What a storm was like, and how it ended."""

    verdict: Verdict
    seconds: float
    kills: int
    submits: int
    bad_submits: int
    statuses: dict[int, int]
    broken: int
    unfinished_books: int


async def storm(asked: Storm, folder: Path, tell: Callable[[str], None]) -> Weather:
    """Raises `FleetFailed`. `folder` is empty and keeps what the gateways wrote; its engine is the caller's to end."""
    chance = random.Random(asked.seed)  # noqa: S311 - a draw that can be repeated, not a secret
    async with _scene(folder, asked) as (stand_ins, ships, http):
        began_s = time.monotonic()
        caller = Caller(http, lambda: ships.urls, random.Random(asked.seed + 1))  # noqa: S311
        async with killing(ships, asked.kill_every_s, random.Random(asked.seed + 2)):  # noqa: S311
            answers = await _wishes(asked, caller, stand_ins, chance, tell)
        seconds = time.monotonic() - began_s
        await stand_ins.quiet()
        unfinished = await books_close(folder, len(answers))
        if asked.is_found_late:
            await _late_charges_are_booked(folder, stand_ins)
        submits, bad = await stand_ins.submits()
        await ships.aclose()
        told = {name: answer.status for name, answer in answers.items()}
        verdict = judge(told, await stand_ins.charges(), await books(folder))
        return Weather(
            verdict=verdict,
            seconds=seconds,
            kills=ships.kills,
            submits=submits,
            bad_submits=bad,
            statuses=dict(sorted(caller.statuses.items())),
            broken=caller.broken,
            unfinished_books=unfinished,
        )


@asynccontextmanager
async def _scene(folder: Path, asked: Storm) -> AsyncGenerator[tuple[StandIns, Fleet, httpx.AsyncClient]]:
    """The stand-ins, gateways that buy from them, and a client for both."""
    words = ("rehearse", "--port", "0", "--fast", "--seconds", str(SECONDS))
    serving = await Serving.start(*words, log=folder / "stand-ins.log")
    try:
        config = write_terms(folder, terms(serving.url, asked))
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        async with httpx.AsyncClient(timeout=60, limits=limits) as http, fleet(folder, config, asked.replicas) as ships:
            yield StandIns(http, serving.url), ships, http
    finally:
        await serving.end()


def terms(url: str, asked: Storm) -> Terms:
    """Lost answers are resolved in seconds, and there is room for a crowd."""
    settings = ("max_concurrency = 200", "timeout_s = 3", f"trust_503 = {str(asked.trusts_503).lower()}")
    runware = Account(name="runware", adapter="runware", base_url=f"{url}/runware/v1", settings=settings)
    patience = (*settings, "quarantine_s = 8")
    if asked.absent_after_s is not None:
        patience = (*patience, f"absent_after_s = {asked.absent_after_s}")
    runflow = Account(name="runflow", adapter="runflow", base_url=f"{url}/runflow", settings=patience)
    told = Terms(accounts=(runware, runflow), policies=POLICIES, seconds=SECONDS)
    return replace(told, reconcile_s=RECONCILE_S) if asked.is_found_late else told


def photo() -> str:
    """A small picture with something in it, as a data URI."""
    out = io.BytesIO()
    gradient = Image.linear_gradient("L")
    Image.merge("RGB", (gradient, gradient.rotate(90), gradient.rotate(180))).save(out, "JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


# --- the wishes -----------------------------------------------------------------------------------------------------


async def _wishes(
    asked: Storm, caller: Caller, stand_ins: StandIns, chance: random.Random, tell: Callable[[str], None]
) -> dict[str, Answer]:
    """Every wish, a few dozen at once, each followed to its end."""
    picture, until_s = photo(), time.monotonic() + LIMIT_S
    places, answers = asyncio.Semaphore(AT_ONCE), dict[str, Answer]()

    async def one(number: int) -> None:
        async with places:
            policy = await _drawn(asked, stand_ins, chance)
            document: dict[str, Any] = {"prompt": f"Make mug {number} blue", "images": [picture], "policy": policy}
            wait_s = chance.choice((0, 10))  # a caller who waits is cut off by a kill
            answers[f"{number}"] = await caller.wish(f"{number}", document, until_s, wait_s=wait_s)
            if len(answers) % max(1, asked.edits // 10) == 0:
                tell(f"{len(answers)} of {asked.edits} edits ended")

    await asyncio.gather(*(one(number) for number in range(asked.edits)))
    return answers


async def _drawn(asked: Storm, stand_ins: StandIns, chance: random.Random) -> str:
    """The policy of the next edit, and what goes wrong with it."""
    policy = chance.choice(tuple(POLICIES))
    provider = policy.partition("_")[0]
    submits = (*SUBMIT_FAULTS, LATE_503) if asked.late_503 else SUBMIT_FAULTS
    if chance.random() < BAD_SHARE:
        fault = chance.choice(submits)
        await stand_ins.add(provider, fault, step="submit", **_lasting(fault))
    if chance.random() < TASK_SHARE:
        fault = chance.choice(TASK_FAULTS)
        await stand_ins.add(provider, fault, **_lasting(fault))
    return policy


def _lasting(fault: Fault) -> dict[str, float]:
    return {"seconds": LATE_S} if fault in LASTING else {}


@asynccontextmanager
async def killing(
    ships: Fleet, every_s: float | None, chance: random.Random, *, most: int | None = None
) -> AsyncGenerator[None]:
    """While the block runs, one gateway is killed every so often, `most` times in all. Never broken off in the middle:
    a gateway that has just been started must not be forgotten."""
    over = asyncio.Event()

    async def kill() -> None:
        while every_s is not None and not over.is_set() and ships.kills != most:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), every_s)
            if not over.is_set():
                await ships.kill_one(chance)

    killer = asyncio.create_task(kill())
    try:
        yield
    finally:
        over.set()
        await killer


# --- the books ------------------------------------------------------------------------------------------------------


async def books(folder: Path) -> tuple[Row, ...]:
    book = await Book.open(f"sqlite:{folder / 'state' / 'ledger.db'}")
    try:
        return tuple([row async for row in book.rows()])
    finally:
        await book.aclose()


async def books_close(folder: Path, edits: int) -> int:
    """Waits until every edit's end has reached the books (what a killed gateway had taken from the outbox comes again
    after a while), and gives how many have not."""
    end_s = time.monotonic() + BOOKS_WITHIN_S
    while True:
        ended = {row.edit for row in await books(folder) if row.kind is RowKind.FINISH}
        if len(ended) >= edits or time.monotonic() > end_s:
            return max(0, edits - len(ended))
        await asyncio.sleep(1)


async def _late_charges_are_booked(folder: Path, stand_ins: StandIns) -> None:
    """Waits until the reconciler has found what the bill says, or for a minute."""
    end_s = time.monotonic() + FOUND_WITHIN_S
    while time.monotonic() < end_s:
        booked_micro = sum(each.spent_micro for each in accounts(await books(folder)))
        if booked_micro == sum(charge.amount_micro for charge in await stand_ins.charges()):
            return
        await asyncio.sleep(1)


# --- one key --------------------------------------------------------------------------------------------------------


class Crowd(Struct, frozen=True, kw_only=True):
    """What came of many posts of one key: how many edits and pictures they were told of."""

    verdict: Verdict
    posts: int
    edits: int
    pictures: int
    statuses: dict[int, int]
    seconds: float

    @property
    def is_one(self) -> bool:
        no_fault = not any(status >= 500 for status in self.statuses)
        return self.verdict.is_clean and self.edits == 1 and self.pictures == 1 and no_fault


async def one_key(posts: int, replicas: int, folder: Path) -> Crowd:
    """`posts` of one Idempotency-Key at once, over all gateways."""
    async with _scene(folder, Storm(edits=1, seed=0, replicas=replicas)) as (stand_ins, ships, http):
        caller = Caller(http, lambda: ships.urls, random.Random(0))  # noqa: S311 - which gateway, not a secret
        document = {"prompt": "Make the mug blue", "images": [photo()], "policy": "runware_first"}
        began_s = time.monotonic()
        wish = [caller.wish("one", document, began_s + 120, wait_s=30) for _ in range(posts)]
        answers = await asyncio.gather(*wish)
        seconds = time.monotonic() - began_s
        await books_close(folder, 1)
        await ships.aclose()
        told = Counter(answer.status for answer in answers)
        verdict = judge(
            {f"{number}": answer.status for number, answer in enumerate(answers)},
            await stand_ins.charges(),
            await books(folder),
        )
        assert sum(told.values()) == posts
        return Crowd(
            verdict=verdict,
            posts=posts,
            edits=len({answer.edit for answer in answers}),
            pictures=len({answer.picture for answer in answers}),
            statuses=dict(sorted(caller.statuses.items())),
            seconds=seconds,
        )
