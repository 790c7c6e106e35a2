"""Ids that the gateway makes: edits, uploads, replicas, API keys. Chance and time come in as arguments."""

import os
import socket
from base64 import urlsafe_b64encode
from uuid import UUID

EDIT_PREFIX = "edit_"
UPLOAD_PREFIX = "img_"
KEY_PREFIX = "kx_"


def edit_id(now_ms: int, chance: bytes) -> str:
    """`edit_` and a UUIDv7 (RFC 9562): sorted by time, with 74 random bits. `chance` is 10 bytes."""
    value = (now_ms & (1 << 48) - 1) << 80 | int.from_bytes(chance)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return f"{EDIT_PREFIX}{UUID(int=value)}"


def upload_id(digest: str) -> str:
    """`img_` and the first 128 bits of the picture's digest. It needs no chance: it is looked up under its team."""
    return UPLOAD_PREFIX + digest[:32]


def api_key(chance: bytes) -> str:
    """`kx_` and 256 random bits. `chance` is 32 bytes."""
    return KEY_PREFIX + urlsafe_b64encode(chance).decode("ascii").rstrip("=")


def replica_id(chance: bytes) -> str:
    """A name that a person can trace to a process, and that no restart repeats."""
    return f"{socket.gethostname()}-{os.getpid()}-{chance.hex()}"
