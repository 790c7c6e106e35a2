"""Sweeping pictures out of S3: what holds for a folder holds there, on each of two servers."""

import os

import pytest

from gateway.results import Results
from tests.engine import engine_url
from tests.results_store.conftest import BUCKET
from tests.retention import test_sweeping as suite
from tests.retention.conftest import keeping

__all__ = ["engine_url", "keeping"]

pytestmark = pytest.mark.asyncio(loop_scope="session")
test_deleted_in_time = suite.test_a_picture_is_deleted_when_its_time_is_over_and_not_before
test_safe_by_a_put = suite.test_a_put_of_what_is_there_makes_it_safe
test_other_team = suite.test_another_teams_picture_of_the_same_content_stays
test_races = suite.test_puts_and_sweeps_at_one_moment_leave_every_picture_that_was_taken
test_dead_sweep = suite.test_what_a_dead_sweep_left_the_next_one_ends
test_put_after_a_dead_sweep = suite.test_after_a_dead_sweep_a_put_is_kept
test_adopted = suite.test_what_lies_there_without_a_reference_is_kept_as_long_as_a_result


@pytest.fixture
def results(endpoint: str) -> Results:
    """A prefix of its own for every test."""
    return Results.open(f"s3://{BUCKET}/{os.urandom(6).hex()}")
