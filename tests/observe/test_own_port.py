"""`[metrics] port`: one page without a key, on a port that only the scraper reaches."""

from pathlib import Path

import httpx
import pytest

from gateway.configuration import load
from gateway.server import serving
from gateway.settings import Settings
from tests.end_to_end.stage import state_folder, today
from tests.ports import free_port

PREVIEW = """\
[state]
dir = "state"

[metrics]
port = {port}

[providers.local]
base_url = "embedded:preview"

[policies.preview]
tier = "preview"
offers = ["local/preview"]

[teams.tests]
policy = "preview"
"""


def configured(folder: Path, port: int) -> Settings:
    path = folder / "kontext.toml"
    path.write_text(PREVIEW.format(port=port))
    return load(path, {}, today())


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
async def test_the_metrics_have_a_port_of_their_own_without_a_key(accept: str) -> None:
    port = free_port()
    async with state_folder() as folder, httpx.AsyncClient() as http, serving(configured(folder, port)) as url:
        page = await http.get(f"http://127.0.0.1:{port}/metrics", headers={"accept": accept})
        assert page.status_code == 200
        assert page.headers["content-type"].startswith(accept.partition(";")[0] or "text/plain")
        assert "kontext_build_info{" in page.text
        assert (await http.get(f"http://127.0.0.1:{port}/v1/models")).status_code == 404
        assert (await http.get(f"{url}/metrics")).status_code == 401, "the main port still asks for a key"
