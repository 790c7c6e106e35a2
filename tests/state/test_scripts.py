"""The scripts as files, and the loader."""

import shutil
from importlib.resources import files

import pytest
from msgspec.structs import replace

from gateway.state.edits import Edits, Permit
from gateway.state.records import AttemptState, Status
from gateway.state.scripts import LIBRARIES, Step, _register
from tests.state.samples import attempt, edit_record, end


def test_every_step_is_a_file_and_every_file_a_step():
    found = {file.name for file in (files("gateway.state") / "lua").iterdir()}
    assert found == {f"{name}.lua" for name in (*Step, *LIBRARIES)}


@pytest.mark.parametrize("step", Step)
def test_the_first_lines_explain_keys_and_arguments(step):
    lines = (files("gateway.state") / "lua" / f"{step}.lua").read_text("utf-8").splitlines()
    assert all(line.startswith("-- ") for line in lines[:4])
    head = "\n".join(lines[:12])
    assert all(word in head for word in ("-- KEYS  1 ", "-- ARGV  1 now", "-- Gives ", "peration id: "))


async def test_a_store_that_forgot_the_scripts_learns_them_again(store):
    edits = Edits(store, "one")
    await edits.beat()
    await store.script_flush()
    await edits.accept(edit_record(), None, None)
    assert await edits.get(edit_record().id) is not None


async def test_a_step_can_share_a_pipeline(store):
    await store.script_flush()
    pipeline = store.pipeline(transaction=False)
    await _register(store, Step.BEAT)(keys=("{kontext}:replicas",), args=("5", "one"), client=pipeline)
    pipeline.wait(0, 10)
    assert await pipeline.execute() == [[b"ok", 5], 0]


async def test_an_edit_that_goes_well_takes_two_round_trips(store):
    edits = Edits(store, "one")
    await edits.beat()
    await store.config_resetstat()
    record, begun = await edits.accept(edit_record(), attempt(), Permit("runware", 4))
    assert begun is not None
    await edits.finish(record, end(Status.SUCCEEDED), replace(begun, state=AttemptState.SETTLED))
    used = await store.info("commandstats")
    assert used["cmdstat_evalsha"]["calls"] - used["cmdstat_evalsha"]["failed_calls"] == 2
    assert "cmdstat_eval" not in used


@pytest.mark.redis
async def test_the_stores_tests_ran_on_a_plain_redis_too():
    if not shutil.which("redis-server"):
        pytest.skip("no redis-server on PATH: the store was tested on Valkey alone (where CI is set, that fails)")
