"""A secret that cannot be printed by accident, and how a configuration refers to one."""

import contextlib
import stat
from collections.abc import Callable, Mapping
from hashlib import sha256
from hmac import compare_digest, digest
from pathlib import Path


class Secret:
    """Text whose repr, str and format say nothing. `reveal` is the one way out, for the sender of a credential.
    `exposed`: the file that it was read from, where every user of the machine may read it too."""

    __slots__ = ("_text", "exposed")

    def __init__(self, text: str, exposed: Path | None = None) -> None:
        self._text, self.exposed = text, exposed

    def reveal(self) -> str:
        return self._text

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose, so that no two uses share one."""
        return digest(self._text.encode(), purpose.encode(), "sha256")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


class LiteralSecretError(ValueError):
    """A key stands in the configuration file itself."""


def read_secret(reference: str, env: Mapping[str, str], base: Path) -> Secret:
    """The secret behind `env:NAME` or `file:PATH` (relative to the configuration's folder).

    Raises `LiteralSecretError` for anything else and `ValueError` where nothing is found; neither repeats the text.
    """
    kind, _, place = reference.partition(":")
    if kind == "env" and place:
        if not env.get(place):
            raise ValueError(f"the environment variable {place} is not set; export it, or point to a file: file:PATH")
        return Secret(env[place])
    if kind == "file" and place:
        return Secret(_read(base / place), _exposed(base / place))
    raise LiteralSecretError("a literal key in the file is refused; write env:NAME or file:PATH instead")


def _read(path: Path) -> str:
    try:
        text = path.read_text("utf-8").strip()
    except OSError as error:
        raise ValueError(f"the file {path} cannot be read ({error.strerror}); create it with mode 0600") from None
    if not text:
        raise ValueError(f"the file {path} is empty; put the key on its first line")
    return text


def _exposed(path: Path) -> Path | None:
    return path if path.stat().st_mode & stat.S_IROTH else None


def key_hash(key: str) -> str:
    """The line that a configuration keeps of an API key. Keys are random (256 bits), so a fast hash is right."""
    return f"sha256:{sha256(key.encode()).hexdigest()}"


def kept_secret(path: Path, random_bytes: Callable[[int], bytes]) -> Secret:
    """The secret in `path`, made at the first start: 256 random bits, mode 0600. Two starts at once agree on one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{random_bytes(6).hex()}")
        draft.touch(mode=0o600)
        draft.write_text(random_bytes(32).hex(), "ascii")
        with contextlib.suppress(FileExistsError):  # another start was first: its secret is the one
            path.hardlink_to(draft)
        draft.unlink()
    return Secret(_read(path))
