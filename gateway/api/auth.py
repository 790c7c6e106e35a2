"""Who is calling: an API key in `Authorization: Bearer`, known by its hash, with scopes and a last day."""

from collections.abc import Container
from typing import Any

from litestar import Request

from gateway.api.problems import ProblemError
from gateway.clock import Clock, day_of
from gateway.current import Current
from gateway.secret import key_hash
from gateway.sections import Scope
from gateway.settings import Key, Settings, Team


def unauthorized() -> ProblemError:
    return ProblemError(
        "unauthorized",
        "no valid API key came with the request",
        expected="Authorization: Bearer kx_… (`kontext key new TEAM` makes a key)",
        headers={"www-authenticate": 'Bearer realm="kontext"'},
    )


def team_of(settings: Settings, key: Key) -> Team:
    """Raises the problem of an unknown key where the team went away with a reload in the middle of the request."""
    if team := settings.teams.get(key.team):
        return team
    raise unauthorized()


class Gate:
    """Checks keys against the settings. An unknown, an expired, a revoked and a malformed key are answered alike."""

    def __init__(self, current: Current, revoked: Container[str], clock: Clock) -> None:
        self._current, self._revoked, self._clock = current, revoked, clock

    def caller(self, request: Request[Any, Any, Any], *scopes: Scope) -> Key:
        """The key behind the request, which must have one of the scopes. Raises a 401 or 403 problem."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        # The table is keyed by the hash of 256 random bits: its look-up tells an attacker nothing to go on.
        key = self._current.settings.keys.get(key_hash(text.strip())) if scheme.lower() == "bearer" else None
        if key is None or key.hash in self._revoked or (key.expires and day_of(self._clock.now_ms()) > key.expires):
            raise unauthorized()
        if not set(scopes) & set(key.scopes):
            scope = " or ".join(scopes)
            expected = f"a key with the scope {scope}"
            raise ProblemError("forbidden", f"this key lacks the scope {scope}", expected=expected)
        return key
