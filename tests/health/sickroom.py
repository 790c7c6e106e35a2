"""Edits that buy at Runflow first and at Runware after it, and ways to make either of them sick."""

from gateway.state.records import EditRecord
from policies.circuit import CONSECUTIVE
from tests.engine_path.script import RUNFLOW, RUNWARE
from tests.engine_path.stage import RUNFLOW_PRO, RUNWARE_PRO, Replica, Stage

FIRST, SECOND = RUNFLOW_PRO, RUNWARE_PRO
SUBMITS = ("run", "imageInference")


def submits(stage: Stage, host: str) -> list[float]:
    """When each submit reached the host."""
    return [request.at_s for request in stage.script.to(host) if request.summary in SUBMITS]


def offers(record: EditRecord) -> list[str]:
    return [attempt.offer for attempt in record.attempts]


def planned(record: EditRecord) -> list[str]:
    return [candidate.offer for candidate in record.plan.candidates]


def excluded(record: EditRecord) -> dict[str, str]:
    return {exclusion.offer: exclusion.reason.value for exclusion in record.plan.exclusions}


def problem(record: EditRecord) -> str:
    assert record.end is not None
    assert record.end.problem is not None
    return record.end.problem.kind


async def served(stage: Stage, replica: Replica) -> EditRecord:
    """An edit that Runware makes, whatever Runflow says by now."""
    stage.script.at(RUNWARE, stage.runware.acked, stage.runware.finished())
    return await replica.run(FIRST, SECOND)


async def made_first(stage: Stage, replica: Replica) -> EditRecord:
    """An edit that Runflow makes."""
    stage.script.at(RUNFLOW, stage.runflow.created, stage.runflow.succeeded())
    return await replica.run(FIRST, SECOND)


async def ejected(stage: Stage, replica: Replica) -> None:
    """Runflow says 503 until its circuit opens, and would go on to."""
    stage.script.always(RUNFLOW, stage.runflow.refused(503))
    for _ in range(CONSECUTIVE):
        assert offers(await served(stage, replica)) == [FIRST, SECOND]
