"""The server: the OpenAI images protocol over HTTP in front of one engine.

It needs no start-up or shut-down, so that it also runs where nobody sends lifespan events (httpx's ASGITransport).
"""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Literal

import msgspec
import uvicorn
from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State, UploadFile
from litestar.enums import MediaType
from litestar.exceptions import HTTPException

from gateway.local import wire
from gateway.local.engine import Engine, Health, Steered
from gateway.local.engine import Queue as QueueState
from gateway.local.pictures import MAX_BYTES, BadPicture
from gateway.local.pool import Busy, Pool
from gateway.local.preview import Preview
from gateway.local.problem import Problem
from gateway.local.steering import handlers

_log = logging.getLogger("gateway.local")

MAX_BODY_BYTES = 2 * (MAX_BYTES * 4 // 3) + 1_000_000  # picture and mask in base64, and the words
MAX_PARTS = 64

Incoming = Request[object, object, State]


class Config(msgspec.Struct, frozen=True):
    """How much work at once, and faults to rehearse with; nothing that a request could set."""

    workers: int = 2
    waiting: int = 8
    delay_s: float = 0.0
    """Added to every edit before it starts."""
    fail_every: int = 0
    """Every so-manieth edit fails with `fail_status`; 0 is never."""
    fail_status: Literal[429, 500, 502, 503, 504] = 503


def create_app(
    engine: Engine | None = None, config: Config | None = None, clock: Callable[[], float] = time.time
) -> Litestar:
    """The ASGI app; the preview engine unless another is given."""
    service = _Service(engine or Preview(), config or Config(), clock)

    @post("/v1/images/edits", status_code=200)
    async def edits(request: Incoming) -> Response[bytes]:
        return await service.edit(request)

    @get("/health")
    async def health() -> Health:
        return service.health()

    @get("/v1/models")
    async def models() -> dict[str, object]:
        return {"object": "list", "data": [{"id": service.engine.model, "object": "model", "owned_by": "local"}]}

    return Litestar(
        [edits, health, models, *handlers(service.engine)],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MAX_BODY_BYTES,
        multipart_form_part_limit=MAX_PARTS,
        exception_handlers={Problem: _problem, HTTPException: _http_problem, Exception: _fault},
    )


class _Service:
    def __init__(self, engine: Engine, config: Config, clock: Callable[[], float]) -> None:
        self.engine, self._config, self._clock = engine, config, clock
        self._pool = Pool(config.workers, config.waiting)
        self._edits = 0

    async def edit(self, request: Incoming) -> Response[bytes]:
        edit = _edit_id(request)
        steered = self.engine if isinstance(self.engine, Steered) else None
        try:
            self._pool.check()
            if steered:
                steered.check()
            order = await _order(request)
            wire.check_model(order.wish, self.engine)
            await self._rehearsed_fault()
            work = self._pool.run(lambda: self._work(order, edit))
            body = await (_unless_left(request, work, steered, edit) if steered else work)
        except Busy:
            retry_s = steered.retry_s() if steered else 1
            raise Problem(429, "all workers are busy; try again", code="busy", retry_s=retry_s) from None
        return Response(body, media_type=MediaType.JSON, headers={"x-edit-id": edit})

    def health(self) -> Health:
        running, waiting, limit = self._pool.taken()
        if isinstance(self.engine, Steered):
            return self.engine.health(limit)
        return Health("ready", self.engine.name, QueueState(running, waiting, limit))

    def _work(self, order: wire.Order, edit: str) -> bytes:
        """Everything that takes time, from base64 to base64; runs in a worker thread."""
        try:
            rendered = self.engine.render(wire.ask(order, edit))
        except BadPicture as error:
            raise Problem(400, str(error), param=error.param, code="invalid_image") from None
        return wire.answer(order, rendered, self.engine, int(self._clock()))

    async def _rehearsed_fault(self) -> None:
        self._edits += 1
        if self._config.delay_s:
            await asyncio.sleep(self._config.delay_s)
        if self._config.fail_every and self._edits % self._config.fail_every == 0:
            raise Problem(self._config.fail_status, "a failure was configured for this edit", code="rehearsed")


_EDIT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _edit_id(request: Incoming) -> str:
    """The sender's own, by which it can watch and stop the edit from elsewhere, or a new one."""
    given = request.headers.get("x-edit-id")
    if given is None:
        return secrets.token_hex(8)
    if not _EDIT_ID.fullmatch(given):
        raise Problem(400, "`x-edit-id` must be 1 to 64 letters, digits, `_` or `-`", param="x-edit-id")
    return given


async def _unless_left(request: Incoming, work: Coroutine[None, None, bytes], engine: Steered, edit: str) -> bytes:
    """A sender who hangs up stops the edit; uvicorn tells a handler nothing of that by itself."""
    working, left = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, left), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            engine.cancel(edit)
        return await working
    except asyncio.CancelledError:
        engine.cancel(edit)
        working.cancel()
        raise
    finally:
        left.cancel()


async def _left(request: Incoming) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _order(request: Incoming) -> wire.Order:
    kind = request.content_type[0]
    if kind == "application/json":
        return wire.from_json(await request.body())
    if kind == "multipart/form-data":
        return await _form(request)
    raise Problem(415, "send multipart/form-data with `image`, or application/json with `images`")


async def _form(request: Incoming) -> wire.Order:
    texts: dict[str, str] = {}
    files: dict[str, list[bytes]] = {}
    try:
        form = await request.form()
    except (UnicodeDecodeError, LookupError):
        raise Problem(400, "a text part is not in the charset that it names, or in UTF-8") from None
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files.setdefault(name, []).append(await value.read())
            elif name in texts:
                raise Problem(400, f"`{name}` was sent twice", param=name)
            else:
                texts[name] = value
    finally:
        await form.close()
    return wire.from_form(texts, files)


def _problem(_: Incoming, problem: Problem) -> Response[bytes]:
    return problem.response()


def _http_problem(_: Incoming, error: HTTPException) -> Response[bytes]:
    """What Litestar refuses by itself: unknown routes and methods, bodies that are too large or broken."""
    return Problem(error.status_code, error.detail).response()


def _fault(_: Incoming, error: Exception) -> Response[bytes]:
    _log.error("an edit failed inside the engine", exc_info=error)
    return Problem(500, "the server failed at this edit; its log says why", code="internal_error").response()


def serve(
    host: str = "127.0.0.1", port: int = 8000, engine: Engine | None = None, config: Config | None = None
) -> None:
    """Runs until it is told to stop."""
    uvicorn.run(create_app(engine, config), host=host, port=port, access_log=False)
