"""Rollbacks that people order by hand; older releases cannot read the source of an alert that nobody has sent."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rollbacks", sa.Column("overrides", sa.Text(), nullable=True))
    op.execute(sa.text("UPDATE compatibility SET oldest_revision = :revision").bindparams(revision=revision))
