"""What Runware's error codes mean, as one table: read from the top, the first row that fits wins.

Runware answers 400 for a caller's mistake, a refusal, an empty account and an outage alike, and its catalogue of codes
is large and unstable. So a code decides, not the status, and rows are patterns. Refusals of content come first:
`invalidProviderContent` is a refusal although it begins like a mistake.
"""

import re

from msgspec import Struct

from adapters.contract import FailureKind, Fate

_NOT_RUN, _RAN, _MAY_HAVE_RUN = Fate.NOT_RUN, Fate.RAN, Fate.MAY_HAVE_RUN


class Meaning(Struct, frozen=True, kw_only=True):
    """What an error says about our task.

    `at_submit`: its fate when a submit is answered so; None: the answer proves nothing. `at_poll`: its fate when a
    poll is answered so; None: only the poll failed. `unnamed`: on a submit it counts even where it names no task,
    because such an answer comes before any task is looked at. `refusable`: its words may hide a refusal of content.
    """

    kind: FailureKind
    at_submit: Fate | None
    at_poll: Fate | None
    unnamed: bool = False
    refusable: bool = False


MODERATED = Meaning(kind=FailureKind.MODERATED, at_submit=_NOT_RUN, at_poll=_RAN, unnamed=True)
CONFLICT = Meaning(kind=FailureKind.LOST, at_submit=None, at_poll=None)
CREDENTIAL = Meaning(kind=FailureKind.CREDENTIAL, at_submit=_NOT_RUN, at_poll=None, unnamed=True)
CREDIT = Meaning(kind=FailureKind.CREDIT, at_submit=_NOT_RUN, at_poll=_NOT_RUN, unnamed=True)
RATE_LIMITED = Meaning(kind=FailureKind.RATE_LIMITED, at_submit=_NOT_RUN, at_poll=None, unnamed=True)
NO_CAPACITY = Meaning(kind=FailureKind.BUSY, at_submit=_NOT_RUN, at_poll=_NOT_RUN)
TASK_FAILED = Meaning(kind=FailureKind.TASK_FAILED, at_submit=_RAN, at_poll=_RAN)
# No document says whether a cancelled task is charged. So polling ends, and its money waits for somebody who knows.
CANCELLED = Meaning(kind=FailureKind.EXPIRED, at_submit=None, at_poll=_MAY_HAVE_RUN)
UPSTREAM = Meaning(kind=FailureKind.TASK_FAILED, at_submit=_RAN, at_poll=_RAN, refusable=True)
UNSUPPORTED = Meaning(kind=FailureKind.UNSUPPORTED, at_submit=_NOT_RUN, at_poll=_NOT_RUN, unnamed=True)
INVALID = Meaning(kind=FailureKind.INVALID, at_submit=_NOT_RUN, at_poll=_NOT_RUN, unnamed=True)
NO_VERDICT = Meaning(kind=FailureKind.LOST, at_submit=None, at_poll=None)
UNLISTED = Meaning(kind=FailureKind.LOST, at_submit=None, at_poll=None)
UNLISTED_FAILURE = Meaning(kind=FailureKind.TASK_FAILED, at_submit=None, at_poll=_RAN)

TABLE: tuple[tuple[str, Meaning], ...] = (
    (r"invalidProviderContent|invalidBFLContent|(provider)?contentPolicyViolation", MODERATED),
    (r"(nsfw|sensitive|unsafe)ContentDetected|(prompt|image)Blocked|moderationFailed|.*moderat(ed|ion).*", MODERATED),
    (r"conflictTaskUUID", CONFLICT),
    (r".*ApiKey|unauthorized|forbidden|permissionDenied|insufficientPermissions", CREDENTIAL),
    (r"auth(entication)?(Failed|Timeout)|(invalid|missing)(Authentication|Credentials)|token.*", CREDENTIAL),
    (r"(account|organization|workspace)(Suspended|Disabled)", CREDENTIAL),
    (r".*(credits|quota|balance).*|paymentRequired|environmentPaused", CREDIT),
    (r".*rateLimit.*|concurrentRequestLimitExceeded|tooManyRequests", RATE_LIMITED),
    (r"failedTaskTimeout|task(NotFound|Expired|FailedOrNotFound)", NO_VERDICT),
    (r"taskCancell?ed", CANCELLED),
    (r"noAvailableServer|model(Unavailable|NotReady|Disabled)|providerUnavailable", NO_CAPACITY),
    (r"timeoutProvider|provider(Gateway)?Timeout", TASK_FAILED),
    (r"inferenceError|processingFailed|taskFailed|(down|up)loadFailed|mediaStorageFileCouldNotBeMoved", TASK_FAILED),
    (r"(internalServer|standard|unknown|undefined|default)Error|serv(ice|er)Unavailable|.*timeout", NO_VERDICT),
    (r"provider.*", UPSTREAM),
    (r"unsupported.*|unknown(Model|Parameter|ProviderSettings.*)|modelNotFound|incompatible.*|mismatch.*", UNSUPPORTED),
    (r"invalid(Model|ProviderSettings|Width|Height|.*Dimensions?|.*Size|.*Resolution)", UNSUPPORTED),
    (r"invalid.*|missing.*|value.*|array.*|max.*|validationFailed", INVALID),
)

_ROWS = tuple((re.compile(pattern, re.IGNORECASE | re.ASCII), meaning) for pattern, meaning in TABLE)

# Upstream's words for a refusal. Not `safety_tolerance`, which is a dial that can be out of range.
_REFUSAL = re.compile(
    r"moderat|flagged|\bsafety\b(?![ _-]?tolerance)|content.?polic|\bnsfw\b|sensitive content", re.IGNORECASE
)


def meaning(code: str, words: str = "", *, task_ended: bool = False) -> Meaning:
    """What an error with this code means. `words`: whatever the provider wrote beside it; read here, never repeated.
    `task_ended`: the error says of itself that it is the end of the task, which settles a code that no row knows."""
    unlisted = UNLISTED_FAILURE if task_ended else UNLISTED
    found = next((row for pattern, row in _ROWS if pattern.fullmatch(code)), unlisted)
    return MODERATED if found.refusable and _REFUSAL.search(words) else found
