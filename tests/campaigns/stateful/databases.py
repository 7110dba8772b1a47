"""A new database for every example, copied from a migrated one: migrations would take longer than the example."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import psycopg

from receiver.store.database import Store
from receiver.store.postgresql import Timeouts

_TEMPLATE = "stateful_template"
_numbers = count()

IMPATIENT = Timeouts(lock_s=0.02)  # who waits for a lock here waits for somebody who cannot go on before


class Reader(Protocol):
    """A connection of the test's own: what it sees is committed."""

    def execute(self, query: str, /) -> Any: ...


@dataclass(frozen=True)
class Database:
    """One example's database, and whether another transaction may begin while one is open."""

    url: str
    reader: Reader
    overlaps: bool


class Databases(Protocol):
    """Gives databases of one kind."""

    name: str

    def fresh(self) -> AbstractContextManager[Database]: ...


class SqliteFiles:
    """Files in a folder; one in memory (/dev/shm) makes the fsyncs free, everything else is as on a disk."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template = folder / f"{_TEMPLATE}.db"
        _migrate(f"sqlite:///{self._template}")

    @contextmanager
    def fresh(self) -> Iterator[Database]:
        file = self._folder / f"example{next(_numbers)}.db"
        shutil.copyfile(self._template, file)
        reader = sqlite3.connect(file, isolation_level=None)
        try:
            yield Database(f"sqlite:///{file}", reader, overlaps=False)
        finally:
            reader.close()
            for left in self._folder.glob(f"{file.name}*"):
                left.unlink()


class PostgresqlDatabases:
    """Databases of a running server, made from a template of it."""

    name = "PostgreSQL"

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        with psycopg.connect(_libpq(server_url), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {_TEMPLATE}")
            connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        _migrate(self._url(_TEMPLATE))

    @contextmanager
    def fresh(self) -> Iterator[Database]:
        name = f"example{next(_numbers)}"
        with psycopg.connect(_libpq(self._server_url), autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
            reader = psycopg.connect(_libpq(self._url(name)), autocommit=True)
            try:
                yield Database(self._url(name), reader, overlaps=True)
            finally:
                reader.close()
                server.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _url(self, name: str) -> str:
        return self._server_url.replace("/postgres?", f"/{name}?")


def _migrate(url: str) -> None:
    store = Store(url)
    try:
        store.migrate()
    finally:
        store.close()


def _libpq(url: str) -> str:
    return url.replace("+psycopg", "")
