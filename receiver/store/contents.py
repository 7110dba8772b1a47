"""What versions contain, as a digest: two with the same one are the same thing under two labels.

A version never changes, so what was read of it once holds for ever.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.payload import FLOW
from receiver.store.database import Transaction
from receiver.store.schema import contents


def keep(tx: Transaction, org: str, flow_id: str, version: str, digest: str, *, now: float) -> None:
    """Remember the digest of a version; one that is known stays."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(contents).values(
        org=org, object_type=FLOW, object_id=flow_id, version=version, digest=digest, read_at=now
    )
    tx.execute(statement.on_conflict_do_nothing(index_elements=list(contents.primary_key)))


def of(tx: Transaction, org: str, flow_id: str) -> dict[str, str]:
    """The digest of each version of a flow whose content was read."""
    query = sa.select(contents.c.version, contents.c.digest).where(
        contents.c.org == org, contents.c.object_type == FLOW, contents.c.object_id == flow_id
    )
    return {row.version: row.digest for row in tx.execute(query)}
