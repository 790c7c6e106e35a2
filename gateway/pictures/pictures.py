"""The gateway's desk for pictures: every picture that comes in, from a caller or a provider, passes here once.

An input is refused if anything is wrong with it. A result was paid for: it is refused only if it cannot be decoded, it
waits for a worker however many wait, and what is merely odd about it becomes a warning.
"""

import contextlib
from collections.abc import Awaitable, Callable
from enum import StrEnum

import msgspec
from msgspec import Struct

from adapters.contract import ImageFormat, MaskMeaning, Picture
from gateway.pictures import datauri
from gateway.pictures.jobs import Clean, Cleaned, Compare, Compared, Convert, Converted, Refused
from gateway.pictures.pool import Pool
from gateway.pictures.sniff import INPUT, RESULT, BadPicture, Limits


class Oddity(StrEnum):
    """What a result is delivered with a warning for."""

    BLANK = "blank"  # every pixel has the same colour
    UNCHANGED = "unchanged"  # the input's own pixels
    OTHER_SIZE = "other_size"  # not the size that was sent to the provider


class CheckedInput(Struct, frozen=True):
    """`data` is the clean file that `picture` describes."""

    data: bytes
    picture: Picture

    def __repr__(self) -> str:
        return f"CheckedInput({self.picture!r})"


class CheckedResult(Struct, frozen=True, kw_only=True):
    """`data` is clean and of the wanted format; `digest` is its SHA-256 in hex."""

    data: bytes
    format: ImageFormat
    width: int
    height: int
    digest: str
    warnings: tuple[Oddity, ...] = ()

    def __repr__(self) -> str:
        return f"CheckedResult({self.format} {self.width}×{self.height}, {self.digest[:12]}, {list(self.warnings)})"


class Original(Struct, frozen=True):
    """The input that a result is held against. `load` gives its kept bytes, None where they are gone; it is asked only
    where the pixels could be the same."""

    picture: Picture
    load: Callable[[], Awaitable[bytes | None]]


class Pictures:
    """Owns the worker pool: `warm` before the first request, `aclose` at the end."""

    def __init__(self, pool: Pool, *, inputs: Limits = INPUT, results: Limits = RESULT) -> None:
        self._pool = pool
        self._inputs = inputs
        self._results = results

    async def warm(self) -> None:
        await self._pool.warm()

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def check_input(self, data: bytes) -> CheckedInput:
        """A clean file of the same format. Raises `BadPicture` and `PoolFull`."""
        self._inputs.check_bytes(len(data))
        return await self._check_input(Clean(limits=self._inputs), data)

    async def check_input_text(self, text: str) -> CheckedInput:
        """The same for a data URI or bare base64."""
        return await self._check_input(*_as_text(Clean(limits=self._inputs), text))

    async def check_result(
        self,
        data: bytes | str,
        wanted: ImageFormat,
        quality: int = 95,
        expected: tuple[int, int] | None = None,
        original: Original | None = None,
    ) -> CheckedResult:
        """A clean file of the wanted format; `quality` (1 to 100) where it is coded anew. Text is a data URI or base64.

        `expected` is the width and height that were sent. A result that a provider coded anew with loss has not its
        original's pixels any more. Raises `BadPicture` where nothing can be decoded.
        """
        job, payload = Clean(limits=self._results, wanted=wanted, quality=quality), data
        if isinstance(payload, str):
            job, payload = _as_text(job, payload)
        else:
            self._results.check_bytes(len(payload))
        cleaned, picture = await self._clean(job, payload, patient=True)
        found = {
            Oddity.BLANK: cleaned.blank,
            Oddity.UNCHANGED: original is not None and await self._is_unchanged(cleaned, job, payload, original),
            Oddity.OTHER_SIZE: expected is not None and expected != (cleaned.width, cleaned.height),
        }
        return CheckedResult(
            data=picture,
            format=cleaned.format,
            width=cleaned.width,
            height=cleaned.height,
            digest=cleaned.digest,
            warnings=tuple(oddity for oddity, applies in found.items() if applies),
        )

    async def converted_mask(self, data: bytes, meaning: MaskMeaning) -> bytes:
        """A mask that was checked as an input, as a PNG in a server's meaning. Waits for a worker, however many wait.
        Raises `BadPicture`."""
        answer, converted = await self._pool.run(Convert(limits=self._inputs, meaning=meaning), data, patient=True)
        if isinstance(answer, Refused):
            raise BadPicture(answer.reason, answer.message)
        assert isinstance(answer, Converted)
        return converted

    async def as_png(self, data: bytes) -> bytes:
        """The same pixels for a server that reads no other format. `data` was checked as an input. Waits for a worker,
        however many wait. Raises `BadPicture`."""
        _, converted = await self._clean(Clean(limits=self._inputs, wanted=ImageFormat.PNG), data, patient=True)
        return converted

    async def _check_input(self, job: Clean, payload: bytes) -> CheckedInput:
        cleaned, data = await self._clean(job, payload, patient=False)
        picture = Picture(cleaned.digest, cleaned.format, cleaned.width, cleaned.height, len(data))
        return CheckedInput(data, picture)

    async def _is_unchanged(self, cleaned: Cleaned, job: Clean, payload: bytes, original: Original) -> bool:
        """The same file costs nothing to see, another file with the same pixels two decodings: so those are compared
        only where the size is equal and the format exact."""
        picture = original.picture
        if cleaned.digest == picture.digest:
            return True
        if not cleaned.exact or (cleaned.width, cleaned.height) != (picture.width, picture.height):
            return False
        kept = await original.load()
        if kept is None:
            return False
        compare = Compare(limits=self._results, split=len(kept), base64=job.base64)
        with contextlib.suppress(BadPicture):  # too much for a worker: the picture is good, and only a warning is lost
            answer, _ = await self._pool.run(compare, kept + payload, patient=True)
            return isinstance(answer, Compared) and answer.equal
        return False

    async def _clean(self, job: Clean, payload: bytes, *, patient: bool) -> tuple[Cleaned, bytes]:
        answer, data = await self._pool.run(job, payload, patient=patient)
        if isinstance(answer, Refused):
            raise BadPicture(answer.reason, answer.message)
        assert isinstance(answer, Cleaned)
        return answer, data


def _as_text(job: Clean, text: str) -> tuple[Clean, bytes]:
    """The job for a picture that comes as text, and the base64 in it."""
    encoded = datauri.split(text, job.limits)
    try:
        payload = text[encoded.start :].encode("ascii")
    except UnicodeEncodeError:
        raise datauri.not_base64() from None
    return msgspec.structs.replace(job, base64=True, declared=encoded.declared), payload
