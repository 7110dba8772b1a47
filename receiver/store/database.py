"""The database: connections, transactions, its clock, and the state of its schema."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import alembic.command
import alembic.config
import alembic.runtime.migration
import alembic.script
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

Transaction = sa.Connection
"""An open transaction; the functions of this package take one, nobody else looks inside."""

_SQLITE_BUSY_TIMEOUT_S = 10.0
_AFTER_COMMIT = "after_commit"
_AT_END = "at_end"
_ACTOR = "actor"
_MIGRATION_LOCK = 4_201_964_001  # any number; PostgreSQL's advisory lock that two starting receivers contend for


class StoreUnavailable(Exception):
    """The database cannot be read or written now; nothing of the transaction was kept."""


class SchemaMismatch(Exception):
    """The database was migrated by another release than this one."""


class Store:
    """One database. `begin()` gives a transaction that is durable once the block is left."""

    def __init__(self, url: str, *, actor: str = "bridge", read_only: bool = False) -> None:
        """`actor` is what the audit calls whoever uses this store, where nobody else is named.

        One that is read only changes nothing, not even the database's schema. Each of its transactions sees one
        moment, and keeps no writer waiting.
        """
        self._engine = _read_only_engine(url) if read_only else _engine(url)
        self._actor = actor

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction for reading and writing; raises StoreUnavailable, and then nothing was kept.

        On SQLite the write lock is taken at once: a read that later becomes a
        write fails there with "database is locked", whatever the timeout.
        """
        calls: list[Callable[[], None]] = []
        work: dict[_Work, list[Any]] = {}
        try:
            with self._engine.begin() as connection:
                connection.info.update({_AFTER_COMMIT: calls, _AT_END: work, _ACTOR: self._actor})
                yield connection
                for do, items in work.items():
                    do(connection, items)
        except SQLAlchemyError as problem:
            raise StoreUnavailable(_sentence(problem)) from problem
        for call in calls:
            call()

    def migrate(self) -> None:
        """Bring the schema to this release's revision; safe when several receivers start at once.

        Raises StoreUnavailable, or SchemaMismatch for a database of a newer release.
        """
        try:
            with self._engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
                _upgrade(connection)
        except SQLAlchemyError as problem:
            raise StoreUnavailable(_sentence(problem)) from problem

    def check_schema(self) -> None:
        """Raises SchemaMismatch unless the schema is this release's, or StoreUnavailable. Nothing is migrated."""
        with self.begin() as tx:
            current = _revisions(tx)
        if current != set(_scripts().get_heads()):
            raise SchemaMismatch(
                f"the database is at schema revision {', '.join(sorted(current)) or 'none'}, which is not this "
                "release's: use the release that serves it, or have `rollback-receiver serve` of this one migrate it"
            )

    def close(self) -> None:
        self._engine.dispose()


_Work = Callable[[Transaction, list[Any]], None]


def at_end(tx: Transaction, work: _Work, item: object) -> None:
    """Have `work` called once with every `item` given for it, as the last thing before the commit.

    It may lock what everybody needs: nothing of the transaction waits for anybody after it. It is not called if the
    transaction is rolled back. Only of `Store.begin`'s own.
    """
    tx.info[_AT_END].setdefault(work, []).append(item)


def actor(tx: Transaction) -> str:
    """What the audit calls whoever opened the transaction."""
    return str(tx.info[_ACTOR])


def after_commit(tx: Transaction, call: Callable[[], None]) -> None:
    """Have `call` made once the transaction is durable; never, if it is rolled back. Only of `Store.begin`'s own."""
    tx.info[_AFTER_COMMIT].append(call)


def clock(tx: Transaction) -> float:
    """The database's time in Unix seconds: one clock for all receivers.

    A SQLite file belongs to one host, so there it is the host's clock.
    """
    if tx.dialect.name == "postgresql":
        return float(tx.scalar(sa.text("SELECT extract(epoch FROM clock_timestamp())")))
    return time.time()


def _engine(url: str) -> sa.Engine:
    if sa.make_url(url).get_backend_name() == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": _SQLITE_BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_immediately)
        return engine
    # Read committed is what the conditional updates are written for; a dead connection is found before it is used.
    return sa.create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3},
    )


def _read_only_engine(url: str) -> sa.Engine:
    parts = sa.make_url(url)
    if parts.get_backend_name() == "sqlite":
        name = parts.database or ""
        file = name if name.startswith("file:") else f"file:{quote(name)}"
        asked = parts.set(database=file).update_query_dict({"mode": "ro", "uri": "true"})
        engine = sa.create_engine(asked, connect_args={"timeout": _SQLITE_BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        return engine
    engine = sa.create_engine(url, isolation_level="REPEATABLE READ", connect_args={"connect_timeout": 5})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("SET TRANSACTION READ ONLY"))
    return engine


def _leave_transactions_to_us(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # pysqlite must not begin by itself


def _set_up_sqlite(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    _leave_transactions_to_us(connection, entry)
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # 202 means durable, also when the power fails
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_immediately(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _upgrade(connection: sa.Connection) -> None:
    current = _revisions(connection)
    if not current <= {script.revision for script in _scripts().walk_revisions()}:
        raise SchemaMismatch(
            f"the database is at schema revision {', '.join(sorted(current))}, which this release does not know: "
            "start the release that migrated it, or a newer one"
        )
    config = _migrations()
    config.attributes["connection"] = connection
    alembic.command.upgrade(config, "head")


def _migrations() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _scripts() -> alembic.script.ScriptDirectory:
    return alembic.script.ScriptDirectory.from_config(_migrations())


def _revisions(connection: sa.Connection) -> set[str]:
    """What the database was migrated to; empty if it never was."""
    return set(alembic.runtime.migration.MigrationContext.configure(connection).get_current_heads())


def _sentence(problem: SQLAlchemyError) -> str:
    """The driver's own first line: SQLAlchemy's text adds the statement with its parameters."""
    cause = getattr(problem, "orig", None) or problem
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause).strip() else 'no detail'}"
