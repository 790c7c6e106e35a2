"""The fault matrix: every fault of the stand-ins, at every step at which it can be scripted, at each provider, with no
kill and with kills, all at once.

Each cell is one edit with a provider account of its own, behind it a stand-in of its own, so that scripts and bills do
not mix; the other provider's healthy stand-in is the way out. So one kill meets every cell wherever it stands.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct

from gateway.ledger.evidence import Charge
from gateway.ledger.rows import Row
from gateway.rehearsal.caller import Answer, Caller
from gateway.rehearsal.exchange import Provider, Step
from gateway.rehearsal.faults import CALLS, GROUPS, POLLS, STEPS, Fault, Group, Script
from gateway.rehearsal.fleet import Account, Terms, fleet, write_terms
from gateway.rehearsal.server import Rehearsal
from gateway.rehearsal.storm import books, books_close, killing, photo
from gateway.rehearsal.verdict import WISH, Verdict, judge

SECONDS = 0.3
LIMIT_S = 150.0
KILL_EVERY_S = 4.0
MOST_KILLS = 5  # one gateway alone, killed for ever, would live too short to resolve anything
LATE_S = 2.0
MODEL = "kontext-pro"

# --- what must come of it -------------------------------------------------------------------------------------------

SUCCEEDED, REFUSED, FAILED, UNRESOLVED = "succeeded", "refused", "failed", "unresolved"
_PAID_IN_VAIN = frozenset({Fault.BAD_PICTURE, Fault.MISSING_PICTURE})
_MODERATED = frozenset({Fault.MODERATED_ON_SUBMIT, Fault.MODERATED_ON_POLL})
_MAY_NOT_BE_TOLD = frozenset(
    {
        Fault.DOWN_HTML,
        Fault.HANG,
        Fault.RESET_BEFORE_ACCEPT,
        Fault.ERROR_BEFORE_ACCEPT,
        Fault.ERRORS_UNDER_200,
    }
)
"""Submits of which nothing was taken, and which look at Runflow like those that were."""

_COST_NOT_TOLD = ((Provider.RUNWARE, Fault.CANCELLED), (Provider.RUNFLOW, Fault.CANCELLED))
"""Ends that may be charged later, or of which no document says whether they are."""

_LEFT_OUT: dict[tuple[Provider, Fault], str] = {
    (Provider.RUNWARE, Fault.ACCEPT_LATE): "a 503 that is no refusal: rehearsed by `storm --late-503`",
    (Provider.RUNFLOW, Fault.ACCEPT_LATE): "a 503 that is no refusal: rehearsed by `storm --late-503`",
}
"""What the matrix cannot judge in its time or under its settings, and why."""


class Cell(Struct, frozen=True):
    """One fault at one step of one provider."""

    provider: Provider
    fault: Fault
    step: Step

    @property
    def name(self) -> str:
        return f"{self.provider.value}-{self.fault.value}-{self.step.value}".replace("_", "-")

    @property
    def script(self) -> Script:
        """Of an answer once, at its step; of a task at its submit."""
        step = self.step if GROUPS[self.fault] is Group.ANSWER else None
        seconds = LATE_S if self.fault in (Fault.ACCEPT_LATE_RESET, Fault.INVISIBLE) else None
        return Script(self.fault, 1, None, step, seconds)

    def ends(self, *, killed: bool) -> frozenset[str]:
        """How the edit may end. Where a gateway is killed in a submit, nobody can tell at Runflow."""
        told = {SUCCEEDED}
        if self.fault in _MODERATED:
            told = {REFUSED}
        if self.fault in _PAID_IN_VAIN:
            told = {FAILED}
        at_runflow = self.provider is Provider.RUNFLOW
        lost = self.step is Step.SUBMIT and self.fault in _MAY_NOT_BE_TOLD
        if (at_runflow and lost) or (self.provider, self.fault) in _COST_NOT_TOLD:
            told = {UNRESOLVED}
        may_be_killed_there = killed and (at_runflow or UNRESOLVED in told or self._may_fall_back)
        return frozenset(told | ({UNRESOLVED} if may_be_killed_there else set()))

    @property
    def _may_fall_back(self) -> bool:
        """Its way out may be Runflow, where a kill in the submit cannot be told."""
        return self.step is Step.SUBMIT or GROUPS[self.fault] is not Group.ANSWER


def cells() -> tuple[Cell, ...]:
    """Every fault at every step at which it can be met."""
    return tuple(
        Cell(provider, fault, step)
        for provider in Provider
        for fault in Fault
        if (provider, fault) not in _LEFT_OUT
        for step in _steps(fault)
    )


_MOVABLE = (Fault.CUT, Fault.GARBAGE, Fault.DOWN, Fault.DOWN_HTML, Fault.HANG, Fault.ACCEPT_THEN_RESET)


def _steps(fault: Fault) -> tuple[Step, ...]:
    if GROUPS[fault] is not Group.ANSWER:
        return (Step.SUBMIT,)
    if fault in _MOVABLE:
        return (Step.SUBMIT, Step.POLL, Step.FETCH)
    if STEPS[fault] == POLLS:
        return (Step.POLL,)
    return (Step.SUBMIT, Step.POLL) if STEPS[fault] == CALLS else (Step.SUBMIT,)


# --- running it -----------------------------------------------------------------------------------------------------


class Matrix(Struct, frozen=True, kw_only=True):
    replicas: int
    seed: int
    kills: bool


class Judged(Struct, frozen=True, kw_only=True):
    """How one cell ended. `wrong` is empty where it ended as it must."""

    cell: Cell
    status: str | None
    charges: int
    billed_micro: int
    booked_micro: int
    wrong: tuple[str, ...]


class Round(Struct, frozen=True, kw_only=True):
    asked: Matrix
    seconds: float
    kills: int
    judged: tuple[Judged, ...]

    @property
    def wrong(self) -> tuple[Judged, ...]:
        return tuple(one for one in self.judged if one.wrong)


async def play(asked: Matrix, folder: Path, tell: Callable[[str], None]) -> Round:
    """Raises `FleetFailed`. `folder` is empty; the engine that runs in it afterwards is the caller's to end."""
    every = cells()
    async with AsyncExitStack() as stack:
        stand_ins = {one.name: await _stand_in(stack, one) for one in every}
        config = write_terms(folder, _terms(stand_ins, every))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=60))
        ships = await stack.enter_async_context(fleet(folder, config, asked.replicas))
        chance = random.Random(asked.seed)  # noqa: S311 - a draw that can be repeated, not a secret
        caller = Caller(http, lambda: ships.urls, chance)
        tell(f"{len(every)} cells over {asked.replicas} gateways, {'with' if asked.kills else 'without'} kills")
        began_s = time.monotonic()
        async with killing(ships, KILL_EVERY_S if asked.kills else None, chance, most=MOST_KILLS):
            answers = await _wishes(every, caller, chance)
        seconds = time.monotonic() - began_s
        await books_close(folder, len(every))
        await ships.aclose()
        rows = await books(folder)
        judged = tuple(_judged(one, answers[one.name], stand_ins[one.name], rows, asked) for one in every)
        return Round(asked=asked, seconds=seconds, kills=ships.kills, judged=judged)


async def _stand_in(stack: AsyncExitStack, cell: Cell) -> Rehearsal:
    """Both providers of one cell: one that fails, and the way out."""
    rehearsal = await stack.enter_async_context(Rehearsal.serve(seconds=SECONDS, fast=True))
    rehearsal.faults.put(cell.provider, [cell.script])
    return rehearsal


def _terms(stand_ins: dict[str, Rehearsal], every: tuple[Cell, ...]) -> Terms:
    accounts = tuple(_account(one, provider, stand_ins[one.name]) for one in every for provider in Provider)
    policies = {
        one.name: [
            f"{_name(one, provider)}/{MODEL}" for provider in sorted(Provider, key=lambda p: p is not one.provider)
        ]
        for one in every
    }
    return Terms(accounts=accounts, policies=policies, seconds=SECONDS)


def _name(cell: Cell, provider: Provider) -> str:
    return f"{cell.name}-at-{provider.value}"


def _account(cell: Cell, provider: Provider, rehearsal: Rehearsal) -> Account:
    url = rehearsal.runware_url if provider is Provider.RUNWARE else rehearsal.runflow_url
    patience = "guard_s = 1" if provider is Provider.RUNWARE else "quarantine_s = 8"
    return Account(
        name=_name(cell, provider), adapter=provider.value, base_url=url, settings=("timeout_s = 2", patience)
    )


async def _wishes(every: tuple[Cell, ...], caller: Caller, chance: random.Random) -> dict[str, Answer]:
    """One edit for each cell; they begin one after the other, so that kills meet them at different places."""
    picture, until_s = photo(), time.monotonic() + LIMIT_S

    async def one(cell: Cell, after_s: float) -> Answer:
        await asyncio.sleep(after_s)
        document: dict[str, Any] = {"prompt": f"Make it blue: {cell.name}", "images": [picture], "policy": cell.name}
        return await caller.wish(cell.name, document, until_s)

    answers = await asyncio.gather(*(one(cell, chance.uniform(0, 8)) for cell in every))
    return dict(zip((cell.name for cell in every), answers, strict=True))


def _judged(cell: Cell, answer: Answer, stand_in: Rehearsal, rows: tuple[Row, ...], asked: Matrix) -> Judged:
    charges = [
        Charge(provider=_name(cell, entry.provider), key=entry.key, amount_micro=entry.cost_micro_usd)
        for entry in stand_in.bill.entries
    ]
    edits = {row.edit for row in rows if row.tags.get(WISH) == cell.name}
    verdict = judge({cell.name: answer.status}, charges, [row for row in rows if row.edit in edits])
    return Judged(
        cell=cell,
        status=answer.status,
        charges=len(charges),
        billed_micro=verdict.billed_micro,
        booked_micro=verdict.booked_micro,
        wrong=_wrong(cell, answer, verdict, killed=asked.kills),
    )


def _wrong(cell: Cell, answer: Answer, verdict: Verdict, *, killed: bool) -> tuple[str, ...]:
    allowed = cell.ends(killed=killed)
    complaints = (
        (answer.status not in allowed, f"ended as {answer.status}, expected {' or '.join(sorted(allowed))}"),
        (bool(verdict.paid_twice), "paid twice"),
        (bool(verdict.strange), "charged for no attempt"),
        (bool(verdict.lost), "lost"),
        (answer.status != UNRESOLVED and verdict.ledger_minus_bill_micro != 0, "the books differ from the bill"),
        (verdict.left_held_micro != 0, "money is held without a reason"),
    )
    return tuple(words for is_so, words in complaints if is_so) + verdict.breaches
