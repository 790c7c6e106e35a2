"""Stand-ins on a real socket, under a clock that the test winds by hand."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from gateway.rehearsal.server import Rehearsal


class HandClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wind(self, seconds: float) -> None:
        self.now += seconds


class Runware:
    """A plain caller of the Runware stand-in."""

    def __init__(self, rehearsal: Rehearsal, http: httpx.AsyncClient) -> None:
        self.rehearsal = rehearsal
        self._http = http

    @staticmethod
    def task(number: int = 1, **fields: object) -> dict[str, object]:
        """An `imageInference` task; a field set to `None` is left out."""
        task: dict[str, object] = {
            "taskType": "imageInference",
            "taskUUID": f"00000000-0000-4000-8000-{number:012d}",
            "model": "bfl:3@1",
            "positivePrompt": "make the mug blue",
            "width": 1024,
            "height": 1024,
            "deliveryMethod": "async",
            "includeCost": True,
        } | fields
        return {name: value for name, value in task.items() if value is not None}

    async def send(self, *tasks: object, key: str | None = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.rehearsal.key if key is None else key}"}
        return await self._http.post(self.rehearsal.runware_url, json=list(tasks), headers=headers)

    async def poll(self, *tasks: dict[str, object]) -> httpx.Response:
        return await self.send(*({"taskType": "getResponse", "taskUUID": task["taskUUID"]} for task in tasks))

    async def details(self, task: dict[str, object]) -> httpx.Response:
        return await self.send({"taskType": "getTaskDetails", "taskUUID": task["taskUUID"]})


class Runflow:
    """A plain caller of the Runflow stand-in."""

    PRO = "black-forest-labs/flux-pro/kontext"
    MAX = "black-forest-labs/flux-pro/kontext/max"

    def __init__(self, rehearsal: Rehearsal, http: httpx.AsyncClient) -> None:
        self.rehearsal = rehearsal
        self._http = http

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        json: object = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.rehearsal.key}"} | dict(headers)
        address = f"{self.rehearsal.runflow_url}{path}"
        return await self._http.request(method, address, headers=sent, json=json, params=params)

    async def submit(
        self, model: str = PRO, *, client_ref: str = "ref-1", key: str = "", **inputs: object
    ) -> httpx.Response:
        wanted = {"prompt": "make the mug blue", "image_url": "https://files.example/mug.png"} | inputs
        headers = {"idempotency-key": key} if key else {}
        body = {"input": wanted, "client_ref": client_ref}
        return await self.call("POST", f"/v1/models/{model}/runs", json=body, headers=headers)

    async def run(self, run_id: str) -> httpx.Response:
        return await self.call("GET", f"/v1/runs/{run_id}")

    async def look_up(self, client_ref: str) -> list[dict[str, object]]:
        answer = await self.call("GET", "/v1/runs", params={"q": f"client_ref.EQ:'{client_ref}'"})
        return answer.json()["data"]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest_asyncio.fixture
async def rehearsal(clock: HandClock) -> AsyncIterator[Rehearsal]:
    async with Rehearsal.serve(clock=clock) as served:
        yield served


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10, trust_env=False, verify=False) as client:
        yield client


@pytest.fixture
def runware(rehearsal: Rehearsal, http: httpx.AsyncClient) -> Runware:
    return Runware(rehearsal, http)


@pytest.fixture
def runflow(rehearsal: Rehearsal, http: httpx.AsyncClient) -> Runflow:
    return Runflow(rehearsal, http)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Give way to the loop until a condition holds."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 (what is awaited here happens on the other side of a socket)
                await asyncio.sleep(0)

    return wait


@pytest.fixture
def pixel() -> Callable[[Image.Image, int, int], tuple[int, ...]]:
    def look(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
        return tuple(image.convert("RGB").crop((x, y, x + 1, y + 1)).tobytes())

    return look


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A small JPEG: left half red, right half blue."""
    image = Image.new("RGB", (300, 200), (220, 20, 20))
    image.paste((20, 20, 220), (150, 0, 300, 200))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95)
    return out.getvalue()


@pytest.fixture(scope="session")
def photo_uri(photo: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(photo).decode()}"
