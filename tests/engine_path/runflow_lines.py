"""What Runflow says, line by line, written from its documents (and not from our adapter)."""

from urllib.parse import parse_qs, urlsplit

from adapters.contract import HttpReply
from gateway.egress import MaybeSent
from tests.engine_path.script import PICTURES, Line, Request, Script, as_json

RUN = "0198a000-0000-7000-8000-0000000000aa"


def asked(request: Request, summary: str, method: str, path: str) -> None:
    found = urlsplit(request.url).path
    assert (request.method, found.startswith(path)) == (method, True), f"expected a {summary}, got {request!r}"
    assert request.headers["authorization"] == "Bearer runflow-key"
    request.summary = summary


class RunflowLines:
    def __init__(self, script: Script) -> None:
        self._taken = script.taken

    def created(self, request: Request) -> HttpReply:
        asked(request, "run", "POST", "/v1/models/black-forest-labs/flux-pro/kontext")
        reference = request.json()["client_ref"]
        assert reference not in self._taken, "this run was started before"
        self._taken.append(reference)
        return as_json(201, {"id": RUN, "status_code": "queued", "client_ref": reference, "output": None})

    def lost(self, request: Request) -> HttpReply:
        self.created(request)
        raise MaybeSent("the host gave no usable answer")

    def listed(self, request: Request) -> HttpReply:
        """The runs under the reference that is looked for."""
        asked(request, "list", "GET", "/v1/runs")
        (query,) = parse_qs(urlsplit(request.url).query)["q"]
        wanted = query.partition("EQ:'")[2].rstrip("'")
        found = [{"id": RUN, "status_code": "running", "client_ref": wanted}] if wanted in self._taken else []
        return as_json(200, {"data": found})

    @staticmethod
    def nothing_listed(request: Request) -> HttpReply:
        asked(request, "list", "GET", "/v1/runs")
        return as_json(200, {"data": []})

    @staticmethod
    def run(status: str, cost: str | None = None, output: dict[str, object] | None = None, **more: object) -> Line:
        def line(request: Request) -> HttpReply:
            asked(request, "poll", "GET", f"/v1/runs/{RUN}")
            return as_json(200, {"id": RUN, "status_code": status, "output": output, "cost": cost, **more})

        return line

    def succeeded(self, cost: str | None = "0.040000", mark: str = "f") -> Line:
        url = f"https://{PICTURES}/{mark}.png?sig=x"
        return self.run("succeeded", cost, {"outputs": [{"url": url, "type": "image"}], "nsfw_detected": False})

    @staticmethod
    def refused(status: int, **headers: str) -> Line:
        def line(request: Request) -> HttpReply:
            asked(request, "run", "POST", "/v1/models/")
            return as_json(status, {"code": "CODE", "message": "words", "errors": None}, **headers)

        return line

    # --- a picture that is uploaded first

    @staticmethod
    def upload_opened(request: Request) -> HttpReply:
        asked(request, "upload", "POST", "/v1/asset-uploads")
        return as_json(201, {"asset_id": "asset-1", "upload_url": "https://storage.test/put?sig=x"})

    @staticmethod
    def stored(request: Request) -> HttpReply:
        request.summary = "put"
        assert "authorization" not in request.headers
        assert request.method == "PUT"
        assert request.body.startswith(b"\x89PNG")
        return HttpReply(200, {}, b"")

    @staticmethod
    def confirmed(request: Request) -> HttpReply:
        asked(request, "confirm", "POST", "/v1/asset-uploads/asset-1/confirmations")
        return as_json(200, {"url": "https://assets.runflow.test/asset-1?sig=x"})
