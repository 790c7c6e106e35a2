"""The picture store: written once, private, whole or missing."""

import asyncio
import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.results import MissingPicture, Results, ResultsUnavailable

DATA = b"a picture" * 50_000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["file:", "memory:"])
def results(request, tmp_path):
    return Results.open(f"file:{tmp_path}/kept" if request.param == "file:" else "memory:")


async def test_what_was_put_is_got_by_its_team_and_kind_only(results):
    await results.put("growth", "results", DIGEST, DATA)
    assert await results.get("growth", "results", DIGEST) == DATA
    for team, kind in (("other", "results"), ("growth", "inputs")):
        with pytest.raises(MissingPicture):
            await results.get(team, kind, DIGEST)


async def test_putting_again_is_fine_also_at_the_same_moment(results):
    await asyncio.gather(*(results.put("growth", "inputs", DIGEST, DATA) for _ in range(8)))
    await results.put("growth", "inputs", DIGEST, DATA)
    assert await results.get("growth", "inputs", DIGEST) == DATA


async def test_a_store_that_takes_nothing_says_so_until_it_does_again(tmp_path):
    results = Results.open(f"file:{tmp_path}/kept")
    await results.check()
    (tmp_path / "kept" / "growth").write_text("a file where a folder belongs")
    with pytest.raises(ResultsUnavailable):
        await results.put("growth", "results", DIGEST, DATA)
    blocked = tmp_path / "kept" / "readyz"
    blocked.write_text("and here")
    with pytest.raises(ResultsUnavailable):
        await results.check()
    blocked.unlink()
    await results.check()
    await results.check()
    assert not [file for file in blocked.rglob("*") if file.is_file()], "the question leaves nothing behind"


async def test_everything_is_listed_with_its_bytes(results):
    for team in ("growth", "other"):
        await results.put(team, "results", DIGEST, DATA)
    found = [picture async for pictures in results.pictures() for picture in pictures]
    assert sorted(found) == [(f"{team}/results/{DIGEST}", len(DATA)) for team in ("growth", "other")]


async def test_a_stream_has_its_length_and_all_its_bytes(results):
    await results.put("growth", "results", DIGEST, DATA)
    stream = await results.stream("growth", "results", DIGEST, size=len(DATA))
    assert stream.size == len(DATA)
    assert b"".join([chunk async for chunk in stream.chunks]) == DATA
    with pytest.raises(MissingPicture):
        await results.stream("growth", "inputs", DIGEST)
    with pytest.raises(MissingPicture):
        await results.stream("growth", "results", DIGEST, size=len(DATA) + 1)


async def test_a_stream_that_the_store_does_not_give_is_not_called_missing(tmp_path):
    results = Results.open(f"file:{tmp_path}/kept")
    (tmp_path / "kept" / "growth").write_text("a file where a folder belongs")
    with pytest.raises(ResultsUnavailable):
        await results.stream("growth", "results", DIGEST)


async def test_deleted_is_missing_and_may_be_deleted_again(results):
    await results.put("growth", "results", DIGEST, DATA)
    await results.delete("growth", "results", DIGEST)
    await results.delete("growth", "results", DIGEST)
    with pytest.raises(MissingPicture, match="results"):
        await results.get("growth", "results", DIGEST)


@pytest.mark.parametrize("team", ["", "../growth", "Growth", "a/b", "a" * 65, "team\n"])
async def test_no_team_name_leads_out_of_its_place(results, team):
    with pytest.raises(ValueError, match="a team's name"):
        await results.get(team, "results", DIGEST)


@pytest.mark.parametrize("digest", ["", "../x", DIGEST.upper(), DIGEST[:-1], DIGEST + "\n"])
async def test_no_digest_is_anything_but_a_digest(results, digest):
    with pytest.raises(ValueError, match="64 hexadecimal"):
        await results.put("growth", "results", digest, DATA)


def test_the_folder_is_private_also_when_it_was_not(tmp_path):
    folder = tmp_path / "deep" / "kept"
    Results.open(f"file:{folder}")
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    Results.open(f"file:{folder}")
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_a_short_file_of_a_power_cut_is_missing_until_it_is_put_again(tmp_path):
    results = Results.open(f"file:{tmp_path}")
    await results.put("growth", "results", DIGEST, DATA)
    kept = tmp_path / "growth" / "results" / DIGEST
    for left in (b"", DATA[:-1], DATA[:-1] + b"?"):
        kept.write_bytes(left)
        with pytest.raises(MissingPicture):
            await results.get("growth", "results", DIGEST)
    kept.write_bytes(DATA[:-1])
    await results.put("growth", "results", DIGEST, DATA)
    assert await results.get("growth", "results", DIGEST) == DATA


KILLED_WRITER = """
import asyncio, hashlib, sys
from gateway.results import Results

async def main():
    results, number = Results.open("file:" + sys.argv[1]), 0
    print("writing", flush=True)
    while True:
        data = number.to_bytes(8, "big") * 250_000
        await results.put("growth", "results", hashlib.sha256(data).hexdigest(), data)
        number += 1
        if number == 3:
            print("written", flush=True)

asyncio.run(main())
"""


def test_a_writer_killed_at_any_moment_leaves_whole_pictures_under_their_names(tmp_path: Path):
    writer = subprocess.Popen([sys.executable, "-c", KILLED_WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with writer:
        assert writer.stdout is not None
        assert [writer.stdout.readline().strip() for _ in range(2)] == ["writing", "written"]
        writer.send_signal(signal.SIGKILL)
    kept = [file for file in (tmp_path / "growth" / "results").iterdir() if "#" not in file.name]
    assert len(kept) >= 3
    for file in kept:
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name


@pytest.mark.parametrize("url", ["", "kept", "http://host/x", "ftp://host/x"])
def test_another_kind_of_store_is_refused_with_the_kinds_there_are(url):
    with pytest.raises(ValueError, match="file:FOLDER"):
        Results.open(url)
