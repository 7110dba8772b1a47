"""By which strategies a rollback may go, and which one it goes; and those that did nothing in an organization."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rollbacks", sa.Column("ways_back", sa.Text(), nullable=False, server_default="republish"))
    op.add_column("rollbacks", sa.Column("strategy", sa.Text(), nullable=False, server_default="republish"))
    op.add_column("rollbacks", sa.Column("export_job", sa.Text(), nullable=True))
    op.create_table(
        "ways_in_vain",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("found_at", sa.Double(), nullable=False),
        sa.Column("rollback_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org", "strategy"),
    )
