"""What the server asks of an engine, and what it gets back."""

from typing import Protocol

import msgspec

from gateway.local.pictures import Format


class Ask(msgspec.Struct, frozen=True):
    """One edit: undecoded picture bytes, the size in pixels or None for the picture's own, quality 0–100 or None."""

    picture: bytes
    prompt: str
    mask: bytes | None = None
    size: tuple[int, int] | None = None
    format: Format = "png"
    quality: int | None = None

    def __repr__(self) -> str:
        return f"Ask({len(self.picture)} bytes, size={self.size}, format={self.format})"


class Applied(msgspec.Struct, frozen=True):
    op: str
    args: dict[str, str | int | float]


class Rendered(msgspec.Struct, frozen=True):
    """The finished file, what was done in order, and the clauses that were not, as written."""

    data: bytes
    width: int
    height: int
    applied: tuple[Applied, ...]
    not_applied: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Rendered({self.width}x{self.height}, {len(self.data)} bytes, {[a.op for a in self.applied]})"


class Engine(Protocol):
    """`render` is called in a worker thread, never on the event loop; it raises `BadPicture` for a refused picture."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    def render(self, ask: Ask) -> Rendered: ...
