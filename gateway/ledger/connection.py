"""One engine to the books, whatever runs them: SQLite in a file, or PostgreSQL by address."""

import asyncio
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_SQLITE = "sqlite:"
_POSTGRES = ("postgresql", "postgres")
_EXPECTED = 'Give "sqlite:PATH" or "postgresql://user@host/database".'


class LedgerUnavailable(Exception):  # noqa: N818 - the name is the fact
    """The books did not answer; what was to be written may or may not have been."""


class LedgerRefused(Exception):  # noqa: N818 - the name is the fact
    """The books cannot be used as configured; the text says what to set instead."""


class RowRefused(Exception):  # noqa: N818 - the name is the fact
    """The database cannot hold a row of this batch: a number too large, a text with a NUL."""


def connect(url: str, *, busy_s: float = 10.0) -> AsyncEngine:
    """An engine that has not connected yet. `busy_s`: how long a writer waits for another one of a SQLite file.

    Raises `LedgerRefused` for an address that names neither database.
    """
    return _sqlite(Path(url.removeprefix(_SQLITE)), busy_s) if url.startswith(_SQLITE) else _postgres(url)


def _sqlite(path: Path, busy_s: float) -> AsyncEngine:
    """Every commit reaches the disk, since the outbox forgets what was committed."""
    if not path.name:
        raise LedgerRefused(f"[ledger] url names no file. {_EXPECTED}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        words = f"the folder {path.parent} cannot be made ({error.strerror}); name another one by [ledger] url"
        raise LedgerRefused(words) from None
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(path)), connect_args={"timeout": busy_s})

    def prepare(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's own
        connection.isolation_level = None  # transactions are begun below, not guessed at by the driver
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    event.listen(engine.sync_engine, "connect", prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


async def write_ahead(engine: AsyncEngine, *, tries: int = 100, pause_s: float = 0.05) -> None:
    """Keeps a SQLite file by a write-ahead log, so that several processes read while one writes. The file remembers it.

    While somebody else uses the file this change is refused at once, whatever the timeout (SQLite waits for no lock
    that it would take while it holds another), so it is asked for again.
    """
    path = engine.url.database
    if engine.dialect.name != "sqlite" or path is None:
        return
    for left in reversed(range(tries)):
        try:
            async with aiosqlite.connect(path) as plain:  # the engine's own would begin a transaction first
                await plain.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if not left:
                raise
            await asyncio.sleep(pause_s)
        else:
            return


def _begin(connection: Connection) -> None:
    """Who will write says so at once: a reader that becomes a writer half way can be refused without a wait."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgres(url: str) -> AsyncEngine:
    try:
        given = make_url(url)
    except ArgumentError:
        raise LedgerRefused(f"[ledger] url cannot be read. {_EXPECTED}") from None
    if given.drivername not in _POSTGRES:
        raise LedgerRefused(f'[ledger] url has the scheme "{given.drivername}". {_EXPECTED}')
    query = dict(given.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")  # libpq's word, and the driver's
    try:
        return create_async_engine(
            given.set(drivername="postgresql+asyncpg", query=query),
            connect_args={"timeout": 5, "command_timeout": 60},
            pool_pre_ping=True,
        )
    except ModuleNotFoundError:
        raise LedgerRefused(
            "A ledger in PostgreSQL needs its driver: pip install 'kontext-gateway[postgres]'"
        ) from None


@contextmanager
def unavailable() -> Generator[None]:
    """Turns the drivers' ways of failing into ours. No message of theirs goes on: it may hold a row."""
    try:
        yield
    except (SQLAlchemyError, OSError, sqlite3.Error) as error:
        if _is_rows_fault(error):
            raise RowRefused(f"The database cannot hold a row ({_name(error)}).") from None
        raise LedgerUnavailable(f"The ledger does not answer ({_name(error)}).") from error
    except (OverflowError, UnicodeEncodeError) as error:
        raise RowRefused(f"The database cannot hold a row ({type(error).__name__}).") from None


def _is_rows_fault(error: Exception) -> bool:
    """SQLSTATE 22 (data) and 23 (integrity), and SQLite's errors of the same sense; anything else may pass."""
    cause = error.orig if isinstance(error, DBAPIError) else None
    state = getattr(cause, "sqlstate", None)
    return str(state)[:2] in ("22", "23") or isinstance(cause, (sqlite3.DataError, sqlite3.IntegrityError))


def _name(error: Exception) -> str:
    """The kind of error, by SQLite's own name where it has one: SQLITE_BUSY and SQLITE_FULL ask for different hands."""
    cause = (error.orig if isinstance(error, DBAPIError) else None) or error
    return str(getattr(cause, "sqlite_errorname", None) or type(cause).__name__)
