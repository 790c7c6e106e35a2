"""Endpoints, made and changed: each address is checked as the egress will check it, and each secret is told once."""

from collections.abc import Sequence

from msgspec.structs import replace

from gateway.clock import Clock
from gateway.egress import WEBHOOK, Egress
from gateway.egress.targets import parse_url
from gateway.state.endpoints import Endpoint, Endpoints, Receives, SigningSecret, Told
from gateway.webhooks.addresses import lies_under
from gateway.webhooks.signing import SECRET_BYTES, new_secret

ENDPOINT_PREFIX = "we_"
OVERLAP_MS = 24 * 3600 * 1000
"""So long an old secret signs beside the new one."""


class Changed(Exception):  # noqa: N818 - the name is the fact
    """Somebody else changed or removed the endpoint in the same moment."""


class Registered(Exception):  # noqa: N818 - the name is the fact
    """The team has the address already, as `endpoint`."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(f"{endpoint.id} has this address")
        self.endpoint = endpoint


class Registrar:
    def __init__(self, endpoints: Endpoints, egress: Egress, clock: Clock) -> None:
        self._endpoints, self._egress, self._clock = endpoints, egress, clock

    async def register(self, team: str, url: str, receives: Receives, events: Sequence[Told] = ()) -> Endpoint:
        """With its secret. Raises `Refused` for an address that may not be called, `Registered` and
        `TooManyEndpoints`."""
        url = await self._egress.check(WEBHOOK, url)
        for one in await self._endpoints.of_team(team):
            if one.url == url:
                raise Registered(one)
        secret = SigningSecret(new_secret(self._clock.random_bytes(SECRET_BYTES)))
        identity = ENDPOINT_PREFIX + self._clock.random_bytes(16).hex()
        endpoint = Endpoint(
            id=identity, team=team, url=url, receives=receives, events=tuple(sorted(set(events))), secrets=(secret,)
        )
        return await self._endpoints.add(endpoint)

    async def rotate(self, endpoint: Endpoint) -> Endpoint:
        """With a new secret in front; the one before signs for another day, and those before that no more. Raises
        `Changed`."""
        until_ms = self._clock.now_ms() + OVERLAP_MS
        before = replace(endpoint.secrets[0], until_ms=until_ms)
        secret = SigningSecret(new_secret(self._clock.random_bytes(SECRET_BYTES)))
        rotated = replace(endpoint, secrets=(secret, before))
        if not await self._endpoints.amend(endpoint, rotated):
            raise Changed
        return rotated

    async def covering(self, team: str, url: str) -> Endpoint | None:
        """The endpoint of the team that `url` lies under, the closest one first; one that is disabled last. Raises
        `Refused` for what is no address."""
        target = parse_url(url)
        found = [one for one in await self._endpoints.of_team(team) if lies_under(target, one.url)]
        return min(found, key=lambda one: (bool(one.disabled_ms), -len(one.url)), default=None)
