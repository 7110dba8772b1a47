"""The database itself: its schema, its clock, and what happens without it."""

import logging
import time
from pathlib import Path

import alembic.autogenerate
import alembic.runtime.migration
import pytest
import sqlalchemy as sa

from receiver.store.database import Store, StoreUnavailable, clock
from receiver.store.schema import metadata

SECRET = "hunter2-very-secret"


def test_the_migrations_make_exactly_the_tables_of_the_schema(store: Store) -> None:
    with store.begin() as tx:
        context = alembic.runtime.migration.MigrationContext.configure(tx)
        assert alembic.autogenerate.compare_metadata(context, metadata) == []


def test_migrating_again_changes_nothing(store: Store) -> None:
    store.migrate()
    store.migrate()


def test_the_clock_tells_unix_seconds(store: Store) -> None:
    with store.begin() as tx:
        assert clock(tx) == pytest.approx(time.time(), abs=5)


def test_what_was_committed_is_there_after_a_restart(store: Store, database_url: str) -> None:
    with store.begin() as tx:
        tx.execute(sa.text("INSERT INTO leases (name, owner, fence, expires_at) VALUES ('n', 'o', 1, 2.0)"))
    again = Store(database_url)
    with again.begin() as tx:
        assert tx.scalar(sa.text("SELECT fence FROM leases")) == 1
    again.close()


def broken(url: str) -> tuple[str, str]:
    """What is raised for a write and for a migration, as text."""
    store = Store(url)
    texts = []
    for use in (_write, Store.migrate):
        with pytest.raises(StoreUnavailable) as caught:
            use(store)
        texts.append(str(caught.value))
    store.close()
    return texts[0], texts[1]


def _write(store: Store) -> None:
    with store.begin() as tx:
        tx.execute(sa.text("INSERT INTO leases (name, owner, fence, expires_at) VALUES ('x', 'o', 1, 2.0)"))


def test_a_server_that_cannot_be_reached_is_unavailable_and_its_password_is_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    texts = broken(f"postgresql+psycopg://rollback:{SECRET}@127.0.0.1:1/rollback?connect_timeout=2")

    assert all("127.0.0.1" in text for text in texts)
    assert SECRET not in "".join(texts) + caplog.text


def test_a_file_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    assert broken(f"sqlite:///{tmp_path}/no/such/folder/rollback.db")[0] == (
        "OperationalError: unable to open database file"
    )


def test_a_file_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    file = tmp_path / "rollback.db"
    made = Store(f"sqlite:///{file}")
    made.migrate()
    with made.begin() as tx:
        tx.execute(sa.text("DELETE FROM alembic_version"))
    made.close()
    assert "readonly" in broken(f"sqlite:///file:{file}?mode=ro&uri=true")[0]


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    file = tmp_path / "rollback.db"
    file.write_text("this is not a database, " * 100)
    assert broken(f"sqlite:///{file}")[0] == "DatabaseError: file is not a database"
