"""A picture that was sent once, to be named in many edits."""

from datetime import datetime

from msgspec import Struct


class Upload(Struct, frozen=True, kw_only=True):
    """Give it, or its `id`, as a picture. Each edit that names it moves `expires_at` away."""

    id: str
    sha256: str
    width: int
    height: int
    format: str
    bytes: int
    created_at: datetime
    expires_at: datetime
