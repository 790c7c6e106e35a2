"""The ledger beside the store: opened at the start, fed from the store's outbox for as long as the gateway runs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from gateway.clock import Clock
from gateway.ledger.book import Book
from gateway.ledger.outbox import Outbox
from gateway.ledger.restore import restoration
from gateway.observe import log
from gateway.settings import Settings
from gateway.state.budgets import Budgets


class BooksRefused(Exception):  # noqa: N818 - the name is the fact
    """Store and ledger do not belong together; the message says what to do."""


def lost_secret(settings: Settings) -> str | None:
    """What to do where the secret that was made beside the store is gone with its folder; None where there is one."""
    path = settings.secret_file
    if settings.secrets or path.exists():
        return None
    return (
        f"the secret that was made at {path} is gone: put its backup back there, or name it as [server] secret, before "
        "the gateway starts. With a new secret a caller who repeats an Idempotency-Key from before may be charged a "
        "second time, and addresses that were signed before are not valid any more"
    )


@asynccontextmanager
async def opened_book(url: str) -> AsyncGenerator[Book]:
    book = await Book.open(url)
    try:
        yield book
    finally:
        await book.aclose()


async def refuse_a_lost_store(store: Redis, book: Book, settings: Settings, clock: Clock) -> None:
    """An empty store beside a ledger with money in it has lost what was spent and is held: every cap would be void.

    Raises `BooksRefused` until `kontext restore` has rebuilt it. A secret that was lost alone is said in the log.
    """
    secret = lost_secret(settings)
    if not await Budgets(store).is_empty():
        if secret:
            log.error("secret_lost", said=secret)
        return
    found = await restoration(book, clock.now_ms())
    if found.spending or found.open_edits:
        raise BooksRefused(
            "the store is empty, but the ledger holds money that was spent or is held: run `kontext restore` first, "
            "or give the gateway the store that belongs to this ledger" + (f". Also, {secret}" if secret else "")
        )


@asynccontextmanager
async def drained(outbox: Outbox) -> AsyncGenerator[None]:
    """The outbox is written to the ledger while the block runs, and once more at its end."""
    task = asyncio.create_task(outbox.run(), name="outbox")
    try:
        yield
    finally:
        await outbox.finish(task)
