"""How an edit lies in the store: one hash, whose documents are JSON that the scripts never open.

`document` is the wish and the plan, written once. What scripts decide on or stamp (status, owner, epoch, times,
attempts' states) are fields beside the documents: Lua would read a document's large integers as floats, and write its
empty lists as objects. Reading puts both together again.
"""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from gateway.ledger.rows import Row
from gateway.state.records import VERSION, AttemptRecord, AttemptState, EditRecord, End, Status

_edit = msgspec.json.Decoder(EditRecord)
_attempt = msgspec.json.Decoder(AttemptRecord)
_end = msgspec.json.Decoder(End)


def write_edit(record: EditRecord) -> bytes:
    """What never changes; the rest are fields of their own."""
    return msgspec.json.encode(
        replace(
            record,
            status=Status.QUEUED,
            owner="",
            epoch=0,
            created_ms=0,
            finished_ms=0,
            cancel_ms=0,
            erase_ms=0,
            emptied_ms=0,
            attempts=(),
            end=None,
        )
    )


def write_attempt(attempt: AttemptRecord) -> bytes:
    """Without the store's stamps, so that a repeat is the same bytes."""
    return msgspec.json.encode(
        replace(attempt, opened_ms=0, posted_ms=0, first_posted_ms=0, accepted_ms=0, closed_ms=0)
    )


def write_end(end: End) -> bytes:
    return msgspec.json.encode(end)


def write_row(row: Row) -> bytes:
    """Not empty: a step adds what it knows before the closing brace."""
    return msgspec.json.encode(row)


def read_edit(fields: Mapping[bytes, bytes]) -> EditRecord:
    """The record from its hash. Raises `ValueError` for a schema that this release cannot read."""
    count, record = int(fields[b"attempts"]), _edit.decode(fields[b"document"])
    if record.version > VERSION:
        raise ValueError(f"the record has schema {record.version}, and this release reads up to {VERSION}")
    return replace(
        record,
        status=Status(fields[b"status"].decode()),
        owner=fields[b"owner"].decode(),
        epoch=int(fields[b"epoch"]),
        created_ms=int(fields[b"created"]),
        finished_ms=int(fields.get(b"finished", b"0")),
        cancel_ms=int(fields.get(b"cancel", b"0")),
        erase_ms=int(fields.get(b"erase", b"0")),
        emptied_ms=int(fields.get(b"emptied", b"0")),
        # One is missing only where its rows were lost with the store that it was restored after.
        attempts=tuple(_read_attempt(fields, n) for n in range(1, count + 1) if f"attempt:{n}".encode() in fields),
        end=_end.decode(fields[b"end"]) if b"end" in fields else None,
    )


def _read_attempt(fields: Mapping[bytes, bytes], number: int) -> AttemptRecord:
    def stamp(name: str) -> int:
        return int(fields.get(f"{name}:{number}".encode(), b"0"))

    return replace(
        _attempt.decode(fields[f"attempt:{number}".encode()]),
        state=AttemptState(fields[f"state:{number}".encode()].decode()),
        opened_ms=stamp("opened"),
        posted_ms=stamp("posted"),
        first_posted_ms=stamp("first_posted"),
        accepted_ms=stamp("accepted"),
        closed_ms=stamp("closed"),
    )
