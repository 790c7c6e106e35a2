"""From a name to the addresses that were checked: aiohttp connects to exactly what this returns.

Check and use are one step here, so a name whose DNS answer changes in between (rebinding) gains nothing. Each lane
of the egress has its own threads for look-ups: strangers' names that never resolve do not hold up a provider's.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.egress.addresses import all_public
from gateway.egress.engine_errors import AddressRefused
from gateway.egress.targets import authority

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a name and a port to all of its addresses, as text. Raises `OSError` where there are none."""

_THREADS = 8


class SystemLookup:
    """The operating system's resolver, in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="egress-dns")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _addresses, host, port)
        return tuple(dict.fromkeys(found))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class CheckedResolver(AbstractResolver):
    """aiohttp's resolver hook. `named` are the `host:port`s that may have private addresses."""

    def __init__(self, named: frozenset[str], lookup: Lookup | None = None) -> None:
        self._named = named
        self._lookup = SystemLookup() if lookup is None else lookup

    def check(self, host: str, port: int, addresses: Sequence[str]) -> None:
        """Raises `AddressRefused` unless every address may be talked to."""
        if authority(host, port) not in self._named and not all_public(addresses):
            raise AddressRefused("the host has an address that is not public")

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp's signature
    ) -> list[ResolveResult]:
        addresses = await self._lookup(host, port)
        if not addresses:
            raise OSError(None, "the name has no address")
        self.check(host, port, addresses)
        return [_resolved(host, address, port) for address in addresses]

    async def close(self) -> None:
        if isinstance(self._lookup, SystemLookup):
            self._lookup.close()


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
