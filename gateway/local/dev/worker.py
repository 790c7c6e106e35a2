"""The process that holds the model: it takes orders on its input, one at a time, and answers on its output.

It ends when the server does (its input closes), so that no orphan keeps a card. A cancel is heard between two steps.
"""

import logging
import os
import queue
import sys
import threading
import time
import traceback
from typing import IO, NoReturn

import msgspec

from gateway.local.dev import memory, messages
from gateway.local.dev.messages import Broken, Cancel, Finished, NotLoaded, Order, Ready, Step, Stopped, ToWorker
from gateway.local.dev.options import Options
from gateway.local.dev.pipeline import Pipeline
from gateway.local.dev.weights import BadWeights

_log = logging.getLogger("gateway.local.dev")

NOT_LOADED = 2


class _Cancelled(Exception):  # noqa: N818 - raised through diffusers to stop it, which no flag of its own does at once
    pass


class Worker:
    def __init__(self, pipeline: Pipeline, inputs: IO[bytes], outputs: IO[bytes]) -> None:
        self._pipeline, self._inputs, self._outputs = pipeline, inputs, outputs
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._cancelled: set[str] = set()

    def run(self) -> NoReturn:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            order = self._orders.get()
            messages.write(self._outputs, self._made(order))
            self._cancelled.discard(order.id)

    def _listen(self) -> None:
        decoder = msgspec.msgpack.Decoder(ToWorker)
        while (message := messages.read(self._inputs, decoder)) is not None:
            if isinstance(message, Cancel):
                self._cancelled.add(message.id)
            else:
                self._orders.put(message)
        os._exit(0)

    def _made(self, order: Order) -> Finished | Stopped | Broken:
        began, reached = time.monotonic(), 0

        def on_step(done: int, steps: int) -> None:
            nonlocal reached
            reached = done
            messages.write(self._outputs, Step(order.id, done, steps))
            if order.id in self._cancelled:
                raise _Cancelled

        try:
            pictures = self._pipeline.edit(order, on_step)
        except _Cancelled:
            return Stopped(order.id, reached)
        except Exception as error:  # noqa: BLE001 - whatever an edit raises must not cost the loaded model
            what = "out_of_memory" if memory.is_lack(error) else type(error).__name__
            _report(what, error)
            del error
            self._pipeline.forget()
            return Broken(order.id, what, self._pipeline.memory())
        seconds = time.monotonic() - began
        return Finished(order.id, pictures, seconds, self._pipeline.memory(), self._pipeline.unread(order))


def _report(what: str, error: BaseException) -> None:
    """Where it broke, without the exception's own words: they could quote the prompt."""
    _log.error("an edit failed: %s\n%s", what, "".join(traceback.format_tb(error.__traceback__)))


def main() -> None:
    """`python -m gateway.local.dev.worker OPTIONS`, the options as JSON."""
    logging.basicConfig(format="%(name)s: %(message)s")
    outputs = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    options = msgspec.json.decode(sys.argv[1], type=Options)
    began = time.monotonic()
    try:
        pipeline = Pipeline(options)
        step_s = pipeline.warm_up() if options.warm_up else None
    except Exception as error:  # noqa: BLE001 - the libraries raise anything, and the operator reads one sentence
        messages.write(outputs, NotLoaded(_why(error, options)))
        sys.exit(NOT_LOADED)
    load_s = time.monotonic() - began
    ready = Ready(pipeline.device, pipeline.dtype, pipeline.offload, pipeline.memory(), load_s, step_s)
    messages.write(outputs, ready)
    Worker(pipeline, sys.stdin.buffer, outputs).run()


def _why(error: Exception, options: Options) -> str:
    if isinstance(error, BadWeights):
        return str(error)
    if isinstance(error, ImportError):
        return f"a library is missing: {error}. Install it with: pip install 'kontext-gateway[local]'"
    if memory.is_lack(error):
        return "there is not enough memory for the weights; try --offload model, --offload sequential, or --quantize"
    if "LocalEntryNotFound" in type(error).__name__ or "OfflineMode" in type(error).__name__:
        return f"{options.weights} is not on this machine; add --download, or give a folder"
    first = str(error).strip().split("\n", 1)[0]
    return f"{options.weights} could not be loaded: {type(error).__name__}: {first[:500]}"


if __name__ == "__main__":
    main()
