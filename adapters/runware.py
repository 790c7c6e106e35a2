"""Runware: one address that takes an array of tasks; we choose a task's id, send it asynchronously, and poll.

The id is what makes a lost answer safe. Polling cannot tell a task that runs from one that never arrived, but sending
the same id and body again can: it is taken once, or refused with `conflictTaskUUID`. Answers are judged by the code of
an error and by the task it names, hardly ever by the HTTP status, and an answer about another task proves nothing.
"""

from typing import Annotated

from msgspec import Meta, Struct

from adapters import replies
from adapters.contract import (
    Attempt,
    Auth,
    Done,
    Failed,
    FailureKind,
    Fate,
    HttpCall,
    HttpReply,
    Load,
    Next,
    Outcome,
    Step,
    Unclear,
)
from adapters.runware_answers import Answer, Archived, Result, Trouble, read_answer, read_archive
from adapters.runware_errors import CONFLICT
from adapters.runware_tasks import TASK_TYPE, Place, ask, post


class RunwareSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What Runware's documentation leaves open.

    `guard_s`: least seconds between two submits of one id, longer than its check for duplicates lags behind.
    `reference_images`: where input pictures go; the parameter tables say `inputs`, some examples the top level.
    `trust_503`: a 503 that names no task means that nothing was started. `rounds`: how often a lost answer is looked
    for (poll, archive, same id again) before the attempt is left unresolved.
    """

    guard_s: Annotated[float, Meta(ge=1, le=60)] = 2.0
    reference_images: Place = "inputs"
    trust_503: bool = True
    rounds: Annotated[int, Meta(ge=1, le=50)] = 8


WORDS = {
    FailureKind.INVALID: "found the request wrong",
    FailureKind.UNSUPPORTED: "cannot do this as asked",
    FailureKind.MODERATED: "refused the content",
    FailureKind.CREDENTIAL: "refused the key",
    FailureKind.CREDIT: "refused for lack of credit",
    FailureKind.RATE_LIMITED: "has too many of our tasks at once",
    FailureKind.BUSY: "has no capacity now",
    FailureKind.LOST: "did not say what became of the task",
    FailureKind.TASK_FAILED: "failed at the task",
    FailureKind.BAD_PICTURE: "finished without a picture",
    FailureKind.EXPIRED: "cancelled the task and does not say whether it was charged",
}

# What a status says by itself, whatever the body. Runware documents 401, 402, 403 and 429; 413 comes from whatever
# stands before it, when the body is too long to reach it.
STATUSES = {
    401: FailureKind.CREDENTIAL,
    402: FailureKind.CREDIT,
    403: FailureKind.CREDENTIAL,
    413: FailureKind.UNSUPPORTED,
    429: FailureKind.RATE_LIMITED,
}

# Refusals that depend on what was sent alone. Refused once is refused twice, so they settle an attempt even where an
# earlier answer was lost; the others (rate, credit, key, capacity) say nothing about the submit before.
BY_CONTENT = (FailureKind.INVALID, FailureKind.UNSUPPORTED, FailureKind.MODERATED)
FINAL = (*BY_CONTENT, FailureKind.TASK_FAILED)

MOST_OWNER_QUESTIONS = 4
MOST_WAIT_S = 30.0


class Runware(Struct, frozen=True):
    """Cannot cancel: Runware has no way to, and dropping the connection stops neither work nor bill."""

    settings: RunwareSettings = RunwareSettings()

    @property
    def auth(self) -> Auth:
        return Auth()

    @property
    def client_ids(self) -> bool:
        return True

    def submit(self, attempt: Attempt) -> Next:
        """Raises `ValueError` for an edit that the offer cannot take; plans hold none."""
        return Next(call=post(attempt, Step.SUBMIT, self.settings.reference_images))

    def read(self, attempt: Attempt, call: HttpCall, reply: HttpReply) -> Outcome:
        document = replies.document(reply)
        if call.step.may_cost:
            return self._read_post(attempt, call, reply, read_answer(document, attempt))
        asks = call.carry.get("asks")
        if asks == "owner":
            return _read_owner(attempt, call, read_archive(document, attempt))
        if asks == "archive":
            return _read_lost(attempt, read_archive(document, attempt))
        return _read_poll(attempt, call, read_answer(document, attempt))

    def recover(self, attempt: Attempt, tried: int) -> Next | None:
        """Poll, ask the archive, send the same id and body again; and round again, after a growing wait."""
        turn, way = divmod(tried, 3)
        if turn >= self.settings.rounds:
            return None
        if way == 0:
            wait = min(2.0**turn, MOST_WAIT_S) if turn else 0.0
            return Next(call=ask(attempt, "getResponse", Step.LOOK_UP), after=wait)
        if way == 1:
            return Next(call=ask(attempt, "getTaskDetails", Step.LOOK_UP, asks="archive"))
        return Next(call=post(attempt, Step.RESUBMIT, self.settings.reference_images), guard=self.settings.guard_s)

    def cancel(self, attempt: Attempt, call: HttpCall) -> HttpCall | None:  # noqa: ARG002 - the protocol's signature
        return None

    @property
    def health_path(self) -> str | None:
        """None: an account is judged by what it answers."""
        return None

    def load(self, reply: HttpReply) -> Load | None:
        """None: it is not asked."""
        del reply
        return None

    def is_signed(self, callback: HttpReply, secrets: tuple[str, ...]) -> bool:  # noqa: ARG002 - the protocol's signature
        """Runware's webhooks carry no signature."""
        return False

    def _read_post(self, attempt: Attempt, call: HttpCall, reply: HttpReply, answer: Answer) -> Outcome:
        if outcome := _delivered(attempt, answer, ()):
            return outcome
        if any(trouble.meaning is CONFLICT for trouble in answer.errors):
            return _conflict(attempt, call)
        for trouble in _refusals(attempt, answer):
            if trouble.meaning.at_submit:
                return _refused(call, reply, trouble.meaning.kind, trouble.meaning.at_submit, trouble.code)
        if answer.results:
            return Next(call=_poll(attempt))
        return self._by_status(call, reply, named=bool(answer.errors))

    def _by_status(self, call: HttpCall, reply: HttpReply, *, named: bool) -> Failed:
        """For a body that settles nothing. A 503 that names our task may come after it was taken."""
        if kind := STATUSES.get(reply.status):
            return _refused(call, reply, kind, Fate.NOT_RUN, str(reply.status))
        if reply.status == 503 and self.settings.trust_503 and not named:
            return _refused(call, reply, FailureKind.BUSY, Fate.NOT_RUN, "503")
        return _refused(call, reply, FailureKind.LOST, Fate.MAY_HAVE_RUN, str(reply.status))


def _poll(attempt: Attempt) -> HttpCall:
    return ask(attempt, "getResponse", Step.POLL)


def _gravest_first(errors: tuple[Trouble, ...]) -> list[Trouble]:
    """A refusal of content outranks whatever else is said about the task."""
    return sorted(errors, key=lambda trouble: trouble.meaning.kind is not FailureKind.MODERATED)


def _message(kind: FailureKind, code: str) -> str:
    return f"Runware {WORDS[kind]} ({code})" if code else f"Runware {WORDS[kind]}"


# --- answers to a submit --------------------------------------------------------------------------------------------


def _refusals(attempt: Attempt, answer: Answer) -> list[Trouble]:
    """Errors that may mean that nothing was started, gravest first. Beside an acknowledgement only one that names our
    task can, and of several results it may mean one: then polling tells."""
    if not answer.results:
        return _gravest_first(answer.errors + tuple(trouble for trouble in answer.unnamed if trouble.meaning.unnamed))
    return _gravest_first(answer.errors) if attempt.edit.n == 1 else []


def _refused(call: HttpCall, reply: HttpReply, kind: FailureKind, fate: Fate, code: str) -> Failed:
    """A repeat that is refused says nothing about the submit whose answer was lost, unless the content decided."""
    if call.step is Step.RESUBMIT and kind not in BY_CONTENT:
        kind = FailureKind.LOST if kind is FailureKind.TASK_FAILED else kind
        fate = Fate.MAY_HAVE_RUN
    retry_after = replies.retry_after(reply)
    return Failed(kind=kind, fate=fate, message=_message(kind, code), retry_after=retry_after)


def _conflict(attempt: Attempt, call: HttpCall) -> Next:
    """The id exists. After a submit of ours that is what we wanted to know; before any, somebody else may own it."""
    if call.step is Step.RESUBMIT:
        return Next(call=_poll(attempt))
    return Next(call=ask(attempt, "getTaskDetails", Step.LOOK_UP, asks="owner", asked="1"))


def _read_owner(attempt: Attempt, call: HttpCall, archived: Archived | None) -> Outcome:
    """Ours only if the archive proves it. While it is silent, ask again a few times."""
    if archived and archived.ours:
        return Next(call=_poll(attempt))
    asked = int(call.carry.get("asked", "1"))
    if (archived and archived.ours is False) or asked >= MOST_OWNER_QUESTIONS:
        return Unclear(message="Runware knows this id from a task that is not provably ours", hopeless=True)
    again = ask(attempt, "getTaskDetails", Step.LOOK_UP, asks="owner", asked=str(asked + 1))
    return Next(call=again, after=float(asked))


# --- answers to a question ------------------------------------------------------------------------------------------


def _read_poll(attempt: Attempt, call: HttpCall, answer: Answer) -> Outcome:
    """While a lost answer is looked for, only what is about the task itself counts: a state that Runware makes up for
    any id is typed `getResponse`, and the last refusal may be that of a repeat."""
    looking = call.step is Step.LOOK_UP
    failures = _failures(answer.errors, FINAL if looking else tuple(FailureKind))
    if outcome := _delivered(attempt, answer, failures):
        return outcome
    if answer.errors and not failures:
        return Unclear(message=_message(FailureKind.LOST, answer.errors[0].code))
    if failures or any(result.task_type == TASK_TYPE or not looking for result in answer.results):
        return Next(call=_poll(attempt))
    return Unclear(message="Runware's answer says nothing about the task")


def _read_lost(attempt: Attempt, archived: Archived | None) -> Outcome:
    """The archive keeps the last answer of an id, so a refusal there may be that of a repeat."""
    if archived is None:
        return Unclear(message="Runware has archived no such task")
    if archived.ours is False:
        return Unclear(message="Runware knows this id from another task", hopeless=True)
    errors = archived.answer.errors + archived.answer.unnamed
    if outcome := _delivered(attempt, archived.answer, _failures(errors, FINAL)):
        return outcome
    if archived.answer.results or any(trouble.meaning is CONFLICT for trouble in errors):
        return Next(call=_poll(attempt))
    return Unclear(message="Runware's archive does not say what became of the task")


def _failures(errors: tuple[Trouble, ...], kinds: tuple[FailureKind, ...]) -> tuple[Failed, ...]:
    """The errors that are verdicts on the task, gravest first."""
    return tuple(
        Failed(kind=kind, fate=fate, message=_message(kind, trouble.code))
        for trouble in _gravest_first(errors)
        if (kind := trouble.meaning.kind) in kinds and (fate := trouble.meaning.at_poll) and _is_verdict(trouble)
    )


def _is_verdict(trouble: Trouble) -> bool:
    """An error typed as the question may be about the question; only a task is refused for its content or fails."""
    return trouble.about_task or trouble.meaning.kind in (FailureKind.MODERATED, FailureKind.TASK_FAILED)


def _delivered(attempt: Attempt, answer: Answer, failures: tuple[Failed, ...]) -> Outcome | None:
    """The end of the task, or what of it has come so far; None while there is neither picture nor verdict."""
    n = attempt.edit.n
    pictures = tuple(result.picture for result in answer.results if result.picture)
    empty = tuple(result for result in answer.results if result.finished and not result.picture)
    ended = len(pictures) + len(empty) + len(failures)
    if pictures:
        done = Done(pictures=pictures, cost_micro=_cost_micro(answer.results), refresh=_poll(attempt))
        return done if ended >= n else Next(call=_poll(attempt), partial=done)
    failures = (*failures, *(_withheld(result) for result in empty))
    waiting = len(answer.results) > len(empty)
    if failures and (ended >= n or (failures[0].kind in BY_CONTENT and not waiting)):
        return failures[0]
    return None


def _withheld(result: Result) -> Failed:
    kind = FailureKind.MODERATED if result.nsfw else FailureKind.BAD_PICTURE
    return Failed(kind=kind, fate=Fate.RAN, message=_message(kind, ""), cost_micro=result.cost_micro)


def _cost_micro(results: tuple[Result, ...]) -> int | None:
    """Of all pictures, or None where one has no figure worth believing."""
    costs = [result.cost_micro for result in results if result.picture or result.cost_micro]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
