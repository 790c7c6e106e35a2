"""After the store was lost: what nobody wrote down is not bought again, and what was under way is still delivered."""

import json
import shutil
from pathlib import Path

import httpx

from gateway.engine.timing import Timing
from gateway.server import serving
from tests.end_to_end.stage import PHOTO_URI, Answer, eventually
from tests.reconcile.test_restore_and_audit import KEY, Books, books

__all__ = ["books"]

AUTHORIZED = {"authorization": f"Bearer {KEY}"}


def copied(books: Books, name: str) -> None:
    """The ledger's file of a gateway that is closed, to `name`."""
    shutil.copy(books.folder / "ledger.db", books.folder / name)


def put_back(books: Books, name: str) -> None:
    for file in books.folder.glob("ledger.db*"):
        file.unlink()
    shutil.copy(books.folder / name, books.folder / "ledger.db")


async def test_a_retry_of_a_key_whose_rows_were_lost_adopts_what_was_bought(books: Books) -> None:
    async with serving(books.settings()) as url:
        assert (await books.edit(url, "a")).status_code == 200
    copied(books, "yesterday.db")
    async with serving(books.settings()) as url:
        first = await books.edit(url, "b")
    assert first.status_code == 200
    await books.lose_the_store()
    put_back(books, "yesterday.db")
    assert (await books.command("restore", "--yes"))[0] == 0

    async with serving(books.settings()) as url:
        again = await books.edit(url, "b")
    assert again.status_code == 200, again.text
    assert again.json()["id"] != first.json()["id"]
    assert again.json()["images"][0]["sha256"] == first.json()["images"][0]["sha256"]
    assert [entry.cost_micro_usd for entry in books.rehearsal.bill.entries] == [40_000, 40_000]
    submits = [entry.ids for entry in books.rehearsal.log.of("runware", "submit")]
    assert (len(submits), len(set(submits))) == (3, 2), "the third had the id of the second"
    code, said = await books.command("audit", "--bill", str(bill(books)))
    assert code == 0, said


def bill(books: Books) -> Path:
    """What the stand-in at Runware charged, as a file."""
    charges = [
        {"provider": entry.provider.value, "key": entry.key, "amount_micro": entry.cost_micro_usd}
        for entry in books.rehearsal.bill.entries
    ]
    path = books.folder / "bill.json"
    path.write_text(json.dumps({"providers": ["runware"], "charges": charges}))
    return path


async def test_a_lost_edit_is_found_delivered_late_and_paid_once(books: Books) -> None:
    books.rehearsal.faults.add("runware", "slow", times=1, seconds=3)
    async with serving(books.settings()) as url, httpx.AsyncClient() as http:
        document = {"prompt": "Make it blue", "images": [PHOTO_URI], "metadata": {"campaign": "spring"}}
        headers = {**AUTHORIZED, "prefer": "respond-async"}
        accepted = await http.post(f"{url}/v1/edits", json=document, headers=headers)
        await eventually(lambda: _submitted(books))
    await books.lose_the_store()
    assert (await books.command("restore", "--yes"))[0] == 0

    async with serving(books.settings(), timing=Timing(reconcile_s=0.2)) as url, httpx.AsyncClient() as http:

        async def ended() -> Answer | None:
            answer = (await http.get(f"{url}/v1/edits/{accepted.json()['id']}", headers=AUTHORIZED)).json()
            return answer if answer["status"] != "unresolved" else None

        answer = await eventually(ended)
        assert (answer["status"], answer["late"], answer["provider"]) == ("succeeded", True, "runware")
        assert (answer["cost"]["usd"], answer["sent"], answer["adjustments"]) == ("0.040000", {}, [])
        assert answer["routing"]["revision"] == "restored"
        assert answer["images"][0]["warnings"] == []
        assert (await http.get(answer["images"][0]["url"])).status_code == 200
    assert len(books.rehearsal.bill.entries) == 1
    code, said = await books.command("audit", "--bill", str(bill(books)))
    assert code == 0, said


async def _submitted(books: Books) -> bool:
    return bool(books.rehearsal.bill.entries)
