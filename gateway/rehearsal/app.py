"""The wiring: one ASGI application with both stand-ins, their pictures, and the pages that watch and script them."""

import asyncio
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from socket import SO_LINGER, SOL_SOCKET
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from gateway.rehearsal.backstage import Backstage
from gateway.rehearsal.control import Control
from gateway.rehearsal.exchange import Manner, Provider, Reply, Request, Step, json_reply
from gateway.rehearsal.faults import INSTEAD, LOST, Fault, Group
from gateway.rehearsal.files import File
from gateway.rehearsal.log import Exchange, Log
from gateway.rehearsal.runflow import Runflow
from gateway.rehearsal.runware import Runware

# ASGI's own types: a scope and a message are open dictionaries.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TRANSPORT = "kontext.transport"
"""The extension under which the server hands over its `asyncio.Transport`, for resets and cuts."""


class App:
    def __init__(self, backstage: Backstage, runware: Runware, runflow: Runflow, log: Log) -> None:
        self._stage = backstage
        self._runware = runware
        self._runflow = runflow
        self._log = log
        self._control = Control(backstage, runware, runflow, log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_at = self._stage.clock()
        request = await _read(scope, receive)
        if request is None:
            return
        provider, reply = await self._answer(request)
        try:
            await self._write(scope, receive, send, reply)
        finally:
            if not request.path.startswith("/rehearsal"):
                self._log.write(self._exchange(request, provider, reply, received_at))

    async def _answer(self, request: Request) -> tuple[Provider | None, Reply]:
        path = request.path
        if path == "/runware/v1":
            return Provider.RUNWARE, await self._runware.answer(request)
        if path.startswith("/runflow/"):
            below = msgspec.structs.replace(request, path=path.removeprefix("/runflow"))
            return Provider.RUNFLOW, await self._runflow.answer(below)
        if path.startswith("/files/"):
            file = self._stage.files.owner_of(request)
            return file.provider if file else None, await self._picture(request, file)
        return None, self._control.answer(request)

    async def _picture(self, request: Request, file: File | None) -> Reply:
        """A result picture; any fault of the `answer` group may be scripted for the step `fetch`."""
        reply = await self._stage.files.answer(request)
        order = (file.recipe.model, f"kontext-{file.recipe.model}") if file else ()
        script = file and self._stage.faults.draw(file.provider, Group.ANSWER, Step.FETCH, order)
        if not script:
            return reply
        about = msgspec.structs.replace(reply.about, fault=script.fault.value)
        if script.fault is Fault.CUT:
            return msgspec.structs.replace(reply, manner=Manner.CUT, about=about)
        instead = (INSTEAD | LOST).get(script.fault) or json_reply(503, {"error": script.fault.value})
        return msgspec.structs.replace(instead, about=about)

    def _exchange(self, request: Request, provider: Provider | None, reply: Reply, received_at: float) -> Exchange:
        about = reply.about
        return Exchange(
            provider=provider,
            method=request.method,
            path=request.path,
            step=about.step,
            endpoint=about.endpoint,
            ids=about.ids,
            client_ref=about.client_ref,
            outcome=about.outcome,
            fault=about.fault,
            status=reply.status,
            manner=reply.manner,
            received_at=received_at,
            seconds=self._stage.clock() - received_at,
            bytes_in=len(request.body),
            bytes_out=len(reply.body),
        )

    async def _write(self, scope: Scope, receive: Receive, send: Send, reply: Reply) -> None:
        match reply.manner:
            case Manner.WHOLE:
                await _start(send, reply)
                await send({"type": "http.response.body", "body": reply.body})
            case Manner.CUT:
                await _start(send, reply)
                await send(
                    {"type": "http.response.body", "body": reply.body[: len(reply.body) // 2], "more_body": True}
                )
                await _leave(scope, receive, reset=False)
            case Manner.RESET:
                await _leave(scope, receive, reset=True)
            case Manner.HANG:
                await self._hang(receive)
                await _leave(scope, receive, reset=False)

    async def _hang(self, receive: Receive) -> None:
        """Until the script lets go or the caller leaves, whichever is first."""
        waiting = {asyncio.create_task(self._stage.faults.hold()), asyncio.create_task(_gone(receive))}
        _, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _read(scope: Scope, receive: Receive) -> Request | None:
    """The whole request, or `None` if the caller left before it was whole."""
    if scope["type"] != "http":
        return None
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(
        method=scope["method"],
        path=scope["raw_path"].decode("ascii"),
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"))),
        headers=headers,
        body=bytes(body),
        origin=f"{scope['scheme']}://{headers.get('host', 'localhost')}",
    )


async def _start(send: Send, reply: Reply) -> None:
    head = [(b"content-type", reply.media_type.encode()), (b"content-length", str(len(reply.body)).encode())]
    head += [(name.encode(), value.encode()) for name, value in reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": head})


async def _leave(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """Close the connection under the answer: by a reset, or by a plain end after what was written."""
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]
    if reset:
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
