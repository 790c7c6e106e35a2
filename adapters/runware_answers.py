"""What Runware answers: of a reply in any of its shapes, the part that is about our task.

An item or an error counts only where it names our task; errors that name none are kept apart, for a submit that was
refused before any task was looked at.
"""

from collections.abc import Iterable

from msgspec import Struct

from adapters import replies
from adapters.contract import Attempt, Inline, Link
from adapters.runware_errors import Meaning, meaning
from adapters.runware_tasks import TASK_TYPE, task_id


class Result(Struct, frozen=True, kw_only=True):
    """An item of `data` that names our task: a picture, an acknowledgement, or a state."""

    task_type: str
    finished: bool
    picture: Link | Inline | None
    nsfw: bool | None
    cost_micro: int | None


class Trouble(Struct, frozen=True, kw_only=True):
    """An error. `named`: it names our task. `about_task`: it is the task's own, not that of a question about it."""

    code: str
    meaning: Meaning
    named: bool
    about_task: bool


class Answer(Struct, frozen=True, kw_only=True):
    """What one reply says about our task, and the errors that name no task at all. The rest is about other tasks."""

    results: tuple[Result, ...] = ()
    errors: tuple[Trouble, ...] = ()
    unnamed: tuple[Trouble, ...] = ()


def read_answer(document: object, attempt: Attempt) -> Answer:
    """`document` in the several shapes that Runware writes: `data` and `errors` (lists, or one object each),
    `{"error": {…}}`, and a bare item or a list of them, as webhooks may bring it."""
    task, most_micro = task_id(attempt), _most_micro(attempt)
    top = replies.tree(document)
    enveloped = bool({"data", "errors", "error"} & top.keys())
    entries = [replies.tree(item) for item in _listed(top.get("data") if enveloped else document)]
    failures = [replies.tree(item) for item in (*_listed(top.get("errors")), *_listed(top.get("error")))]
    failures += [entry for entry in entries if _is_error(entry)]
    troubles = [_trouble(entry, task) for entry in failures if _names(entry, task) or not entry.get("taskUUID")]
    results = [entry for entry in entries if _names(entry, task) and not _is_error(entry)]
    return Answer(
        results=_distinct(_result(entry, most_micro) for entry in results),
        errors=tuple(trouble for trouble in troubles if trouble.named),
        unnamed=tuple(trouble for trouble in troubles if not trouble.named),
    )


def _listed(value: object) -> list[object]:
    return [value] if isinstance(value, dict) else replies.items(value)


def _names(entry: replies.Tree, task: str) -> bool:
    return replies.text(entry.get("taskUUID")).lower() == task


def _is_error(entry: replies.Tree) -> bool:
    return entry.get("status") == "error" or "code" in entry


def _trouble(entry: replies.Tree, task: str) -> Trouble:
    code, task_type = replies.code(entry.get("code")), replies.text(entry.get("taskType"))
    words = f"{replies.text(entry.get('message'))} {replies.text(entry.get('responseContent'))}"
    task_ended = entry.get("status") == "error" and task_type == TASK_TYPE
    return Trouble(
        code=code,
        meaning=meaning(code, words, task_ended=task_ended),
        named=_names(entry, task),
        about_task=task_type in ("", TASK_TYPE),
    )


def _result(entry: replies.Tree, most_micro: int) -> Result:
    return Result(
        task_type=replies.text(entry.get("taskType")),
        finished=entry.get("status") == "success",
        picture=_picture(entry),
        nsfw=replies.flag(entry.get("NSFWContent")),
        cost_micro=_cost_micro(entry.get("cost"), most_micro),
    )


def _picture(entry: replies.Tree) -> Link | Inline | None:
    """`NSFWContent` only marks a picture; what to do about it is its caller's business."""
    name = replies.text(entry.get("imageUUID")) or None
    seed, nsfw = replies.seed(entry.get("seed")), replies.flag(entry.get("NSFWContent"))
    if url := replies.text(entry.get("imageURL")):
        return Link(url, id=name, seed=seed, nsfw=nsfw)
    if data := replies.text(entry.get("imageBase64Data")) or replies.text(entry.get("imageDataURI")):
        return Inline(data, id=name, seed=seed, nsfw=nsfw)
    return None


def _cost_micro(value: object, most_micro: int) -> int | None:
    """Runware writes a number; a text there is not its price."""
    return None if isinstance(value, str) else replies.micro_usd(value, most_micro)


def _most_micro(attempt: Attempt) -> int:
    """Four times the dearest price of one picture: beyond it the price table is believed instead."""
    return 4 * max((price.micro_usd for price in attempt.offer.prices), default=0)


def _distinct(results: Iterable[Result]) -> tuple[Result, ...]:
    """Replies are cumulative, and one may bring the same picture twice."""
    by_name: dict[str, Result] = {}
    for index, result in enumerate(results):
        by_name.setdefault(_name(result) or f"without a picture {index}", result)
    return tuple(by_name.values())


def _name(result: Result) -> str | None:
    match result.picture:
        case Link(url=place) | Inline(data=place):
            return result.picture.id or place
        case None:
            return None


class Archived(Struct, frozen=True, kw_only=True):
    """What Runware keeps of a task. `ours`: it was sent our model and prompt; None: it does not say."""

    ours: bool | None
    answer: Answer


def read_archive(document: object, attempt: Attempt) -> Archived | None:
    """None where it knows no task of our id."""
    for item in _listed(replies.tree(document).get("data")):
        entry = replies.tree(item)
        if _names(entry, task_id(attempt)) and ("request" in entry or "response" in entry):
            return Archived(
                ours=_is_ours(entry.get("request"), attempt),
                answer=read_answer(entry.get("response"), attempt),
            )
    return None


def _is_ours(request: object, attempt: Attempt) -> bool | None:
    """The archive may leave out what we sent, so what is missing is no contradiction, and no proof; nor is what we no
    longer know ourselves: a prompt is dropped some time after its edit's end."""
    sent = replies.tree(next(iter(_listed(request)), None))
    model, prompt = replies.text(sent.get("model")), replies.text(sent.get("positivePrompt")).strip()
    wanted = attempt.edit.prompt.strip()
    if model not in ("", attempt.offer.wire_model) or (wanted and prompt not in ("", wanted)):
        return False
    return True if model and prompt and wanted else None
