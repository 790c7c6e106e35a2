"""A forward proxy, where a network lets nothing else out.

Through it a name is looked up by the proxy, so the addresses behind a name are the proxy's to judge: it must refuse
private ones itself, as Smokescreen and a Squid with `to_localhost` and `to_linklocal` do. Everything else is judged as
without it: the URL, its scheme and port, listed hosts, and hosts that are written as addresses.

Rejected: a look-up of our own and a CONNECT to the address. Networks with a proxy seldom resolve names of the outside,
and their proxies decide by names.
"""

from collections.abc import Iterable
from urllib.parse import unquote

import aiohttp

from gateway.egress.errors import Refused
from gateway.egress.targets import PORTS, parse_authority

_EXPECTED = (
    "egress.proxy: expected http://HOST:PORT or http://USER:PASSWORD@HOST:PORT (https:// where the proxy itself speaks "
    "TLS), or env:NAME or file:PATH of one"
)


class ForwardProxy:
    """`direct` are the `host:port`s that are reached without it. `headers` hold its password, which its text does not
    show."""

    def __init__(self, scheme: str, authority: str, headers: dict[str, str], direct: frozenset[str]) -> None:
        self.url, self.authority, self.headers = f"{scheme}://{authority}", authority, headers
        self._direct = direct

    def __repr__(self) -> str:
        return f"ForwardProxy({self.url})"

    @classmethod
    def parse(cls, text: str, direct: Iterable[str] = ()) -> "ForwardProxy":
        """Raises `ValueError` that says what was expected, and nothing of what was given."""
        scheme, _, rest = text.strip().partition("://")
        userinfo, _, place = rest.removesuffix("/").rpartition("@")
        try:
            authority = parse_authority(place)
        except Refused:
            raise ValueError(_EXPECTED) from None
        if scheme not in PORTS:
            raise ValueError(_EXPECTED)
        return cls(scheme, authority, _headers(userinfo), frozenset(direct))

    def carries(self, authority: str) -> bool:
        return authority not in self._direct


def _headers(userinfo: str) -> dict[str, str]:
    user, _, password = (unquote(part) for part in userinfo.partition(":"))
    return {"Proxy-Authorization": aiohttp.encode_basic_auth(user, password)} if userinfo else {}
