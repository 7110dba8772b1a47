"""The commands of docs/audit.md are run as they stand there."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from receiver.cli import main as receiver
from receiver.ctl.cli import main as ctl
from receiver.store.database import Store
from tests.project import examples

PROGRAMS = {"rollback-receiver": receiver, "rollbackctl": ctl}
DOCUMENT = (examples.ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    for line in block.splitlines()
]
ENDS = {"rollbackctl": 3, "--head HASH": 1}  # no receiver is running; no head is called HASH
PAYLOAD = {
    "version": "4",
    "alerts": [
        {"status": "firing", "labels": {"org": "nobody's"}, "annotations": {}, "startsAt": "2024-01-01T12:00:00Z"}
    ],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where somebody would run them: the example files, a database, recorded alerts."""
    for example, name in ((examples.RECEIVER, "receiver.yml"), (examples.ORGANIZATIONS, "organizations.yml")):
        copy, environ = examples.put(example, tmp_path)
        copy.rename(tmp_path / name)
        for variable, value in environ.items():
            monkeypatch.setenv(variable, value)
    config = yaml.safe_load((tmp_path / "receiver.yml").read_text())
    (tmp_path / "receiver.yml").write_text(yaml.safe_dump(config | {"alertmanagers": []}))  # nobody is to be asked
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROLLBACKCTL_URL", "http://127.0.0.1:1")
    store = Store("sqlite:///rollback.db")
    store.migrate()
    store.close()
    for name in ("alerts.json", "alerts.jsonl"):
        (tmp_path / name).write_text(json.dumps(PAYLOAD))
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_document_does_what_it_is_for(folder: Path, command: str) -> None:
    assert Path(os.getcwd()) == folder
    words, _, file = command.partition(" < ")
    program, *arguments = shlex.split(words)
    given = (folder / file).read_text() if file else None
    done = CliRunner().invoke(PROGRAMS[program], arguments, input=given)
    expected = next((code for part, code in ENDS.items() if part in command), 0)
    assert done.exit_code == expected, done.output


def test_there_are_commands() -> None:
    assert {command.split()[0] for command in COMMANDS} == set(PROGRAMS)
    assert len(COMMANDS) >= 5
