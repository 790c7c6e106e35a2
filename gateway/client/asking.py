"""One call, repeated as `Retry` says, until there is an answer that means something."""

from collections.abc import Callable

from msgspec import Struct

from gateway.client.errors import KontextError, UnreachableError, error_of
from gateway.client.retry import Retry, retry_after_s
from gateway.client.steps import Call, Lost, Open, Pause, Reply, Send, Steps, asked

KEY_HEADER = "idempotency-key"


class Asking(Struct, frozen=True, kw_only=True):
    """`chance`: from 0 to 1; `now`: epoch seconds."""

    retry: Retry
    chance: Callable[[], float]
    now: Callable[[], float]

    def send(self, call: Call) -> Steps[Reply]:
        """A 2xx answer. Raises for every other one."""
        return self._answered(Send(call))

    def open(self, call: Call) -> Steps[Reply]:
        """As `send`, with the body of a 200 left to be read."""
        return self._answered(Open(call))

    def _answered(self, step: Send | Open) -> Steps[Reply]:
        tried = 0
        while True:
            told = yield from asked(step)
            if isinstance(told, Reply) and 200 <= told.status < 300:
                return told
            pause_s = self.retry.pause_s(told, tried, self.chance(), self.now())
            if pause_s is None:
                raise self._error(told, step.call)
            yield Pause(pause_s)
            tried += 1

    def _error(self, told: Reply | Lost, call: Call) -> KontextError:
        if isinstance(told, Lost):
            return UnreachableError(f"no gateway answered ({told.why})", call.headers.get(KEY_HEADER))
        problem = error_of(told.body, retry_after_s(told, self.now()))
        return problem or UnreachableError(
            f"what answered is no gateway: {told.status}, and no problem document", call.headers.get(KEY_HEADER)
        )
