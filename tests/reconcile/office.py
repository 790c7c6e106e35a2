"""The reconciler of a replica over one real store, real books, and the script of the outside world."""

from typing import cast

from gateway.egress import Egress
from gateway.engine.charges import Charges
from gateway.engine.delivery import Delivery
from gateway.engine.handover import HandOver
from gateway.engine.inquiry import Inquiry
from gateway.engine.late import Resolver
from gateway.engine.reconcile import Lease, Reconciler
from gateway.engine.room import Room
from gateway.engine.timing import Timing
from gateway.engine.wire import Wire
from gateway.engine.witness import Witness
from gateway.keeper import Keeper
from gateway.ledger.audit import Report, audit
from gateway.ledger.book import Book
from gateway.ledger.evidence import Bill, Charge
from gateway.ledger.outbox import Outbox
from gateway.ledger.rows import Row, RowKind
from gateway.observe import Metrics
from gateway.state.budgets import Balance, Budgets, Scope, Window
from gateway.state.corrections import Corrections
from gateway.state.edits import Edits
from gateway.state.patience import Patience
from gateway.state.references import References
from tests.engine_path.stage import TEAM, Replica, Stage

MINUTE_S = 70
"""A little more than a round, and than it takes until an attempt is compared."""


class Office:
    def __init__(self, stage: Stage, book: Book) -> None:
        self.stage, self.book = stage, book
        self.outbox = Outbox(stage.line, book, stage.clock)
        self.corrections = Corrections(stage.line, clock=stage.clock.now_ms)
        self.budgets = Budgets(stage.line)

    def clerk(self, replica: Replica, name: str = "a") -> "Clerk":
        return Clerk(self, replica, name, Timing())

    async def rows(self, *kinds: RowKind) -> list[Row]:
        await self.outbox.aclose()
        return [row async for row in self.book.rows(*kinds)]

    async def balance(self) -> Balance:
        found = await self.budgets.balances(TEAM, "ci", self.stage.clock.now_ms())
        return found[Scope.TEAM, Window.TOTAL]

    async def audited(self, *charges: Charge, providers: frozenset[str] = frozenset()) -> Report:
        return audit(await self.rows(), bill=Bill(providers=providers, charges=charges) if providers else None)


class Clerk:
    """One replica's reconciler, wired as `gateway/app.py` does it."""

    def __init__(self, office: Office, replica: Replica, name: str, timing: Timing) -> None:
        stage, current, clock = office.stage, replica.current, office.stage.clock
        egress = cast("Egress", stage.script)
        self.office, self.stage, self.metrics = office, stage, Metrics("test", "test")
        wire = Wire(egress, stage.shelf, stage.pictures, clock)
        witness, inquiry = Witness(self.metrics, current), Inquiry(wire, clock)
        room = Room.of_picture_bytes(current, clock, self.metrics)
        keeper = Keeper(stage.shelf, References(stage.line, clock.now_ms), Patience(clock, 0), clock, 7 * 86_400.0)
        delivery = Delivery(wire, stage.pictures, keeper, room, clock, timing)
        handover = HandOver(egress, stage.shelf, clock)
        corrections, edits = office.corrections, Edits(stage.line, name, clock=clock.now_ms)
        self.resolver = Resolver(current, corrections, inquiry, delivery, handover, witness, clock, timing)
        charges = Charges(current, office.book, edits, corrections, inquiry, witness, clock, timing)
        lease = Lease(stage.line, "{kontext}:duty:reconcile", name, 180_000)
        self.reconciler = Reconciler(lease, corrections, self.resolver, charges, self.metrics, clock, timing)

    async def round(self, later_s: float = MINUTE_S) -> bool:
        """The next round, `later_s` from now, with every row in the books."""
        await self.office.outbox.aclose()
        self.stage.clock.forward(later_s)
        return await self.reconciler.round()

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def found(self, provider: str, result: str) -> float:
        return self.value("kontext_reconciliations_total", provider=provider, result=result)
