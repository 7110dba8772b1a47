"""`rollback-receiver db`: one sentence, and an exit code that a deployment can go by."""

import sqlite3
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from receiver.cli import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = {
        "database_url": f"sqlite:///{tmp_path / 'rollback.db'}",
        "tokens": [{"name": "alertmanager", "roles": ["alertmanager"], "token_env": "TOKEN"}],
        "flows": [{"match": "*", "mode": "observe"}],
    }
    (tmp_path / "receiver.yml").write_text(yaml.safe_dump(config))
    return tmp_path


def db(folder: Path, command: str) -> Result:
    config = str(folder / "receiver.yml")
    return CliRunner(env={"TOKEN": "t" * 20}).invoke(main, ["db", command, "--config", config])


def test_migrate_makes_the_schema_and_check_finds_it(folder: Path) -> None:
    made, found = db(folder, "migrate"), db(folder, "check")
    assert (made.exit_code, found.exit_code) == (0, 0)
    assert made.stdout == found.stdout
    assert "that of this release" in found.stdout


def test_a_check_without_a_database_makes_none_and_says_what_does(folder: Path) -> None:
    done = db(folder, "check")
    assert done.exit_code == 1
    assert done.stderr.endswith("database_url: there is no such file; `rollback-receiver db migrate` makes it\n")
    assert not (folder / "rollback.db").exists()


@pytest.mark.parametrize("command", ["migrate", "check"])
def test_a_database_of_a_newer_release_is_refused_in_one_line(folder: Path, command: str) -> None:
    db(folder, "migrate")
    with sqlite3.connect(folder / "rollback.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE compatibility SET oldest_revision = '9999'")
    connection.close()
    done = db(folder, command)
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "start the release that migrated it, or a newer one" in done.stderr


def test_a_configuration_that_is_wrong_is_exit_2(folder: Path) -> None:
    (folder / "receiver.yml").write_text("database_url: mysql://x")
    done = db(folder, "check")
    assert done.exit_code == 2
    assert "database_url" in done.stderr
