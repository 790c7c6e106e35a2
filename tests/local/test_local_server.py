"""The server over HTTP, with requests as the official SDK, curl and a careless client send them."""

import asyncio
import base64
import io
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image

from gateway.local.app import MAX_BODY_BYTES, Config, create_app
from gateway.local.engine import Ask, Rendered
from gateway.local.preview import Preview


def png(size: tuple[int, int] = (64, 48), colour: str | tuple[int, ...] = "olive", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, "PNG")
    return out.getvalue()


PHOTO = png()
DATA_URI = "data:image/png;base64," + base64.b64encode(PHOTO).decode()
EDITS = "/v1/images/edits"
FILE = ("upload", PHOTO, "application/octet-stream")  # as the SDK names raw bytes


def client(config: Config | None = None, engine: Any = None) -> httpx.AsyncClient:
    app: Any = create_app(
        engine, config, clock=lambda: 1_700_000_000.9
    )  # its scope is typed more narrowly than httpx's
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://local")


async def post(**request: Any) -> httpx.Response:
    async with client() as http:
        return await http.post(EDITS, **request)


def picture_of(answer: httpx.Response, number: int = 0) -> Image.Image:
    picture = Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][number]["b64_json"])))
    picture.load()
    return picture


async def test_a_form_is_edited_and_the_answer_says_what_was_done():
    answer = await post(
        data={"model": "preview", "prompt": "invert it, paint a cat", "seed": "7", "size": "auto", "quality": "high"},
        files={"image": FILE},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert {name: body[name] for name in body if name != "data"} == {
        "created": 1_700_000_000,
        "output_format": "png",
        "size": "64x48",
        "engine": "preview",
        "model": "preview",
        "applied": [{"op": "invert", "args": {}}],
        "not_applied": ["paint a cat"],
        "ignored": ["seed", "quality"],
        "billable": False,
    }
    assert picture_of(answer).size == (64, 48)


@pytest.mark.parametrize("field", ["image", "image[]"])
@pytest.mark.parametrize("declared", ["application/octet-stream", "text/plain", "image/gif"])
async def test_the_bytes_say_what_a_picture_is_whatever_was_declared(field: str, declared: str):
    answer = await post(data={"prompt": "sepia"}, files=[(field, ("x.bin", PHOTO, declared))])
    assert answer.status_code == 200


async def test_json_with_a_data_uri_gives_the_same_answer_as_a_form():
    mask = png(mode="RGBA", colour=(0, 0, 0, 0))
    form = await post(
        data={"prompt": "invert it", "n": "2", "output_format": "webp", "output_compression": "80", "size": "96x32"},
        files={"image": FILE, "mask": ("m.png", mask, "image/png")},
    )
    wish = {"prompt": "invert it", "n": 2, "output_format": "webp", "output_compression": 80, "size": "96x32"}
    mask_uri = "data:image/png;base64," + base64.b64encode(mask).decode()
    json = await post(json=wish | {"images": [{"image_url": DATA_URI}], "mask": {"image_url": mask_uri}})
    assert json.status_code == 200
    assert json.content == form.content
    assert picture_of(json, 1).size == (96, 32)
    assert picture_of(json).format == "WEBP"
    assert json.json()["data"][0] == json.json()["data"][1], "the engine is deterministic, n pictures are one"


async def test_a_quality_for_png_is_named_as_ignored():
    answer = await post(data={"prompt": "sepia", "output_compression": "80"}, files={"image": FILE})
    assert answer.json()["ignored"] == ["output_compression"]


async def test_the_mask_reaches_the_engine():
    mask = Image.new("L", (64, 48), 0)
    mask.paste(255, (40, 20, 60, 40))
    out = io.BytesIO()
    mask.save(out, "PNG")
    answer = await post(data={"prompt": "invert it"}, files={"image": FILE, "mask": ("m", out.getvalue())})
    picture = picture_of(answer)
    assert (picture.getpixel((50, 30)), picture.getpixel((30, 30))) == ((127, 127, 255), (128, 128, 0))


def form(**changes: Any) -> dict[str, Any]:
    fields = {"prompt": "sepia"} | changes
    return {"data": {name: value for name, value in fields.items() if value is not None}, "files": {"image": FILE}}


def json_body(**changes: Any) -> dict[str, Any]:
    return {"json": {"prompt": "sepia", "images": [{"image_url": DATA_URI}]} | changes}


def raw(content: bytes, kind: str) -> dict[str, Any]:
    return {"content": content, "headers": {"content-type": kind}}


BOUNDARY = "multipart/form-data; boundary=x"
BAD: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "no prompt": (form(prompt=None), 400, "prompt"),
    "blank prompt": (form(prompt=" \n"), 400, "prompt"),
    "prompt of 32,001": (form(prompt="x" * 32_001), 400, "prompt"),
    "no picture": ({"data": {"prompt": "sepia"}, "files": {"mask": FILE}}, 400, "image"),
    "a text file": ({"data": {"prompt": "sepia"}, "files": {"image": ("a.png", b"hello", "image/png")}}, 400, "image"),
    "picture as text": ({"data": {"prompt": "sepia", "image": "x"}, "files": {"mask": FILE}}, 400, "image"),
    "two pictures": ({"data": {"prompt": "sepia"}, "files": [("image[]", FILE), ("image[]", FILE)]}, 400, "image"),
    "two masks": ({"data": {"prompt": "s"}, "files": [("image", FILE), ("mask", FILE), ("mask", FILE)]}, 400, "mask"),
    "unknown file": ({"data": {"prompt": "sepia"}, "files": {"image": FILE, "photo": FILE}}, 400, "photo"),
    "mask of another size": (
        {"data": {"prompt": "sepia"}, "files": {"image": FILE, "mask": ("m", png((48, 64)))}}, 400, "mask"),
    "unknown field": (form(strength="0.4"), 400, "strength"),
    "a field twice": (form(size=["64x64", "auto"]), 400, "size"),
    "n = 0": (form(n="0"), 400, "n"),
    "n = 5": (form(n="5"), 400, "n"),
    "n in words": (form(n="two"), 400, "n"),
    "size in words": (form(size="large"), 400, "size"),
    "size 0": (form(size="0x64"), 400, "size"),
    "huge side": (form(size="9000x100"), 400, "size"),
    "huge area": (form(size="8000x8000"), 400, "size"),
    "gif out": (form(output_format="gif"), 400, "output_format"),
    "compression 101": (form(output_compression="101"), 400, "output_compression"),
    "streaming": (form(stream="true"), 400, "stream"),
    "an address as answer": (form(response_format="url"), 400, "response_format"),
    "another model": (form(model="gpt-image-2"), 404, "model"),
    "remote picture": (json_body(images=[{"image_url": "https://files.example/a.png"}]), 400, "image"),
    "local file": (json_body(images=[{"image_url": "file:///etc/hostname"}]), 400, "image"),
    "remote mask": (json_body(mask={"image_url": "http://127.0.0.1/m.png"}), 400, "mask"),
    "uploaded file id": (json_body(images=[{"file_id": "file-1"}]), 400, "file_id"),
    "no pictures": (json_body(images=[]), 400, "image"),
    "unencoded data URI": (json_body(images=[{"image_url": "data:image/png,abc"}]), 400, "image"),
    "broken base64": (json_body(images=[{"image_url": "data:image/png;base64,@@@"}]), 400, "image"),
    "n as text": (json_body(n="2"), 400, "n"),
    "no JSON": (raw(b"{", "application/json"), 400, None),
    "100,000 brackets": (raw(b"[" * 100_000, "application/json"), 400, None),
    "a list": (raw(b"[]", "application/json"), 400, None),
    "not UTF-8": (raw(b'{"prompt": "\xff"}', "application/json"), 400, None),
    "no boundary": (raw(b"x", "multipart/form-data"), 400, None),
    "a form cut short": (raw(b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nse', BOUNDARY), 400, None),
    "a form not in UTF-8": (
        raw(b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n\xff\r\n--x--\r\n', BOUNDARY), 400, None),
    "url-encoded": ({"data": {"prompt": "sepia"}}, 415, None),
    "too heavy": (raw(b" " * (MAX_BODY_BYTES + 1), "application/json"), 413, None),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "status", "param"), BAD.values(), ids=BAD)
async def test_a_bad_request_is_told_which_field_is_wrong(request_: dict[str, Any], status: int, param: str | None):
    answer = await post(**request_)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert len(error["message"]) > 10
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", EDITS, 405), ("POST", "/v1/images/generations", 404)])
async def test_unknown_routes_answer_in_the_same_shape(method: str, path: str, status: int):
    async with client() as http:
        answer = await http.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_health_and_models():
    async with client() as http:
        health = (await http.get("/health")).json()
        assert (health["status"], health["engine"]) == ("ready", "preview")
        assert health["queue"] == {"running": 0, "waiting": 0, "limit": 10}
        assert [m["id"] for m in (await http.get("/v1/models")).json()["data"]] == ["preview"]


class Gated:
    """An engine whose edits wait until the test lets them go."""

    name = model = "gated"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.threads: set[str] = set()

    def render(self, ask: Ask) -> Rendered:
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(10)
        return Preview().render(ask)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is met in a thread, which cannot set the loop's event
            await asyncio.sleep(0)


async def test_beyond_its_room_the_server_says_when_to_come_back():
    engine = Gated()
    async with client(Config(workers=1, waiting=1), engine) as http:
        running = [asyncio.create_task(http.post(EDITS, **form())) for _ in range(2)]
        await until(lambda: bool(engine.threads))
        refused = await http.post(EDITS, **form())
        engine.gate.set()
        assert [answer.status_code for answer in await asyncio.gather(*running)] == [200, 200]
        assert (await http.post(EDITS, **form())).status_code == 200
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "busy"


async def test_a_caller_who_left_does_not_free_a_thread_that_still_works():
    engine = Gated()
    async with client(Config(workers=1, waiting=0), engine) as http:
        leaving = asyncio.create_task(http.post(EDITS, **form()))
        await until(lambda: bool(engine.threads))
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert (await http.post(EDITS, **form())).status_code == 429
        engine.gate.set()
        async with asyncio.timeout(10):
            # A refusal never suspends, and the thread's end is told on this loop.
            while (await http.post(EDITS, **form())).status_code == 429:  # noqa: ASYNC110 - only the server knows it
                await asyncio.sleep(0)


async def test_pixels_are_never_worked_on_in_the_event_loop_s_thread():
    engine = Gated()
    engine.gate.set()
    async with client(engine=engine) as http:
        assert (await http.post(EDITS, **form())).status_code == 200
    assert threading.current_thread().name not in engine.threads


async def test_configured_failures_come_in_their_turn():
    async with client(Config(fail_every=2, fail_status=502)) as http:
        statuses = [(await http.post(EDITS, **form())).status_code for _ in range(4)]
    assert statuses == [200, 502, 200, 502]


async def test_a_fault_of_the_engine_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture):
    class Broken:
        name = model = "broken"

        def render(self, ask: Ask) -> Rendered:
            raise RuntimeError(f"at /secret/path with {len(ask.picture)} bytes")

    async with client(engine=Broken()) as http:
        answer = await http.post(EDITS, **form(prompt="my private words"))
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text
    assert "RuntimeError" in caplog.text
    assert "private words" not in caplog.text


async def test_a_remote_picture_is_refused_with_what_to_send_instead():
    answer = await post(**json_body(images=[{"image_url": "https://files.example/a.png"}]))
    assert "not fetched" in answer.json()["error"]["message"]
    assert "data URI" in answer.json()["error"]["message"]
