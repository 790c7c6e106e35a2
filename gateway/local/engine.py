"""What the server asks of an engine, and what it gets back."""

from typing import Literal, Protocol, runtime_checkable

import msgspec

from gateway.local.pictures import Format


class Ask(msgspec.Struct, frozen=True):
    """One edit: undecoded picture bytes, the size in pixels or None for the picture's own, quality 0–100 or None. A
    dial that is None is the engine's own default. `id` names the edit while it is in the server."""

    picture: bytes
    prompt: str
    mask: bytes | None = None
    size: tuple[int, int] | None = None
    format: Format = "png"
    quality: int | None = None
    id: str = ""
    count: int = 1
    seed: int | None = None
    guidance: float | None = None
    steps: int | None = None
    negative_prompt: str | None = None
    true_cfg_scale: float | None = None

    def __repr__(self) -> str:
        return f"Ask({len(self.picture)} bytes, size={self.size}, format={self.format})"


class Applied(msgspec.Struct, frozen=True):
    op: str
    args: dict[str, str | int | float]


class Rendered(msgspec.Struct, frozen=True):
    """The finished file, what was done in order, and the clauses that were not, as written. `more`: the further
    pictures and `seeds`: each one's, from an engine whose pictures differ; `facts`: what else it says of its work."""

    data: bytes
    width: int
    height: int
    applied: tuple[Applied, ...]
    not_applied: tuple[str, ...]
    more: tuple[bytes, ...] = ()
    seeds: tuple[int, ...] = ()
    facts: dict[str, str | int | float] = {}

    def __repr__(self) -> str:
        return f"Rendered({self.width}x{self.height}, {len(self.data)} bytes, {[a.op for a in self.applied]})"


class Engine(Protocol):
    """`render` is called in a worker thread, never on the event loop; it raises `BadPicture` for a refused picture."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    def render(self, ask: Ask) -> Rendered: ...


class Progress(msgspec.Struct, frozen=True):
    """Steps are counted over all pictures of the edit."""

    state: Literal["waiting", "running", "succeeded", "failed", "cancelled"]
    step: int = 0
    steps: int = 0

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "running")


class Queue(msgspec.Struct, frozen=True):
    running: int
    waiting: int
    limit: int


class Health(msgspec.Struct, frozen=True):
    """`seconds_per_edit` is measured, None before the first edit; `edits`: how far each is, by its id; `memory` is in
    bytes; `message`: why it failed."""

    status: Literal["loading", "ready", "failed"]
    engine: str
    queue: Queue
    seconds_per_edit: float | None = None
    edits: dict[str, Progress] = {}
    memory: dict[str, int | str] = {}
    worker: dict[str, int | float | str | None] = {}
    message: str | None = None


@runtime_checkable
class Steered(Engine, Protocol):
    """An engine whose edits take long enough to be watched and stopped. All of it may be called from the event loop."""

    @property
    def follows(self) -> frozenset[str]: ...
    def check(self) -> None:
        """Raises Problem when an edit could not start here, before its body is read."""
        ...

    def retry_s(self) -> int:
        """In how many seconds there may be a place again."""
        ...

    def cancel(self, edit: str) -> Progress | None:
        """How far it was when it was told to stop; None: no such edit is here."""
        ...

    def progress(self, edit: str) -> Progress | None: ...
    def health(self, limit: int) -> Health: ...
    def metrics(self) -> bytes: ...
