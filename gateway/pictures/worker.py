"""A worker process: one picture after the other over one socket, in bounded memory and time, with nothing to steal.

It is started with an empty environment and no descriptor but its socket, can open no files after its start, and ends
when the gateway's end of the socket closes. What it cannot foresee kills it, which costs the gateway one try.
"""

import contextlib
import os
import resource
import socket
import sys
import warnings

from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from gateway.pictures import check, mask
from gateway.pictures.jobs import LENGTHS, Answer, Clean, Compare, Convert, Job, Ping, Ready, Refused, frame, read_job
from gateway.pictures.sniff import BadPicture, Fault

_NICE = 5  # one caller waits for a picture, and all of them for the loop
_DECODERS = (JpegImagePlugin, PngImagePlugin, WebPImagePlugin)  # loaded before the limits are set


def main(descriptor: int, memory_bytes: int, cpu_s: int) -> None:
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    Image.preinit()
    os.nice(_NICE)
    _bound(memory_bytes)
    with socket.socket(fileno=descriptor) as line, contextlib.suppress(BrokenPipeError):  # the gateway has gone
        while (request := _receive(line)) is not None:
            _bound_cpu(cpu_s)
            answer, payload = _work(*request)
            line.sendall(frame(answer, len(payload)))
            line.sendall(payload)


def _work(job: Job, payload: bytes) -> tuple[Answer, bytes]:
    try:
        match job:
            case Clean():
                return check.clean(payload, job)
            case Compare():
                return check.compare(payload, job), b""
            case Convert():
                return mask.convert(payload, job)
            case Ping():
                return Ready(), b""
    except BadPicture as error:
        return Refused(error.reason, error.message), b""
    except MemoryError:
        return Refused(Fault.SIZE, "the picture takes too much memory to work on; send a smaller one"), b""


def _receive(line: socket.socket) -> tuple[Job, bytes] | None:
    """None once the gateway has gone, also in the middle of a job."""
    head = _exactly(line, LENGTHS.size)
    if head is None:
        return None
    job_bytes, payload_bytes = LENGTHS.unpack(head)
    encoded = _exactly(line, job_bytes)
    payload = _exactly(line, payload_bytes)
    return None if encoded is None or payload is None else (read_job(encoded), payload)


def _exactly(line: socket.socket, count: int) -> bytes | None:
    buffer = bytearray(count)
    view, filled = memoryview(buffer), 0
    while filled < count:
        received = line.recv_into(view[filled:])
        if not received:
            return None
        filled += received
    return bytes(buffer)


def _bound(memory_bytes: int) -> None:
    """No core dumps, no file written or opened, no process started, and a ceiling for memory."""
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
        resource.setrlimit(kind, (0, 0))
    if sys.platform == "linux":  # elsewhere the address space cannot be bounded; the gateway's timeout still is
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _bound_cpu(seconds: int) -> None:
    """The kernel ends a job that the gateway cannot, having died itself."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds + 1, hard))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:4]))
