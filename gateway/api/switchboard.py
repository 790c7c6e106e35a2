"""From a provider's call to the replica that follows the attempt: only that one can use it, and only it writes."""

from collections import OrderedDict

import msgspec

from adapters.contract import CallsBack, HttpReply
from gateway.engine.callbacks import Addresses, Callback, Callbacks
from gateway.observe import Metrics
from gateway.settings import Provider
from gateway.state.feed import Feed
from gateway.state.records import EditRecord

MOST_CALLS = 40
"""For one attempt, at one replica: more than a provider makes that calls for each of twenty pictures, and again where
no answer came."""

_REMEMBERED = 10_000
_callback = msgspec.json.Decoder(Callback)


class Switchboard:
    def __init__(self, addresses: Addresses, callbacks: Callbacks, feed: Feed, replica: str, metrics: Metrics) -> None:
        self._addresses, self._callbacks, self._feed, self._replica = addresses, callbacks, feed, replica
        self._metrics = metrics
        self._calls: OrderedDict[str, int] = OrderedDict()

    def caller(self, provider: str, token: str) -> Callback | None:
        """Whose call this is, by the address alone; None for one that we did not make."""
        callback = self._addresses.read(provider, token)
        if callback is None:
            self.count("forged")
        return callback

    def is_heeded(self, token: str) -> bool:
        """False for an address at which somebody calls without end."""
        self._calls[token] = self._calls.pop(token, 0) + 1
        if len(self._calls) > _REMEMBERED:
            self._calls.popitem(last=False)
        if self._calls[token] > MOST_CALLS:
            self.count("repeated")
            return False
        return True

    async def connect(self, callback: Callback, record: EditRecord, provider: Provider, said: HttpReply) -> None:
        """To whoever follows the attempt. Raises `StoreUnavailable`."""
        attempt = next((one for one in record.attempts if one.number == callback.number), None)
        if attempt is None or not attempt.state.is_open:
            return self.count("late")
        secrets = tuple(secret.reveal() for secret in provider.callback_secrets)
        adapter = provider.adapter
        if secrets and isinstance(adapter, CallsBack) and adapter.is_signed(said, secrets):
            callback = msgspec.structs.replace(callback, reply=said)
        self.count("hint" if callback.reply is None else "signed")
        if record.owner == self._replica:
            return self._callbacks.hear(callback)
        return await self._feed.pass_on(record.owner, msgspec.json.encode(callback))

    def passed_on(self, document: bytes) -> None:
        """From another replica."""
        self._callbacks.hear(_callback.decode(document))

    def count(self, result: str) -> None:
        self._metrics.callbacks.labels(result).inc()
