"""The judge: what callers wanted, what the providers billed, and what the books say, held against each other. Pure.

It does not ask who the client was, so a naive client can be judged by it too, and must fail.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from gateway.ledger.accounts import Account, accounts
from gateway.ledger.audit import audit
from gateway.ledger.evidence import Bill, Charge, same_id
from gateway.ledger.rows import Row

WISH = "wish"
"""The metadata tag under which an edit says whose wish it is: a wish may become two edits, and must not."""

ENDS = frozenset({"succeeded", "failed", "refused", "cancelled", "unresolved"})


class Unresolved(Struct, frozen=True):
    """Attempts of which nobody knows, at one provider; `held_micro` is the money that waits with them."""

    attempts: int
    held_micro: int


class Verdict(Struct, frozen=True, kw_only=True):
    """`lost`: wishes that came to no end. `paid_twice`: wishes with more than one charge, and who charged; those that
    the books mark as bought or alerted are `duplicates`. `strange`: charges for no attempt of ours. `left_held_micro`:
    what is held and belongs to no unresolved attempt. `breaches`: what the audit of books against bill found."""

    wishes: int
    ends: dict[str, int]
    lost: tuple[str, ...]
    paid_twice: dict[str, tuple[str, ...]]
    duplicates: int
    strange: tuple[str, ...]
    billed_micro: int
    booked_micro: int
    unresolved: dict[str, Unresolved]
    left_held_micro: int
    breaches: tuple[str, ...]

    @property
    def ledger_minus_bill_micro(self) -> int:
        return self.booked_micro - self.billed_micro

    @property
    def is_clean(self) -> bool:
        """Nothing lost, nothing paid twice, books and bill equal, nothing held without a reason."""
        wrong = (self.lost, self.paid_twice, self.strange, self.breaches)
        return not any(wrong) and self.ledger_minus_bill_micro == 0 and self.left_held_micro == 0


def judge(told: Mapping[str, str | None], charges: Iterable[Charge], rows: Iterable[Row]) -> Verdict:
    """`told`: the last status that the caller of each wish was told; None where it never learnt any."""
    lines, every = tuple(charges), tuple(rows)
    books = accounts(_once(every))
    wish_of, marked = _wishes(books), _marked(books)
    paid: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        wish = wish_of.get(same_id(line.key))
        if wish and same_id(line.key) not in marked:
            paid[wish].append(line.provider)
    unresolved, left_micro = _held(books)
    return Verdict(
        wishes=len(told),
        ends=dict(Counter(status or "nothing" for status in told.values())),
        lost=tuple(wish for wish, status in told.items() if status not in ENDS),
        paid_twice={wish: tuple(whom) for wish, whom in paid.items() if len(whom) > 1},
        duplicates=sum(same_id(line.key) in marked for line in lines),
        strange=tuple(line.key for line in lines if same_id(line.key) not in wish_of),
        billed_micro=sum(line.amount_micro for line in lines),
        booked_micro=sum(each.spent_micro for each in books),
        unresolved=unresolved,
        left_held_micro=left_micro,
        breaches=_breaches(every, lines, books),
    )


def _once(rows: Iterable[Row]) -> list[Row]:
    return list({row.id: row for row in rows}.values())


def _wishes(books: Iterable[Account]) -> dict[str, str]:
    """Whose wish each attempt was."""
    return {
        same_id(attempt.id): (each.accepted.tags.get(WISH) if each.accepted else None) or each.edit
        for each in books
        for attempt in each.attempts
        if attempt.id
    }


def _marked(books: Iterable[Account]) -> frozenset[str]:
    """Attempts of which the books themselves say that they are a second charge."""
    return frozenset(same_id(attempt.id) for each in books for attempt in each.attempts if attempt.id and attempt.mark)


def _held(books: Iterable[Account]) -> tuple[dict[str, Unresolved], int]:
    """By provider what is unresolved, and what is held beside that."""
    attempts: Counter[str] = Counter()
    held: Counter[str] = Counter()
    left_micro = 0
    for each in books:
        for one in each.unresolved:
            attempts[one.provider] += 1
            held[one.provider] += one.quoted_micro
        left_micro += each.held_micro - sum(one.quoted_micro for one in each.unresolved)
    return {name: Unresolved(count, held[name]) for name, count in attempts.items()}, left_micro


def _breaches(rows: tuple[Row, ...], lines: tuple[Charge, ...], books: tuple[Account, ...]) -> tuple[str, ...]:
    billing = {one.provider for each in books for one in each.attempts} | {line.provider for line in lines}
    report = audit(rows, bill=Bill(providers=frozenset(billing), charges=lines))
    return tuple(f"{one.invariant} {one.about}: {one.what}" for one in report.violations)
