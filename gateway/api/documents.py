"""The request body in the OpenAPI document. Handlers read bodies themselves, so that every refusal is in our words;
the document is made from the same struct that reads them."""

from dataclasses import dataclass
from typing import Any, cast

import msgspec
from litestar.openapi.spec import OpenAPI, OpenAPIMediaType, Operation, Reference, RequestBody, Schema

from gateway.api.requests import EditRequest

_TEMPLATE = "#/components/schemas/{name}"


def add_requests(document: OpenAPI) -> None:
    """Adds the schemas of what callers send. To the finished document: the framework makes `components` from the types
    of its handlers and drops what was configured there."""
    _, requests = msgspec.json.schema_components([EditRequest], ref_template=_TEMPLATE)
    # Plain JSON Schema documents pass through the framework's renderer unchanged.
    schemas = cast("dict[str, Schema]", requests)
    document.components.schemas = {**schemas, **(document.components.schemas or {})}


def _body() -> RequestBody:
    described: Any = Reference(ref=_TEMPLATE.format(name="EditRequest"))
    return RequestBody(
        content={
            "application/json": OpenAPIMediaType(schema=described),
            "multipart/form-data": OpenAPIMediaType(schema=described),
        },
        description="Pictures as URLs or data URIs; in a form also as files named `image` (several times) and `mask`.",
        required=True,
    )


@dataclass
class EditOperation(Operation):
    """The framework names a body only where a handler takes one from it, and hands over None here."""

    def __post_init__(self) -> None:
        self.request_body = _body()
