"""What a server that speaks OpenAI's images protocol says of itself when it is asked how it is.

Our own says most: `{"status": "loading|ready|failed", "engine": …, "queue": {"running", "waiting", "limit"},
"seconds_per_edit": …, "edits": {ID: {"step", "steps"}}}`. SGLang says `{"status": "ok"}`; vLLM says 200 with nothing,
and 503 once its engine is dead.
"""

from adapters import replies
from adapters.contract import HttpReply, Load, ServerState, Steps

STATES: dict[str, ServerState] = {
    "ok": ServerState.READY,
    "ready": ServerState.READY,
    "healthy": ServerState.READY,
    "loading": ServerState.LOADING,
    "starting": ServerState.LOADING,
    "failed": ServerState.FAILED,
    "error": ServerState.FAILED,
    "unhealthy": ServerState.FAILED,
}
_MOST_EDITS = 100_000
_MOST_TOLD = 200
_MOST_S = 3600.0


def load(reply: HttpReply) -> Load | None:
    """None where the answer tells nothing: an address that it does not know, a key that it refuses."""
    body = replies.tree(replies.document(reply))
    queue = replies.tree(body.get("queue"))
    state = STATES.get(replies.text(body.get("status")).lower()) or _by_status(reply.status)
    if state is None:
        return None
    return Load(
        state=state,
        engine=replies.code(body.get("engine")) or None,
        running=_count(queue.get("running")),
        waiting=_count(queue.get("waiting")) or 0,
        limit=_count(queue.get("limit")),
        edit_s=replies.seconds(body.get("seconds_per_edit"), _MOST_S),
        steps=_steps(replies.tree(body.get("edits"))),
    )


def _steps(edits: replies.Tree) -> dict[str, Steps]:
    """Of those that say it; an edit that waits has done none."""
    found: dict[str, Steps] = {}
    for name, told in list(edits.items())[:_MOST_TOLD]:
        said = replies.tree(told)
        done, of = _count(said.get("step")), _count(said.get("steps"))
        if replies.identifier(name) and done is not None and of and done <= of:
            found[name] = Steps(done, of)
    return found


def _by_status(status: int) -> ServerState | None:
    if 200 <= status < 300:
        return ServerState.READY
    return ServerState.FAILED if status >= 500 else None


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _MOST_EDITS else None
