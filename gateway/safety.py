"""What a gateway refuses to start with, unless its operator accepts the risk by name in `[server] accept_risks`.

A store that evicts or forgets is refused where it is connected to (`state/connection.py`), with words of its own.
"""

from collections.abc import Iterator
from ipaddress import ip_address

from msgspec import Struct

from adapters.contract import Tier
from gateway.secret import Secret
from gateway.sections import Risk
from gateway.settings import Settings
from policies.policy import Policy

_ORDER = list(Tier)


class Danger(Struct, frozen=True):
    """`cure` says what to set instead."""

    risk: Risk
    said: str
    cure: str

    def __str__(self) -> str:
        accepted = f'[server] accept_risks = ["{self.risk}"] accepts it'
        return f"{self.said}. {self.cure}; {accepted}"


def dangers(settings: Settings, host: str) -> tuple[Danger, ...]:
    """Those that nobody accepted. `host` is the address that will be listened on."""
    found = (*_open_wire(settings, host), *_readable(settings), *_previews(settings))
    return tuple(danger for danger in found if danger.risk not in settings.server.accept_risks)


def _open_wire(settings: Settings, host: str) -> Iterator[Danger]:
    if not settings.server.behind_tls and not _is_loopback(host):
        yield Danger(
            "public_without_tls",
            f"{host} is reached from other machines, and keys and pictures would cross the network in the clear",
            "Put a TLS terminator in front and say [server] behind_tls = true, or listen on 127.0.0.1",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _readable(settings: Settings) -> Iterator[Danger]:
    accounts = [provider.key for provider in settings.providers.values() if provider.key is not None]
    proxies = [settings.proxy] if settings.proxy is not None else []
    for secret in (*settings.secrets, *accounts, *proxies):
        if secret.exposed is not None:
            yield Danger("readable_keys", f"every user of this machine can read {secret.exposed}", _chmod(secret))


def _chmod(secret: Secret) -> str:
    return f"Run `chmod o-rwx {secret.exposed}`"


def _previews(settings: Settings) -> Iterator[Danger]:
    """A stamped preview where somebody waits for a picture that is paid for."""
    for policy in settings.policies.values():
        tiers = {settings.offers[name].tier for name in policy.offers}
        if _lowest(policy) is Tier.PREVIEW and Tier.PREVIEW in tiers and len(tiers) > 1:
            yield Danger(
                "preview_in_production",
                f"policies.{policy.name} would answer with stamped previews where its other offers fail",
                "Take the preview out of its offers, or give it a tier above preview and no degrade_to below that",
            )


def _lowest(policy: Policy) -> Tier:
    return min((tier for tier in (policy.tier, policy.degrade_to) if tier is not None), key=_ORDER.index)
