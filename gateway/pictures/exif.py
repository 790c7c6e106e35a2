"""The one thing that we read from EXIF: how a camera was held. The rest is dropped unread.

Twenty lines instead of Pillow's reader, which builds a table of every tag that a stranger sent.
"""

_ORDERS = {b"II*\0": "little", b"MM\0*": "big"}
_ORIENTATION, _SHORT = 0x0112, 3
_ENTRY = 12
UPRIGHT = 1


def orientation(exif: bytes) -> int:
    """1 to 8 as in TIFF 6.0; 1 (upright) where there is none or it cannot be read."""
    order = _ORDERS.get(exif[:4])
    if order is None:
        return UPRIGHT

    def number(start: int, length: int) -> int:
        return int.from_bytes(exif[start : start + length], "little" if order == "little" else "big")

    directory = number(4, 4)
    for index in range(number(directory, 2)):
        entry = directory + 2 + index * _ENTRY
        if entry + _ENTRY > len(exif):
            break
        if number(entry, 2) == _ORIENTATION and number(entry + 2, 2) == _SHORT:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else UPRIGHT
    return UPRIGHT
