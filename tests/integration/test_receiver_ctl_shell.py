"""`rollbackctl` in a shell: completion, colours on a terminal, times in the reader's zone."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from receiver.metrics import ReceiverMetrics
from receiver.policy import Verdict
from receiver.store import rollbacks
from receiver.web import create_app
from tests.receiver_world import (
    ORGS,
    TOKENS,
    listening,
    opened,
    put_alert,
    put_decision,
    put_rollback,
    settings_of,
)

ROOT = Path(__file__).resolve().parents[2]
NOW = time.time()
CODE = "from receiver.ctl.cli import main; main(prog_name='rollbackctl')"


@dataclass(frozen=True)
class Shell:
    """Somebody who types, with `rollbackctl` on the path."""

    url: str
    folder: Path

    def environ(self, more: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TZ")}
        return kept | {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "ROLLBACKCTL_URL": self.url,
            "ROLLBACKCTL_TOKEN": TOKENS["viewer"],
            **more,
        }

    def run(self, *arguments: str, **more: str) -> str:
        """What is printed into a pipe."""
        command = [sys.executable, "-c", CODE, *arguments]
        done = subprocess.run(command, env=self.environ(more), capture_output=True, text=True, check=True, timeout=60)
        assert done.stderr == ""
        return done.stdout

    def run_on_a_terminal(self, *arguments: str, **more: str) -> str:
        """What is written to a terminal."""
        ours, theirs = pty.openpty()
        command = [sys.executable, "-c", CODE, *arguments]
        with subprocess.Popen(command, env=self.environ(more), stdin=theirs, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            written = b""
            try:
                while select.select([ours], [], [], 60)[0]:
                    piece = os.read(ours, 65536)
                    written += piece
                    if not piece:
                        break
            except OSError:  # how Linux says that nobody has the other end open any more
                pass
            finally:
                os.close(ours)
            assert process.wait(60) == 0, written
        return written.decode()

    def bash(self, script: str) -> str:
        command = [bash(), "--norc", "--noprofile", "-c", script]
        done = subprocess.run(command, env=self.environ({}), capture_output=True, text=True, check=True, timeout=60)
        assert done.stderr == ""
        return done.stdout


def bash() -> str:
    found = shutil.which("bash")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("bash is missing")
        pytest.skip("bash is missing")
    return found


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("shell")
    program = folder / "rollbackctl"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{CODE}" "$@"\n')
    program.chmod(0o755)
    settings = settings_of(folder)
    with opened(settings) as store:
        with store.begin() as tx:
            alert = put_alert(tx, now=NOW)
            put_decision(tx, alert, Verdict.ROLL_BACK, now=NOW, rollback_id="r1")
            rollbacks.add_step(tx, put_rollback(tx, alert, "r1", now=NOW), "permit", at=NOW, detail={})
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), list)
        with listening(app) as port:
            yield Shell(f"http://127.0.0.1:{port}", folder)


# Completion


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rollbackctl", "maint"], {"maintenance"}),
        (["rollbackctl", "maintenance", ""], {"open", "list", "close"}),
        (["rollbackctl", "report", "--pro"], {"--prometheus"}),
        (["rollbackctl", "completion", ""], {"bash", "zsh", "fish"}),
        (["rollbackctl", "--output", "j"], {"json"}),
        (["rollbackctl", "nonsense"], set()),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_bash_completes_commands_options_and_choices(shell: Shell, words: list[str], expected: set[str]) -> None:
    typed = " ".join(f"'{word}'" for word in words)
    script = f"""
        eval "$(rollbackctl completion bash)"
        complete -p rollbackctl >/dev/null
        COMP_WORDS=({typed}) COMP_CWORD={len(words) - 1}
        _rollbackctl_completion rollbackctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert set(shell.bash(script).split()) == expected


@pytest.mark.parametrize(("name", "begins"), [("zsh", "#compdef rollbackctl"), ("fish", "function _rollbackctl")])
def test_the_scripts_of_other_shells_are_for_this_program(shell: Shell, name: str, begins: str) -> None:
    script = shell.run("completion", name)
    assert script.lstrip().startswith(begins)
    assert f"_ROLLBACKCTL_COMPLETE={name}_complete" in script
    found = shutil.which(name)
    if found is not None:
        subprocess.run([found, "-n"], input=script, text=True, check=True, timeout=60)


# Colours


def test_a_terminal_has_colours_and_a_pipe_has_none(shell: Shell) -> None:
    assert "\x1b[36mpublishing" in shell.run_on_a_terminal("rollbacks")
    assert "\x1b" not in shell.run("rollbacks")


def test_no_color_is_obeyed_unless_it_is_empty(shell: Shell) -> None:
    for command in ("rollbacks", "status"):
        assert "\x1b" not in shell.run_on_a_terminal(command, NO_COLOR="1")
    assert "\x1b[" in shell.run_on_a_terminal("rollbacks", NO_COLOR="")


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "UTC"])
def test_json_is_the_same_exact_document_everywhere(shell: Shell, zone: str) -> None:
    written = shell.run_on_a_terminal("--output", "json", "rollbacks", TZ=zone)
    document = json.loads(written)
    assert document == json.loads(shell.run("--output", "json", "--utc", "rollbacks"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document["rollbacks"][0]["created_at"])


# Times


def shown(shell: Shell, *options: str, zone: str) -> str:
    found = re.search(r"^((?:\d{4}-\d\d-\d\d )?\d\d:\d\d)(?: UTC)? \(", shell.run(*options, "rollbacks", TZ=zone), re.M)
    assert found is not None
    return found[1][-5:]


def test_times_are_those_of_the_readers_zone_and_with_utc_everybodys(shell: Shell) -> None:
    utc = time.strftime("%H:%M", time.gmtime(NOW))
    tokyo = time.strftime("%H:%M", time.gmtime(NOW + 9 * 3600))
    assert shown(shell, zone="Asia/Tokyo") == tokyo
    assert shown(shell, "--utc", zone="Asia/Tokyo") == utc
    assert " UTC (" in shell.run("--utc", "rollbacks", TZ="Asia/Tokyo")
    assert " UTC (" not in shell.run("rollbacks", TZ="UTC"), "the machine's own zone needs no name"


def test_the_steps_of_a_story_are_told_to_the_second(shell: Shell) -> None:
    assert re.search(
        r"^(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d \(.* ago\) +publishing  permit",
        shell.run("rollback", "show", "r1"),
        re.M,
    )
