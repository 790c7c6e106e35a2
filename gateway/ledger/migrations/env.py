"""Alembic runs this file for every command. The connection and its transaction are the caller's."""

from typing import cast

from alembic import context
from sqlalchemy import Connection

from gateway.ledger.tables import metadata

context.configure(
    connection=cast("Connection", context.config.attributes["connection"]),
    target_metadata=metadata,
    version_table="ledger_version",
    transactional_ddl=True,  # SQLite can, though Alembic does not count on it
)
context.run_migrations()
