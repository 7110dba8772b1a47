"""Attempts of several rollbacks, undo, and approval; older releases cannot read a rollback that awaits approval."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rollbacks", sa.Column("kind", sa.Text(), nullable=False, server_default="rollback"))
    op.add_column("rollbacks", sa.Column("attempt_id", sa.Text(), nullable=False, server_default=""))
    op.add_column("rollbacks", sa.Column("published_by", sa.Text(), nullable=True))
    op.add_column("rollbacks", sa.Column("undoes", sa.Text(), nullable=True))
    op.add_column("rollbacks", sa.Column("approved_by", sa.Text(), nullable=True))
    op.add_column("rollbacks", sa.Column("approved_at", sa.Double(), nullable=True))
    op.execute("UPDATE rollbacks SET attempt_id = id")
    op.create_index("ix_rollbacks_attempt", "rollbacks", ["attempt_id"], unique=False)
    op.execute(sa.text("UPDATE compatibility SET oldest_revision = :revision").bindparams(revision=revision))
