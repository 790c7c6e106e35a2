"""One worker process and the socket to it, from the gateway's side."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys

import msgspec

from gateway.pictures.jobs import LENGTHS, MOST_ANSWER_BYTES, MOST_PICTURE_BYTES, Answer, Job, frame, read_answer

_SOCKET_BUFFER = 1 << 20  # asked of the kernel, which may give less
_WORKER = "gateway.pictures.worker"


class WorkerDied(Exception):  # noqa: N818 - the name is the fact
    """The worker closed its socket in the middle of a job, or answered nonsense."""


class WorkerProcess:
    """Started at once, loading its decoders while the first job waits in the socket.

    The child gets our import path and nothing else of our environment, which holds keys; a session of its own, so that
    Ctrl-C in a terminal is the gateway's to handle; and its socket as the only descriptor beyond the standard three.
    """

    def __init__(self, *, memory_bytes: int, cpu_s: int) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            for end in (self._line, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", _WORKER, *map(str, (theirs.fileno(), memory_bytes, cpu_s))],
                stdin=subprocess.DEVNULL,
                env={"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._line.setblocking(False)
        self._in_step = True

    def __repr__(self) -> str:
        return f"WorkerProcess(pid {self.pid}, {'usable' if self.is_usable() else 'spent'})"

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_usable(self) -> bool:
        """Alive, and not in the middle of an exchange that was broken off."""
        return self._in_step and self._process.poll() is None

    async def exchange(self, job: Job, payload: bytes) -> tuple[Answer, bytes]:
        """One job there, one answer back. Raises `WorkerDied`."""
        self._in_step = False
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self._line, frame(job, len(payload)))
            await loop.sock_sendall(self._line, payload)
            answer, picture = await self._answer()
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            raise WorkerDied from error
        self._in_step = True
        return answer, picture

    async def _answer(self) -> tuple[Answer, bytes]:
        answer_bytes, picture_bytes = LENGTHS.unpack(await self._exactly(LENGTHS.size))
        if answer_bytes > MOST_ANSWER_BYTES or picture_bytes > MOST_PICTURE_BYTES:
            raise EOFError
        return read_answer(await self._exactly(answer_bytes)), await self._exactly(picture_bytes)

    async def _exactly(self, count: int) -> bytes:
        loop = asyncio.get_running_loop()
        buffer = bytearray(count)
        view, filled = memoryview(buffer), 0
        while filled < count:
            received = await loop.sock_recv_into(self._line, view[filled:])
            if not received:
                raise EOFError
            filled += received
        return bytes(buffer)

    def kill(self) -> None:
        """At once. `reap` waits for the end."""
        self._in_step = False
        self._line.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def reap(self) -> None:
        await asyncio.to_thread(self._process.wait)
