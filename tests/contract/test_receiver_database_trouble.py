"""A database that cannot be written: at the start, and while the receiver runs."""

import os
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from sqlalchemy import make_url

from receiver.store.database import Store
from tests import postgresql_server
from tests.integration.webhook_door import Door, alert, body, door
from tests.receiver_world import TOKENS

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "hunter2-very-secret"
NOWHERE = "http://127.0.0.1:1"


def start(folder: Path, database_url: str, *, first: str = "") -> subprocess.CompletedProcess[str]:
    """`rollback-receiver serve` on this database, which must end by itself; `first` is done in it before."""
    credentials = {"client_id": "c", "client_secret_env": "SECRET"}
    retail = {"name": "retail", "api_url": NOWHERE, "login_url": NOWHERE, "credentials": credentials}
    settings = {
        "listen": "127.0.0.1:0",
        "database_url": database_url,
        "tokens": [{"name": "am", "roles": ["alertmanager"], "token_env": "TOKEN"}],
        "flows": [{"match": "*", "mode": "observe"}],
    }
    (folder / "organizations.yml").write_text(yaml.safe_dump({"organizations": [retail]}))
    (folder / "receiver.yml").write_text(yaml.safe_dump(settings))
    files = ["--organizations", "organizations.yml", "--config", "receiver.yml"]
    return subprocess.run(
        [sys.executable, "-c", f"{first}\nfrom receiver.cli import main\nmain()", "serve", *files],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "SECRET": "s", "TOKEN": TOKENS["alertmanager"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def must_say_what_to_do(done: subprocess.CompletedProcess[str], why: str, cure: str) -> None:
    """One sentence with place, reason and cure; no traceback, no password, exit 1."""
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("receiver.yml: database_url: the database cannot be used (")
    assert why in line
    assert cure in line
    assert PASSWORD not in done.stderr + done.stdout


# At the start


def make_read_only(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "there.db")) as database:
        database.execute("CREATE TABLE something (at INTEGER)")
    return f"sqlite:///file:{folder / 'there.db'}?mode=ro&uri=true"  # whoever runs the test: root may write anything


def make_text(folder: Path) -> str:
    (folder / "letter.txt").write_text("Dear all, this is not a database, although it is long enough to be one.\n" * 9)
    return f"sqlite:///{folder / 'letter.txt'}"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda folder: f"sqlite:///{folder}/nowhere/r.db", "unable to open", id="the folder is missing"),
        pytest.param(make_text, "not a database", id="it is another file"),
        pytest.param(make_read_only, "readonly database", id="it is read-only"),
    ],
)
def test_a_file_that_cannot_be_written_ends_the_start_with_what_to_do(
    tmp_path: Path, make: Callable[[Path], str], why: str
) -> None:
    must_say_what_to_do(start(tmp_path, make(tmp_path)), why, "this user must be able to write the file and its folder")


@pytest.fixture
def guarded(postgresql_url: str) -> Iterator[str]:
    """An empty database whose user `guarded` needs a password, and may make no table."""
    with postgresql_server.fresh_database(postgresql_url, "guarded") as url:
        with administer(url) as database:
            database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        with administer(postgresql_url) as server:
            server.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'")
            (found,) = server.execute("SHOW hba_file").fetchone() or ("",)
            rules = Path(found)
            before = rules.read_text()
            rules.write_text(f"local all guarded scram-sha-256\n{before}")
            server.execute("SELECT pg_reload_conf()")
            yield url
            rules.write_text(before)
            server.execute("SELECT pg_reload_conf()")
            server.execute("DROP ROLE guarded")


def administer(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection of the superuser, who needs no password."""
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"username": "guarded", "password": PASSWORD + "x"}, "authentication failed", id="wrong password"),
        pytest.param({"username": "guarded", "password": PASSWORD}, "permission denied", id="it may make no table"),
        pytest.param({"database": "missing"}, 'database "missing" does not exist', id="no such database"),
        pytest.param({"query": {"host": "127.0.0.1", "port": "1"}}, "Connection refused", id="nobody listens"),
    ],
)
def test_a_server_that_cannot_be_used_ends_the_start_with_what_to_do(
    guarded: str, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    url = make_url(guarded).set(**changes).render_as_string(hide_password=False)
    must_say_what_to_do(start(tmp_path, url), why, "check that the server runs")


def test_without_the_driver_of_postgresql_the_configuration_is_refused_with_what_to_install(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://u:{PASSWORD}@127.0.0.1/x"
    done = start(tmp_path, url, first="import sys; sys.modules['psycopg'] = None")
    said = "PostgreSQL needs psycopg: pip install 'genesys-rollback-bridge[postgresql]'"
    assert (done.returncode, done.stderr) == (2, f"receiver.yml: database_url: {said}\n")


def test_a_database_of_a_newer_release_ends_the_start_with_what_to_do(tmp_path: Path) -> None:
    with door(tmp_path), closing(sqlite3.connect(tmp_path / "rollback.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
        database.execute("UPDATE compatibility SET oldest_revision = 'from-the-future'")
    done = start(tmp_path, f"sqlite:///{tmp_path / 'rollback.db'}")
    assert done.returncode == 1
    assert re.fullmatch(r"receiver\.yml: database_url: .*from-the-future.*: start the release .*\n", done.stderr)


# While it runs


def must_refuse_for_now(at: Door, log: pytest.LogCaptureFixture, why: str) -> None:
    log.clear()
    answer = at.post(body(alert("meanwhile")))
    assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
    ready = at.app.test_client().get("/-/ready")
    assert (ready.status_code, ready.get_json()["detail"]) == (503, "the database cannot be used")
    for path in ("/api/v1/alerts", "/-/ready"):
        line = next(line for line in log.messages if line.startswith(f"database_unavailable path={path} "))
        assert why in line
        assert 'cure="bring the database back, so that it can be written; see database_url in receiver.yml"' in line
    assert "raceback" not in log.text


def must_work(at: Door, fingerprint: str) -> None:
    assert at.post(body(alert(fingerprint))).status_code == 202
    assert at.app.test_client().get("/-/ready").status_code == 200


def test_while_the_disk_is_full_it_is_not_ready_and_answers_503_and_then_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A limit on the size of files is met as a full disk is: the file can be read, and not a byte can be added."""
    with door(tmp_path) as at:
        must_work(at, "before")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        try:
            must_refuse_for_now(at, caplog, "disk")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert {row[0] for row in at.rows()} == {"before"}
        must_work(at, "after")


def test_while_the_server_takes_no_writes_it_is_not_ready_and_answers_503_and_then_goes_on(
    postgresql_url: str, guarded: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a failover to a standby, which can be read."""

    def let_write(writable: bool) -> None:
        with administer(postgresql_url) as server:
            server.execute(f"ALTER DATABASE guarded SET default_transaction_read_only = {'off' if writable else 'on'}")
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'guarded'")

    with door(tmp_path, database_url=guarded) as at:
        must_work(at, "before")
        let_write(False)
        must_refuse_for_now(at, caplog, "read-only transaction")
        with closing(Store(guarded)) as readable, readable.begin() as tx:
            assert tx.exec_driver_sql("SELECT fingerprint FROM alerts").scalars().all() == ["before"]
        let_write(True)
        must_work(at, "after")
