"""A multipart form as it comes over the wire, part by part: text is UTF-8, and a file is its bytes.

The framework's own reader decodes text by whatever character set its part names. Of those that Python knows, some fail
in ways of their own, some give text that cannot be encoded again, and some take hours for a few megabytes.
"""

from typing import Any

from litestar import Request
from litestar.exceptions import ClientException
from multipart import (  # pyright: ignore[reportMissingTypeStubs] - its annotations are its own
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
)

from gateway.api.problems import ProblemError

FormPart = tuple[str, str | bytes]
MOST_PARTS = 64
_UTF8 = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})


async def form_parts(request: Request[Any, Any, Any]) -> list[FormPart]:
    """Every part in its order, by its name. Raises a 400 problem; the application's cap on bodies is enforced while
    they are read."""
    boundary, reader = request.content_type[1].get("boundary", ""), _Reader()
    try:
        with PushMultipartParser(boundary, max_segment_count=MOST_PARTS) as parser:
            async for chunk in request.stream():
                for event in parser.parse(chunk) if chunk else ():
                    reader.take(event)
    except (MultipartError, UnicodeError) as error:
        raise ClientException(f"not a form: {error}") from None
    return reader.parts


class _Reader:
    """Collects what the parser tells: a part's head, its pieces, its end."""

    def __init__(self) -> None:
        self.parts: list[FormPart] = []
        self._head: MultipartSegment | None = None
        self._data = bytearray()

    def take(self, event: MultipartSegment | bytearray | bytes | None) -> None:
        if isinstance(event, MultipartSegment):
            self._head, self._data = event, bytearray()
        elif event:
            self._data += event
        elif self._head is not None:
            self.parts.append((self._head.name or "", _value(self._head, self._data)))


def _value(head: MultipartSegment, data: bytearray) -> str | bytes:
    if head.filename:
        return bytes(data)
    if (head.charset or "").lower() not in _UTF8:
        raise ProblemError("malformed", "the form has text that is not in UTF-8", expected="UTF-8 in every part")
    return data.decode("utf-8")
