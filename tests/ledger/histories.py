"""Histories of edits as the store would tell them, row by row, and what they add up to, counted a second time."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gateway.ledger.entries import place
from gateway.ledger.rows import Mark, Row, RowKind

START_MS = int(datetime(2027, 1, 31, 22, 0, tzinfo=UTC).timestamp() * 1000)
PRO, MAX = "runware/kontext-pro", "runflow/kontext-max"


class Try(Struct):
    """An attempt of the model: `price` is quoted; `state` is open, settled, released or unresolved."""

    number: int
    id: str
    offer: str
    price: int
    state: str = "open"
    cost: int = 0


class Telling:
    """One edit, told step by step. Its amounts are kept as the store keeps them."""

    def __init__(self, history: "History", edit: str, team: str, key_id: str) -> None:
        self.history, self.edit, self.team, self.key_id = history, edit, team, key_id
        self.held = self.spent = 0
        self.accepted_ms = history.now_ms
        self.tries: list[Try] = []
        self.status: str | None = None
        self.truths = 0

    @property
    def kept(self) -> int:
        return sum(one.price for one in self.tries if one.state == "unresolved")

    @property
    def open_try(self) -> Try | None:
        return next((one for one in self.tries if one.state == "open"), None)

    def _tell(self, tells: str, kind: RowKind, **fields: Any) -> Row:
        row = Row(
            id=f"{self.edit}/{tells}", kind=kind, edit=self.edit, team=self.team, key_id=self.key_id,
            held_micro=self.held, **fields,
        )  # fmt: skip
        return self.history.add(row)

    def accept(self, hold: int, *, key_hash: str | None = None, tags: dict[str, str] | None = None) -> "Telling":
        self.held = hold
        self._tell(
            "accept", RowKind.ACCEPT, tier="standard", policy="production", key_hash=key_hash, fingerprint="f",
            origin="0" * 32, tags=tags or {},
        )  # fmt: skip
        return self

    def open(self, price: int, offer: str = PRO, *, mark: Mark | None = None) -> "Telling":
        number = len(self.tries) + 1
        self.tries.append(Try(number, f"{len(self.history.rows):032x}", offer, price))
        self.held = max(self.held, self.kept + price)
        self._tell(
            f"{number}/open", RowKind.OPEN, attempt=number, attempt_id=self.tries[-1].id, offer=offer,
            quoted_micro=price, mark=mark,
        )  # fmt: skip
        return self

    def close(self, state: str, cost: int | None = None, *, failure: str | None = None) -> "Telling":
        one = self.open_try
        assert one is not None
        self._end(one, state, cost)
        outcome = failure or ("done" if state == "settled" else state)
        self._tell(f"{one.number}/close", RowKind.CLOSE, **self._ending(one, outcome))
        return self

    def _end(self, one: Try, state: str, cost: int | None) -> None:
        one.state = state
        if state == "settled":
            one.cost = one.price if cost is None else cost
            self.held -= min(one.cost, self.held - self.kept)
            self.spent += one.cost

    def _ending(self, one: Try, outcome: str) -> dict[str, Any]:
        settled = one.cost if one.state == "settled" else None
        return {
            "attempt": one.number, "attempt_id": one.id, "offer": one.offer, "settled_micro": settled,
            "overrun_micro": max(0, one.cost - one.price), "outcome": outcome,
            "source": "provider" if settled is not None else None,
        }  # fmt: skip

    def finish(self, status: str, *, pictures: int | None = None) -> "Telling":
        self.held, self.status = self.kept, status
        done = [one for one in self.tries if one.state == "settled"] if status == "succeeded" else []
        self._tell(
            f"finish/{status}", RowKind.FINISH, outcome=status, settled_micro=self.spent,
            offer=done[-1].offer if done else None, pictures=(1 if done else 0) if pictures is None else pictures,
        )  # fmt: skip
        return self

    def resolve(self, number: int, state: str, cost: int | None = None, status: str | None = None) -> "Telling":
        """An operator's word about an unresolved attempt; with the last one an unresolved edit ends as `status`."""
        one = self.tries[number - 1]
        one.state = "resolving"
        self._end(one, state, cost)
        self.held = self.kept
        self.truths += 1
        outcome = "done" if state == "settled" else state
        self._tell(f"correct/{self.truths}", RowKind.CORRECT, note="seen on the bill", **self._ending(one, outcome))
        if self.status == "unresolved" and not self.kept:
            self.finish(status or ("succeeded" if state == "settled" else "failed"))
        return self

    def correct(self, number: int, difference: int, *, mark: Mark | None = None) -> "Telling":
        one = self.tries[number - 1]
        one.cost += difference
        self.spent += difference
        self.truths += 1
        self._tell(
            f"correct/{self.truths}", RowKind.CORRECT, attempt=number, attempt_id=one.id, offer=one.offer,
            settled_micro=difference, source="provider", note="the bill says so", mark=mark,
        )  # fmt: skip
        return self


class History:
    """Rows in their order. Time passes by a second a row, or by hand."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms
        self.rows: list[Row] = []
        self.edits: list[Telling] = []

    def add(self, row: Row) -> Row:
        self.now_ms += 1000
        told = replace(row, at_ms=self.now_ms, place=place(f"{self.now_ms}-{len(self.rows)}"))
        self.rows.append(told)
        return told

    def edit(self, team: str = "growth", key_id: str = "ci") -> Telling:
        self.edits.append(Telling(self, f"edit_{len(self.edits):04d}", team, key_id))
        return self.edits[-1]

    def done(self, price: int = 40_000, **accept: Any) -> Telling:
        """The plain edit: bought once, at its price."""
        told = self.edit().accept(price, **accept)
        return told.open(price).close("settled").finish("succeeded")

    def budgets(self) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
        """Spent and held by scope and window."""
        spent, held = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for told in self.edits:
            day = datetime.fromtimestamp(first_ms(self.rows, told.edit) / 1000, UTC)
            for scope in ("gateway", f"team:{told.team}", f"key:{told.team}/{told.key_id}"):
                for window in (f"{day:day:%Y-%m-%d}", f"{day:month:%Y-%m}", "total"):
                    spent[scope, window] += told.spent
                    held[scope, window] += told.held
        return spent, held


def first_ms(rows: list[Row], edit: str) -> int:
    return next(row.at_ms for row in rows if row.edit == edit)
