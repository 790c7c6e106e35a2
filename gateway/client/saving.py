"""A picture as a file."""

from pathlib import Path


def written(data: bytes, path: Path) -> Path:
    """Its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
