"""Configuration objects other than flows, and the snapshots that are kept of them."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "objects",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("wanted_at", sa.Double(), nullable=True),
        sa.Column("read_at", sa.Double(), nullable=True),
        sa.Column("own_version", sa.Integer(), nullable=True),
        sa.Column("flow_id", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org", "object_type", "object_id"),
    )
    op.create_table(
        "snapshots",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("kept_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("org", "object_type", "object_id", "version"),
    )
    op.create_table(
        "object_stints",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("seen_until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("org", "object_type", "object_id", "since"),
    )
