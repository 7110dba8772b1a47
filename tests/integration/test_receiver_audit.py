"""The audit from outside: `rollback-receiver audit`, `GET /audit`, `rollbackctl audit`."""

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from receiver.audit_commands import audit as command
from receiver.ctl.cli import main as ctl
from receiver.metrics import ReceiverMetrics
from receiver.policy import Verdict
from receiver.store import audit, controls
from receiver.store.database import Store
from receiver.web import create_app
from receiver.web.fields import rfc3339
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, listening, opened, put_alert, put_decision, settings_of

NOW = time.time()
ENVIRON = {role.upper(): token for role, token in TOKENS.items()}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A chain of four rows; the first is as old as the database."""
    with opened(settings_of(tmp_path)) as made:
        with made.begin() as tx:
            put_decision(tx, put_alert(tx, now=NOW), Verdict.PAUSED, now=NOW + 3600)
        with made.begin() as tx:
            controls.pause(tx, "retail", by="ann", reason="storm", now=NOW + 7200)
        with made.begin() as tx:
            controls.resume(tx, "retail", by="bob", now=NOW + 7300)
        yield made


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--config", str(folder / "receiver.yml")], env=ENVIRON)


def rows_of(store: Store) -> list[audit.Row]:
    with store.begin() as tx:
        return list(audit.rows(tx))


def touch(store: Store, *statements: str) -> None:
    with store.begin() as tx:
        for statement in ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete", *statements):
            tx.execute(sa.text(statement))


# rollback-receiver audit


def test_verify_says_how_long_the_chain_is_and_what_its_head_is(store: Store, tmp_path: Path) -> None:
    done = run(tmp_path, "verify")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"4 rows, head {rows_of(store)[-1].hash}: the chain holds\n"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE number = 3", "row 3: changed: "),
        ("DELETE FROM audit WHERE number = 2", "row 2: missing: the next row that is left is 3"),
        ("DELETE FROM audit WHERE number = 4", "row 4: missing: the head is row 4: the newest rows are gone"),
    ],
)
def test_verify_names_the_first_broken_row(store: Store, tmp_path: Path, statement: str, words: str) -> None:
    touch(store, statement)
    done = run(tmp_path, "verify")
    assert done.exit_code == 1
    assert words in done.stdout


def test_verify_shows_that_a_head_of_a_notification_is_in_the_chain(store: Store, tmp_path: Path) -> None:
    done = run(tmp_path, "verify", "--head", rows_of(store)[1].hash)
    assert done.exit_code == 0
    assert "is row 2, of 20" in done.stdout


def test_verify_shows_that_the_whole_chain_was_written_anew(store: Store, tmp_path: Path) -> None:
    seen = rows_of(store)[2].hash
    done = run(tmp_path, "verify", "--head", f"{seen[:-1]}{'0' if seen[-1] != '0' else '1'}")
    assert done.exit_code == 1
    assert "the chain holds" in done.stdout
    assert "is not in it: rows were removed or written anew" in done.stdout


def test_export_gives_lines_that_anybody_can_check(store: Store, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in run(tmp_path, "export", "--output", "jsonl").stdout.splitlines()]
    assert [line["kind"] for line in lines] == ["genesis", "decision", "pause", "resume"]
    for line in lines:
        row = {name: value for name, value in line.items() if name not in ("hash", "previous")}
        said = line["previous"] + json.dumps(row, sort_keys=True, separators=(",", ":"))
        assert sha256(said.encode()).hexdigest() == line["hash"]
    assert [line["hash"] for line in lines] == [row.hash for row in rows_of(store)]


def test_export_begins_where_it_is_told_to(store: Store, tmp_path: Path) -> None:
    lines = run(tmp_path, "export", "--since", rfc3339(NOW + 7000)).stdout.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["pause", "resume"]
    assert json.loads(lines[0])["previous"] == rows_of(store)[1].hash
    assert run(tmp_path, "export", "--since", rfc3339(NOW + 8000)).stdout == ""


@pytest.mark.parametrize("arguments", [("verify",), ("export",)])
def test_a_database_that_cannot_be_read_ends_it_with_1(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    settings_of(tmp_path)
    done = run(tmp_path, *arguments)
    assert (done.exit_code, done.stderr) == (
        1,
        "database_url: there is no such file; `rollback-receiver db migrate` makes it\n",
    )
    assert not (tmp_path / "rollback.db").exists()


def test_a_configuration_that_is_wrong_ends_it_with_2(tmp_path: Path) -> None:
    (tmp_path / "receiver.yml").write_text("flows: []\n")
    done = run(tmp_path, "verify")
    assert done.exit_code == 2
    assert "flows" in done.stderr


# GET /audit, rollbackctl audit


@pytest.fixture
def url(store: Store, tmp_path: Path) -> Iterator[str]:
    settings = settings_of(tmp_path)
    app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), list)
    held_to_its_document(app)
    with listening(app) as port:
        yield f"http://127.0.0.1:{port}"


def ask(url: str, *arguments: str, role: str = "viewer") -> Result:
    environ = {"ROLLBACKCTL_URL": url, "ROLLBACKCTL_TOKEN": TOKENS[role], "ROLLBACKCTL_TOKEN_FILE": None}
    return CliRunner().invoke(ctl, arguments, env=environ)


def document(url: str, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(url, "--output", "json", "audit", *arguments).stdout)
    return found


def test_the_api_lists_it_newest_first_with_its_head(store: Store, url: str) -> None:
    found = document(url)
    rows = rows_of(store)
    assert [row["hash"] for row in found["audit"]] == [row.hash for row in reversed(rows)]
    assert found["head"] == {"number": 4, "hash": rows[-1].hash}
    newest = found["audit"][0]
    assert (newest["actor"], newest["kind"], newest["facts"]) == ("bob", "resume", {"org": "retail"})


def test_the_api_gives_it_in_pages(url: str) -> None:
    assert [row["number"] for row in document(url, "--limit", "2")["audit"]] == [4, 3]
    assert [row["number"] for row in document(url, "--limit", "2", "--before", "3")["audit"]] == [2, 1]
    assert document(url, "--before", "1")["audit"] == []


def test_a_person_sees_who_did_what(store: Store, url: str) -> None:
    lines = ask(url, "audit").stdout.splitlines()
    assert lines[0].split() == ["NUMBER", "AT", "ACTOR", "KIND", "WHAT"]
    ends = [line.partition(")")[2].split() for line in lines[1:4]]
    assert ends == [
        ["bob", "resume", "retail"],
        ["ann", "pause", "retail", "storm"],
        ["r1", "decision", "retail", "flow-1", "14.0", "paused"],
    ]
    assert lines[-1] == f"head {rows_of(store)[-1].hash} (row 4)"


def test_whoever_delivers_alerts_does_not_read_it(url: str) -> None:
    done = ask(url, "audit", role="alertmanager")
    assert done.exit_code == 1
    assert "has not the role" in done.stderr


@pytest.mark.parametrize("before", ["0", "9999999999999999999"])
def test_a_number_that_no_row_can_have_is_refused(url: str, before: str) -> None:
    done = ask(url, "audit", "--before", before)
    assert done.exit_code in (1, 2)
    assert "before" in done.stderr
