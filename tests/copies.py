"""Copies of a picture that are alive in this process, in whatever holds them."""

import base64
import gc

_LONG = 90


class Copies:
    """`data` is noise: every copy of it has the same bytes in its middle, as they are or in base64, which may begin at
    any of three places in them. Who else lives in the process does not count."""

    def __init__(self, data: bytes) -> None:
        mark = data[len(data) // 2 :][:_LONG]
        self._marks = (mark, *(base64.b64encode(mark[start : start + 60]) for start in range(3)))
        self._texts = tuple(mark.decode() for mark in self._marks[1:])
        self._least = len(data) // 2

    def count(self) -> int:
        """Suspended coroutines included; values of less than half its size are none."""
        gc.collect()
        found: dict[int, bool] = {}
        for holder in gc.get_objects():
            for value in gc.get_referents(holder):
                if isinstance(value, (bytes, bytearray, memoryview, str)) and len(value) > self._least:
                    found[id(value)] = self._is_copy(value)
        return sum(found.values())

    def _is_copy(self, value: bytes | bytearray | memoryview | str) -> bool:
        if isinstance(value, str):
            return any(text in value for text in self._texts)
        return any(mark in bytes(value) for mark in self._marks)
