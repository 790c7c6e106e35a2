"""An entry of the outbox as a row, or the reason why it is none. Pure."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.ledger.rows import Row

_ROW, _AT = b"row", b"at"
_decoder = msgspec.json.Decoder(Row)


class Entry(Struct, frozen=True):
    """`id` is the stream's (`1800000000000-3`). `fault` says why there is no row."""

    id: str
    fields: Mapping[bytes, bytes]
    row: Row | None = None
    fault: str = ""


def entry(raw_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """`row` holds the row as JSON, `at` when its step took effect, in epoch milliseconds of the store."""
    found = Entry(raw_id.decode("ascii"), fields)
    missing = [name.decode() for name in (_ROW, _AT) if name not in fields]
    if missing:
        return replace(found, fault=f"it has no field {' and no field '.join(missing)}")
    try:
        row = _decoder.decode(fields[_ROW])
        return replace(found, row=replace(row, at_ms=int(fields[_AT]), place=place(found.id)))
    except (ValueError, RecursionError) as error:  # ValueError: msgspec's errors and `int`'s
        return replace(found, fault=f"{type(error).__name__}: {str(error)[:200]}")


def place(entry_id: str) -> str:
    """The id as text that sorts as the stream does, in any collation."""
    ms, _, number = entry_id.partition("-")
    return f"{int(ms):015d}{int(number):020d}"


def kept(found: Entry) -> bytes:
    """The entry as it is set aside: everything it had, whatever bytes those are."""
    fields = {name.hex(): value.hex() for name, value in found.fields.items()}
    return msgspec.json.encode({"fault": found.fault, "fields_hex": fields})
