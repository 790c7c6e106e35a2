"""An order: everything that the engine needs to begin an edit, its pictures already in the store."""

from msgspec import Struct

from adapters.contract import Edit
from gateway.state.records import Wish
from policies.plans import Policy


class Order(Struct, frozen=True, kw_only=True):
    """`input_pixels` signs the first picture's pixels. `trace_id` in W3C form where the caller sent one."""

    team: str
    key_id: str
    edit: Edit
    wish: Wish
    policy: Policy
    input_pixels: str | None = None
    trace_id: str | None = None
