"""The schema: brought to this release's revision by one receiver of many, and whether this release may work with it.

A revision that only adds (tables, columns that older releases need not fill) leaves older receivers at work: they run
on beside the newer ones. One that does more, or whose release writes what older ones cannot read, sets
`compatibility.oldest_revision` to itself, and from then on no older release starts.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import alembic.command
import alembic.config
import alembic.runtime.migration
import alembic.script
import sqlalchemy as sa

from genesys.log import event
from receiver.store.schema import compatibility

log = logging.getLogger(__name__)

_LOCK = 4_201_964_001  # any number; PostgreSQL's advisory lock for which starting receivers contend


class SchemaMismatch(Exception):
    """This release must not work with the schema as it is; the text says the cure."""


def upgrade(connection: sa.Connection) -> None:
    """Bring the schema to this release's revision; one that is newer stays as it is.

    Raises SchemaMismatch if the newer one is not for this release. Others who want the same wait for the transaction's
    end, and then find nothing to do; on SQLite because every transaction is for writing.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    config = _config(connection)
    found = _look(connection, config)
    if not found.is_newer:
        alembic.command.upgrade(config, "head")
    elif not found.is_for_us:
        raise SchemaMismatch(found.refusal())
    else:
        event(log, logging.INFO, "schema_of_newer_release", revision=found.current, own=found.own)


def check(connection: sa.Connection) -> str:
    """One sentence about the schema. Raises SchemaMismatch if this release cannot work with it as it is."""
    found = _look(connection, _config(connection))
    if found.is_newer and found.is_for_us:
        return f"the schema is at revision {found.current}, of a newer release; this one ({found.own}) works with it"
    if found.is_newer:
        raise SchemaMismatch(found.refusal())
    if found.current != found.own:
        at = f"at revision {found.current}" if found.current else "empty"
        cure = "run `rollback-receiver db migrate`, or start a receiver"
        raise SchemaMismatch(f"the database is {at}, and this release works with {found.own}: {cure}")
    return f"the schema is at revision {found.current}, that of this release"


@dataclass(frozen=True, slots=True)
class _Found:
    """Revisions: of the database (empty: none yet), of this release, and the oldest that may work with it, if told."""

    current: str
    own: str
    oldest: str | None
    known: frozenset[str]

    @property
    def is_newer(self) -> bool:
        return bool(self.current) and self.current not in self.known

    @property
    def is_for_us(self) -> bool:
        """This release knows the revision from which on releases may work with the schema: so it is no older."""
        return self.oldest in self.known

    def refusal(self) -> str:
        floor = f"it is for releases from {self.oldest} on" if self.oldest else "nothing says that they fit"
        return (
            f"the database is at schema revision {self.current}, which this release ({self.own}) does not know, and "
            f"{floor}: start the release that migrated it, or a newer one"
        )


def _look(connection: sa.Connection, config: alembic.config.Config) -> _Found:
    scripts = alembic.script.ScriptDirectory.from_config(config)
    heads = alembic.runtime.migration.MigrationContext.configure(connection).get_current_heads()
    told = sa.inspect(connection).has_table(compatibility.name)
    return _Found(
        current=", ".join(sorted(heads)),
        own=scripts.get_current_head() or "",
        oldest=connection.scalar(sa.select(compatibility.c.oldest_revision)) if told else None,
        known=frozenset(script.revision for script in scripts.walk_revisions()),
    )


def _config(connection: sa.Connection) -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config
