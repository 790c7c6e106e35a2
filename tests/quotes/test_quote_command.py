"""`kontext quote`, as people and programs call it."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.processes import KEY, Field, kontext
from tests.end_to_end.stage import PHOTO

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_quote_is_a_table_or_json_and_buys_nothing(field: Field, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    server = await field.gateway()

    async def quote(*more: str) -> tuple[int, str, str]:
        words = ("quote", "photo.jpg", "Make the mug blue", "--policy", "premium", *more)
        return await kontext(*words, cwd=tmp_path, COLUMNS="200", KONTEXT_URL=server.url, KONTEXT_API_KEY=KEY)

    code, out, err = await quote()
    assert code == 0, err
    assert "runware/kontext-max is tried first: the policy names it first." in out
    assert "at most $0.080000; runware/kontext-max would be tried first" in out

    code, out, err = await quote("--json")
    assert code == 0, err
    assert [one["offer"] for one in json.loads(out)["candidates"]] == ["runware/kontext-max", "runflow/kontext-max"]

    code, out, _ = await quote("--max-cost", "0.01")
    assert code == 5
    assert "nothing fits" in out
    assert "runware/kontext-max is too dear for this edit" in out

    code, out, _ = await quote("--size", "huge", "--json")
    assert (code, json.loads(out)["field"]) == (2, "size")
    assert await field.charges() == []
