"""The picture store in S3: what holds for a folder holds there, on each of two servers."""

import asyncio
import hashlib
import os

import pytest

from gateway.results import Results, ResultsUnavailable
from tests.gateway import test_results as suite
from tests.results_store.conftest import BUCKET

test_by_team_and_kind = suite.test_what_was_put_is_got_by_its_team_and_kind_only
test_putting_again = suite.test_putting_again_is_fine_also_at_the_same_moment
test_a_stream = suite.test_a_stream_has_its_length_and_all_its_bytes
test_everything_is_listed = suite.test_everything_is_listed_with_its_bytes
test_deleted = suite.test_deleted_is_missing_and_may_be_deleted_again


@pytest.fixture
def results(endpoint: str) -> Results:
    """A prefix of its own for every test."""
    return Results.open(f"s3://{BUCKET}/{os.urandom(6).hex()}")


async def test_two_that_put_different_bytes_under_one_name_leave_the_first(results: Results) -> None:
    """Create-only, as the names are digests: the second one is only looked at."""
    data = b"first" * 1000
    digest = hashlib.sha256(data).hexdigest()
    await asyncio.gather(*(results.put("growth", "results", digest, data) for _ in range(4)))
    assert await results.get("growth", "results", digest) == data


async def test_a_bucket_that_is_not_there_is_unavailable(endpoint: str) -> None:
    with pytest.raises(ResultsUnavailable):
        await Results.open("s3://no-such-bucket").put("growth", "results", "0" * 64, b"x")
