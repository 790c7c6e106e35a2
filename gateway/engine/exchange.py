"""One call and what its answer means. A call that failed on the way becomes an outcome by one table, in which the step
decides: only a submit can be lost, and a poll that failed is no verdict on the work."""

from collections.abc import Mapping

from adapters.contract import Attempt, Failed, FailureKind, Fate, HttpCall, Outcome, Step, Unclear
from gateway.egress import EgressError, NotSent
from gateway.engine.wire import Wire
from gateway.pictures import BadPicture
from gateway.results import MissingPicture
from gateway.settings import Provider

_NOT_SENT = Failed(kind=FailureKind.NOT_SENT, fate=Fate.NOT_RUN, message="the provider could not be reached")
_LOST = Failed(kind=FailureKind.LOST, fate=Fate.MAY_HAVE_RUN, message="the answer to the submit was lost")
_UPLOAD = Failed(kind=FailureKind.BUSY, fate=Fate.NOT_RUN, message="the provider did not take the picture")
_GONE = Failed(kind=FailureKind.INVALID, fate=Fate.NOT_RUN, message="an input picture is not in the store any more")
_MASK = Failed(kind=FailureKind.INVALID, fate=Fate.NOT_RUN, message="the mask cannot be converted for this provider")
_UNCLEAR = Unclear(message="the call gave no answer")

# step -> what it means that the call was never sent, and that it may have been.
BROKEN: dict[Step, tuple[Outcome, Outcome]] = {
    Step.SUBMIT: (_NOT_SENT, _LOST),
    Step.RESUBMIT: (_UNCLEAR, _UNCLEAR),
    Step.UPLOAD: (_NOT_SENT, _UPLOAD),
    Step.POLL: (_UNCLEAR, _UNCLEAR),
    Step.LOOK_UP: (_UNCLEAR, _UNCLEAR),
    Step.FETCH: (_UNCLEAR, _UNCLEAR),
    Step.CANCEL: (_UNCLEAR, _UNCLEAR),
}


async def exchange(
    wire: Wire,
    provider: Provider,
    team: str,
    attempt: Attempt,
    call: HttpCall,
    *,
    stamped_s: float,
    timeout_s: float | None = None,
    trace: Mapping[str, str] | None = None,
) -> Outcome:
    """Sends `call` and reads its answer. Raises `StampExpired` alone."""
    try:
        reply = await wire.send(
            provider, team, attempt.edit, call, stamped_s=stamped_s, timeout_s=timeout_s, trace=trace
        )
    except MissingPicture:
        return _GONE if call.step in (Step.SUBMIT, Step.UPLOAD) else _UNCLEAR
    except BadPicture:
        return _MASK
    except EgressError as error:
        not_sent, maybe_sent = BROKEN[call.step]
        return not_sent if isinstance(error, NotSent) else maybe_sent
    return provider.adapter.read(attempt, call, reply)
