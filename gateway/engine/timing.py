"""The intervals of an attempt and of a replica, as settings, so that tests can use short ones. Seconds."""

from msgspec import Struct


class Timing(Struct, frozen=True, kw_only=True):
    """`resolve_s`: how long a lost answer is looked for. `resubmit_s`: after the first submit, none is repeated later
    than this. `follow_s`: how long accepted work is followed. `permit_s`: between tries for a provider's permit.
    `refresh_s`: before asking again for a result that could not be fetched. `read_s`: between two readings for the
    metrics. `reconcile_s`: between two rounds of the reconciler. `sweep_s`: between two rounds of what is
    deleted when its time is over. `forget_s`: an unresolved
    attempt older than this is asked for no more, and waits for an operator. `compare_after_s`, `compare_within_s`: how
    long ago an attempt ended that is held against its provider's word. `loan_s`: a webhook that was on its
    way for so long is sent again; longer than a try may take."""

    resolve_s: float = 120.0
    resubmit_s: float = 600.0
    follow_s: float = 900.0
    permit_s: float = 0.25
    refresh_s: tuple[float, ...] = (0.5, 2.0, 5.0)
    beat_s: float = 3.0
    dead_after_s: float = 10.0
    reconcile_s: float = 60.0
    sweep_s: float = 60.0
    forget_s: float = 7 * 86_400.0
    read_s: float = 5.0
    compare_after_s: float = 60.0
    compare_within_s: float = 3_600.0
    loan_s: float = 20.0
