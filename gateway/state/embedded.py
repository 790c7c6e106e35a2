"""The private engine: one Valkey for a state folder, shared by every process on the machine that uses the folder.

Nobody owns it. `engine.lock` is flocked through a descriptor that the engine inherits, so the lock is held exactly
while the engine lives: held → attach, free → start. A pid file could lie (a pid is used again), and a socket that
answers does not tell whose it is: two servers on one folder would take it from each other and fork the books.

When the engine is away, `ensure` is called again by the connection (`connection.py`), takes the free lock and starts
the next one from the same append-only file.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import socket
import subprocess
import tempfile
import threading
import time
from enum import Enum
from pathlib import Path

from gateway.state.binary import EngineRefused, adopt, find, identify, replace_file

_LOCK = "engine.lock"
_ADDRESS = "engine.socket"  # holds the socket's path: processes may disagree about where temporary files live
_PATH_LIMIT = 103  # bytes in sun_path, less the final NUL: 107 on Linux, 103 on macOS
_PAUSE_S = 0.01


class EngineSilent(EngineRefused):
    """The folder's lock is held, but no engine answers at the folder's socket."""


class _Answer(Enum):
    READY = "ready"
    LOADING = "loading"  # alive, reading its file
    NOTHING = "nothing"


async def ensure(folder: Path, engine: Path | None = None, *, patience_s: float = 5.0) -> str:
    """The unix socket path of the folder's engine, started here if nobody has. Safe to call from many processes.

    `engine` is the program to start where one must be (left out: the wheel's). Raises `EngineSilent` when the lock
    stays held without an answer for `patience_s`, and `EngineRefused` when no engine can be started.
    """
    return await asyncio.to_thread(_ensure, folder, engine, patience_s)


async def stop(folder: Path, *, patience_s: float = 5.0) -> None:
    """Ends the folder's engine, which writes its file first; returns when it is gone. For whoever knows that nobody
    else uses the folder: a throw-away gateway, a test."""
    await asyncio.to_thread(_stop, folder, patience_s)


def _ensure(folder: Path, program: Path | None, patience_s: float) -> str:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        words = f"{folder} cannot be made ({error.strerror}). Give [state] dir a folder that can be written."
        raise EngineRefused(words) from None
    deadline = time.monotonic() + patience_s
    started: subprocess.Popen[bytes] | None = None
    while True:
        lock = _try_lock(folder)
        if lock is not None:
            started = _start_once(folder, program, lock, started)
        path = _address(folder)
        answer = _ask(path)
        if answer is _Answer.READY:
            return path
        if answer is _Answer.LOADING:
            deadline = time.monotonic() + patience_s
        if time.monotonic() > deadline:
            raise _silent(folder, path, patience_s)
        time.sleep(_PAUSE_S)


def _start_once(
    folder: Path, program: Path | None, lock: int, before: subprocess.Popen[bytes] | None
) -> subprocess.Popen[bytes]:
    """Starts the engine and gives the lock over to it: from here on only the engine holds it."""
    try:
        if before is not None:
            raise EngineRefused(
                f"The engine ended right after its start (status {before.wait()}). "
                f"{folder / 'engine.log'} says why; the last line is: {_last_words(folder)}"
            )
        return _start(folder, find(program), lock)
    finally:
        os.close(lock)


def _start(folder: Path, program: Path, lock: int) -> subprocess.Popen[bytes]:
    adopt(folder, identify(program))
    path = _socket_path(folder)
    replace_file(folder / _ADDRESS, path.encode())
    data = folder / "engine"
    data.mkdir(mode=0o700, exist_ok=True)
    process = subprocess.Popen(  # noqa: S603 - the operator's own choice
        [program, *_options(path, data, folder / "engine.log")],
        pass_fds=(lock,),
        start_new_session=True,  # a Ctrl-C at the gateway's terminal is not the engine's
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={},  # the gateway's holds provider keys
    )
    # Our child, but not ours to end: the thread only collects it, should it end before us.
    threading.Thread(target=process.wait, name="engine-reaper", daemon=True).start()
    return process


def _options(path: str, data: Path, log: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": path,
        "unixsocketperm": "600",
        "dir": str(data.resolve()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
        "daemonize": "no",
        "logfile": str(log.resolve()),
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _try_lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock, or None where somebody else's does."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _socket_path(folder: Path) -> str:
    """A short path of its own, since the state folder's may be longer than a socket's can be."""
    digest = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    private = Path(tempfile.gettempdir()) / f"kontext-{os.getuid()}-{digest}"
    private.mkdir(mode=0o700, exist_ok=True)
    status = private.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o170077 != 0o040000:
        raise EngineRefused(f"{private} is not a folder that only this user can enter. Remove it and start again.")
    path = str(private / "socket")
    if len(path.encode()) > _PATH_LIMIT:
        raise EngineRefused(f"{path} is too long for a socket ({_PATH_LIMIT} bytes). Set TMPDIR to a shorter folder.")
    return path


def _address(folder: Path) -> str:
    try:
        return (folder / _ADDRESS).read_text()
    except FileNotFoundError:
        return ""


def _ask(path: str) -> _Answer:
    """One PING by hand: a client library here would bring its own retries and timeouts."""
    if not path:
        return _Answer.NOTHING
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(1.0)
            line.connect(path)
            line.sendall(b"PING\r\n")
            answer = line.recv(64)
    except OSError:
        return _Answer.NOTHING
    if answer.startswith(b"+PONG"):
        return _Answer.READY
    return _Answer.LOADING if answer.startswith(b"-LOADING") else _Answer.NOTHING


def _silent(folder: Path, path: str, patience_s: float) -> EngineSilent:
    return EngineSilent(
        f"{folder / _LOCK} is held, but no engine answered at {path or 'any socket'} for {patience_s:g} s. Find the "
        f"process that holds it (`fuser {folder / _LOCK}`) and end it, or set [state] dir to another folder. A folder "
        "can be shared by processes of one machine only, and by containers only with a shared temporary folder."
    )


def _last_words(folder: Path) -> str:
    try:
        lines = (folder / "engine.log").read_text(errors="replace").splitlines()
    except OSError:
        return "(no log)"
    return lines[-1][:300] if lines else "(empty log)"


def _stop(folder: Path, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    path = _address(folder)
    _say_shutdown(path)
    while (lock := _try_lock(folder)) is None:
        if time.monotonic() > deadline:
            raise _silent(folder, path, patience_s)
        time.sleep(_PAUSE_S)
    with contextlib.suppress(OSError):  # the socket's folder holds nothing of worth
        Path(path).unlink(missing_ok=True)
        Path(path).parent.rmdir()
    os.close(lock)


def _say_shutdown(path: str) -> None:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(1.0)
        line.connect(path)
        line.sendall(b"SHUTDOWN\r\n")
        line.recv(64)  # an empty answer: it is going
