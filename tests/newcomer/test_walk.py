"""A newcomer's walk: from an empty environment and a fresh clone to a first edit, a second provider, a budget and data
for the dashboards; then from the release before to this one, with edits in flight."""

import json
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.end_to_end.processes import EXTRA, KEY, Field, Server, field_of, kontext
from tests.newcomer.releases import Release, git, installed, needed, previous

pytestmark = [pytest.mark.newcomer, pytest.mark.asyncio(loop_scope="module")]

PHOTO = Path(__file__).parents[2] / "gateway" / "photos" / "coffee.png"
BUDGET = """
[teams.thrifty]
policy = "production"
keys = ["sha256:{hash}"]
budget = {{ day_usd = "0.10" }}
"""
IN_FLIGHT = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needed()
    return tmp_path_factory.mktemp("releases")


@pytest.fixture(scope="module")
def new(folder: Path) -> Release:
    return installed(folder / "new", git("rev-parse", "HEAD"))


@pytest.fixture(scope="module")
def old(folder: Path) -> Release:
    return installed(folder / "old", previous())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def field() -> AsyncGenerator[Field]:
    async with field_of(EXTRA, seconds=0.5) as it:
        yield it


async def asked(release: Release, field: Field, server: Server, *words: str, key: str = KEY) -> tuple[int, str, str]:
    place = field.folder
    return await kontext(
        *words, cwd=place, program=release.program, PYTHONPATH="", KONTEXT_URL=server.url, KONTEXT_API_KEY=key
    )


async def test_from_nothing_to_a_bill_that_one_can_read(new: Release, field: Field) -> None:
    code, out, _ = await kontext("key", "new", "thrifty", cwd=field.folder, program=new.program, PYTHONPATH="")
    assert code == 0
    key = next(word for word in out.split() if word.startswith("kx_"))
    told = next(word for word in out.replace('"', " ").split() if word.startswith("sha256:"))
    field.config.write_text(field.config.read_text() + BUDGET.format(hash=told.removeprefix("sha256:")))
    server = await field.gateway(new.program, PYTHONPATH="")
    edit = ("edit", str(PHOTO), "Make the mug blue", "--json")

    code, out, err = await asked(new, field, server, *edit, "-o", "first.png")
    assert (code, json.loads(out)["provider"]) == (0, "runware"), err
    assert (field.folder / "first.png").stat().st_size > 10_000

    await field.fault("runware", fault="down", times=100)
    code, out, err = await asked(new, field, server, *edit, "-o", "second.png", key=key)
    assert (code, json.loads(out)["provider"]) == (0, "runflow"), err
    code, _, err = await asked(new, field, server, *edit, "-o", "third.png", key=key)
    assert code == 4, f"the budget is a wall: {err}"

    headers = {"authorization": f"Bearer {KEY}"}
    told = (await field.http.get(f"{server.url}/metrics", headers=headers)).text
    assert "kontext_edits_total{" in told
    code, out, _ = await asked(new, field, server, "usage", "--by", "model", "--json")
    assert code == 0
    assert len(json.loads(out)) >= 1
    await field.reset()
    assert await server.end(signal.SIGTERM) == 0


async def test_an_upgrade_with_edits_in_flight_loses_none_and_pays_none_twice(
    new: Release, old: Release, field: Field
) -> None:
    """Both releases work on one state and one ledger for a while; each takes over what the other left in the middle."""
    paid_before = len(await field.charges())
    for provider in ("runware", "runflow"):
        await field.fault(provider, fault="slow", times=100, seconds=4)
    edits: list[str] = []

    async def begun(server: Server) -> None:
        policies = ("production", "runflow_first") * (IN_FLIGHT // 2)
        edits.extend([await field.begin(server, policy=policy) for policy in policies])
        await field.submitted(paid_before + len(edits))

    before = await field.gateway(old.program, PYTHONPATH="")
    await begun(before)
    after = await field.gateway(new.program, PYTHONPATH="")
    await begun(after)
    await begun(before)
    assert await before.end(signal.SIGTERM, within_s=25) == 0
    answers = [await field.ended(after, edit, within_s=60) for edit in edits]
    assert [answer["status"] for answer in answers] == ["succeeded"] * len(edits)

    # And back: what this release left in the middle, the one before can end.
    rolled_back = await field.gateway(old.program, PYTHONPATH="")
    await begun(after)
    after.process.send_signal(signal.SIGKILL)
    answers = [await field.ended(rolled_back, edit, within_s=60) for edit in edits]
    assert [answer["status"] for answer in answers] == ["succeeded"] * len(edits)
    assert len(await field.charges()) == paid_before + len(edits)
    assert await rolled_back.end(signal.SIGTERM, within_s=25) == 0
    code, out, err = await kontext(
        "audit", "--config", str(field.config), cwd=field.folder, program=new.program, PYTHONPATH=""
    )
    assert code == 0, out + err
