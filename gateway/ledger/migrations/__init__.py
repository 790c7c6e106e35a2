"""The tables' history. Each change of the tables is a file in `versions/`, appended and never edited.

A gateway brings the tables up to its own release when it starts; several that start at once take turns.
"""

from importlib.resources import as_file, files

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.ledger.connection import LedgerRefused, connect, unavailable, write_ahead

_LOCK = 0x6B6F6E74657874  # "kontext": any number, if it is always the same


async def migrate(url: str) -> None:
    """Brings the tables at `url` up to this release. Raises `LedgerRefused` and `LedgerUnavailable`."""
    engine = connect(url)
    try:
        await migrate_engine(engine)
    finally:
        await engine.dispose()


async def migrate_engine(engine: AsyncEngine) -> None:
    with unavailable():
        await write_ahead(engine)
        async with engine.connect() as connection:
            connection = await connection.execution_options(writes=True)  # SQLite: nobody else writes meanwhile
            async with connection.begin():
                await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    with as_file(files("gateway.ledger") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise LedgerRefused(
                f"The ledger's tables are of another release ({error}). Start the newer release, or give [ledger] url "
                "another place."
            ) from None
