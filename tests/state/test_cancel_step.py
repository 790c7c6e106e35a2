"""An edit that is left unresolved ends as cancelled only where its caller asked for that."""

import pytest
from msgspec.structs import replace

from gateway.state.corrections import Corrections
from gateway.state.edits import Edits, IllegalMove
from gateway.state.records import AttemptState, Status
from tests.state.samples import attempt, edit_record, end, settled


@pytest.mark.parametrize("is_asked", [True, False])
async def test_an_unresolved_edit_becomes_cancelled_where_that_was_asked(store, is_asked: bool):
    edits, corrections = Edits(store, "one"), Corrections(store)
    record, _ = await edits.accept(edit_record(), attempt(), None)
    if is_asked:
        assert await edits.cancel(record.id)
    left = replace(attempt(), state=AttemptState.UNRESOLVED)
    record = await edits.finish(record, end(Status.UNRESOLVED), left)
    resolving = corrections.resolve(record, settled(), end(Status.CANCELLED), operation="a", note="")
    if is_asked:
        resolved = await resolving
        assert (resolved.status, resolved.attempts[0].cost_micro) == (Status.CANCELLED, 40_000)
    else:
        with pytest.raises(IllegalMove, match="cannot become cancelled"):
            await resolving
