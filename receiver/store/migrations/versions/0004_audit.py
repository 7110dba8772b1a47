"""The audit: its first row says what was recorded before there was a chain, and the database refuses changes."""

import json
import time
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_REFUSAL = "the audit is append-only"


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)
    op.create_table(
        "audit_heads",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    _begin_the_chain(op.get_bind())
    _refuse_changes(op.get_bind().dialect.name)


def _begin_the_chain(connection: sa.Connection) -> None:
    """The first row, as `receiver.chain` will always read it."""
    at = _now(connection)
    before = {
        name: connection.scalar(sa.select(sa.func.count()).select_from(sa.table(name)))
        for name in ("decisions", "steps")
    }
    facts = {"not_in_this_chain": before, "revision": revision}
    row = {"actor": "migration", "at": at, "facts": facts, "kind": "genesis", "number": 1}
    text = json.dumps(row, sort_keys=True, separators=(",", ":"))
    chained = row | {
        "facts": json.dumps(facts, sort_keys=True, separators=(",", ":")),
        "hash": sha256(("0" * 64 + text).encode()).hexdigest(),
    }
    connection.execute(
        sa.text(
            "INSERT INTO audit (number, at, actor, kind, facts, hash) "
            "VALUES (:number, :at, :actor, :kind, :facts, :hash)"
        ),
        chained,
    )
    connection.execute(
        sa.text("INSERT INTO audit_heads (name, number, hash) VALUES ('audit', :number, :hash)"),
        {"number": chained["number"], "hash": chained["hash"]},
    )


def _now(connection: sa.Connection) -> float:
    """The database's time, as everywhere else."""
    if connection.dialect.name == "postgresql":
        return float(connection.scalar(sa.text("SELECT extract(epoch FROM clock_timestamp())")))
    return time.time()


def _refuse_changes(dialect: str) -> None:
    if dialect == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )
        op.execute(
            "CREATE TRIGGER audit_heads_stay BEFORE DELETE OR TRUNCATE ON audit_heads "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )
        return
    for name, event, table in (
        ("audit_no_update", "UPDATE", "audit"),
        ("audit_no_delete", "DELETE", "audit"),
        ("audit_heads_stay", "DELETE", "audit_heads"),
    ):
        op.execute(f"CREATE TRIGGER {name} BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END")
