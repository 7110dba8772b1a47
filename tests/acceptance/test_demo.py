"""`make demo`: what a newcomer sees first."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from demo.processes import ROOT

pytestmark = pytest.mark.acceptance

LAST_LINE = re.compile(r"demo: flow Main IVR rolled back from 14\.0 to 13\.0, \d+\.\d s after the alert fired")


def start_demo(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo", "--folder", str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def listening(text: str) -> list[int]:
    """Those of the ports that the demo has named on which something still listens."""
    ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)}
    assert len(ports) == 5, "one for each process"
    found = []
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                found.append(port)
    return found


def test_the_demo_tells_the_story_and_proves_it_in_its_last_line(tmp_path):
    demo = start_demo(tmp_path / "demo")
    story, _ = demo.communicate(timeout=400)
    assert demo.returncode == 0, story
    assert LAST_LINE.fullmatch(story.splitlines()[-1]), story
    for told in (
        "14.0 of Main IVR is published",
        "GenesysFlowFailing for version 14.0 is pending",
        "routed to rollback-receiver",
        "webhook: alert about 14.0",
        "decision about 14.0: roll_back",
        "not_confirmed",
        "permit (number 1",
        "publish?flow=",
        "confirmed (live 13.0)",
        "AUTO_ROLLBACK_TRIGGERED",
        "succeeded (",
        "ROLLBACK_SUCCEEDED",
    ):
        assert told in story
    assert listening(story) == []


def test_ctrl_c_leaves_nothing_running(tmp_path):
    demo = start_demo(tmp_path / "demo")
    assert demo.stdout is not None
    said = ""
    for line in demo.stdout:
        said += line
        if "flows take calls" in line:
            break
    assert len(listening(said)) == 5, "everything runs"
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert "nothing is left running" in rest
    assert listening(said) == []
