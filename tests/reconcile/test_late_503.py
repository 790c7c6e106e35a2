"""A provider that answers 503 and takes the work all the same. Where its 503 is trusted, the edit goes to another
offer; the id is looked at again, and the charge that came late is booked as what it is."""

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from gateway.configuration import load
from gateway.ledger.book import Book
from gateway.ledger.rows import Mark, Row, RowKind
from gateway.rehearsal.server import Rehearsal
from gateway.rehearsal.verdict import judge
from gateway.secret import key_hash
from gateway.server import serving
from gateway.settings import Settings
from gateway.state.embedded import stop
from tests.end_to_end.stage import PHOTO_URI, eventually, state_folder, today
from tests.faults.tragedy import charges_of

CONFIG = """\
[state]
dir = "state"

[ledger]
url = "sqlite:ledger.db"
reconcile_s = 0.3

[providers.runware]
api_key = "file:key"
base_url = "{url}/runware/v1"
trust_503 = true
[providers.runware.models.kontext-pro]
usual_s = 0.2

[providers.runflow]
api_key = "file:key"
base_url = "{url}/runflow"
trust_503 = true
[providers.runflow.models.kontext-pro]
usual_s = 0.2

[policies.runware]
offers = ["runware/kontext-pro", "runflow/kontext-pro"]
[policies.runflow]
offers = ["runflow/kontext-pro", "runware/kontext-pro"]

[teams.growth]
policy = "runware"
keys = ["{hash}"]
"""


class Office:
    def __init__(self, settings: Settings, folder: Path, rehearsal: Rehearsal) -> None:
        self.settings, self.folder, self.rehearsal = settings, folder, rehearsal

    async def rows(self) -> list[Row]:
        book = await Book.open(f"sqlite:{self.folder / 'ledger.db'}")
        try:
            return [row async for row in book.rows()]
        finally:
            await book.aclose()


@pytest.fixture
async def office() -> AsyncGenerator[Office]:
    async with Rehearsal.serve(seconds=0.1, fast=True) as rehearsal, state_folder() as folder:
        (folder / "key").write_text(rehearsal.key)
        file = folder / "kontext.toml"
        file.write_text(CONFIG.format(url=rehearsal.url, hash=key_hash("kx_growth")))
        settings = load(file, {}, today())
        yield Office(settings, folder, rehearsal)
        await stop(settings.state_dir)


@pytest.mark.parametrize("provider", ["runware", "runflow"])
async def test_a_late_acceptance_behind_a_trusted_503_is_booked_as_a_duplicate(office: Office, provider: str) -> None:
    office.rehearsal.faults.add(provider, "accept_late", times=1, seconds=0.5)
    async with serving(office.settings) as url, httpx.AsyncClient(timeout=30) as http:
        headers = {"authorization": "Bearer kx_growth"}
        document = {"prompt": "Make it blue", "images": [PHOTO_URI], "policy": provider}
        answer = (await http.post(f"{url}/v1/edits", json=document, headers=headers)).json()
        assert (answer["status"], answer["cost"]["usd"]) == ("succeeded", "0.040000")
        assert answer["provider"] != provider

        async def booked() -> Row | None:
            return next((row for row in await office.rows() if row.kind is RowKind.CORRECT), None)

        row = await eventually(booked)
        assert (row.attempt, row.settled_micro, row.mark) == (1, 40_000, Mark.DUPLICATE_CHARGE)
    charges = charges_of(office.rehearsal)
    assert sorted(charge.provider for charge in charges) == ["runflow", "runware"]
    verdict = judge({"it": "succeeded"}, charges, await office.rows())
    assert verdict.is_clean, verdict
    assert (verdict.duplicates, verdict.booked_micro) == (1, 80_000)
