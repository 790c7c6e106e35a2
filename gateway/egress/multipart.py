"""multipart/form-data by the client library's own encoder: fields first, then files, in the order given."""

import httpx

FilePart = tuple[str, str, str, bytes]
"""Name, file name, media type, bytes."""


def multipart(fields: tuple[tuple[str, str], ...], files: list[FilePart]) -> tuple[str, bytes]:
    """The content type (with its boundary) and the body. A field name that comes several times keeps its order."""
    data: dict[str, list[str]] = {}
    for name, value in fields:
        data.setdefault(name, []).append(value)
    parts = [(name, (filename, content, media_type)) for name, filename, media_type, content in files]
    request = httpx.Request("POST", "http://multipart", data=data, files=parts)
    return request.headers["content-type"], request.read()
