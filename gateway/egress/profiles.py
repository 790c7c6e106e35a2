"""What each kind of call may do: where it may go, for how long, and how much it may read.

A host that the operator named (a provider's `base_url`, an entry of `[egress] allow_hosts`) may have any scheme, any
port and a private address, for exactly that host and port. All others must fit the profile and be public.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from gateway.egress.errors import Reason, Refused
from gateway.egress.targets import PORTS, Target, parse_authority, parse_url

MB = 1_000_000


class Profile(Struct, frozen=True, kw_only=True):
    """`connect_s` and `total_s` are seconds; `total_s` is the outer deadline of a call, redirects and reading
    included. `answer_bytes` caps the body. `base` is the provider's own base URL, or a mounted app's name.
    `hosts`: the only hosts (or `host:port`s) beside the named ones; None allows any. `cuts`: nobody wants the answer's
    body, so one that is longer, or not over within a second, is cut instead of refused, in whatever encoding."""

    name: str
    connect_s: float = 3.0
    total_s: float = 30.0
    answer_bytes: int = 64 * MB
    schemes: frozenset[str] = frozenset({"https"})
    ports: frozenset[int] = frozenset({443})
    redirects: int = 0
    base: str | None = None
    hosts: frozenset[str] | None = None
    cuts: bool = False

    def at(self, base: str, hosts: Iterable[str] | None = None) -> "Profile":
        """This profile for one provider: its base URL, and the hosts that its results may come from."""
        listed = None if hosts is None else frozenset(host.lower() for host in hosts)
        return replace(self, base=base, hosts=listed)


class Rule(Struct, frozen=True):
    """A profile with the hosts that the operator named for it, as `host:port`: `own` is its base, `allowed` are the
    entries of `allow_hosts`."""

    profile: Profile
    own: frozenset[str]
    allowed: frozenset[str]

    @classmethod
    def of(cls, profile: Profile, allowed: frozenset[str]) -> "Rule":
        """Raises `Refused` for a base URL that cannot be one."""
        on_network = profile.base is not None and "://" in profile.base
        own = {parse_url(profile.base).authority} if profile.base and on_network else frozenset[str]()
        return cls(profile, frozenset(own), allowed)

    @property
    def named(self) -> frozenset[str]:
        return self.own | self.allowed

    def judge(self, url: str) -> Target:
        """Where this URL leads, if it may be called. Raises `Refused`. What its name resolves to is checked later,
        where the connection is made."""
        target = parse_url(url)
        if target.authority in self.own:
            return target
        if self.profile.hosts is not None and not _lists(self.profile.hosts, target):
            raise Refused(Reason.NOT_LISTED, "the URL's host is not in the configured list of hosts")
        if target.authority in self.allowed:
            return target
        return self._public(target)

    def _public(self, target: Target) -> Target:
        profile = self.profile
        if target.scheme not in profile.schemes:
            raise Refused(Reason.SCHEME, f"the URL must start with {_either(f'{s}://' for s in profile.schemes)}")
        listed = profile.hosts is not None and target.authority in profile.hosts
        if target.port not in profile.ports and not listed:
            raise Refused(Reason.PORT, f"the URL's port must be {_either(str(port) for port in profile.ports)}")
        return target


def _lists(hosts: frozenset[str], target: Target) -> bool:
    """A listed host without a port stands for its scheme's usual one."""
    return target.authority in hosts or (target.port == PORTS[target.scheme] and target.host in hosts)


def _either(words: Iterable[str]) -> str:
    return " or ".join(sorted(words))


# Calls to a configured provider. Redirects are answers here: a credential must not travel.
PROVIDER = Profile(name="provider")

# Picture URLs that a caller gave: strangers' hosts, over plain http too.
INPUT = Profile(
    name="input",
    answer_bytes=20 * MB,
    schemes=frozenset({"http", "https"}),
    ports=frozenset({80, 443}),
    redirects=3,
)

# Links that a provider's answer gave: input too, as far as trust goes.
RESULT = Profile(name="result", redirects=3)

# Addresses at which a team wants to be told of its edits: strangers' hosts, and what they say hardly matters.
WEBHOOK = Profile(name="webhook", total_s=10.0, answer_bytes=64_000, cuts=True)


def named_hosts(entries: Iterable[str]) -> frozenset[str]:
    """`[egress] allow_hosts` in normal form. Raises `ValueError` that names the entry and what to write instead."""
    return frozenset(_named_host(entry) for entry in entries)


def _named_host(entry: str) -> str:
    try:
        return parse_authority(entry)
    except Refused as refused:
        raise ValueError(
            f'egress.allow_hosts: "{entry}" is not a host and port like "gpu-box:8000": {refused}'
        ) from None
