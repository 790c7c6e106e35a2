"""The intervals of an attempt and of a replica, as settings, so that tests can use short ones. Seconds."""

from msgspec import Struct


class Timing(Struct, frozen=True, kw_only=True):
    """`resolve_s`: how long a lost answer is looked for. `resubmit_s`: after the first submit, none is repeated later
    than this. `follow_s`: how long accepted work is followed. `permit_s`: between tries for a provider's permit.
    `refresh_s`: before asking again for a result that could not be fetched."""

    resolve_s: float = 120.0
    resubmit_s: float = 600.0
    follow_s: float = 900.0
    permit_s: float = 0.25
    refresh_s: tuple[float, ...] = (0.5, 2.0, 5.0)
    beat_s: float = 3.0
    dead_after_s: float = 10.0
