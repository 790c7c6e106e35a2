"""A result store that takes nothing: new edits are refused before they cost anything, and `/readyz` says why."""

from pathlib import Path

import httpx

from gateway.server import serving
from tests.reconcile.test_restore_and_audit import KEY, Books, books

__all__ = ["books"]


async def test_no_edit_is_taken_while_pictures_cannot_be_kept(books: Books) -> None:
    shelf = Path(books.settings().results_url.removeprefix("file:"))
    async with serving(books.settings()) as url, httpx.AsyncClient() as http:
        blocked = [shelf / "growth", shelf / "readyz"]
        for place in blocked:
            place.write_text("a file where a folder belongs")
        refused, ready = await books.edit(url, "a"), await http.get(f"{url}/readyz")
        assert (refused.status_code, ready.status_code) == (503, 503)
        assert refused.json()["type"] == ready.json()["type"] == "urn:kontext:problem:results_unavailable"
        assert str(shelf) not in refused.text
        assert books.rehearsal.bill.entries == ()
        page = await http.get(f"{url}/metrics", headers={"authorization": f"Bearer {KEY}"})
        assert 'kontext_results_errors_total{duty="request"} 2.0' in page.text, "whoever asks keeps the alert going"
        for place in blocked:
            place.unlink()
        assert (await http.get(f"{url}/readyz")).status_code == 200
        assert (await books.edit(url, "a")).status_code == 200
