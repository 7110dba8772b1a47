"""SQLite: one file of one host."""

from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_S = 10.0


def engine(url: str) -> sa.Engine:
    """Connections whose transactions wait for each other, and are on the disk when they are committed."""
    made = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(made, "connect", _set_up)
    event.listen(made, "begin", _begin_immediately)
    return made


def read_only_engine(url: str) -> sa.Engine:
    """Connections that change nothing, and keep no writer waiting."""
    parts = sa.make_url(url)
    name = parts.database or ""
    file = name if name.startswith("file:") else f"file:{quote(name)}"
    asked = parts.set(database=file).update_query_dict({"mode": "ro", "uri": "true"})
    made = sa.create_engine(asked, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(made, "connect", _leave_transactions_to_us)
    event.listen(made, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return made


def is_missing(url: str) -> bool:
    """There is no file yet; to open it would make one. What SQLite itself calls a URI is left to SQLite."""
    name = sa.make_url(url).database or ""
    return not name.startswith("file:") and not Path(name).exists()


def _leave_transactions_to_us(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # pysqlite must not begin by itself


def _set_up(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    _leave_transactions_to_us(connection, entry)
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # 202 means durable, also when the power fails
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_immediately(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
