"""Pictures in and out: told apart by their bytes, decoded in worker processes, and passed on without anything that is
not picture.

Nothing here knows about HTTP, Redis or providers, so that a worker process starts in a tenth of a second.
"""

from gateway.pictures.pictures import CheckedInput, CheckedResult, Oddity, Original, Pictures
from gateway.pictures.pool import Pool, PoolFull
from gateway.pictures.sniff import BadPicture, Fault, Limits

__all__ = [
    "BadPicture",
    "CheckedInput",
    "CheckedResult",
    "Fault",
    "Limits",
    "Oddity",
    "Original",
    "Pictures",
    "Pool",
    "PoolFull",
]
