"""Every test that takes `store` runs on SQLite and on PostgreSQL."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from receiver.store.database import Store
from tests import postgresql_server

_numbers = count()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A PostgreSQL server of this test run; missing, it fails in CI and skips at a desk."""
    binaries = postgresql_server.find_binaries()
    if binaries is None:
        reason = "PostgreSQL's initdb, pg_ctl and postgres are neither in PATH, /usr/lib/postgresql nor .tools"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with postgresql_server.running(binaries) as url:
        yield url


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
