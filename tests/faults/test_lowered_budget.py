"""A budget is lowered below what is spent and held while edits run: they settle, and nothing new is let in."""

import asyncio

import httpx

from gateway.rehearsal.faults import Fault, Script
from gateway.server import serving
from tests.end_to_end.stage import PHOTO_URI, Answer, eventually
from tests.reconcile.test_restore_and_audit import KEY, Books, books

__all__ = ["books"]

AUTHORIZED = {"authorization": f"Bearer {KEY}"}
ENDED = ("succeeded", "failed")


def lower(books: Books, cap: str) -> None:
    books.file.write_text(books.file.read_text().replace('total_usd = "0.10"', f'total_usd = "{cap}"'))


async def begun(http: httpx.AsyncClient, url: str) -> str:
    document = {"prompt": "Make it blue", "images": [PHOTO_URI]}
    answer = await http.post(f"{url}/v1/edits", json=document, headers={"prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def end_of(http: httpx.AsyncClient, url: str, edit: str) -> Answer:
    async def ended() -> Answer | None:
        answer = (await http.get(f"{url}/v1/edits/{edit}")).json()
        return answer if answer["status"] in ENDED else None

    return await eventually(ended)


async def test_what_runs_is_handed_over_and_settles_above_the_new_cap(books: Books) -> None:
    """A restart with another file: who follows them now knows the new cap alone."""
    async with httpx.AsyncClient(headers=AUTHORIZED, timeout=30) as http:
        async with serving(books.settings()) as url:
            edits = await both_begun(books, http, url)
        lower(books, "0.05")
        async with serving(books.settings()) as url:
            await settled_and_refused(books, http, url, edits)
    await accounted_for(books)


async def test_what_runs_is_followed_on_by_a_gateway_that_knew_the_old_cap(books: Books) -> None:
    async with httpx.AsyncClient(headers=AUTHORIZED, timeout=30) as http, serving(books.settings()) as old:
        edits = await both_begun(books, http, old)
        lower(books, "0.05")
        async with serving(books.settings()) as new:
            await settled_and_refused(books, http, new, edits)
    await accounted_for(books)


async def both_begun(books: Books, http: httpx.AsyncClient, url: str) -> list[str]:
    """$0.08 of $0.10 are held."""
    books.rehearsal.faults.put("runware", [Script(Fault.SLOW, 2, seconds=1.5)])
    return [await begun(http, url) for _ in range(2)]


async def settled_and_refused(books: Books, http: httpx.AsyncClient, url: str, edits: list[str]) -> None:
    """The cap is $0.05 now, below what is held."""
    refused = (await books.edit(url, "new")).json()
    assert (refused["status"], refused["cap_usd"], refused["left_usd"]) == (402, "0.050000", "0.000000")
    answers = await asyncio.gather(*(end_of(http, url, edit) for edit in edits))
    assert [answer["status"] for answer in answers] == ["succeeded"] * 2
    assert (await books.edit(url, "new")).status_code == 402


async def accounted_for(books: Books) -> None:
    assert len(books.rehearsal.bill.entries) == 2
    code, said = await books.command("audit")
    assert code == 0, said
    assert "$0.080000 spent, $0.000000 held" in said
