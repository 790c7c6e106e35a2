"""What a server's own word means for an edit that would go there: whether it may, and how long it would wait.

Only machines of one's own are asked. A provider that bills has no queue that we see; what it says is its Retry-After.
"""

from msgspec.structs import replace

from adapters.contract import Load, Offer, ServerState
from policies.facts import OfferFacts

PREVIEW = "preview"
"""The engine that is none: it stamps what it makes, and must never stand for a model, nor a model for it."""

# What the caller is told of a server that is not ready, and what cures it.
NOT_READY_WORDS: dict[ServerState, str] = {
    ServerState.LOADING: "its server is loading the model; it comes by itself",
    ServerState.FAILED: "its server says that it has failed; an operator must look at its log",
    ServerState.SILENT: "its server does not answer; an operator must start it, or mend its base_url",
}


def loaded(facts: OfferFacts, offer: Offer, load: Load | None, *, queued: int = 0) -> OfferFacts:
    """The facts of an offer on a machine of one's own, with what its server said (None: nothing) and with the edits
    that are `queued` in the gateway for a place there."""
    usual_s = facts.usual_s if load is None or load.edit_s is None else load.edit_s
    edit_s = offer.usual_s if usual_s is None else usual_s
    waits_s = wait_s(load, in_use=facts.in_use, limit=facts.limit, queued=queued, edit_s=edit_s)
    return replace(
        facts,
        server=load.state if load else None,
        usual_s=usual_s,
        p95_s=facts.p95_s if usual_s == facts.usual_s else None,
        wait_s=waits_s,
        queue_s=max(facts.queue_s, waits_s),
    )


def wait_s(load: Load | None, *, in_use: int, limit: int | None, queued: int, edit_s: float) -> float:
    """Seconds before one more edit would begin. An edit under way is half done, as a rule.

    What the server told is a moment old, and what is open there is known here: the greater of the two counts. A server
    that tells no queue is taken to work on as many at once as may be open there.
    """
    if load is None or load.running is None:
        parallel = max(1, limit or 1)
        ahead = in_use if in_use >= parallel else 0
    else:
        parallel = max(1, load.running)
        ahead = max(load.running + load.waiting, in_use)
    running = min(ahead, parallel)
    return edit_s * (ahead - running + queued + running / 2) / parallel


def not_its_engine(offer: Offer, load: Load | None) -> str | None:
    """Why an offer is not what its server serves, in words for the caller. A server that names no engine serves models,
    and is never taken for the preview."""
    engine = load.engine if load else None
    if offer.engine is not None and engine != offer.engine:
        return f"its server has not said that it runs the engine {offer.engine}"
    if offer.engine is None and engine == PREVIEW:
        return "its server runs the preview engine, which is no model; start it with another engine"
    return None
