"""Feeds that announce windows, and who has closed a window."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("closed_by", "feed", "feed_uid", "url"):
        op.add_column("windows", sa.Column(name, sa.Text(), nullable=True))
    op.create_index("ix_windows_feed_ends_at", "windows", ["feed", "ends_at"], unique=False)
    op.create_table(
        "feeds",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=True),
        sa.Column("read_at", sa.Double(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("lapsed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
