"""The engine that the server runs: it keeps one worker alive and gives it one edit after the other.

`render` is called in as many threads as edits have a place, and waits there; a thread of its own listens to the worker
and starts another when it dies. One lock guards all that both see.
"""

import logging
import secrets
import signal
import threading
from collections.abc import Callable
from typing import Literal

from gateway.local.dev import canvas
from gateway.local.dev.canvas import Canvas
from gateway.local.dev.line import Entry, Line, Outcome
from gateway.local.dev.messages import (
    Broken,
    Cancel,
    Finished,
    Memory,
    NotLoaded,
    Order,
    Pixels,
    Ready,
    Step,
    Stopped,
    ToServer,
)
from gateway.local.dev.metrics import Metrics
from gateway.local.dev.options import Options
from gateway.local.dev.process import Process
from gateway.local.engine import Ask, Health, Progress, Queue, Rendered
from gateway.local.problem import Problem

_log = logging.getLogger("gateway.local.dev")

FOLLOWS = frozenset({"seed", "negative_prompt", "guidance_scale", "true_cfg_scale", "num_inference_steps"})
TRUE_CFG = 2.0  # where a negative prompt comes without one: at 1 the pipeline would not look at it
GUESS_STEP_S = 1.0  # before a warm-up or an edit has measured one
GUESS_LOAD_S = 30.0
RESTARTS_S = (0.0, 1.0, 5.0, 30.0)  # the last again and again
LACK = "out_of_memory"
GONE = "worker_died"
SLOW = "timeout"


class KontextDev:
    name = "kontext-dev"
    model = "kontext-dev"
    follows = FOLLOWS

    def __init__(self, options: Options, fatal: Callable[[str], None] = lambda _: None) -> None:
        """`fatal` hears why the weights could not be loaded at the first start; later ones are tried again."""
        self._options, self._fatal = options, fatal
        self._news = threading.Condition()
        self._line = Line()
        self._metrics = Metrics()
        self._state: Literal["loading", "ready", "failed"] = "loading"
        self._process: Process | None = None
        self._ready: Ready | None = None
        self._memory: Memory | None = None
        self._why: str | None = None
        self._starts = 0
        self._stopping = threading.Event()

    def __repr__(self) -> str:
        return f"KontextDev({self._state}, {self._line})"

    def start(self) -> None:
        threading.Thread(target=self._keep, name="kontext-dev", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        if self._process is not None:
            self._process.kill()

    # --- the worker, in the listening thread ---

    def _keep(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            process = self._begun()
            for message in process.heard():
                self._hear(message)
            was_ready = self._lost(process.ended())
            if self._ready is None and not self._stopping.is_set():
                self._fatal(self._why or "the worker ended while it loaded")
                return
            failures = 0 if was_ready else failures + 1
            self._stopping.wait(RESTARTS_S[min(failures, len(RESTARTS_S) - 1)])

    def _begun(self) -> Process:
        with self._news:
            self._process, self._state = Process(self._options), "loading"
            self._starts += 1
            self._metrics.started()
            return self._process

    def _hear(self, message: ToServer) -> None:
        with self._news:
            match message:
                case Ready():
                    self._ready, self._memory, self._state, self._why = message, message.memory, "ready", None
                    _log.info("ready on %s in %s", message.device, message.dtype)
                case NotLoaded():
                    self._why, self._state = message.message, "failed"
                case Step():
                    if entry := self._line.find(message.id):
                        entry.step = message.done
                case Finished() | Broken() | Stopped():
                    if not isinstance(message, Stopped):
                        self._memory = message.memory
                    if entry := self._line.find(message.id):
                        entry.outcome = message
            self._news.notify_all()

    def _lost(self, code: int) -> bool:
        """The worker is gone: the edit that it had fails, those that wait go on waiting for the next one. Whether it
        had been ready."""
        with self._news:
            was_ready = self._state == "ready"
            if not self._stopping.is_set():
                _log.error("the worker ended (%s); another is started", _said(code))
            if self._state != "failed":
                self._why = None if was_ready else f"the worker ended while it loaded ({_said(code)})"
                self._state = "loading" if was_ready else "failed"
            if entry := self._line.running:
                entry.outcome = entry.outcome or Broken(entry.edit, GONE, Memory("", 0, 0, 0))
            self._news.notify_all()
            return was_ready

    # --- an edit, in a thread of its own ---

    def render(self, ask: Ask) -> Rendered:
        """Raises BadPicture, or Problem for all else that keeps the edit from its end."""
        ready_made = canvas.prepare(ask, self._options.max_pixels)
        order = self._order(ask, ready_made)
        finished = self._made(order)
        files = [canvas.finish(ready_made, made, ask) for made in finished.pictures]
        facts: dict[str, str | int | float] = {
            "id": order.id,
            "generated": f"{order.size[0]}x{order.size[1]}",
            "steps": order.steps,
            "guidance_scale": order.guidance,
            "true_cfg_scale": order.true_cfg_scale,
            "inference_time_s": round(finished.seconds, 3),  # as SGLang calls it; its wait in the queue is no work
        }
        seeds = tuple(map(order.seed_of, range(order.count)))
        return Rendered(files[0], *ready_made.size, (), finished.unread, tuple(files[1:]), seeds, facts)

    def _order(self, ask: Ask, prepared: Canvas) -> Order:
        cfg = ask.true_cfg_scale or (TRUE_CFG if ask.negative_prompt else 1.0)
        picture: Pixels = canvas.pixels(prepared.picture)
        return Order(
            id=ask.id or secrets.token_hex(8),
            prompt=ask.prompt.encode("utf-8", "replace").decode(),
            picture=picture,
            mask=canvas.mask(prepared),
            size=prepared.made,
            seed=secrets.randbelow(2**32) if ask.seed is None else ask.seed,
            count=ask.count,
            steps=ask.steps or self._options.steps,
            guidance=self._options.guidance if ask.guidance is None else ask.guidance,
            negative_prompt=ask.negative_prompt or None,
            true_cfg_scale=cfg,
        )

    def _made(self, order: Order) -> Finished:
        entry = Entry(order.id, order.steps * order.count)
        with self._news:
            if self._line.find(order.id):
                raise Problem(400, "an edit of this id is in the server", param="x-edit-id", code="duplicate_id")
            self._line.entries.append(entry)
            progress = Progress("failed", 0, entry.steps)
            try:
                self._await_turn(entry)
                outcome = self._outcome(entry, order)
                progress = Progress(_STATES[type(outcome)], entry.step, entry.steps)
            finally:
                if entry.cancelled and progress.state == "failed":
                    progress = Progress("cancelled", entry.step, entry.steps)
                self._line.leave(entry, progress)
                self._news.notify_all()
        self._count(outcome)
        if isinstance(outcome, Finished):
            return outcome
        raise _problem(outcome)

    def _await_turn(self, entry: Entry) -> None:
        self._news.wait_for(
            lambda: (
                entry.cancelled or self._state == "failed" or (self._line.is_first(entry) and self._state == "ready")
            )
        )
        if entry.cancelled:
            raise _cancelled(0)
        if self._state == "failed":
            raise self._not_ready()

    def _outcome(self, entry: Entry, order: Order) -> Outcome:
        assert self._process is not None
        process = self._process
        self._line.begin(entry)
        self._news.release()  # a picture takes a while through a pipe
        try:
            process.send(order)
        finally:
            self._news.acquire()
        if entry.cancelled:
            process.send(Cancel(order.id))
        if not self._news.wait_for(lambda: entry.outcome is not None, self._options.timeout_s):
            _log.error("an edit took more than %g s; its worker is ended", self._options.timeout_s)
            process.kill()
            return Broken(order.id, SLOW, Memory("", 0, 0, 0))
        assert entry.outcome is not None
        return entry.outcome

    def _count(self, outcome: Outcome) -> None:
        with self._news:
            match outcome:
                case Finished():
                    self._line.measure(outcome.seconds)
                    self._metrics.ended("succeeded", outcome.seconds)
                case Stopped():
                    self._metrics.ended("cancelled")
                case Broken():
                    self._metrics.ended(outcome.what)

    # --- what the server asks ---

    def check(self) -> None:
        with self._news:
            if self._state != "ready":
                raise self._not_ready()

    def _not_ready(self) -> Problem:
        if self._state == "loading":
            retry = self._ready.load_s if self._ready else GUESS_LOAD_S
            return Problem(503, "the model is being loaded; come back", code="loading", retry_s=max(1, round(retry)))
        return Problem(503, "the model could not be loaded; the server's log says why", code="not_loaded", retry_s=30)

    def retry_s(self) -> int:
        with self._news:
            step_s = (self._ready.step_s if self._ready else None) or GUESS_STEP_S
            return self._line.place_in_s(step_s * self._options.steps)

    def cancel(self, edit: str) -> Progress | None:
        with self._news:
            entry = self._line.find(edit)
            if entry is None:
                return None
            entry.cancelled = True
            if entry.began_s is not None and self._process is not None:
                self._process.send(Cancel(edit))
            self._news.notify_all()
            return entry.progress()

    def progress(self, edit: str) -> Progress | None:
        with self._news:
            return self._line.progress(edit)

    def health(self, limit: int) -> Health:
        with self._news:
            running = int(self._line.running is not None)
            memory = self._memory
            return Health(
                status=self._state,
                engine=self.name,
                queue=Queue(running, len(self._line.entries) - running, limit),
                seconds_per_edit=self._line.seconds_per_edit,
                edits={entry.edit: entry.progress() for entry in self._line.entries},
                memory={} if memory is None else {
                    "device": memory.device, "used": memory.used, "peak": memory.peak, "total": memory.total
                },
                worker=self._worker(),
                message=self._why,
            )  # fmt: skip

    def _worker(self) -> dict[str, int | float | str | None]:
        told: dict[str, int | float | str | None] = {"starts": self._starts}
        if self._process is not None:
            told["pid"] = self._process.pid
        if self._ready is not None:
            ready = self._ready
            told |= {"dtype": ready.dtype, "offload": ready.offload, "load_s": ready.load_s, "step_s": ready.step_s}
        return told

    def metrics(self) -> bytes:
        return self._metrics.rendered(self.health(0))


_STATES: dict[type[Outcome], Literal["succeeded", "failed", "cancelled"]] = {
    Finished: "succeeded",
    Stopped: "cancelled",
    Broken: "failed",
}

BROKEN: dict[str, tuple[int, str]] = {
    LACK: (
        500,
        (
            "there was not enough memory for this edit. Start the server with a smaller --max-pixels, with --offload or"
            " with --quantize"
        ),
    ),
    GONE: (500, "the worker process died at this edit, most likely for lack of memory; another is being started"),
    SLOW: (504, "the edit took longer than the server's --timeout; the worker is started anew"),
}


def _problem(outcome: Stopped | Broken) -> Problem:
    if isinstance(outcome, Stopped):
        return _cancelled(outcome.done)
    status, message = BROKEN.get(outcome.what, (500, "the model failed at this edit; the server's log says where"))
    return Problem(status, message, code=outcome.what if outcome.what in BROKEN else "engine_error")


def _cancelled(step: int) -> Problem:
    return Problem(499, f"the edit was cancelled after {step} steps", code="cancelled")


def _said(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
