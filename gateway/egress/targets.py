"""A URL, parsed once by strict rules of our own, and connected to as parsed.

Libraries disagree about malformed URLs (tabs, backslashes, `%` in hosts, full-width digits, `0x7f.1`), and that
disagreement is how a check is talked past. So what any two could read differently is refused instead of repaired.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import quote

import idna
from msgspec import Struct

from gateway.egress.errors import Reason, Refused

PORTS = {"http": 80, "https": 443}

_LONGEST = 8000  # characters: below aiohttp's own line limit
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")
_PARTS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?")
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PLAIN = re.compile(r"[A-Za-z0-9\-._~:/?@!$&'()*+,;=%\[\]|]*")
_KEPT = "-._~:/?@!$&'()*+,;=%[]|"


class Target(Struct, frozen=True):
    """Where a request goes. `host` is a lower-case ASCII name or an IP literal without brackets; `path` holds the
    query too, percent-encoded, with what was encoded already left alone (a signed link must stay as signed)."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        return authority(self.host, self.port)

    @property
    def url(self) -> str:
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{_bracketed(self.host)}{port}{self.path}"


def parse_url(text: str) -> Target:
    """Raises `Refused` and says what to send instead. The fragment is dropped: it is never sent."""
    if len(text) > _LONGEST or _UNSAFE.search(text):
        raise Refused(Reason.URL, f"the URL must have at most {_LONGEST} characters, without spaces or backslashes")
    parts = _PARTS.match(text)
    if parts is None:
        raise Refused(Reason.URL, "the URL must be absolute, like https://host/path")
    scheme = parts["scheme"].lower()
    if scheme not in PORTS:
        raise Refused(Reason.SCHEME, "the URL must start with https:// or http://")
    host, port = _split_authority(parts["authority"])
    path = _encoded(parts["path"] or "/") + _encoded(parts["query"] or "")
    return Target(scheme, host, PORTS[scheme] if port is None else port, path)


def authority(host: str, port: int) -> str:
    """`host:port`, by which rules know a place."""
    return f"{_bracketed(host)}:{port}"


def parse_authority(text: str) -> str:
    """A configured `host:port` in its normal form. Raises `Refused` for anything else, a missing port included."""
    host, port = _split_authority(text)
    if port is None:
        raise Refused(Reason.PORT, "a host named here needs its port, like gpu-box:8000")
    return authority(host, port)


def _split_authority(text: str) -> tuple[str, int | None]:
    if "@" in text:
        raise Refused(Reason.USERINFO, "the URL must not hold a user name or password")
    parts = _AUTHORITY.fullmatch(text)
    if parts is None:
        raise Refused(Reason.HOST, "the URL needs a host: a DNS name or an IP address in its usual form")
    port = None if parts["port"] is None else int(parts["port"])
    if port is not None and not 0 < port < 65536:
        raise Refused(Reason.PORT, "the URL's port must be 1 to 65535")
    return (_v6(parts["v6"]) if parts["v6"] else _name(parts["name"])), port


def _v6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise Refused(Reason.HOST, "the URL's host is not an IPv6 address") from None
    mapped = address.ipv4_mapped
    canonical = f"::ffff:{mapped}" if mapped else address.compressed
    if text.lower() != canonical:
        raise Refused(Reason.HOST, "write the IPv6 address in its shortest form, like [2606:4700::1111]")
    return canonical


def _name(text: str) -> str:
    """A plain DNS name or a canonical IPv4 literal. A last label that is a number would be read as an address by
    resolvers (`127.1`, `0x7f.1`, `2130706433`), so only the canonical dotted form may end in one."""
    name = _ascii(text)
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused(Reason.HOST, "the URL's host is not a plain DNS name")
    if _NUMBER.fullmatch(labels[-1]) and not _is_canonical_v4(text):
        raise Refused(Reason.HOST, "write an IPv4 address as four decimal numbers, like 192.0.2.7")
    return name


def _ascii(text: str) -> str:
    if text.isascii():
        return text.lower()
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise Refused(Reason.HOST, "the URL's host is not a valid internationalised name") from None


def _is_canonical_v4(text: str) -> bool:
    try:
        return str(IPv4Address(text)) == text
    except ValueError:
        return False


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is written as, or None for a name."""
    if not host[-1:].isdigit() and ":" not in host:
        return None
    try:
        return ip_address(host)
    except ValueError:
        return None


def _encoded(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else quote(text, safe=_KEPT)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
