"""The ledger, its tags, and the rule that a row once written stays as it is."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SAID = "the ledger is append-only: a correction is a row of its own"
_TABLES = ("ledger", "ledger_tags")


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("edit", sa.Text, nullable=False),
        sa.Column("team", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer),
        sa.Column("attempt_id", sa.Text),
        sa.Column("offer", sa.Text),
        sa.Column("tier", sa.Text),
        sa.Column("policy", sa.Text),
        sa.Column("held_micro", sa.BigInteger, nullable=False),
        sa.Column("quoted_micro", sa.BigInteger),
        sa.Column("settled_micro", sa.BigInteger),
        sa.Column("overrun_micro", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("outcome", sa.Text),
        sa.Column("mark", sa.Text),
        sa.Column("pictures", sa.Integer),
        sa.Column("key_hash", sa.Text),
        sa.Column("fingerprint", sa.Text),
        sa.Column("origin", sa.Text),
        sa.Column("note", sa.Text),
        sa.Column("tags", sa.JSON, nullable=False),
    )
    op.create_index("ledger_by_edit", "ledger", ["edit", "place"])
    op.create_index("ledger_by_time", "ledger", ["kind", "at_ms"])
    op.create_table(
        "ledger_tags",
        sa.Column("edit", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    _append_only_postgres() if op.get_bind().dialect.name == "postgresql" else _append_only_sqlite()


def _append_only_sqlite() -> None:
    for table in _TABLES:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{_SAID}'); END"
            )


def _append_only_postgres() -> None:
    op.execute(
        "CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_SAID}'; END $$"
    )
    for table in _TABLES:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()"
        )
