"""`--check-config --resolve` of both programs against a Genesys Cloud over HTTP: a table, and how they end."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.receiver_world import TOKENS

ROOT = Path(__file__).resolve().parents[2]
EXPORTER = "from exporter.cli import main; main()"
RECEIVER = "from receiver.cli import main; main(['serve', *__import__('sys').argv[1:]])"
ENVIRON = {**os.environ, "SECRET": "simulator", "TOKEN": TOKENS["alertmanager"], "PYTHONUNBUFFERED": "1"}
SUPPORT = "5f0a3a3e-8d3c-4a55-9a0e-2f3f7a1c6b02"  # a flow of the scenario
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def genesys_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A simulated Genesys Cloud."""
    log = tmp_path_factory.mktemp("simulator") / "log"
    start = "from simulator.cli import main; main()"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", start, "--scenario", "bad-deploy", "--listen", "127.0.0.1:0"],
            cwd=ROOT,
            env=ENVIRON,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _address(log)
    finally:
        process.kill()
        process.wait()


def _address(log: Path) -> str:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = re.search(r"127\.0\.0\.1:[1-9]\d*", log.read_text(encoding="utf-8"))
        if found:
            return f"http://{found[0]}"
        time.sleep(0.1)
    pytest.fail(f"the simulator does not listen: {log.read_text(encoding='utf-8')}")


def resolved(
    program: str, folder: Path, *urls: str, options: tuple[str, ...] = ("--check-config", "--resolve")
) -> subprocess.CompletedProcess[str]:
    """What the program prints for organizations at these addresses."""
    organizations = [
        {
            "name": f"org-{number}",
            "api_url": url,
            "login_url": url,
            "credentials": {"client_id": "simulator", "client_secret_env": "SECRET"},
            "timeout_s": 2,
            "deadline_s": 2,
        }
        for number, url in enumerate(urls)
    ]
    support = {"match": {"id": SUPPORT}, "threshold_ratio": 0.08}
    config: dict[str, object] = {
        "flows": [{"match": {"name": "Main*"}, "owner": "team-voice"}, support, {"match": "*"}]
    }
    if program == RECEIVER:
        config = {
            "tokens": [{"name": "alertmanager", "roles": ["alertmanager"], "token_env": "TOKEN"}],
            "database_url": f"sqlite:///{folder / 'never-made.db'}",
            "flows": [
                {"match": {"name": "Main*"}, "mode": "auto", "owner": "team-voice"},
                support | {"mode": "observe"},
                {"match": "*", "mode": "observe"},
            ],
        }
    (folder / "organizations.yml").write_text(yaml.safe_dump({"organizations": organizations}))
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    files = ("--organizations", str(folder / "organizations.yml"), "--config", str(folder / "config.yml"))
    return subprocess.run(
        [sys.executable, "-c", program, *files, *options],
        cwd=ROOT,
        env=ENVIRON,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("program", "heads", "main_ivr"),
    [
        pytest.param(
            EXPORTER,
            ["THRESHOLD", "ACTS", "ON", "PAGES", "ONLY", "OWNER"],
            [
                *("0.05", "error_exit", "action_failure,", "action_slow,"),
                *("outcome_failed,", "recognition,", "routing_shift,", "stuck", "team-voice"),
            ],
            id="exporter",
        ),
        pytest.param(RECEIVER, ["MODE", "THRESHOLD", "OWNER"], ["auto", "0.05", "team-voice"], id="receiver"),
    ],
)
def test_every_live_flow_is_listed_with_what_applies_to_it(
    program: str, heads: list[str], main_ivr: list[str], genesys_url: str, tmp_path: Path
) -> None:
    done = resolved(program, tmp_path, genesys_url)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()[1:]
    assert lines[0].split() == ["ORG", "FLOW", "NAME", "TYPE", "DIVISION", "LIVE", *heads]
    (found,) = [line for line in lines if " Main IVR " in line]
    assert found.startswith("org-0")
    assert found.split()[-len(main_ivr) :] == main_ivr
    (support,) = [line for line in lines if SUPPORT in line]
    assert " 0.08 (explicit) " in support
    assert not (tmp_path / "never-made.db").exists()


@pytest.mark.parametrize("program", [EXPORTER, RECEIVER], ids=["exporter", "receiver"])
def test_an_organization_that_cannot_be_read_ends_it_with_1_and_does_not_hide_the_others(
    program: str, genesys_url: str, tmp_path: Path
) -> None:
    done = resolved(program, tmp_path, NOBODY, genesys_url)
    assert done.returncode == 1
    assert done.stderr.startswith("org-0: the flows cannot be listed: ")
    assert "Main IVR" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", [EXPORTER, RECEIVER], ids=["exporter", "receiver"])
def test_alone_it_is_wrong_usage(program: str, tmp_path: Path) -> None:
    done = resolved(program, tmp_path, NOBODY, options=("--resolve",))
    assert done.returncode == 2
    assert "--resolve needs --check-config" in done.stderr
