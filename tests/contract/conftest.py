"""Every test that takes `store` runs on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from receiver.store.database import Store
from tests import postgresql_server
from tests.postgresql_server import Server

_numbers = count()


@pytest.fixture(scope="module")
def tcp_server(postgresql_binaries: Path) -> Iterator[Server]:
    """A PostgreSQL server that a module may restart, stop and cut off."""
    with postgresql_server.serving(postgresql_binaries, tcp=True) as up:
        yield up


@pytest.fixture
def tcp_url(tcp_server: Server) -> str:
    """A new database of it at this release's schema, over TCP; it ends with the server."""
    name = f"test{next(_numbers)}"
    with psycopg.connect(tcp_server.tcp_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = tcp_server.tcp_url.replace("/postgres?", f"/{name}?")
    made = Store(url)
    made.migrate()
    made.close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new, empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'rollback.db'}"
        return
    server_url = request.getfixturevalue("postgresql_url")
    with postgresql_server.fresh_database(server_url, f"test{next(_numbers)}") as url:
        yield url


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store at this release's schema."""
    made = Store(database_url)
    made.migrate()
    yield made
    made.close()
