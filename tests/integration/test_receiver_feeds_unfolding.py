"""The process that unfolds calendars: what it may take, what it is given, and what is said when it fails."""

import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from receiver.feeds.announcement import Reading
from receiver.feeds.calendars import CalendarSource
from receiver.feeds.settings import Calendar
from receiver.outbound import Outbound, OutboundError
from tests.integration.feed_services import CalendarService
from tests.receiver_world import listening, settings_of

HOUR_S = 3600.0

# As systemd's `SystemCallFilter=~@resources` with `SystemCallErrorNumber=EPERM`: no priority may be set. A filter is
# of one architecture; source: the kernel's documentation of seccomp, and its tables of system calls.
SANDBOX = """#!{python}
import ctypes, errno, os, platform, struct, sys
setpriority = {{"x86_64": 141, "aarch64": 140}}[platform.machine()]
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, setpriority), (6, 0, 0, 0x50000 | errno.EPERM), (6, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program)))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter) == 0, "no seccomp here"
try:
    os.nice(19)
    sys.exit("the sandbox is none")
except PermissionError:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""


def read(folder: Path, *, cpu_s: int = 10) -> Reading:
    """One reading of a calendar with one event that is now."""
    calendar = CalendarService()
    now = time.time()
    calendar.put("a", now - 60, now + HOUR_S, "new trunks")
    with listening(calendar.app) as port, closing(Outbound(10.0)) as http:
        (folder / "calendar.url").write_text(f"http://127.0.0.1:{port}/secret/basic.ics")
        (folder / "password").write_text("secret-of-the-user")
        user = {"username": "rollback", "password_file": "password"}
        feed = {"name": "changes", "url_file": "calendar.url", "covers": [{"org": "retail"}]} | user
        (settings,) = settings_of(folder, feeds={"icalendar": [feed]}).feeds.icalendar
        assert isinstance(settings, Calendar)
        return CalendarSource(settings, http, cpu_s=cpu_s).read(now, now + HOUR_S)


def program(folder: Path, text: str) -> str:
    """What runs in Python's place."""
    made = folder / "python"
    made.write_text(text)
    made.chmod(0o755)
    return str(made)


def test_a_sandbox_that_forbids_the_lowest_priority_stops_no_calendar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", program(tmp_path, SANDBOX.format(python=sys.executable)))
    assert [one.title for one in read(tmp_path).announced] == ["new trunks"]


def test_the_process_is_given_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "environment"
    script = f'#!/bin/sh\nenv >{told}\nexec {sys.executable} "$@"\n'
    monkeypatch.setenv("SERVICENOW_PASSWORD", "secret-of-another")
    monkeypatch.setattr(sys, "executable", program(tmp_path, script))
    assert read(tmp_path).problem == ""
    assert "PATH=" in told.read_text()
    assert "secret" not in told.read_text()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param("echo 'Traceback' >&2; echo 'ImportError: no icu' >&2; exit 1", "ImportError: no icu", id="error"),
        pytest.param("exit 1", "it said nothing", id="silence"),
        pytest.param("echo MemoryError >&2; exit 1", "too much time or memory", id="memory"),
        pytest.param("kill -XCPU $$", "too much time or memory", id="CPU time"),
        pytest.param("kill -KILL $$", "too much time or memory", id="killed"),
    ],
)
def test_why_a_calendar_could_not_be_unfolded_is_said(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", program(tmp_path, f"#!/bin/sh\ncat >/dev/null\n{script}\n"))
    with pytest.raises(OutboundError) as caught:
        read(tmp_path)
    assert said in str(caught.value)
    assert "Traceback" not in str(caught.value)
