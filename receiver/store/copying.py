"""A copy of the state, to decide on without touching the original."""

import sqlalchemy as sa

from receiver.store.database import Store
from receiver.store.schema import audit, audit_heads, compatibility, metadata, outbox

# Nothing is decided by what was told or audited, and the audit may be larger than everything else. A new database says
# itself for which releases it is.
LEFT_OUT = frozenset({audit.name, audit_heads.name, compatibility.name, outbox.name})
_BATCH = 1000  # rows in memory


def copy_state(source: Store, target: Store) -> None:
    """Copy what decisions rest on, as it is at one moment, into an empty database of this release's schema.

    The source is best read only: then nobody waits for the copy, and nothing of it is changed. Both raise
    StoreUnavailable.
    """
    with source.begin() as reading, target.begin() as writing:
        for table in metadata.sorted_tables:
            if table.name not in LEFT_OUT:
                rows = reading.execute(sa.select(table).execution_options(yield_per=_BATCH)).mappings()
                for batch in rows.partitions():
                    writing.execute(sa.insert(table), [dict(row) for row in batch])
