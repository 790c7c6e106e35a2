"""`/v1/images`: upload a picture once, name it in many edits by its `img_…`.

The body is the picture itself, a form with it as its one file, or JSON that says where it is. The same picture again is
the same upload, kept for longer: so a repeat is safe without a key.
"""

from litestar import Response, delete, get, post
from litestar.datastructures import UploadFile
from litestar.params import FromPath
from msgspec import Struct

from adapters.contract import ImageFormat
from gateway.api.context import Context, Given
from gateway.api.documents import UploadOperation, UploadRequest
from gateway.api.problems import ProblemError
from gateway.api.requests import AnyRequest, decoded, invalid, whole
from gateway.clock import iso
from gateway.engine.intake import Source
from gateway.state.uploads import Upload

BODY_BYTES = 30_000_000
"""The largest picture as base64, and room for the JSON around it."""

_ONE = "one field named image, which is a file or says where the picture is; and no other"


class UploadAnswer(Struct, frozen=True, kw_only=True):
    """`sha256` and `bytes` are of the picture as it is kept, without anything that is not picture. Each edit that names
    it moves `expires_at` away."""

    object: str = "image"
    id: str
    sha256: str
    width: int
    height: int
    format: ImageFormat
    bytes: int
    created_at: str
    expires_at: str


@post(
    "/v1/images",
    status_code=201,
    operation_class=UploadOperation,
    request_max_body_size=BODY_BYTES,
    tags=["images"],
)
async def create_upload(request: AnyRequest, context: Given) -> Response[UploadAnswer]:
    """Upload a picture, to be named as `img_…` in edits and quotes. It counts as a request of its key."""
    key = context.gate.caller(request, "edit")
    headers = await context.admission.rate(key)
    with context.door.passed(request, key, edits=False):
        upload = await context.desk.upload(await _picture(request), key.team)
    return Response(_answer(upload), headers={**headers, "location": f"/v1/images/{upload.id}"})


@get("/v1/images/{image_id:str}", tags=["images"])
async def read_upload(request: AnyRequest, context: Given, image_id: FromPath[str]) -> UploadAnswer:
    """What is known of an upload. It is kept no longer by that."""
    key = context.gate.caller(request, "read")
    return _answer(await _owned(context, image_id, key.team))


@delete("/v1/images/{image_id:str}", status_code=204, tags=["images"])
async def delete_upload(request: AnyRequest, context: Given, image_id: FromPath[str]) -> None:
    """Forget an upload. Edits that were accepted with it go on."""
    key = context.gate.caller(request, "edit")
    await context.stock.forget(key.team, await _owned(context, image_id, key.team))


async def _owned(context: Context, image_id: str, team: str) -> Upload:
    """The one way to read an upload: a foreign id and an unknown one are answered alike."""
    upload = await context.stock.find(team, image_id)
    if upload is None:
        raise ProblemError("not_found", "there is no such upload, or its time is over")
    return upload


async def _picture(request: AnyRequest) -> Source:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/"):
        return await whole(request)
    if kind == "multipart/form-data":
        return await _of_form(list((await request.form()).multi_items()))
    if kind in ("application/json", ""):
        return decoded(await whole(request), UploadRequest).image
    expected = "image/jpeg, image/png or image/webp, multipart/form-data, or application/json"
    raise ProblemError("unsupported_media_type", f"{kind[:60]!r} is not taken here", expected=expected)


async def _of_form(parts: list[tuple[str, str | UploadFile]]) -> Source:
    for name, _ in parts:
        if name != "image":
            invalid(name, "there is no such field", _ONE)
    if len(parts) != 1:
        invalid("image", f"came {len(parts)} times", _ONE)
    ((_, value),) = parts
    return await value.read() if isinstance(value, UploadFile) else value


def _answer(upload: Upload) -> UploadAnswer:
    picture = upload.picture
    return UploadAnswer(
        id=upload.id,
        sha256=picture.digest,
        width=picture.width,
        height=picture.height,
        format=picture.format,
        bytes=picture.bytes,
        created_at=iso(upload.created_ms),
        expires_at=iso(upload.ends_ms),
    )
