"""Schemathesis over the document of whatever is served: random requests, good and bad. No answer is a server's error,
and each has a status, a type and a shape that the document names."""

import asyncio
from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.end_to_end.stage import KEY, OPERATOR_KEY, PHOTO_URI, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXAMPLES = 12
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


# The gateway in this process draws its jitter while a strategy draws, and Hypothesis takes that for the strategy's.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
async def test_every_answer_is_documented_and_none_is_a_servers_error(stage: Stage) -> None:
    document: dict[str, Any] = (await stage.get("/schema", key=None)).json()
    schema = schemathesis.openapi.from_dict(document)
    read: list[Any] = list(schema.get_all_operations())
    operations = [result.ok() for result in read]
    assert len(operations) == sum(len(set(item) & METHODS) for item in document["paths"].values())
    answered = await asyncio.to_thread(
        lambda: {operation.label: _asked(stage.url, operation) for operation in operations}
    )
    assert all(answered.values())
    assert answered["POST /v1/edits"][200] >= 1
    assert answered["POST /v1/images/edits"][200] >= 1


METHODS = {"get", "post", "put", "patch", "delete"}


def _asked(url: str, operation: Any) -> Counter[int]:
    """How many answers came with which status."""
    answered: Counter[int] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        key = OPERATOR_KEY if operation.path.startswith("/admin") else KEY
        if answered.total() % 2:
            _mended(case.body)
        response = case.call(base_url=url, headers={"authorization": f"Bearer {key}"})
        answered[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    ask()
    return answered


CHOOSING = ("policy", "models", "model", "tier", "max_cost_usd", "deadline_s", "output", "mask", "options", "safety")


def _mended(body: Any) -> None:
    """So that some edits succeed, too: a good picture, and nothing that names what is not there."""
    if not isinstance(body, dict) or "prompt" not in body:
        return
    body["images"] = [PHOTO_URI]
    for name in CHOOSING:
        body.pop(name, None)
