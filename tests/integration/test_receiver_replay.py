"""`rollback-receiver replay` against a Genesys Cloud over HTTP: what it prints, how it ends, and that it only reads."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from receiver.store import controls
from receiver.store.database import Store
from tests.conftest import SimulatorProcess, StartSimulator
from tests.receiver_world import TOKENS, opened, settings_of

ROOT = Path(__file__).resolve().parents[2]
MAIN_IVR = "ce677f29-f403-470c-adb0-8bfa6bf81d69"
READS = {("POST", "/oauth/token"), ("POST", "/api/v2/analytics/flows/aggregates/query")}
NOBODY = "http://127.0.0.1:1"
NO_BYTES = sha256(b"").hexdigest()


@pytest.fixture(scope="module")
def genesys(start_simulator: StartSimulator) -> SimulatorProcess:
    return start_simulator(scenario="calm", time_factor=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(settings_of(tmp_path, flows=[{"match": "*", "mode": "auto"}])) as made:
        yield made


def payload(version: str = "13.0") -> dict[str, Any]:
    labels = {
        "org": "retail",
        "flow_id": MAIN_IVR,
        "flow_version": version,
        "signal": "error_exit",
        "genesys_action": "rollback",
        "genesys_contract": "1",
    }
    alert = {"status": "firing", "labels": labels, "startsAt": "2024-01-01T12:00:00Z", "fingerprint": f"f{version}"}
    return {"version": "4", "alerts": [alert | {"annotations": {"summary": "fails"}}]}


def run(folder: Path, url: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    organization = {
        "name": "retail",
        "api_url": url,
        "login_url": url,
        "credentials": {"client_id": "simulator", "client_secret_env": "SECRET"},
        "timeout_s": 5,
        "deadline_s": 5,
    }
    (folder / "organizations.yml").write_text(yaml.safe_dump({"organizations": [organization]}))
    files = ("--organizations", str(folder / "organizations.yml"), "--config", str(folder / "receiver.yml"))
    environ = {role.upper(): token for role, token in TOKENS.items()} | {"SECRET": "simulator"}
    return subprocess.run(
        [sys.executable, "-c", "from receiver.cli import main; main()", "replay", *files, *arguments],
        cwd=ROOT,
        env=os.environ | environ,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def recorded(folder: Path, *payloads: dict[str, Any]) -> str:
    file = folder / "alerts.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in payloads))
    return str(file)


def digest(file: Path) -> str:
    """A log that is not there has nothing in it."""
    return sha256(file.read_bytes() if file.exists() else b"").hexdigest()


def test_each_guard_is_shown_with_what_genesys_cloud_says(
    store: Store, genesys: SimulatorProcess, tmp_path: Path
) -> None:
    done = run(tmp_path, genesys.url, recorded(tmp_path, payload()))
    assert (done.returncode, done.stderr) == (0, "")
    head, heads, *guards = done.stdout.splitlines()[1:]
    assert f"retail  {MAIN_IVR}  version 13.0: " in head
    assert heads.split() == ["GUARD", "FOUND", "ALLOWED"]
    (confirmed,) = [line for line in guards if " not_confirmed " in line]
    assert confirmed.startswith("HOLDS BACK"), "a calm flow shows no excess, whatever the alert says"
    assert "errors of" in confirmed
    assert "could not be evaluated" not in done.stdout


def test_the_output_can_be_read_by_a_program(store: Store, genesys: SimulatorProcess, tmp_path: Path) -> None:
    done = run(tmp_path, genesys.url, "--output", "json", recorded(tmp_path, payload(), payload("12.0")))
    first, second = json.loads(done.stdout)["decisions"]
    assert (first["flow_version"], first["unknown"]) == ("13.0", [])
    assert second["verdict"] == "superseded"
    assert {"guard", "holds_back", "value", "limit", "unknown", "overridden"} == set(first["guards"][0])


@pytest.mark.parametrize("at_work", [True, False], ids=["a receiver at work", "no receiver"])
def test_it_only_reads(store: Store, genesys: SimulatorProcess, tmp_path: Path, at_work: bool) -> None:
    """The database and its log are the same byte for byte, and nothing but reads was sent."""
    with store.begin() as tx:
        controls.hold(tx, "retail", ["other"], owner="team", reason="x", by="ann", now=1.0)
    if not at_work:
        store.close()  # what is in the log goes into the file
    before = {name: digest(tmp_path / name) for name in ("rollback.db", "rollback.db-wal")}
    assert (before["rollback.db-wal"] != NO_BYTES) == at_work
    asked_before = len(genesys.control("GET", "requests"))

    assert run(tmp_path, genesys.url, recorded(tmp_path, payload())).returncode == 0

    assert {name: digest(tmp_path / name) for name in before} == before
    sent = genesys.control("GET", "requests")[asked_before:]
    assert sent
    assert {(one["method"], one["path"]) for one in sent if one["method"] != "GET"} <= READS


def test_a_receiver_that_is_at_work_is_not_disturbed(store: Store, genesys: SimulatorProcess, tmp_path: Path) -> None:
    """Its transaction is open, and what it has not committed is not seen."""
    with store.begin() as tx:
        controls.pause(tx, "retail", by="ann", reason="storm", now=1.0)
        done = run(tmp_path, genesys.url, recorded(tmp_path, payload()))
    assert done.returncode == 0
    assert "passes      paused" in done.stdout


def test_offline_says_what_could_not_be_evaluated(store: Store, tmp_path: Path) -> None:
    done = run(tmp_path, NOBODY, "--offline", "-", stdin=json.dumps(payload()))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "-"
    assert "unknown: not read: --offline" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith("could not be evaluated, so they hold back: ignored, inactive, superseded, stale_evidence")


def test_a_genesys_cloud_that_does_not_answer_is_unknown_too(store: Store, tmp_path: Path) -> None:
    done = run(tmp_path, NOBODY, recorded(tmp_path, payload()))
    assert done.returncode == 0
    assert "could not be evaluated, so they hold back: " in done.stdout


def test_the_time_of_the_decision_can_be_given(store: Store, genesys: SimulatorProcess, tmp_path: Path) -> None:
    done = run(tmp_path, genesys.url, "--at", "2024-01-01T12:05:00Z", "--output", "json", recorded(tmp_path, payload()))
    (only,) = json.loads(done.stdout)["decisions"]
    assert only["at"] == "2024-01-01T12:05:00.000Z"


def test_files_that_are_no_recordings_end_it_with_2(store: Store, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    done = run(tmp_path, NOBODY, "--offline", str(bad), str(tmp_path / "missing.json"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0].startswith(f"{bad}: not an Alertmanager webhook payload of version 4: ")
    assert done.stderr.splitlines()[1] == f"{tmp_path / 'missing.json'}: No such file or directory"


def test_a_database_that_is_not_there_ends_it_with_1_and_is_not_made(tmp_path: Path) -> None:
    settings_of(tmp_path)
    done = run(tmp_path, NOBODY, "--offline", recorded(tmp_path, payload()))
    assert (done.returncode, done.stderr) == (
        1,
        "database_url: there is no such file; `rollback-receiver db migrate` makes it\n",
    )
    assert not (tmp_path / "rollback.db").exists()
