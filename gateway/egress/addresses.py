"""Which IP addresses the gateway may talk to when nobody named the host: public unicast ones, and no others.

`ipaddress.is_global` alone is not enough: it says "global" for multicast, for 6to4, NAT64 and IPv4-compatible forms
that carry a private address inside, and for a few single addresses that clouds use internally.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

_DENIED_V4 = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's host: metadata, DNS, DHCP, behind a public-looking number
        "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata is 192.0.0.192
        "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
    )
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_DENIED_V6 = tuple(
    ip_network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",  # documentation (RFC 9637)
    )
)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether this is a public unicast address. IPv4 mapped into IPv6 is judged as the IPv4 it reaches."""
    if isinstance(address, IPv4Address):
        return _is_public_v4(address)
    if address.ipv4_mapped is not None:
        return _is_public_v4(address.ipv4_mapped)
    return address in _GLOBAL_UNICAST_V6 and not any(address in network for network in _DENIED_V6)


def _is_public_v4(address: IPv4Address) -> bool:
    if not address.is_global or address.is_multicast:
        return False
    return not any(address in network for network in _DENIED_V4)


def all_public(addresses: Iterable[str]) -> bool:
    """Whether every address is public. One private address among public ones refuses the name: whoever controls
    its DNS would otherwise only have to wait until that one is picked. Text that is no address is refused too."""
    try:
        return all(is_public(ip_address(text)) for text in addresses)
    except ValueError:
        return False
