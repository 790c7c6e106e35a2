"""A stand-in for each server that speaks OpenAI's images protocol, with its documented quirks. Built from the servers'
own documents and sources, never from the adapter; the official SDK drives it too (tests/openai_surface).

What an edit comes to is simple and strict: the first picture, with red where the server's own reading of the mask says
that it is edited. So a mask that arrives in another meaning shows in every pixel.
"""

import base64
import email
import email.policy
import io
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from msgspec import Struct
from PIL import Image

RED = (255, 0, 0)
Document = dict[str, Any]
Message = MutableMapping[str, Any]


class Part(Struct, frozen=True):
    name: str
    filename: str | None
    media_type: str
    data: bytes

    @property
    def text(self) -> str:
        return self.data.decode()

    def image(self) -> Image.Image:
        opened = Image.open(io.BytesIO(self.data))
        opened.load()
        return opened


class Request(Struct, frozen=True):
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def parts(self) -> list[Part]:
        head = f"Content-Type: {self.headers.get('content-type', '')}\r\n\r\n".encode()
        message = email.message_from_bytes(head + self.body, policy=email.policy.HTTP)
        return [
            Part(
                str(part.get_param("name", header="content-disposition")),
                part.get_filename(),
                part.get_content_type(),
                payload,
            )
            for part in message.iter_parts()
            if isinstance(payload := part.get_payload(decode=True), bytes)
        ]


class Refused(Exception):  # noqa: N818 - the name is the fact
    def __init__(self, status: int, document: Document) -> None:
        super().__init__(status, document)
        self.status, self.document = status, document


class Stub:
    """One server. `edits` is what it was asked, in order: the fields and files that arrived. `HEALTH`: what it answers
    to questions that are no work."""

    HEALTH: Mapping[str, Document] = {}

    def __init__(self) -> None:
        self.edits: list[list[Part]] = []

    def answer(self, request: Request) -> tuple[int, Document]:
        if request.method == "GET" and request.path in self.HEALTH:
            return 200, self.HEALTH[request.path]
        try:
            self.admit(request)
            parts = request.parts()
            self.edits.append(parts)
            return 200, self.edit(parts)
        except Refused as refused:
            return refused.status, refused.document

    def admit(self, request: Request) -> None:
        if (request.method, request.path) != ("POST", "/v1/images/edits"):
            raise Refused(404, {"detail": "Not Found"})

    def edit(self, parts: list[Part]) -> Document:
        raise NotImplementedError


def told(parts: Iterable[Part]) -> dict[str, str]:
    return {part.name: part.text for part in parts if part.filename is None}


def files(parts: Iterable[Part], *names: str) -> list[Part]:
    return [part for part in parts if part.filename is not None and part.name in names]


def painted(picture: Image.Image, edited: Image.Image | None, size: tuple[int, int] | None = None) -> str:
    """Base64 of the picture as PNG, red where `edited` is white."""
    made = picture.convert("RGB")
    if edited is not None:
        made.paste(RED, mask=edited)
    out = io.BytesIO()
    (made.resize(size) if size else made).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def pixels_of(size: str | None) -> tuple[int, int] | None:
    """None for what keeps the first picture's size."""
    if size in (None, "auto"):
        return None
    width, _, height = size.partition("x")
    return int(width), int(height)


class OpenAI(Stub):
    """`POST /v1/images/edits` by OpenAI's reference and SDK of November 2026."""

    KNOWN = frozenset(
        {"model", "prompt", "n", "size", "quality", "background", "input_fidelity", "output_format",
         "output_compression", "user", "stream", "partial_images"}
    )  # fmt: skip
    PATH = "/v1/images/edits"

    def admit(self, request: Request) -> None:
        if (request.method, request.path) != ("POST", self.PATH):
            raise self.error(404, "invalid_request_error", None, "Invalid URL")
        self.authenticate(request)

    def authenticate(self, request: Request) -> None:
        if request.headers.get("authorization") != "Bearer stub-key":
            raise self.error(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided")

    def error(self, status: int, type_: str, code: str | None, message: str) -> Refused:
        return Refused(status, {"error": {"message": message, "type": type_, "param": None, "code": code}})

    def wrong(self, message: str, code: str = "invalid_value") -> Refused:
        return self.error(400, "invalid_request_error", code, message)

    def edit(self, parts: list[Part]) -> Document:
        said, images = told(parts), files(parts, "image", "image[]")
        for name in said.keys() - self.KNOWN:
            raise self.wrong(f"Unknown parameter: '{name}'.", "unknown_parameter")
        if "model" not in said or "prompt" not in said:
            raise self.wrong("Missing required parameter", "missing_required_parameter")
        if "forbidden" in said["prompt"]:
            raise self.error(400, "image_generation_user_error", "moderation_blocked", "rejected by the safety system")
        if "penniless" in said["prompt"]:
            raise self.error(429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota")
        if "vanish" in said["prompt"]:
            raise self.error(500, "server_error", None, "The server had an error while processing your request")
        self.check_images(images)
        size, edited = self.size(said.get("size", "auto")), self.mask(parts, images[0])
        if said.get("quality", "auto") not in {"low", "medium", "high", "auto"}:
            raise self.wrong("Invalid quality")
        data = {"b64_json": painted(images[0].image(), edited, size)}
        return {
            "created": 1,
            "data": [data] * int(said.get("n", "1")),
            "background": "opaque",
            "output_format": "png",
            "quality": said.get("quality", "auto"),
            "size": said.get("size", "auto"),
            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        }

    def check_images(self, images: list[Part]) -> None:
        if not 1 <= len(images) <= 16:
            raise self.wrong("Expected 1 to 16 images")
        for one in images:
            if one.media_type not in {"image/png", "image/webp", "image/jpeg"} or not one.filename:
                raise self.wrong(
                    f"Invalid file: unsupported mimetype ('{one.media_type}')", "unsupported_file_mimetype"
                )

    def size(self, size: str) -> tuple[int, int] | None:
        if (pixels := pixels_of(size)) is None:
            return None
        width, height = pixels
        within = max(pixels) <= 3 * min(pixels) and max(pixels) <= 3840 and width * height <= 3840 * 2160
        if width % 16 or height % 16 or not within:
            raise self.wrong(f"Invalid size '{size}'")
        return pixels

    def mask(self, parts: list[Part], first: Part) -> Image.Image | None:
        found = files(parts, "mask")
        if not found:
            return None
        mask = found[0].image()
        if mask.format != "PNG" or len(found[0].data) >= 4_000_000 or mask.size != first.image().size:
            raise self.wrong("Invalid mask image format - mask size does not match image size, or no PNG")
        if "A" not in mask.getbands():
            raise self.wrong("Invalid mask image format - mask image missing alpha channel")
        return mask.getchannel("A").point([255 if alpha == 0 else 0 for alpha in range(256)])


class Azure(OpenAI):
    """The same behind a deployment's address, with a key in a header of its own."""

    PATH = "/openai/deployments/my-image/images/edits"

    def admit(self, request: Request) -> None:
        if not request.query.get("api-version"):
            raise self.error(404, "invalid_request_error", "404", "Resource not found")
        super().admit(request)

    def authenticate(self, request: Request) -> None:
        if request.headers.get("api-key") != "stub-key":
            raise self.error(401, "invalid_request_error", "401", "Access denied due to invalid subscription key")


class VllmOmni(Stub):
    """FastAPI's errors, base64 alone, inpainting by fields of its own; it would fetch `url`, and ignores `mask`."""

    HEALTH: Mapping[str, Document] = {"/health": {}}

    def edit(self, parts: list[Part]) -> Document:
        said, images = told(parts), files(parts, "image", "image[]")
        assert "url" not in said, "it would fetch a stranger's address"
        if said.get("response_format", "b64_json") != "b64_json":
            raise Refused(400, {"detail": "Only response_format 'b64_json' is supported now."})
        if not images:
            raise Refused(422, {"detail": "Field 'image' or 'url' is required"})
        masks, references = files(parts, "mask_image"), files(parts, "reference_image")
        edited = bright(masks[0]) if masks and references else None
        picture = painted(images[0].image(), edited, pixels_of(said.get("size")))
        return {"created": 1, "data": [{"b64_json": picture, "url": None, "revised_prompt": None}], "size": None}


class SGLang(Stub):
    """Takes a mask and ignores it; tells a path on its own disk and the prompt once more."""

    HEALTH: Mapping[str, Document] = {"/health": {"status": "ok"}}

    def edit(self, parts: list[Part]) -> Document:
        said, images = told(parts), files(parts, "image", "image[]")
        assert "url" not in said, "it would fetch a stranger's address"
        if not images:
            raise Refused(422, {"detail": "Field 'image' or 'url' is required"})
        leaks = {"file_path": "/srv/outputs/secret.png", "revised_prompt": f"LEAK {said['prompt']}"}
        if said.get("response_format") != "b64_json":
            return {"id": "1", "created": 1, "data": [{"url": "/v1/images/1/content", **leaks}]}
        picture = painted(images[0].image(), None, pixels_of(said.get("size")))
        return {"id": "1", "created": 1, "data": [{"b64_json": picture, **leaks}], "peak_memory_mb": 1.0}


class SdServer(Stub):
    """Reads a mask's one channel of brightness; takes its engine's settings from a prompt. Built without libwebp: a
    picture that it cannot read it leaves out without a word, and paints from the prompt alone where none is left."""

    HEALTH: Mapping[str, Document] = {"/v1/models": {"data": [{"id": "sd-cpp-local", "object": "model"}]}}

    def edit(self, parts: list[Part]) -> Document:
        said, images = told(parts), files(parts, "image[]", "image")
        assert "<sd_cpp_extra_args>" not in said["prompt"], "a caller would set the engine"
        if not images or said.get("output_format", "png") not in {"png", "jpeg"}:
            raise Refused(400, {"error": "invalid request"})
        masks = files(parts, "mask")
        edited = bright(masks[0]) if masks else None
        readable = [one.image() for one in images if one.image().format in {"PNG", "JPEG"}]
        first = readable[0] if readable else Image.new("RGB", (512, 512), "grey")
        picture = painted(first, edited, pixels_of(said.get("size")))
        return {"created": 1, "output_format": "png", "data": [{"b64_json": picture}]}


def bright(mask: Part) -> Image.Image:
    """As stb_image and diffusers load one channel: the alpha channel is not looked at."""
    return mask.image().convert("RGB").convert("L")


STUBS: dict[str, type[Stub]] = {
    "openai": OpenAI,
    "azure": Azure,
    "vllm_omni": VllmOmni,
    "sglang": SGLang,
    "sd_server": SdServer,
}


class Street:
    """All stubs behind one address, each below its own name: an ASGI app."""

    def __init__(self) -> None:
        self.stubs = {name: make() for name, make in STUBS.items()}

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        assert scope["type"] == "http"
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        _, name, path = scope["path"].split("/", 2)
        headers = {key.decode().lower(): value.decode() for key, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode())
        status, document = self.stubs[name].answer(Request(scope["method"], f"/{path}", query, headers, body))
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": json.dumps(document).encode()})
