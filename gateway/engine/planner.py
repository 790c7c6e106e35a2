"""What an order would do now, and the record that says so: quotes and edits ask the same code."""

from msgspec.structs import replace

from gateway.clock import Clock, day_of, minute_of
from gateway.current import Current
from gateway.engine.health import Health
from gateway.engine.order import Order
from gateway.engine.terms import hedge_of, wishes
from gateway.engine.witness import Witness
from gateway.identity import edit_id
from gateway.state.records import EditRecord
from policies.facts import Facts
from policies.plans import Plan, plan


class Planner:
    """`replica` is the first owner of what it records."""

    def __init__(self, current: Current, health: Health, witness: Witness, clock: Clock, replica: str) -> None:
        self._current, self._health, self._witness, self._clock = current, health, witness, clock
        self._replica = replica

    def new_id(self) -> str:
        """Of an edit to be: what is kept for it names it before it is accepted."""
        return edit_id(self._clock.now_ms(), self._clock.random_bytes(10))

    def plan(self, order: Order) -> Plan:
        """What an order accepted now would do. The same code answers quotes."""
        facts = self._facts(order)
        settings = self._current.settings
        return plan(order.edit, wishes(settings, order, facts), order.policy, settings.offers, facts)

    def would_fit(self, order: Order) -> bool:
        """Whether an offer would do, were none taken out of service, and every server of one's own ready."""
        facts = self._facts(order)
        sold = {name: replace(one, disabled=None, server=None) for name, one in facts.offers.items()}
        facts = replace(facts, offers=sold)
        settings = self._current.settings
        wished = wishes(settings, order, facts)
        return bool(plan(order.edit, wished, order.policy, settings.offers, facts).candidates)

    def record(self, order: Order) -> EditRecord:
        """Of an edit that is not accepted yet. Its trace begins."""
        trace = self._witness.began(order.id, order.trace)
        return EditRecord(
            id=order.id,
            team=order.team,
            key_id=order.key_id,
            origin=order.origin or self._clock.random_bytes(16).hex(),
            edit=order.edit,
            wish=order.wish,
            plan=self.plan(order),
            revision=self._current.settings.revision,
            hedge=hedge_of(self._current.settings, order.team),
            trace_id=trace.trace_id,
            span_id=trace.span_id,
            owner=self._replica,
            epoch=1,
        )

    def _facts(self, order: Order) -> Facts:
        """What is known of this moment."""
        now_ms = self._clock.now_ms()
        return Facts(
            day=day_of(now_ms),
            minute=minute_of(now_ms),
            budget_left=order.budget_left,
            seed=order.seed,
            offers=self._health.facts(),
        )
