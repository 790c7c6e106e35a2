"""Wherever an offer stands in a chain of failures, its provider is sent the same: the intended model, the prompt and
the picture's bytes. The models are those of the providers' documents."""

import base64
import re
from collections.abc import Awaitable

import msgspec
import pytest

from adapters.contract import HttpReply
from gateway.state.records import Status
from tests.engine_path.script import LOCAL, RUNFLOW, RUNWARE, Line, Request
from tests.engine_path.stage import (
    INPUT,
    PREVIEW,
    PROMPT,
    RUNFLOW_MAX,
    RUNFLOW_PRO,
    RUNWARE_MAX,
    RUNWARE_PRO,
    Stage,
    as_json,
)

RUNWARE_DEV = "runware/kontext-dev"
MODELS = {
    RUNWARE_PRO: "bfl:3@1",
    RUNFLOW_MAX: "/v1/models/black-forest-labs/flux-pro/kontext/max",
    RUNWARE_DEV: "runware:106@1",
    RUNFLOW_PRO: "/v1/models/black-forest-labs/flux-pro/kontext",
    RUNWARE_MAX: "bfl:4@1",
    PREVIEW: "preview",
}
OWN_IDS = re.compile(rb'"(taskUUID|client_ref)":"[^"]*"')
BOUNDARY = re.compile(rb"boundary=([^\s;]+)")


class Sent:
    """What arrived, submit by submit, less what names the attempt."""

    def __init__(self) -> None:
        self.models: list[str] = []
        self.bodies: list[bytes] = []

    def noting(self, answer: Line) -> Line:
        def line(request: Request) -> HttpReply | Awaitable[HttpReply]:
            self.models.append(model_of(request))
            self.bodies.append(without_ids(request))
            return answer(request)

        return line


def model_of(request: Request) -> str:
    if request.host == RUNWARE:
        return msgspec.json.decode(request.body)[0]["model"]
    if request.host == RUNFLOW:
        return request.url.partition(RUNFLOW)[2].removesuffix("/runs").removesuffix("/run")
    return request.body.partition(b'name="model"\r\n\r\n')[2].partition(b"\r\n")[0].decode()


def without_ids(request: Request) -> bytes:
    found = BOUNDARY.search(request.headers.get("content-type", "").encode())
    body = request.body.replace(found.group(1), b"boundary") if found else request.body
    return OWN_IDS.sub(b"", body)


def holds_the_picture(body: bytes) -> bool:
    return INPUT in body or base64.b64encode(INPUT) in body


def busy(request: Request) -> HttpReply:
    request.summary = "edit"
    return as_json(503, {"error": {"message": "words", "type": "server_error", "param": None, "code": None}})


async def arrived(stage: Stage, name: str, chain: tuple[str, ...]) -> Sent:
    sent = Sent()
    stage.script.always(RUNWARE, sent.noting(stage.runware.refused(400, "noAvailableServer")))
    stage.script.always(RUNFLOW, sent.noting(stage.runflow.refused(503)))
    stage.script.always(LOCAL, sent.noting(busy))
    record = await stage.replica(name).run(*chain)
    assert (record.status, [one.offer for one in record.attempts][: len(chain)]) == (Status.FAILED, list(chain))
    return sent


def chain_to(offer: str, position: int) -> tuple[str, ...]:
    others = [other for other in MODELS if other not in (offer, PREVIEW)]
    return (*others[: position - 1], offer)


@pytest.mark.parametrize("position", [2, 3, 4])
@pytest.mark.parametrize("offer", MODELS)
async def test_what_arrives_is_what_was_meant_whatever_failed_before(stage: Stage, offer: str, position: int) -> None:
    alone, chain = await arrived(stage, "a", (offer,)), chain_to(offer, position)
    sent = await arrived(stage, "b", chain)
    assert sent.models[:position] == [MODELS[each] for each in chain]
    assert sent.bodies[position - 1] == alone.bodies[0]
    for body in sent.bodies:
        assert PROMPT.encode() in body
        assert holds_the_picture(body)
