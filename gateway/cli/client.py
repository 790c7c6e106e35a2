"""The commands' own client: one edit by HTTP, with its pictures, or its quote."""

from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct

from gateway.cli.exits import BY_PROBLEM, Exit
from gateway.cli.story import Answer

Quote = dict[str, Any]
"""A quote as the API answers it, decoded from JSON."""


class CallFailed(Exception):  # noqa: N818 - the name is the fact
    """The gateway said no, or nothing. `code` is the exit; `problem` its document, where it gave one."""

    def __init__(self, message: str, code: Exit, problem: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.problem = code, problem or {}


class Wish(Struct, frozen=True, kw_only=True):
    """An edit as the command line has it. `fields` are the request's own, as text (`output.format`)."""

    image: Path
    prompt: str
    mask: Path | None = None
    fields: dict[str, str] = {}


class Client:
    """Talks to a gateway at `url`."""

    def __init__(self, http: httpx.AsyncClient, url: str, key: str) -> None:
        self._http, self._url = http, url.rstrip("/")
        self._headers = {"authorization": f"Bearer {key}"}

    async def edit(self, wish: Wish) -> Answer:
        """The edit's answer when it ended well. Raises `CallFailed`."""
        return _answer(await self._post("/v1/edits", wish, {"prefer": "wait=900"}))

    async def quote(self, wish: Wish) -> Quote:
        """What the edit would do. Raises `CallFailed`."""
        return _answer(await self._post("/v1/quotes", wish, {}))

    async def save(self, answer: Answer, out: Path) -> list[Path]:
        """The edit's pictures as files: `out`, and with a number before its ending for further ones."""
        paths: list[Path] = []
        for number, image in enumerate(answer["images"]):
            path = out if number == 0 else out.with_stem(f"{out.stem}-{number}")
            path = path if path.suffix else path.with_suffix(f".{image['format']}")
            response = await self._send("GET", image["url"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(response.content)
            paths.append(path)
        return paths

    async def is_there(self) -> bool:
        try:
            return (await self._http.get(f"{self._url}/healthz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def _post(self, path: str, wish: Wish, headers: dict[str, str]) -> httpx.Response:
        files = [("image", (wish.image.name, wish.image.read_bytes()))]
        if wish.mask:
            files.append(("mask", (wish.mask.name, wish.mask.read_bytes())))
        data = {"prompt": wish.prompt, **wish.fields}
        return await self._send("POST", self._url + path, headers={**self._headers, **headers}, data=data, files=files)

    async def _send(self, method: str, url: str, **rest: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own words
        try:
            return await self._http.request(method, url, **rest)
        except httpx.HTTPError as error:
            raise CallFailed(f"{self._url} gave no answer ({type(error).__name__})", Exit.UNREACHABLE) from None


def _answer(response: httpx.Response) -> Answer:
    try:
        document: dict[str, Any] = response.json()
    except ValueError:
        raise CallFailed(
            f"{response.url} is no gateway (it answered {response.status_code})", Exit.UNREACHABLE
        ) from None
    if response.status_code == 200:
        return document
    kind = str(document.get("type", "")).rpartition(":")[2]
    if response.status_code == 202:
        kind = "unresolved"
    message = str(document.get("detail") or f"the edit goes on as {document.get('id')}")
    raise CallFailed(message, BY_PROBLEM.get(kind, Exit.FAILED), document)
