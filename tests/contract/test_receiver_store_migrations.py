"""Releases side by side: who migrates, what a newer schema lets an older release do, and what migrations may do."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import alembic.script
import pytest
import sqlalchemy as sa

import receiver.store
from receiver.store.database import Store, StoreUnavailable, Transaction
from receiver.store.migration import SchemaMismatch
from receiver.store.rollbacks import State
from receiver.store.schema import metadata
from tests.integration.receiver_world import scene
from tests.postgresql_server import ROOT

MIGRATIONS = Path(receiver.store.__file__).parent / "migrations"
REVISIONS = [script.revision for script in reversed(list(alembic.script.ScriptDirectory(MIGRATIONS).walk_revisions()))]
FIRST_THAT_ONLY_ADDS = "0003"
HEAD = REVISIONS[-1]


def migrate_to(tx: Transaction, revision: str) -> None:
    """As far as a release did whose newest revision this was."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = tx
    alembic.command.upgrade(config, revision)


def make_newer(tx: Transaction, *, oldest: str) -> None:
    """What a release after this one might have done: added, and said from which release on that is good enough."""
    tx.execute(sa.text("CREATE TABLE something_new (id TEXT PRIMARY KEY)"))
    tx.execute(sa.text("ALTER TABLE rollbacks ADD COLUMN something_new TEXT"))
    tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    tx.execute(sa.text("UPDATE compatibility SET oldest_revision = :oldest"), {"oldest": oldest})


# Who migrates --------------------------------------------------------------------------------------------------------

MIGRATE = """
import logging, sys
from receiver.store.database import Store

class Counter(logging.Handler):
    count = 0
    def emit(self, record):
        self.count += record.getMessage().startswith("Running upgrade")

counter = Counter()
logging.getLogger("alembic.runtime.migration").addHandler(counter)
logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)
store = Store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
store.migrate()
print(counter.count)
"""


def test_of_receivers_that_start_at_once_exactly_one_migrates_an_older_database(database_url: str) -> None:
    store = Store(database_url)
    store.transact(migrate_to, "0002")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, database_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for one in processes:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in processes:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    counts = sorted(int(one.communicate(timeout=60)[0]) for one in processes)

    assert [one.returncode for one in processes] == [0] * 4
    assert counts == [0, 0, 0, len(REVISIONS) - 2]
    assert store.check_schema() == f"the schema is at revision {HEAD}, that of this release"
    store.close()


def kept_waiting(store: Store, *, to: str) -> set[str]:
    """The tables that nobody can read, or write, for as long as somebody else's transaction lasts."""
    mode = {"read": "ACCESS SHARE", "write": "ROW EXCLUSIVE"}[to]
    waiting = set()
    for table in (*metadata.tables, "alembic_version"):
        try:
            with store.begin() as tx:
                if sa.inspect(tx).has_table(table):
                    tx.execute(sa.text(f"LOCK TABLE {table} IN {mode} MODE NOWAIT"))
        except StoreUnavailable:
            waiting.add(table)
    return waiting


def test_while_the_audit_gets_the_column_of_its_organization_alerts_are_taken(database_url: str) -> None:
    """As docs/upgrade.md says: the table is written anew, and what has to be recorded waits for it."""
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time, and adds the column without a look at the rows")
    migrating, running = Store(database_url), Store(database_url)
    migrating.transact(migrate_to, "0012")
    with migrating.begin() as tx:
        migrate_to(tx, "0013")
        assert kept_waiting(running, to="read") == {"audit"}
        assert kept_waiting(running, to="write") == {"audit", "decisions"}
    assert kept_waiting(running, to="write") == set()
    for store in (migrating, running):
        store.close()


# A newer schema ------------------------------------------------------------------------------------------------------


def test_a_receiver_works_on_a_newer_schema_that_says_so_and_leaves_it_alone(tmp_path: Path, database_url: str) -> None:
    """An upgrade, one receiver after the other: this is the older one, which starts again in the middle."""
    with scene(tmp_path, database_url=database_url) as here:
        here.store.transact(make_newer, oldest=HEAD)
        here.store.migrate()
        here.deliver()

        assert here.run_to_the_end().state is State.SUCCEEDED
        assert here.store.check_schema() == (
            f"the schema is at revision 9999, of a newer release; this one ({HEAD}) works with it"
        )


@pytest.mark.parametrize("oldest", ["9999", "9998"])
def test_a_newer_schema_that_is_not_for_this_release_is_refused_with_the_cure(store: Store, oldest: str) -> None:
    store.transact(make_newer, oldest=oldest)
    for use in (Store.migrate, Store.check_schema):
        with pytest.raises(SchemaMismatch) as caught:
            use(store)
        assert str(caught.value) == (
            f"the database is at schema revision 9999, which this release ({HEAD}) does not know, and it is for "
            f"releases from {oldest} on: start the release that migrated it, or a newer one"
        )


def test_an_unknown_schema_that_says_nothing_is_refused(store: Store) -> None:
    def make_unknown(tx: Transaction) -> None:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = 'from-elsewhere'"))
        tx.execute(sa.text("DROP TABLE compatibility"))

    store.transact(make_unknown)
    with pytest.raises(SchemaMismatch, match=r"from-elsewhere, .* nothing says that they fit: start the release"):
        store.migrate()


# An older one --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("revision", "at"), [("base", "empty"), ("0002", "at revision 0002")])
def test_a_check_of_an_older_schema_says_the_cure_and_changes_nothing(
    database_url: str, revision: str, at: str
) -> None:
    store = Store(database_url)
    if revision != "base":
        store.transact(migrate_to, revision)
    else:
        store.transact(lambda tx: None)
    before = store.transact(tables)
    with pytest.raises(SchemaMismatch, match=rf"the database is {at}, .* run `rollback-receiver db migrate`"):
        store.check_schema()
    assert store.transact(tables) == before
    store.close()


# What a migration may do ---------------------------------------------------------------------------------------------


def tables(tx: Transaction) -> dict[str, dict[str, Any]]:
    """Every table: what its columns, keys and constraints ask of whoever writes."""
    look = sa.inspect(tx)
    return {
        name: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"] is not None)
                for column in look.get_columns(name)
            },
            "demands": {
                "key": look.get_pk_constraint(name)["constrained_columns"],
                "unique": sorted(tuple(one["column_names"]) for one in look.get_unique_constraints(name)),
                "unique indexes": sorted(str(one["name"]) for one in look.get_indexes(name) if one["unique"]),
                "foreign": sorted(tuple(one["constrained_columns"]) for one in look.get_foreign_keys(name)),
                "checks": sorted(str(one["sqltext"]) for one in look.get_check_constraints(name)),
            },
        }
        for name in look.get_table_names()
        if name != "alembic_version"
    }


def what_an_older_release_would_miss(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Everything that is not merely added: older releases read and write the old columns of the old tables."""
    missed = [f"table {name} is gone" for name in before.keys() - after.keys()]
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        missed += [
            f"column {name}.{column} has changed"
            for column, shape in old["columns"].items()
            if new["columns"].get(column) != shape
        ]
        missed += [
            f"column {name}.{column} has to be filled"
            for column, (_, nullable, has_default) in new["columns"].items()
            if column not in old["columns"] and not (nullable or has_default)
        ]
        missed += [
            f"{kind} of {name} has changed" for kind in old["demands"] if old["demands"][kind] != new["demands"][kind]
        ]
    return missed


@pytest.mark.parametrize("revision", REVISIONS[REVISIONS.index(FIRST_THAT_ONLY_ADDS) :])
def test_a_migration_only_adds_or_says_that_older_releases_are_out(database_url: str, revision: str) -> None:
    store = Store(database_url)
    store.transact(migrate_to, REVISIONS[REVISIONS.index(revision) - 1])
    before = store.transact(tables)
    store.transact(migrate_to, revision)
    missed = what_an_older_release_would_miss(before, store.transact(tables))
    if missed:
        told = store.transact(lambda tx: tx.scalar(sa.text("SELECT oldest_revision FROM compatibility")))
        assert told == revision, missed
    store.close()


@pytest.mark.parametrize(
    ("statement", "missed"),
    [
        pytest.param("DROP TABLE watchdogs", "table watchdogs is gone", id="a table less"),
        pytest.param("ALTER TABLE holds DROP COLUMN reason", "column holds.reason has changed", id="a column less"),
        pytest.param(
            "ALTER TABLE holds RENAME COLUMN reason TO why", "column holds.reason has changed", id="a column renamed"
        ),
        pytest.param(
            "ALTER TABLE holds ADD COLUMN till INTEGER NOT NULL DEFAULT 0", None, id="a column with a default"
        ),
        pytest.param("ALTER TABLE holds ADD COLUMN till INTEGER", None, id="a column that may be null"),
        pytest.param(
            "CREATE UNIQUE INDEX one_owner ON holds (owner)",
            "unique indexes of holds has changed",
            id="what was allowed before is refused",
        ),
        pytest.param("CREATE INDEX by_owner ON holds (owner)", None, id="an index for speed"),
    ],
)
def test_what_counts_as_adding(store: Store, statement: str, missed: str | None) -> None:
    before = store.transact(tables)
    store.transact(lambda tx: tx.execute(sa.text(statement)) and None)
    found = what_an_older_release_would_miss(before, store.transact(tables))
    assert (missed in found) if missed else found == []
