"""Every reason by which an offer is left out of a plan. Shown to callers, in quotes and in metrics alike."""

from enum import StrEnum


class Reason(StrEnum):
    INCAPABLE = "incapable"  # it cannot do the edit as asked (the exclusion names the field)
    NOT_ALLOWED = "not_allowed"  # the team or the request does not permit it
    BELOW_TIER = "below_tier"  # a lesser quality than asked
    OVER_COST = "over_cost"  # dearer than the request's cap
    TOO_SLOW = "too_slow"  # cannot be expected before the deadline
    NOT_READY = "not_ready"  # its server loads, has failed, or does not answer
    OVERFLOW = "overflow"  # an edit would wait too long there, and may go elsewhere
    UNHEALTHY = "unhealthy"  # its circuit or its provider's account is open
    DISABLED = "disabled"  # drained by an operator, or its provider has no key here
