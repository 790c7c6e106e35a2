"""The books in SQL: rows go in once, whatever is repeated, and come out in the order in which they were made."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.ledger.connection import connect, unavailable
from gateway.ledger.migrations import migrate_engine
from gateway.ledger.rows import Row, RowKind
from gateway.ledger.tables import ledger, row_of, tag_values, tags, values

BATCH = 200
_INSERTS = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class Book:
    """Every method raises `LedgerUnavailable` where the database does not answer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        insert = _INSERTS[engine.dialect.name]
        self._insert_rows = insert(ledger).on_conflict_do_nothing(index_elements=["id"])
        self._insert_tags = insert(tags).on_conflict_do_nothing(index_elements=["edit", "name"])

    def __repr__(self) -> str:
        return f"Book({self._engine.url.render_as_string(hide_password=True)})"

    @classmethod
    async def open(cls, url: str) -> "Book":
        """The books at `sqlite:PATH` or `postgresql://…`, their tables brought up to this release.

        Raises `LedgerRefused` too.
        """
        engine = connect(url)
        try:
            await migrate_engine(engine)
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine)

    async def aclose(self) -> None:
        await self._engine.dispose()

    async def write(self, rows: Sequence[Row]) -> None:
        """Writes what is not there yet, known by its id; all of it or nothing. Raises `RowRefused`."""
        with unavailable():
            async with self._engine.connect() as connection:
                writer = await connection.execution_options(writes=True)
                async with writer.begin():
                    for start in range(0, len(rows), BATCH):
                        await self._write_batch(writer, rows[start : start + BATCH])

    async def _write_batch(self, connection: AsyncConnection, rows: Sequence[Row]) -> None:
        await connection.execute(self._insert_rows, [values(row) for row in rows])
        if tagged := [tag for row in rows for tag in tag_values(row)]:
            await connection.execute(self._insert_tags, tagged)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """A connection that sees one state of the books."""
        with unavailable():
            async with self._engine.connect() as connection, connection.begin():
                yield connection

    async def rows(self, *kinds: RowKind) -> AsyncGenerator[Row]:
        """Every row (of these kinds), in the order in which the steps took effect. Close the generator if it is left
        early."""
        async with aclosing(self._stream(ledger.c.place, ledger.c.id, kinds=kinds)) as stream:
            async for row in stream:
                yield row

    async def by_edit(self) -> AsyncGenerator[tuple[Row, ...]]:
        """The rows of one edit after another, each edit's in the order in which its steps took effect."""
        gathered: list[Row] = []
        async with aclosing(self._stream(ledger.c.edit, ledger.c.place, ledger.c.id)) as stream:
            async for row in stream:
                if gathered and gathered[0].edit != row.edit:
                    yield tuple(gathered)
                    gathered = []
                gathered.append(row)
        if gathered:
            yield tuple(gathered)

    async def last_ms(self) -> int | None:
        """When the last step that reached the books took effect, by the store's clock."""
        async with self.reading() as connection:
            return (await connection.execute(select(func.max(ledger.c.at_ms)))).scalar()

    async def _stream(self, *order: ColumnElement[Any], kinds: Sequence[RowKind] = ()) -> AsyncGenerator[Row]:
        wanted = select(ledger).order_by(*order)
        if kinds:
            wanted = wanted.where(ledger.c.kind.in_([kind.value for kind in kinds]))
        async with self.reading() as connection, connection.stream(wanted) as result:
            async for columns in result.mappings():
                yield row_of(dict(columns))
