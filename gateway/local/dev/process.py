"""The worker as the server holds it: a process, with messages in and out."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import msgspec

from gateway.local.dev import messages
from gateway.local.dev.messages import ToServer, ToWorker
from gateway.local.dev.options import Options


class Process:
    """`send` may be called from any thread; `heard` by one."""

    def __init__(self, options: Options) -> None:
        words = [sys.executable, "-m", "gateway.local.dev.worker", msgspec.json.encode(options).decode()]
        self._popen = subprocess.Popen(  # noqa: S603 - our own module with our own options
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(options)
        )
        self._sending = threading.Lock()

    def __repr__(self) -> str:
        return f"Process({self.pid}, ended={self._popen.poll()})"

    @property
    def pid(self) -> int:
        return self._popen.pid

    def send(self, message: ToWorker) -> None:
        """To a process that is gone it sends nothing; whoever waits hears of the end otherwise."""
        assert self._popen.stdin is not None
        try:
            with self._sending:
                messages.write(self._popen.stdin, message)
        except (BrokenPipeError, ValueError):  # closed at the other end, or by us
            return

    def heard(self) -> Iterator[ToServer]:
        """All that it says until it ends."""
        assert self._popen.stdout is not None
        decoder = msgspec.msgpack.Decoder(ToServer)
        while (message := messages.read(self._popen.stdout, decoder)) is not None:
            yield message

    def ended(self) -> int:
        """Its exit code, which is awaited; negative for a signal."""
        code = self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:  # what was still buffered for it
                    continue
        return code

    def kill(self) -> None:
        self._popen.kill()


def _environment(options: Options) -> dict[str, str]:
    """Ours, which may hold CUDA's and the hub's own settings; silent, and offline unless a download is wanted."""
    quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error",
             "TOKENIZERS_PARALLELISM": "false"}  # fmt: skip
    offline = {} if options.download else {"HF_HUB_OFFLINE": "1"}
    return {**os.environ, **quiet, **offline}  # noqa: TID251 - handed on to the child, not read
