"""What Runware says, line by line, written from its documents (and not from our adapter)."""

from adapters.contract import HttpReply
from gateway.egress import MaybeSent
from tests.engine_path.script import PICTURES, Line, Request, Script, as_json

TASK = "imageInference"


def task(request: Request) -> dict[str, object]:
    """The one task of a request; its kind becomes the request's summary."""
    assert request.method == "POST"
    assert request.headers["authorization"] == "Bearer runware-key"
    (only,) = request.json()
    request.summary = only["taskType"]
    return only


def submitted(request: Request) -> str:
    asked = task(request)
    assert asked["taskType"] == TASK, f"expected a submit, got {asked['taskType']}"
    return str(asked["taskUUID"])


def polled(request: Request) -> str:
    asked = task(request)
    assert asked["taskType"] == "getResponse", f"expected a poll, got {asked['taskType']}"
    return str(asked["taskUUID"])


def refusal(request: Request, status: int, code: str, **headers: str) -> HttpReply:
    asked = task(request)
    error = {"code": code, "message": "words", "taskUUID": asked["taskUUID"], "taskType": TASK}
    return as_json(status, {"data": [], "errors": [error]}, **headers)


class RunwareLines:
    """Lines that keep the script's bill."""

    def __init__(self, script: Script) -> None:
        self._taken = script.taken

    def acked(self, request: Request) -> HttpReply:
        """Accepts a task. The same id twice is never accepted: a line that would is a mistake of the test."""
        identity = submitted(request)
        assert identity not in self._taken, "this task was accepted before"
        self._taken.append(identity)
        return as_json(200, {"data": [{"taskType": TASK, "taskUUID": identity}]})

    def lost(self, request: Request) -> HttpReply:
        """Accepts it, and the answer never arrives."""
        self.acked(request)
        raise MaybeSent("the host gave no usable answer")

    def taken_then(self, reply: HttpReply) -> Line:
        """Accepts it, and answers something else."""

        def line(request: Request) -> HttpReply:
            self.acked(request)
            return reply

        return line

    def conflict(self, request: Request) -> HttpReply:
        """It has this id already, whether it told us or not."""
        identity = submitted(request)
        if identity not in self._taken:  # it arrived late, after we gave up on it
            self._taken.append(identity)
        error = {"code": "conflictTaskUUID", "message": "in use", "taskUUID": identity, "taskType": TASK}
        return as_json(400, {"data": [], "errors": [error]})

    @staticmethod
    def refused(status: int, code: str, **headers: str) -> Line:
        def line(request: Request) -> HttpReply:
            submitted(request)
            return refusal(request, status, code, **headers)

        return line

    @staticmethod
    def silent(request: Request) -> HttpReply:
        """What a poll of an id that was never seen is answered: as if something were going on."""
        identity = polled(request)
        return as_json(200, {"data": [{"taskType": "getResponse", "taskUUID": identity, "status": "processing"}]})

    @staticmethod
    def working(request: Request) -> HttpReply:
        identity = polled(request)
        return as_json(200, {"data": [{"taskType": TASK, "taskUUID": identity, "status": "processing"}]})

    @staticmethod
    def failed(code: str) -> Line:
        """The task ended badly."""

        def line(request: Request) -> HttpReply:
            identity = polled(request)
            error = {"code": code, "message": "w", "taskUUID": identity, "taskType": TASK, "status": "error"}
            return as_json(400, {"data": [], "errors": [error]})

        return line

    @staticmethod
    def finished(count: int = 1, cost: float | None = 0.04, mark: str = "a") -> Line:
        def line(request: Request) -> HttpReply:
            return as_json(200, {"data": pictures(polled(request), count, cost, mark)})

        return line

    @staticmethod
    def foreign(request: Request) -> HttpReply:
        """Another task's picture."""
        polled(request)
        return as_json(200, {"data": pictures("11111111-1111-4111-8111-111111111111", 1, 0.04, "foreign")})

    @staticmethod
    def not_archived(request: Request) -> HttpReply:
        assert task(request)["taskType"] == "getTaskDetails"
        return as_json(
            404, {"errors": [{"code": "taskNotFound", "message": "w", "taskUUID": task(request)["taskUUID"]}]}
        )

    @staticmethod
    def archived(prompt: str, model: str = "bfl:3@1") -> Line:
        def line(request: Request) -> HttpReply:
            asked = task(request)
            assert asked["taskType"] == "getTaskDetails"
            told = {"taskType": TASK, "taskUUID": asked["taskUUID"], "model": model, "positivePrompt": prompt}
            return as_json(200, {"data": [{**asked, "request": [told], "response": {"data": []}}]})

        return line


def pictures(identity: str, count: int, cost: float | None, mark: str) -> list[dict[str, object]]:
    bill = {} if cost is None else {"cost": cost}
    return [
        {
            "taskType": TASK,
            "taskUUID": identity,
            "imageUUID": f"image-{number}",
            "imageURL": f"https://{PICTURES}/{mark}-{number}.png",
            "seed": 41 + number,
            "status": "success",
            **bill,
        }
        for number in range(count)
    ]
