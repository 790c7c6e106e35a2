"""What was paid: once for each edit (M1), as the providers bill it (M2), in whole micro-dollars (M6), within the quote
or booked as an overrun (M12)."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from gateway.ledger.accounts import UNDONE, Account, AttemptAccount, Standing, charge
from gateway.ledger.evidence import Bill, Charge, Evidence, same_id
from gateway.ledger.restore import KEYS_MS
from gateway.ledger.rows import Row, RowKind
from gateway.money import usd

Words: TypeAlias = Iterator[tuple[str, str]]
"""What breaks an invariant: the thing it is about, and what is wrong with it."""

_MOST = 2**63


def dollars(micro: int) -> str:
    """An amount in words. One that is no whole number is M6's to name, and must not stop the others."""
    return f"${usd(micro)}" if isinstance(micro, int) else f"{micro!r} micro-dollars"  # pyright: ignore[reportUnnecessaryIsInstance] - the rows' word is not taken for it


def logical_edits(accounts: Sequence[Account]) -> list[tuple[Account, ...]]:
    """What one caller wanted once: the edits of one team and idempotency key, as long as the key is remembered."""
    groups: list[list[Account]] = []
    last: dict[tuple[str, str], list[Account]] = {}
    for each in (one for one in accounts if one.outcome != UNDONE):
        key_hash = each.accepted.key_hash if each.accepted else None
        key = (each.team, key_hash or each.edit)
        before = last.get(key)
        if before is not None and _remembered(before[-1], each):
            before.append(each)
        else:
            last[key] = [each]
            groups.append(last[key])
    return [tuple(group) for group in groups]


def _remembered(before: Account, now: Account) -> bool:
    accepted_ms = now.accepted.at_ms if now.accepted else 0
    return not before.is_over or accepted_ms < before.finished_ms + KEYS_MS


def paid_once(evidence: Evidence) -> Words:
    """M1. A second charge is allowed where it is marked (bought, or alerted), or where the attempt is known to have
    failed: that is a loss and counted as one, not the same edit bought again."""
    amounts = _amounts(evidence.bill)
    for group in logical_edits(evidence.accounts):
        bought = {one.id or f"{each.edit}/{one.number}": one for each in group for one in each.attempts if _buys(one)}
        paid = {key: _paid(key, one, evidence.bill, amounts) for key, one in bought.items()}
        total = sum(paid.values())
        price = max((one.quoted_micro + one.overrun_micro for one in bought.values()), default=0)
        if total > price:
            charged = ", ".join(f"{key} {dollars(amount)}" for key, amount in paid.items() if amount)
            names = ", ".join(each.edit for each in group)
            yield names, f"paid {dollars(total)} for one edit whose price is {dollars(price)}: {charged}"


def _buys(one: AttemptAccount) -> bool:
    return one.mark is None and (one.is_done or one.standing is not Standing.SETTLED)


def _amounts(bill: Bill | None) -> Counter[str]:
    amounts: Counter[str] = Counter()
    for line in bill.charges if bill else ():
        amounts[same_id(line.key)] += line.amount_micro
    return amounts


def _paid(key: str, one: AttemptAccount, bill: Bill | None, amounts: Counter[str]) -> int:
    return amounts[same_id(key)] if bill and one.provider in bill.providers else one.charged_micro


def bill_matches(evidence: Evidence) -> Words:
    """M2."""
    attempts: dict[str, list[tuple[Account, AttemptAccount]]] = defaultdict(list)
    for each in evidence.accounts:
        yield from _sums(each)
        for one in each.attempts:
            if one.id is not None:
                attempts[same_id(one.id)].append((each, one))
    for attempt_id, found in attempts.items():
        if len(found) > 1:
            yield attempt_id, f"is the id of {len(found)} attempts: {', '.join(each.edit for each, _ in found)}"
    if evidence.bill:
        yield from _differences(evidence.bill, attempts)


def _sums(each: Account) -> Words:
    spent = 0
    for row in each.rows:
        spent += charge(row)
        if row.kind is RowKind.FINISH and row.settled_micro not in (None, spent):
            yield each.edit, f"its end says {dollars(row.settled_micro or 0)} in all, its attempts say {dollars(spent)}"


def _differences(bill: Bill, attempts: dict[str, list[tuple[Account, AttemptAccount]]]) -> Words:
    lines: dict[str, list[Charge]] = defaultdict(list)
    for line in bill.charges:
        lines[same_id(line.key)].append(line)
    for key, charged in lines.items():
        if key not in attempts:
            yield (
                charged[0].key,
                f"{charged[0].provider} charged {dollars(charged[0].amount_micro)} for no attempt of ours",
            )
    for key, found in attempts.items():
        each, one = found[0]
        if one.provider in bill.providers:
            for what in _differs(one, lines.get(key, [])):
                yield f"{each.edit}/{one.number}", what


def _differs(one: AttemptAccount, charged: Sequence[Charge]) -> Iterator[str]:
    total = sum(line.amount_micro for line in charged)
    if len(charged) > 1:
        yield f"is charged {len(charged)} times, {dollars(total)} in all"
    if one.standing in (Standing.SETTLED, Standing.RELEASED) and len(charged) <= 1 and total != one.charged_micro:
        yield f"is {one.standing} at {dollars(one.charged_micro)}, and the bill says {dollars(total)}"


def whole_amounts(evidence: Evidence) -> Words:
    """M6. Only a correction may take something back."""
    for row in evidence.rows:
        for name, value in amounts(row):
            least = -_MOST if name == "settled_micro" and row.kind is RowKind.CORRECT else 0
            if type(value) is not int or not least <= value < _MOST:
                yield row.id, f"{name} is {value!r}, which is no whole amount of micro-dollars"
    for line in evidence.bill.charges if evidence.bill else ():
        if type(line.amount_micro) is not int or line.amount_micro < 0:
            yield line.key, f"is charged {line.amount_micro!r}, which is no whole amount of micro-dollars"


def amounts(row: Row) -> Iterator[tuple[str, object]]:
    """The row's amounts by their names, as they lie there."""
    for name in ("held_micro", "quoted_micro", "settled_micro", "overrun_micro"):
        value: object = getattr(row, name)
        if value is not None:
            yield name, value


def within_quote(evidence: Evidence) -> Words:
    """M12."""
    for each in evidence.accounts:
        for one in each.attempts:
            beyond = one.charged_micro - one.quoted_micro
            if beyond > max(0, one.overrun_micro):
                booked = f"{dollars(one.overrun_micro)} of that is booked as an overrun"
                yield f"{each.edit}/{one.number}", f"cost {dollars(beyond)} more than its quote, and {booked}"
