"""Which state may follow which, said a second time: what the scripts must allow and refuse."""

from gateway.state.records import AttemptState as A
from gateway.state.records import Status as U

ENDS = [status for status in U if status not in (U.QUEUED, U.RUNNING)]
ATTEMPT_MOVES = {
    A.INTENT: {A.INTENT, A.UNKNOWN, A.ACCEPTED, A.SETTLED, A.RELEASED, A.UNRESOLVED},
    A.UNKNOWN: {A.UNKNOWN, A.ACCEPTED, A.SETTLED, A.RELEASED, A.UNRESOLVED},
    A.ACCEPTED: {A.ACCEPTED, A.SETTLED, A.RELEASED, A.UNRESOLVED},
    A.UNRESOLVED: {A.SETTLED, A.RELEASED},
    A.SETTLED: set(),
    A.RELEASED: set(),
}
STATUS_MOVES = {
    U.QUEUED: {U.FAILED, U.REFUSED, U.CANCELLED},
    U.RUNNING: {U.SUCCEEDED, U.FAILED, U.REFUSED, U.CANCELLED, U.UNRESOLVED},
    U.UNRESOLVED: {U.SUCCEEDED, U.FAILED, U.REFUSED},
    U.SUCCEEDED: set(),
    U.FAILED: set(),
    U.REFUSED: set(),
    U.CANCELLED: set(),
}
