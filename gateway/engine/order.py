"""An order: everything that the engine needs to begin an edit, its pictures already in the store."""

from msgspec import Struct

from adapters.contract import Edit
from gateway.observe.tracecontext import TraceContext
from gateway.state.claims import Claim
from gateway.state.records import Wish
from policies.plans import Policy


class Order(Struct, frozen=True, kw_only=True):
    """`id` is the edit's, made before its pictures are taken in, since they are kept for it. `origin` is what attempt
    ids derive from, where the caller's key gave one. `claim` is the key or fingerprint that this order holds.
    `most_open` is how many edits its API key may have open. `trace` is the caller's span, where it named one. `seed`
    spreads equal offers over orders; the same request has the same one, so that its quote holds. `budget_left` is the
    share left of the tightest cap, read where the policy asks for it.
    """

    id: str
    team: str
    key_id: str
    edit: Edit
    wish: Wish
    policy: Policy
    origin: str | None = None
    claim: Claim | None = None
    most_open: int | None = None
    trace: TraceContext | None = None
    seed: int | None = None
    budget_left: float | None = None
