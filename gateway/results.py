"""Where pictures are kept, inputs and results alike: named by their content under their team, written once, and checked
against their name when read.

The store is a folder, S3, Google Cloud Storage, Azure or memory, by URL. Nothing here blocks the event loop: obstore
works on threads of its own.

What a crash leaves. A folder's file is written beside its name and then linked to it, so a picture is whole or not
there; a process that dies in between leaves a file `NAME#1`, which nobody reads. Nothing waits for the disk, so a power
cut may leave an empty or short file under the name: `get` compares the content with the digest and calls such a
picture missing, and the next `put` of the same content replaces it.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import obstore
from msgspec import Struct
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

Kind = Literal["inputs", "results"]

_REMOTE = ("s3://", "gs://", "az://")
_TEAM = re.compile(r"[a-z0-9_-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(rf"[a-z0-9_-]{{1,64}}/({'|'.join(get_args(Kind))})/[0-9a-f]{{64}}")
_LISTED = 1000
_SHORT = 256_000  # hashed here in well under a millisecond; a thread's hand-over costs as much
_CHUNK = 256 * 1024
_PROBE = b"is there room?"
_PROBE_TEAM = "readyz"


class ResultsRefused(ValueError):  # noqa: N818 - the name is the fact
    """Pictures cannot be kept as configured; the text says what to set instead."""


class MissingPicture(LookupError):  # noqa: N818 - the name is the fact
    """Never kept, deleted, or damaged by a power cut."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(f"the picture is not among the {kind} any more: it was deleted or its time is over")


class ResultsUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The store takes or gives nothing now: it is full, away or refuses. The message says how, and no path."""


class Stream(Struct, frozen=True):
    """A picture in pieces, for an answer that is not held in memory. `size` is its whole length."""

    size: int
    chunks: AsyncIterator[bytes]


class Results:
    """Everything under one store. Paths are `team/kind/digest`, so no team can name another's picture."""

    def __init__(self, store: ObjectStore, url: str) -> None:
        self._store = store
        self._url = url
        self._takes = True

    def __repr__(self) -> str:
        return f"Results({self._url})"

    @classmethod
    def open(cls, url: str) -> "Results":
        """`file:FOLDER` (made with mode 0700), `s3://BUCKET/PREFIX`, `gs://…`, `az://…`, or `memory:`.

        Raises `ResultsRefused` for anything else, and for a folder that cannot be made.
        A remote store's credentials come from where its SDK looks for them.
        """
        if url == "memory:":
            return cls(MemoryStore(), url)
        if url.startswith("file:"):
            return cls(LocalStore(_folder(url)), url)
        if url.startswith(_REMOTE):
            return cls(from_url(url), url)
        raise ResultsRefused("[results] url: expected file:FOLDER, s3://BUCKET/PREFIX, gs://…, az://… or memory:")

    async def put(self, team: str, kind: Kind, digest: str, data: bytes) -> None:
        """Keep a picture under the SHA-256 of its bytes. One that is kept already stays as it is. Raises
        `ResultsUnavailable`."""
        try:
            with _available():
                await self._put(name_of(team, kind, digest), data)
        except ResultsUnavailable:
            self._takes = False
            raise
        self._takes = True

    async def _put(self, path: str, data: bytes) -> None:
        try:
            await obstore.put_async(self._store, path, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            kept = await obstore.head_async(self._store, path)
            if kept["size"] != len(data):
                await obstore.put_async(self._store, path, data, mode="overwrite", use_multipart=False)

    async def check(self) -> None:
        """Raises `ResultsUnavailable` while the last picture was not taken, and another one would not be either."""
        if self._takes:
            return
        digest = hashlib.sha256(_PROBE).hexdigest()
        await self.put(_PROBE_TEAM, "results", digest, _PROBE)
        await self.delete(_PROBE_TEAM, "results", digest)

    async def get(self, team: str, kind: Kind, digest: str) -> bytes:
        """The whole picture, checked against its digest. Raises `MissingPicture` and `ResultsUnavailable`."""
        with _available():
            try:
                found = await obstore.get_async(self._store, name_of(team, kind, digest))
                data = bytes(await found.bytes_async())
            except FileNotFoundError:
                raise MissingPicture(kind) from None
        if await _digest(data) != digest:
            raise MissingPicture(kind)
        return data

    async def stream(self, team: str, kind: Kind, digest: str, *, size: int | None = None) -> Stream:
        """The picture in pieces, its content unchecked. With `size`, one of another length counts as missing, which is
        what a power cut leaves. Raises `MissingPicture` and `ResultsUnavailable`."""
        with _available():
            try:
                found = await obstore.get_async(self._store, name_of(team, kind, digest))
            except FileNotFoundError:
                raise MissingPicture(kind) from None
        if size is not None and found.meta["size"] != size:
            raise MissingPicture(kind)
        return Stream(found.meta["size"], _chunks(found))

    async def delete(self, team: str, kind: Kind, digest: str) -> None:
        """Gone afterwards, whether or not it was there. Raises `ResultsUnavailable`."""
        await self.remove(name_of(team, kind, digest))

    async def remove(self, name: str) -> None:
        """As `delete`, by its whole name."""
        with _available():
            try:
                await obstore.delete_async(self._store, name)
            except FileNotFoundError:
                return

    async def pictures(self) -> AsyncIterator[list[tuple[str, int]]]:
        """Everything that is kept, with its bytes, a thousand at a time. Raises `ResultsUnavailable`."""
        with _available():
            async for batch in obstore.list(self._store, chunk_size=_LISTED):  # pyright: ignore[reportUnknownMemberType] - an overload of it is open
                yield [(one["path"], one["size"]) for one in batch if _NAME.fullmatch(one["path"])]


@contextmanager
def _available() -> Generator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        raise ResultsUnavailable(f"the result store does not answer as it should ({type(error).__name__})") from error


async def _chunks(found: "obstore.GetResult") -> AsyncIterator[bytes]:
    async for chunk in found.stream(min_chunk_size=_CHUNK):
        yield bytes(chunk)


def _folder(url: str) -> Path:
    """Private from the start: the pictures are somebody's."""
    folder = Path(url.removeprefix("file:").removeprefix("//")).expanduser().resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        words = f"the folder {folder} cannot be made ({error.strerror}); name another by [results] url or [state] dir"
        raise ResultsRefused(words) from None
    return folder


def name_of(team: str, kind: Kind, digest: str) -> str:
    """A picture's name in the store, `team/kind/digest`."""
    if not _TEAM.fullmatch(team):
        raise ValueError(f"a team's name is 1 to 64 of a-z, 0-9, _ and -, not {team!r}")
    if not _DIGEST.fullmatch(digest):
        raise ValueError("a digest is 64 hexadecimal digits in lower case")
    return f"{team}/{kind}/{digest}"


async def _digest(data: bytes) -> str:
    digest = hashlib.sha256(data) if len(data) <= _SHORT else await asyncio.to_thread(hashlib.sha256, data)
    return digest.hexdigest()
