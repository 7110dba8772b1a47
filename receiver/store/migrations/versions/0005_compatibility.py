"""From which revision on a release may work with the schema: an older and a newer receiver side by side."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    compatibility = op.create_table(
        "compatibility",
        sa.Column("oldest_revision", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("oldest_revision"),
    )
    op.bulk_insert(compatibility, [{"oldest_revision": revision}])
