"""The doctor before a whole stack of real processes: all is proved that can be, and what ends is named."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo.stack import Stack, World
from tests.acceptance.looking import until
from tests.acceptance.stacks import StartStack

ROOT = Path(__file__).resolve().parents[2]


def examined(stack: Stack) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the findings by subject and step."""
    start = "from receiver.cli import main; main()"
    files = ["--organizations", str(stack.folder / "organizations.yml"), "--config", str(stack.folder / "receiver.yml")]
    options = ["--prometheus", stack.urls["prometheus"], "--output", "json"]
    done = subprocess.run(
        [sys.executable, "-c", start, "doctor", *files, *options],
        cwd=ROOT,
        env={**os.environ, "DEMO_SECRET": "simulator"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    findings = json.loads(done.stdout)["findings"]
    return done.returncode, {f"{one['subject']}: {one['step']}": one for one in findings}


def failed(found: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, one in found.items() if one["state"] == "failed"}


@pytest.mark.acceptance
def test_a_sound_stack_is_proved_and_one_without_alertmanager_is_not(start_stack: StartStack) -> None:
    stack = start_stack(World(scenario="calm"))
    until(lambda: examined(stack)[0] == 0, "a doctor who finds nothing wrong", within_s=120.0)
    code, found = examined(stack)
    assert (code, failed(found)) == (0, set())
    proved = {name for name, one in found.items() if one["state"] == "proved"}
    alertmanager, prometheus = stack.urls["alertmanager"], stack.urls["prometheus"]
    assert proved >= {
        "database: alerts arrive",
        "receiver: takes alerts",
        f"{alertmanager}: has the watchdog",
        f"{prometheus}: rules loaded",
        f"{prometheus}: health of the rules",
        f"{prometheus}: scrapes both programs",
    }
    assert not stack.publishes()
    stack.processes["alertmanager"].kill()
    code, found = examined(stack)
    assert (code, failed(found)) == (1, {f"{alertmanager}: reached"})
