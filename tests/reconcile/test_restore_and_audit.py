"""What was spent outlives the store: the ledger gives it back, and the audit can say that nothing is missing."""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.books import BooksRefused
from gateway.configuration import load
from gateway.ledger.book import Book
from gateway.ledger.rows import Row, RowKind
from gateway.rehearsal.server import Rehearsal
from gateway.secret import key_hash
from gateway.server import serving
from gateway.settings import Settings
from gateway.state.connection import connect
from gateway.state.embedded import stop
from tests.end_to_end.processes import kontext
from tests.end_to_end.stage import PHOTO_URI, state_folder, today

KEY, ADMIN = "kx_growth", "kx_office"
CONFIG = """\
[state]
dir = "state"

[ledger]
url = "sqlite:ledger.db"

[providers.runware]
api_key = "file:key"
base_url = "{url}/runware/v1"
[providers.runware.models.kontext-pro]
usual_s = 0.2

[policies.pro]
offers = ["runware/kontext-pro"]

[teams.growth]
policy = "pro"
keys = [{{ id = "ci", hash = "{hash}" }}]
budget = {{ total_usd = "0.10" }}

[teams.office]
policy = "pro"
[[teams.office.keys]]
id = "desk"
hash = "{admin}"
scopes = ["admin"]
"""


class Books:
    """A gateway's folder, and what may happen to it."""

    def __init__(self, folder: Path, rehearsal: Rehearsal) -> None:
        (folder / "key").write_text(rehearsal.key)
        self.file = folder / "kontext.toml"
        self.file.write_text(CONFIG.format(url=rehearsal.url, hash=key_hash(KEY), admin=key_hash(ADMIN)))
        self.folder, self.rehearsal = folder, rehearsal

    def settings(self) -> Settings:
        return load(self.file, {}, today())

    async def edit(self, url: str, key: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {KEY}", "idempotency-key": key}
        async with httpx.AsyncClient(timeout=30) as http:
            document = {"prompt": "Make it blue", "images": [PHOTO_URI]}
            return await http.post(f"{url}/v1/edits", json=document, headers=headers)

    async def lose_the_folder(self) -> None:
        await stop(self.settings().state_dir)
        shutil.rmtree(self.settings().state_dir)

    async def lose_the_store(self) -> None:
        async with self.store() as store:
            await store.flushall()

    @asynccontextmanager
    async def store(self) -> AsyncGenerator[Redis]:
        settings = self.settings()
        store = await connect("embedded:", folder=settings.state_dir)
        try:
            yield store
        finally:
            await store.aclose()

    async def command(self, *words: str) -> tuple[int, str]:
        code, out, err = await kontext(*words, "--config", str(self.file), cwd=self.folder)
        return code, out + err


@pytest.fixture
async def books() -> AsyncGenerator[Books]:
    async with Rehearsal.serve(seconds=0.1, fast=True) as rehearsal, state_folder() as folder:
        found = Books(folder, rehearsal)
        yield found
        await stop(found.settings().state_dir)


async def test_an_audit_of_a_running_gateway_finds_nothing(books: Books) -> None:
    async with serving(books.settings()) as url:
        answers = await asyncio.gather(*(books.edit(url, str(number)) for number in range(2)))
        assert [answer.status_code for answer in answers] == [200, 200]
        code, said = await books.command("audit")
    assert code == 0, said
    assert "$0.080000 spent, $0.000000 held" in said


async def test_an_audit_names_a_difference_and_says_so_by_its_exit(books: Books) -> None:
    async with serving(books.settings()) as url:
        assert (await books.edit(url, "a")).status_code == 200
    async with books.store() as store:
        await store.hset("{kontext}:budget:team:growth:total", "spent", "39999")
    code, said = await books.command("audit")
    assert code == 1
    assert "team:growth" in said


async def test_a_gateway_refuses_a_lost_store_until_it_is_restored(books: Books) -> None:
    async with serving(books.settings()) as url:
        first = await books.edit(url, "a")
        assert (await books.edit(url, "b")).status_code == 200
    await books.lose_the_store()

    with pytest.raises(BooksRefused, match="kontext restore"):
        async with serving(books.settings()):
            pass
    code, said = await books.command("restore")
    assert (code, "nothing was done" in said, "$0.080000" in said) == (0, True, True)
    code, said = await books.command("restore", "--yes")
    assert (code, "restored" in said) == (0, True), said

    async with serving(books.settings()) as url:
        third = await books.edit(url, "c")
        assert (third.status_code, third.json()["left_usd"]) == (402, "0.020000")
        again = await books.edit(url, "a")  # its record is gone, but it is not bought again
        assert again.status_code == 404, first.json()["id"]
    assert len(books.rehearsal.bill.entries) == 2
    code, said = await books.command("audit")
    assert code == 0, said
    code, said = await books.command("restore", "--yes")
    assert (code, "not empty" in said) == (2, True)


async def test_an_edit_that_was_under_way_comes_back_unresolved_with_its_money_held(books: Books) -> None:
    books.rehearsal.faults.add("runware", "slow", seconds=60)
    async with serving(books.settings()) as url:
        headers = {"authorization": f"Bearer {KEY}", "prefer": "respond-async"}
        async with httpx.AsyncClient() as http:
            document = {"prompt": "Make it blue", "images": [PHOTO_URI]}
            accepted = await http.post(f"{url}/v1/edits", json=document, headers=headers)
        assert accepted.status_code == 202
    await books.lose_the_store()
    books.rehearsal.faults.reset()
    code, said = await books.command("restore", "--yes")
    assert (code, "1 edits come back with money held" in said) == (0, True), said

    async with serving(books.settings()) as url:
        async with httpx.AsyncClient() as http:
            found = await http.get(f"{url}/v1/edits/{accepted.json()['id']}", headers=headers)
        assert (found.status_code, found.json()["status"]) == (200, "unresolved")
        assert (await books.edit(url, "a")).status_code == 200
        assert (await books.edit(url, "b")).json()["left_usd"] == "0.020000"
    code, said = await books.command("audit")
    assert code == 0, said


async def test_an_edit_without_a_known_attempt_holds_its_money_until_an_operator_releases_it(books: Books) -> None:
    async with serving(books.settings()) as url:
        assert (await books.edit(url, "a")).status_code == 200
    await books.lose_the_store()
    book = await Book.open(f"sqlite:{books.folder / 'ledger.db'}")
    row = Row(id="edit_1/accept", kind=RowKind.ACCEPT, edit="edit_1", team="growth", key_id="ci", at_ms=1, place="0")
    await book.write([replace(row, held_micro=40_000, tier="standard", policy="pro")])
    await book.aclose()
    code, said = await books.command("restore", "--yes")
    assert (code, "of 1 of them no attempt is known" in said) == (0, True), said

    async with serving(books.settings()) as url, httpx.AsyncClient() as http:
        assert (await books.edit(url, "b")).json()["left_usd"] == "0.020000"
        office = {"authorization": f"Bearer {ADMIN}"}
        (found,) = (await http.get(f"{url}/admin/unresolved", headers=office)).json()
        assert (found["edit"], found["attempt"], found["held_usd"]) == ("edit_1", None, "0.040000")
        body = {"verdict": "released", "note": "nothing on the bill"}
        answers = [await http.post(f"{url}/admin/edits/edit_1/verdict", headers=office, json=body) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 409]
        assert answers[0].json() == {"edit": "edit_1", "edit_status": "failed"}
        assert (await http.get(f"{url}/admin/unresolved", headers=office)).json() == []
        assert (await books.edit(url, "b")).status_code == 200
    async with serving(books.settings()) as url, httpx.AsyncClient() as http:
        (note,) = [one["note"] for one in (await http.get(f"{url}/admin/corrections", headers=office)).json()]
        assert note == "office/desk: nothing on the bill"
    code, said = await books.command("audit")
    assert code == 0, said


async def test_a_secret_that_was_lost_with_its_folder_is_asked_for_by_name(books: Books) -> None:
    async with serving(books.settings()) as url:
        assert (await books.edit(url, "a")).status_code == 200
    backup = books.settings().secret_file.read_text()
    await books.lose_the_folder()

    with pytest.raises(BooksRefused, match=r"\[server\] secret"):
        async with serving(books.settings()):
            pass
    code, said = await books.command("restore")
    assert (code, "[server] secret" in said) == (0, True), said
    code, said = await books.command("restore", "--yes")
    assert (code, "--new-secret" in said) == (2, True), said

    books.settings().secret_file.write_text(backup)
    code, said = await books.command("restore", "--yes")
    assert (code, "secret" in said) == (0, False), said
    async with serving(books.settings()) as url:
        assert (await books.edit(url, "b")).status_code == 200


async def test_without_a_backup_the_secret_is_given_up_by_a_word_of_its_own(books: Books) -> None:
    async with serving(books.settings()) as url:
        assert (await books.edit(url, "a")).status_code == 200
    await books.lose_the_folder()
    code, said = await books.command("restore", "--yes", "--new-secret")
    assert code == 0, said
    async with serving(books.settings()):
        assert books.settings().secret_file.exists()
