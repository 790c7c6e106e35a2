"""What the handlers are given: the rooms behind the API, opened once per process."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from msgspec import Struct

from gateway.api.admission import Admission
from gateway.api.answers import Answers
from gateway.api.auth import Gate
from gateway.api.cursors import Cursors
from gateway.api.door import Door
from gateway.api.links import Links
from gateway.api.orders import Desk
from gateway.api.switchboard import Switchboard
from gateway.clock import Clock
from gateway.current import Current
from gateway.engine.engine import Engine
from gateway.engine.eraser import Eraser
from gateway.engine.health import Health
from gateway.engine.stock import Stock
from gateway.ledger.book import Book
from gateway.observe import Metrics
from gateway.results import Results
from gateway.settings import Settings
from gateway.state.acts import Acts
from gateway.state.corrections import Corrections
from gateway.state.deliveries import Deliveries
from gateway.state.edits import Edits
from gateway.state.endpoints import Endpoints
from gateway.state.feed import Feed
from gateway.state.listing import Listing
from gateway.state.revoked import Revoked
from gateway.webhooks.registrar import Registrar


class Context(Struct, frozen=True, kw_only=True):
    current: Current
    clock: Clock
    gate: Gate
    door: Door
    admission: Admission
    desk: Desk
    engine: Engine
    health: Health
    edits: Edits
    eraser: Eraser
    results: Results
    links: Links
    cursors: Cursors
    listing: Listing
    feed: Feed
    answers: Answers
    metrics: Metrics
    book: Book
    corrections: Corrections
    revoked: Revoked
    acts: Acts
    endpoints: Endpoints
    registrar: Registrar
    deliveries: Deliveries
    switchboard: Switchboard
    stock: Stock

    @property
    def settings(self) -> Settings:
        """Those in force now; a handler that asks twice may be told two."""
        return self.current.settings

    def root(self, request: Request[Any, Any, Any]) -> str:
        """The address that callers know this gateway by: the configured one, else the one that was called."""
        return (self.settings.server.public_url or str(request.base_url)).rstrip("/")


Given = NamedDependency[Context]
"""The context as a parameter of a handler."""
