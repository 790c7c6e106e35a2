"""Signed, expiring addresses of result pictures: they work without a key, and only until their time."""

from hmac import compare_digest, digest

from gateway.secret import Secret

_PURPOSE = "picture-link"


class Links:
    """`secrets`: the first signs, all verify."""

    def __init__(self, secrets: tuple[Secret, ...]) -> None:
        self._keys = tuple(secret.derive(_PURPOSE) for secret in secrets)

    def path(self, edit: str, number: int, expires_s: int) -> str:
        """The address below the gateway's root. `expires_s`: epoch seconds."""
        signature = _signature(self._keys[0], edit, number, expires_s)
        return f"/v1/edits/{edit}/images/{number}?expires={expires_s}&signature={signature}"

    def is_valid(self, edit: str, number: int, expires: str, signature: str, now_s: float) -> bool:
        if not expires.isdecimal() or len(expires) > 12 or int(expires) < now_s:
            return False
        return any(
            compare_digest(_signature(key, edit, number, int(expires)).encode(), signature.encode())
            for key in self._keys
        )


def _signature(key: bytes, edit: str, number: int, expires_s: int) -> str:
    return digest(key, f"{edit}/{number}/{expires_s}".encode(), "sha256").hex()
