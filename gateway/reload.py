"""A changed configuration, taken while the gateway runs: read and validated whole, then put in force whole, or refused
with the words of `kontext check` while the old one stays.

The folder is watched and not the file: an editor replaces the file, and a mounted ConfigMap turns a link beside it.
SIGHUP asks too, for what a file does not show (a secret that it refers to).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace
from watchfiles import Change, awatch  # pyright: ignore[reportUnknownVariableType] - one of its types is open

from gateway.clock import Clock
from gateway.configuration import SettingsError
from gateway.current import Current
from gateway.observe import Metrics, log, never_log
from gateway.observe.zeroes import close_labels
from gateway.settings import Settings, Source
from gateway.task import running

FIXED = (
    "server",
    "state",
    "state_dir",
    "engine",
    "ledger_url",
    "results_url",
    "retention_s",
    "uploads_s",
    "prompts_s",
    "allow_hosts",
    "proxy",
    "metrics",
    "clients",
)
"""What rooms were opened with. A change of it waits for a restart."""

_DEBOUNCE_MS = 200
_STILL_S = 0.1
_DEFECT = "it could not be taken for a defect of the gateway's own: see reload_failed in its log"
_NO_KEYS = "no team has a key, so nobody could use the gateway; give one by `kontext key new TEAM`, or stop the process"


class Reloader:
    def __init__(self, current: Current, source: Source, metrics: Metrics, clock: Clock) -> None:
        self._current, self._source, self._metrics, self._clock = current, source, metrics, clock
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Soon. Several asks are one."""
        self._asked.set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with running(self._go_on(), "reload"), running(self._watch(), "watch"):
            yield

    async def _go_on(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self.reload()

    async def _watch(self) -> None:
        path = self._source.path
        if path is None:
            return
        try:
            async for _ in awatch(path.parent.absolute(), watch_filter=_concerns(path.name), debounce=_DEBOUNCE_MS):
                self.ask()
        except Exception as error:  # noqa: BLE001 - the system's, or the watcher's own: without it there is still the signal
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            log.warning("configuration_not_watched", error=why, instead="send SIGHUP after a change")

    async def reload(self) -> None:
        """Reads what is there now, and takes it or says why not."""
        try:
            await self._reload()
        except Exception as error:  # noqa: BLE001 - a defect must not end this: a key that is taken out later must count
            log.error("reload_failed", error=type(error).__name__, exc_info=error)
            self._refuse(_DEFECT)

    async def _reload(self) -> None:
        """A file that is still being written is waited for: the half of one may be valid, and nothing at all is."""
        while self._source.path and await self._is_being_written():
            pass
        try:
            found = await asyncio.to_thread(self._source.read)
        except SettingsError as error:
            self._refuse(str(error))
        else:
            self._take(found) if found.keys else self._refuse(_NO_KEYS)

    async def _is_being_written(self) -> bool:
        before = await asyncio.to_thread(_look, self._source.path)
        await self._clock.sleep(_STILL_S)
        return before != await asyncio.to_thread(_look, self._source.path)

    def _refuse(self, why: str) -> None:
        self._current.refusal = why
        self._metrics.reloads.labels("refused").inc()
        self._metrics.config_refused.set(1)
        log.error("configuration_refused", why=why, in_force=self._current.settings.revision)

    def _take(self, found: Settings) -> None:
        before = self._current.settings
        if waits := changed(before, found):
            log.warning("configuration_needs_restart", fields=waits, until_then="their old values are in force")
        taken = replace(found, secrets=before.secrets, **{name: getattr(before, name) for name in FIXED})
        never_log(found.secret_texts)
        close_labels(self._metrics, taken.offers, taken.policies)
        self._metrics.configured(taken.revision)
        self._current.replace(taken)  # when nothing can fail any more
        self._metrics.reloads.labels("unchanged" if taken.revision == before.revision else "applied").inc()
        self._metrics.config_refused.set(0)
        self._metrics.reloaded_at.set(self._clock.now_ms() / 1000)
        log.info("configuration_taken", revision=taken.revision, before=before.revision)


def changed(before: Settings, found: Settings) -> list[str]:
    """The fields that differ and cannot be replaced in a running process."""
    fields = [name for name in FIXED if getattr(before, name) != getattr(found, name)]
    if before.secrets != found.secrets:
        fields.append("server.secret")
    return fields


def _look(path: Path | None) -> tuple[int, int] | None:
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return found and (found.st_mtime_ns, found.st_size)


def _concerns(name: str) -> Callable[[Change, str], bool]:
    """Of the folder's changes: the file itself, and the links (`..data`) through which a ConfigMap changes."""

    def concerns(_: Change, changed_path: str) -> bool:
        other = Path(changed_path).name
        return other == name or other.startswith("..")

    return concerns
