"""The request body in the OpenAPI document. Handlers read bodies themselves, so that every refusal is in our words;
the document is made from the same struct that reads them."""

from dataclasses import dataclass
from typing import Annotated, Any, cast

import msgspec
from litestar.openapi.spec import OpenAPI, OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec import Reference as SchemaReference
from msgspec import Meta, Struct

from adapters.contract import ImageFormat
from gateway.api.openai.requests import ImageEditRequest
from gateway.api.requests import EditRequest, Reference
from gateway.state.endpoints import Receives, Told

_TEMPLATE = "#/components/schemas/{name}"


class EndpointRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An endpoint. `receives`: `all` is told the end of every edit of the team, `named` that of those whose
    `webhook_url` lies under it. `events`: of these ends alone; left out, of every one."""

    url: Annotated[str, Meta(min_length=9, max_length=2048, description="an https address on the public internet")]
    receives: Receives = Receives.ALL
    events: Annotated[tuple[Told, ...], Meta(min_length=1)] | None = None


class UploadRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the picture is: an address that it is fetched from, a data URI, or `edit_…/0`."""

    image: Reference


def add_requests(document: OpenAPI) -> None:
    """Adds the schemas of what callers send. To the finished document: the framework makes `components` from the types
    of its handlers and drops what was configured there."""
    _, requests = msgspec.json.schema_components(
        [EditRequest, ImageEditRequest, EndpointRequest, UploadRequest], ref_template=_TEMPLATE
    )
    _add_an_edits_fields(requests)
    # Plain JSON Schema documents pass through the framework's renderer unchanged.
    schemas = cast("dict[str, Schema]", requests)
    document.components.schemas = {**schemas, **(document.components.schemas or {})}


def _add_an_edits_fields(requests: dict[str, Any]) -> None:
    """OpenAI's shape takes an edit's own fields beside its own, where the names differ."""
    own, edit = requests[ImageEditRequest.__name__], requests[EditRequest.__name__]
    own["properties"] = {**edit["properties"], **own["properties"]}
    del own["properties"]["output"]
    own["required"] = ["prompt"]


_JSON, _FORM = "application/json", "multipart/form-data"


def _body(name: str, description: str, *kinds: str) -> RequestBody:
    described: Any = SchemaReference(ref=_TEMPLATE.format(name=name))
    return RequestBody(
        content={kind: OpenAPIMediaType(schema=described) for kind in kinds or (_JSON, _FORM)},
        description=description,
        required=True,
    )


@dataclass
class EditOperation(Operation):
    """The framework names a body only where a handler takes one from it, and hands over None here."""

    def __post_init__(self) -> None:
        files = "in a form also as files named `image` (several times) and `mask`"
        self.request_body = _body("EditRequest", f"Pictures as URLs, data URIs, `img_…` or `edit_…/0`; {files}.")


@dataclass
class ImageEditOperation(Operation):
    """As above, in OpenAI's shape."""

    def __post_init__(self) -> None:
        files = "in a form as files named `image` or `image[]`, and `mask`"
        self.request_body = _body(
            "ImageEditRequest", f"Pictures as `images: [{{image_url}}]` or `[{{file_id}}]`; {files}."
        )


@dataclass
class EndpointOperation(Operation):
    """As above."""

    def __post_init__(self) -> None:
        self.request_body = _body("EndpointRequest", "Where to tell, and of which edits.", _JSON)


@dataclass
class UploadOperation(Operation):
    """As above; the picture itself is a body, too."""

    def __post_init__(self) -> None:
        self.request_body = _body("UploadRequest", "The picture itself, a form with it as its file, or its place.")
        raw: Any = {"type": "string", "format": "binary"}
        for one in ImageFormat:
            self.request_body.content[one.media_type] = OpenAPIMediaType(schema=raw)
