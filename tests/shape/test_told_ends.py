"""Every end that an edit can have is one that a webhook can be told of, by the name under which it is posted."""

from gateway.state.endpoints import Told
from gateway.state.records import Status


def test_every_end_can_be_chosen() -> None:
    ends = {status for status in Status if status.is_terminal or status is Status.UNRESOLVED}
    assert {f"edit.{status}" for status in ends} == set(Told)
