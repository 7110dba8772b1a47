"""In which division each flow was when it was last listed; of those that are live, as they stand in `flows`."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flow_divisions",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("flow_id", sa.Text(), nullable=False),
        sa.Column("division_id", sa.Text(), nullable=False),
        sa.Column("division_name", sa.Text(), nullable=False),
        sa.Column("listed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("org", "flow_id"),
    )
    op.execute(
        "INSERT INTO flow_divisions (org, flow_id, division_id, division_name, listed_at) "
        "SELECT flows.org, flows.id, flows.division_id, flows.division_name, COALESCE(listings.listed_at, 0) "
        "FROM flows LEFT JOIN listings ON listings.org = flows.org"
    )
