"""What an exit code says to the program that called."""

from enum import IntEnum

from gateway.client.errors import KontextError, ProblemError, StillRunningError, UnreachableError


class Exit(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    BUDGET = 4
    NO_OFFER = 5
    UNRESOLVED = 6
    UNREACHABLE = 7


# The last word of a problem's `type` -> the exit. What is not named here is a plain failure.
BY_PROBLEM: dict[str, Exit] = {
    "moderated": Exit.REFUSED,
    "budget": Exit.BUDGET,
    "no_offer": Exit.NO_OFFER,
    "no_offer_now": Exit.NO_OFFER,
    "unresolved": Exit.UNRESOLVED,
    "malformed": Exit.USAGE,
    "invalid": Exit.USAGE,
    "unauthorized": Exit.USAGE,
    "forbidden": Exit.USAGE,
    "too_large": Exit.USAGE,
    "unsupported_media_type": Exit.USAGE,
    "store_unavailable": Exit.UNREACHABLE,
    "overloaded": Exit.UNREACHABLE,
    "leaving": Exit.UNREACHABLE,
}


def exit_of(error: KontextError) -> Exit:
    match error:
        case ProblemError():
            return BY_PROBLEM.get(error.problem.kind, Exit.FAILED)
        case UnreachableError():
            return Exit.UNREACHABLE
        case StillRunningError():
            return Exit.UNRESOLVED
        case _:
            return Exit.FAILED
