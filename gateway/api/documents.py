"""The request body in the OpenAPI document. Handlers read bodies themselves, so that every refusal is in our words;
the document is made from the same struct that reads them."""

from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from litestar.openapi.spec import Components, OpenAPIMediaType, Operation, Reference, RequestBody, Schema

from gateway.api.requests import EditRequest

_TEMPLATE = "#/components/schemas/{name}"


def components() -> Components:
    """The schemas of what callers send."""
    _, schemas = msgspec.json.schema_components([EditRequest], ref_template=_TEMPLATE)
    # Plain JSON Schema documents pass through the framework's renderer unchanged.
    return Components(schemas=cast("dict[str, Schema]", schemas))


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
    request_body: RequestBody | Reference | None = field(default_factory=_body)
