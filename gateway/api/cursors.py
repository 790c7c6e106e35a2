"""Places in lists, as text for callers to hand back."""

from hmac import compare_digest, digest

from gateway.api.requests import invalid
from gateway.secret import Secret


class Cursors:
    """A place in one team's list, as text that only this gateway can have made, and only for this team: a made-up one
    and another team's are refused alike. `secrets`: the first signs, all verify."""

    def __init__(self, secrets: tuple[Secret, ...]) -> None:
        self._keys = tuple(secret.derive("list-cursor") for secret in secrets)

    def write(self, team: str, place: str) -> str:
        return f"{place}.{_signature(self._keys[0], team, place)}"

    def read(self, team: str, cursor: str) -> str:
        place, _, signature = cursor.rpartition(".")
        signed = (_signature(key, team, place) for key in self._keys)
        if not any(compare_digest(one.encode(), signature.encode()) for one in signed):
            invalid("cursor", "is none of this list", "the `next` of the page before, as it came")
        return place


def _signature(key: bytes, team: str, place: str) -> str:
    return digest(key, f"{team}/{place}".encode(), "sha256").hex()[:32]
