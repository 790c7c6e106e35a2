"""A real Prometheus beside a gateway, with the rules as they are shipped; and its answers."""

import asyncio
import os
import shutil
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.dashboards.rules import RULES
from tests.end_to_end.stage import eventually
from tests.ports import free_port

PROGRAM = shutil.which("prometheus")
EVERY_S = 0.5
WANTED = bool(PROGRAM) or bool(os.environ.get("CI"))
"""Without the program the tests that need it are skipped, but never in CI."""

CONFIG = """\
global: {{ scrape_interval: {every_ms}ms, evaluation_interval: {every_ms}ms }}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: kontext
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""


class Prometheus:
    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url, self._http = url, http

    async def ready(self) -> None:
        """It has scraped once."""

        async def scraped() -> bool:
            try:
                return bool(await self.series('up{job="kontext"} == 1'))
            except (httpx.HTTPError, AssertionError):
                return False

        await eventually(scraped, 20)

    async def series(self, expr: str) -> list[dict[str, Any]]:
        """What `expr` gives now: one entry a series. Fails for a query that Prometheus does not take."""
        return (await self._ask("query", query=expr))["result"]

    async def history(self, expr: str, began_s: float, step_s: float) -> list[dict[str, Any]]:
        now_s = time.time()
        return (await self._ask("query_range", query=expr, start=began_s, end=now_s, step=step_s))["result"]

    async def exemplars(self, expr: str) -> list[dict[str, Any]]:
        now_s = time.time()
        found: Any = await self._ask("query_exemplars", query=expr, start=now_s - 600, end=now_s)
        return [one for series in found for one in series["exemplars"]]

    async def _ask(self, what: str, **params: Any) -> Any:
        response = await self._http.get(f"{self.url}/api/v1/{what}", params=params)
        assert response.status_code == 200, response.text
        return response.json()["data"]


@asynccontextmanager
async def scraping(folder: Path, metrics_port: int, http: httpx.AsyncClient) -> AsyncGenerator[Prometheus]:
    """Prometheus begins to scrape five seconds after its start: `ready` waits for that."""
    config, port = folder / "prometheus.yml", free_port()
    config.write_text(CONFIG.format(every_ms=int(EVERY_S * 1000), rules=RULES, port=metrics_port))
    process = await asyncio.create_subprocess_exec(
        PROGRAM or "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=error",
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        yield Prometheus(f"http://127.0.0.1:{port}", http)
    finally:
        process.terminate()
        await process.wait()
