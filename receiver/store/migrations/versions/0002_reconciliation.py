"""How an alert became known and was closed; every flow as it was last listed; when the watchdog last arrived."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("source", sa.Text(), server_default="webhook", nullable=False))
    op.add_column("alerts", sa.Column("closed_by", sa.Text(), nullable=True))
    op.create_table(
        "flows",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("division_id", sa.Text(), nullable=False),
        sa.Column("division_name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("live_version", sa.Text(), nullable=False),
        sa.Column("live_published_at", sa.Double(), nullable=True),
        sa.Column("published_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("org", "id"),
    )
    op.create_table(
        "listings",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("listed_at", sa.Double(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org"),
    )
    op.create_table(
        "watchdogs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
