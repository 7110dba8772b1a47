"""Holds, and quarantines: what was rolled back before this release is quarantined as well, so that it can be lifted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "holds",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("flow_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("held_by", sa.Text(), nullable=False),
        sa.Column("held_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("org", "flow_id", "owner"),
    )
    op.create_table(
        "quarantines",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("rollback_id", sa.Text(), nullable=False),
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("quarantined_at", sa.Double(), nullable=False),
        sa.Column("lifted_at", sa.Double(), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["rollback_id"], ["rollbacks.id"], name="fk_quarantines_rollback"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("rollback_id", name="uq_quarantines_rollback"),
    )
    op.create_index("ix_quarantines_object", "quarantines", ["org", "object_id"], unique=False)
    op.execute(
        "INSERT INTO quarantines (id, rollback_id, org, object_type, object_id, version, quarantined_at) "
        "SELECT id, id, org, object_type, object_id, accused_version, ended_at FROM rollbacks "
        "WHERE wrote AND NOT shadow AND ended_at IS NOT NULL"
    )
