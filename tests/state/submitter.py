"""A process that submits edits all at once: `submitter.py URL FIRST COUNT PRICE CAP`. Prints how many were granted.

Every second edit that was granted is settled at once, so that spending and holding press on the same wall.
"""

import asyncio
import sys
from pathlib import Path

from msgspec.structs import replace

from gateway.state.budgets import Cap, Caps, OverBudget
from gateway.state.connection import connect
from gateway.state.edits import Edits
from gateway.state.records import AttemptState, Status
from gateway.state.terms import Terms
from tests.state.samples import attempt, edit_record, end


async def submit(edits: Edits, number: int, price_micro: int, cap_micro: int) -> bool:
    first = replace(attempt(), price_micro=price_micro)
    terms = Terms(hold_micro=price_micro, caps=Caps(team=Cap(day_micro=cap_micro)))
    try:
        record, _ = await edits.accept(edit_record(number), first, None, terms=terms)
    except OverBudget:
        return False
    if number % 2:
        paid = replace(first, state=AttemptState.SETTLED, cost_micro=price_micro)
        await edits.finish(record, end(Status.SUCCEEDED), paid)
    return True


async def main(url: str, first: int, count: int, price_micro: int, cap_micro: int) -> None:
    store = await connect(url, folder=Path())
    edits = Edits(store, f"from-{first}")
    sys.stdin.readline()  # all processes begin together
    granted = await asyncio.gather(
        *(submit(edits, number, price_micro, cap_micro) for number in range(first, first + count))
    )
    print(sum(granted))
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *(int(number) for number in sys.argv[2:])))
