"""Result pictures at `/files/…`: plain links, or presigned ones that expire and are renewed by asking again.

An address ending in `.jpg` may be fetched by whoever has it, so a credential sent along is refused, as storage
services do with presigned links: it shows a caller who leaks its key.
"""

import hashlib
import hmac
import secrets

from msgspec import Struct

from gateway.rehearsal.clock import Clock
from gateway.rehearsal.exchange import About, Provider, Reply, Request, Step, text_reply
from gateway.rehearsal.faults import Fault
from gateway.rehearsal.pictures import Recipe, Studio

LINK_LIFETIME_S = 24 * 3600.0
NO_PICTURE = b"this is not the picture that was paid for\n"


class File(Struct, frozen=True):
    """One result picture. `signed`: its link must carry a valid signature. `fault`: what its link serves instead."""

    name: str
    provider: Provider
    owner: str  # the task or run that made it
    recipe: Recipe
    signed: bool
    fault: Fault | None = None


class Files:
    def __init__(self, clock: Clock, studio: Studio) -> None:
        self._clock = clock
        self._studio = studio
        self._files: dict[str, File] = {}
        self._secret = secrets.token_bytes(16)
        self.link_lifetime_s = LINK_LIFETIME_S

    def keep(self, file: File) -> None:
        self._files[file.name] = file

    def clear(self) -> None:
        self._files.clear()

    def link(self, file: File, origin: str, *, stale: bool = False) -> str:
        """The address of `file`; `stale`: one that has expired already."""
        path = f"{origin}/files/{file.name}.{file.recipe.extension}"
        if not file.signed:
            return path
        expires = f"{self._clock() + (0 if stale else self.link_lifetime_s):.3f}"
        return f"{path}?expires={expires}&signature={self._signature(file.name, expires)}"

    async def content(self, file: File) -> bytes:
        return NO_PICTURE if file.fault is Fault.BAD_PICTURE else await self._studio.picture(file.recipe)

    async def answer(self, request: Request) -> Reply:
        name = request.path.removeprefix("/files/").rpartition(".")[0]
        file = self._files.get(name)
        about = About(Step.FETCH, "file", (file.owner,) if file else ())
        refusal = self._refusal(request, file)
        if refusal or file is None:
            return refusal or text_reply(404, "No such file.\n")
        return Reply(200, await self.content(file), file.recipe.media_type, about=about)

    def owner_of(self, request: Request) -> File | None:
        return self._files.get(request.path.removeprefix("/files/").rpartition(".")[0])

    def _refusal(self, request: Request, file: File | None) -> Reply | None:
        if "authorization" in request.headers:
            return text_reply(400, "A result link takes no credential: send no Authorization header.\n")
        if file is None or file.fault is Fault.MISSING_PICTURE:
            return text_reply(404, "No such file.\n")
        if file.signed and not self._fresh(request, file):
            return text_reply(403, "The link has expired or its signature does not fit: ask for the task again.\n")
        return None

    def _fresh(self, request: Request, file: File) -> bool:
        expires = request.query.get("expires", "")
        expected = self._signature(file.name, expires)
        if not hmac.compare_digest(expected, request.query.get("signature", "")):
            return False
        return self._clock() < float(expires)

    def _signature(self, name: str, expires: str) -> str:
        return hmac.new(self._secret, f"{name}/{expires}".encode(), hashlib.sha256).hexdigest()[:32]
