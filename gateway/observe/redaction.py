"""What no log line may hold, taken out at the sink, whoever logged it and however deep it lies.

Three nets. By name: a field called `prompt` or `authorization` goes, whatever it holds. By value: the secrets of the
configuration. By shape: what looks like a key, a credential, a signed address, base64 or an e-mail address goes from
every text, a stack trace's too. A prompt has no shape; so no room logs one, and no exception of ours repeats one.
"""

import re
from collections.abc import Iterable, Mapping
from typing import cast

from structlog.typing import EventDict, WrappedLogger

LEFT_OUT = "(left out)"
NAMES = frozenset(
    {
        "authorization", "api_key", "apikey", "body", "call", "cookie", "credential", "data", "headers", "key",
        "negative_prompt", "password", "prompt", "secret", "signature", "text", "token", "upload_url", "url",
        "webhook_url",
    }
)  # fmt: skip
MOST_CHARACTERS = 4_000
_DEEPEST = 6
_SHORTEST = 6  # a shorter secret would blot out words

_LONG = 80
_HINT = re.compile(r"[\s:=@]|kx_|whsec_")
"""What every shape below has somewhere, or it is long: ids and names, which most of a line is, are looked at once."""

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic|token)\s+[^\s'\",;]+"), rf"\1 {LEFT_OUT}"),
    (re.compile(r"\bkx_[A-Za-z0-9_-]{4,}"), LEFT_OUT),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]{4,}"), LEFT_OUT),
    (re.compile(r"(?i)\b((?:x-)?api[-_]?key|authorization|password|secret|signature)(['\"]?\s*[:=]\s*)(?!\()[^\s,;&}]+"),
     rf"\1\2{LEFT_OUT}"),
    (re.compile(r"(\w+://)[^\s/@'\"]+@"), rf"\1{LEFT_OUT}@"),
    (re.compile(r"(\w+://[^\s?'\"<>]+)\?[^\s'\"<>]*"), rf"\1?{LEFT_OUT}"),
    (re.compile(r"data:[\w.+/-]*;base64,[A-Za-z0-9+/=_-]*"), LEFT_OUT),
    (re.compile(rf"(?<![\w/+-])[A-Za-z0-9+/_-]{{{_LONG},}}={{0,2}}"), LEFT_OUT),
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), LEFT_OUT),
)  # fmt: skip


class Redaction:
    """A processor of structlog's. `never`: texts that must not appear anywhere, whatever surrounds them."""

    def __init__(self, never: Iterable[str] = ()) -> None:
        self._never: tuple[str, ...] = ()
        self.forbid(never)

    def forbid(self, never: Iterable[str]) -> None:
        """These, too, from now on: a configuration that is read again may bring new secrets."""
        known = {text for text in (*self._never, *never) if len(text) >= _SHORTEST}
        self._never = tuple(sorted(known, key=len, reverse=True))

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {name: self._field(name, value, 0) for name, value in event.items()}

    def clean(self, text: str) -> str:
        """`text` without what must not be kept, and not longer than a line may be."""
        for secret in self._never:
            if secret in text:
                text = text.replace(secret, LEFT_OUT)
        if len(text) < _LONG and not _HINT.search(text):
            return text
        short = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}… (cut)"
        for shape, instead in _SHAPES:
            short = shape.sub(instead, short)
        return short

    def _field(self, name: str, value: object, depth: int) -> object:
        if name.lower() in NAMES or depth > _DEEPEST:
            return LEFT_OUT
        match value:
            case bool() | int() | float() | None:
                return value
            case Mapping():
                fields = cast("Mapping[object, object]", value).items()
                return {self.clean(str(key)): self._field(str(key), one, depth + 1) for key, one in fields}
            case list() | tuple() | set() | frozenset():
                return [self._field("", one, depth + 1) for one in cast("Iterable[object]", value)]
            case _:
                return self.clean(str(value))
