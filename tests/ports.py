"""Ports for programs that must be told theirs before they start."""

import secrets
import socket
from contextlib import suppress

_FIRST, _COUNT = 12_000, 10_000
_COMPANION = 10_000


def free_port() -> int:
    """Nobody listens there now. Drawn from below those that kernels hand out (Linux: 32768 and up): a port of theirs,
    given back, may be the next connection's before the program that was told it has started. The one ten thousand
    above is free, too: nodes of a Cluster and SeaweedFS talk there among themselves."""
    while True:
        port = _FIRST + secrets.randbelow(_COUNT)
        with suppress(OSError), socket.socket() as here, socket.socket() as companion:
            here.bind(("127.0.0.1", port))
            companion.bind(("127.0.0.1", port + _COMPANION))
            return port
