"""`kontext audit` beside a gateway: what it is given it compares, and a difference is its exit code."""

import json

from gateway.server import serving
from tests.reconcile.test_restore_and_audit import Books, books

__all__ = ["books"]


async def test_budgets_and_a_bill_are_held_against_the_books(books: Books) -> None:
    async with serving(books.settings()) as url:
        assert (await books.edit(url, "a")).status_code == 200
        (entry,) = books.rehearsal.bill.entries
        for charged, breaks in ((40_000, set()), (41_000, {"M1", "M2"})):
            charge = {"provider": "runware", "key": entry.key, "amount_micro": charged}
            (books.folder / "bill.json").write_text(json.dumps({"providers": ["runware"], "charges": [charge]}))
            code, said = await books.command("audit", "--json", "--bill", str(books.folder / "bill.json"))
            report = json.loads(said)
            assert {one["invariant"] for one in report["findings"] if one["violations"]} == breaks
            assert code == (1 if breaks else 0)
        (books.folder / "bill.json").write_text("{}")
        code, said = await books.command("audit", "--bill", str(books.folder / "bill.json"))
        assert (code, "amount_micro" in said) == (2, True), "a bill that is none"
    assert {one["invariant"] for one in report["findings"]} == {f"M{number}" for number in range(1, 13)}
    assert not any(one["not_given"] for one in report["findings"]), "caps, store and bill were there"
    (within_caps,) = (one for one in report["findings"] if one["invariant"] == "M3")
    assert within_caps["checked"] > 0
