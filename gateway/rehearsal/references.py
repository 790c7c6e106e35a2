"""Reference pictures as the providers take them: data URIs and base64 are decoded, our own links followed.

Foreign links are not followed (a rehearsal needs no network): a pattern stands in for what they point at.
"""

import base64
import binascii
import re
from collections.abc import Collection

from gateway.rehearsal.pictures import NotAPictureError, Source, Studio

DATA_URI = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)


def inline_bytes(reference: str) -> bytes | None:
    """The bytes of a data URI or of bare base64; `None` for anything else."""
    head = DATA_URI.match(reference)
    try:
        return base64.b64decode(reference[head.end() :] if head else reference, validate=True)
    except (binascii.Error, ValueError):
        return None


async def inline_source(studio: Studio, reference: str, formats: Collection[str]) -> Source:
    """Take in a picture that is written out. Raises `NotAPictureError`."""
    data = inline_bytes(reference)
    if not data:
        raise NotAPictureError
    return await studio.take_in(data, formats)
