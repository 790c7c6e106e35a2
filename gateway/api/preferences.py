"""`Prefer` (RFC 7240): how long a caller wants to wait, and what of it was honoured."""

from collections.abc import Iterable

from msgspec import Struct

USUAL_S, LONGEST_S = 60, 900
"""Without a word, and at the most: no deadline is longer."""


class Preference(Struct, frozen=True):
    """`applied`: the preferences that are honoured, as the answer names them."""

    wait_s: int = USUAL_S
    applied: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        return {"preference-applied": ", ".join(self.applied)} if self.applied else {}


def preference(fields: Iterable[str]) -> Preference:
    """`wait=N` waits that long for the end, `respond-async` not at all; both say that 202 may follow after N seconds.

    Of a preference that comes twice the first one counts, and one that nobody here knows is passed over, as the RFC
    says.
    """
    said: dict[str, str] = {}
    for part in ",".join(fields).split(","):
        name, _, value = part.partition(";")[0].partition("=")
        said.setdefault(name.strip().lower(), value.strip().strip('"'))
    applied = ("respond-async",) if "respond-async" in said else ()
    text = said.get("wait", "")
    if text.isascii() and text.isdecimal():
        wait_s = min(int(text[:6]), LONGEST_S)
        return Preference(wait_s, (*applied, f"wait={wait_s}"))
    return Preference(0 if applied else USUAL_S, applied)
