"""Whom an audit row is about, as a column that the database makes of its facts: so old rows have it too, and those of
older releases that run on beside this one. And decisions by their time.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Facts are JSON in ASCII. PostgreSQL turns every escape of it into text, also of what is not asked for, and objects to
# those that its text cannot have (NUL, half a surrogate pair, what its encoding has not). An audit row that cannot be
# written would keep the bridge from acting: so those become something harmless. Names of organizations are ASCII.
_ORG_ON_POSTGRESQL = r"""
CREATE FUNCTION audit_org(facts text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN facts::json ->> 'org';
EXCEPTION WHEN OTHERS THEN
    RETURN regexp_replace(facts, '\\u[0-9a-f]{4}', '\\n', 'g')::json ->> 'org';
END $$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_ORG_ON_POSTGRESQL)
        op.execute("ALTER TABLE audit ADD COLUMN org TEXT GENERATED ALWAYS AS (audit_org(facts)) STORED")
    else:  # a stored one cannot be added to a table; the index keeps it
        op.execute("ALTER TABLE audit ADD COLUMN org TEXT GENERATED ALWAYS AS (json_extract(facts, '$.org')) VIRTUAL")
    op.create_index("ix_audit_org", "audit", ["org", "number"], unique=False)
    op.create_index("ix_decisions_at", "decisions", ["at"], unique=False)
