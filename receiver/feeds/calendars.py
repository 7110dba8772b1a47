"""Calendars: an iCalendar document is fetched here, and unfolded by a process of its own, `receiver.feeds.occurrences`.

The libraries that read it are an extra, and only that process imports them.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from receiver.addresses import basic
from receiver.feeds.announcement import MAX_ANSWER_BYTES, Announcement, Http, Reading, reading
from receiver.feeds.settings import Calendar
from receiver.outbound import OutboundError

CPU_S = 10  # with the default poll_s a twelfth of one core at most, at the lowest priority
_WALL_S = 120.0  # at the lowest priority the same work may have to wait for everybody else
_MAX_CAUSE_CHARS = 200
# What Python and its libraries need to start; everything else may hold a secret, and a document from outside is read.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TZDIR")
_ONE_AT_A_TIME = threading.Lock()  # so that several calendars take no more memory than one


@dataclass(frozen=True, slots=True)
class CalendarSource:
    """One calendar. What takes place in its future is asked for anew each time."""

    settings: Calendar
    http: Http
    cpu_s: int = CPU_S

    def read(self, since: float, until: float) -> Reading:
        url = self.settings.url.get_secret_value()
        document = self.http.get_content(url, headers=self._headers(), max_bytes=MAX_ANSWER_BYTES)
        try:
            text = document.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise OutboundError("the calendar is not text in UTF-8") from None
        return self._unfolded(text, since, until)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "text/calendar"}
        if self.settings.token is not None:
            return headers | {"Authorization": f"Bearer {self.settings.token.get_secret_value()}"}
        if self.settings.username is not None:
            return headers | {"Authorization": basic(self.settings.username, self.settings.password)}
        return headers

    def _unfolded(self, text: str, since: float, until: float) -> Reading:
        asked = {
            "text": text,
            "time_zone": self.settings.time_zone,
            "since": since,
            "until": until,
            "titles": self.settings.titles,
            "cpu_s": self.cpu_s,
        }
        command = [sys.executable, "-P", "-m", "receiver.feeds.occurrences"]
        try:
            with _ONE_AT_A_TIME:
                done = subprocess.run(  # noqa: S603 - our own program
                    command,
                    input=json.dumps(asked).encode(),
                    capture_output=True,
                    check=False,
                    timeout=_WALL_S,
                    env=_environment(os.environ),
                )
        except subprocess.TimeoutExpired:
            raise OutboundError("the calendar takes too long to unfold") from None
        if done.returncode != 0:
            raise OutboundError(_cause(done.returncode, done.stderr.decode(errors="replace")))
        told = json.loads(done.stdout)
        if "nonsense" in told:
            raise OutboundError(f"what is at the URL is no calendar: {told['nonsense']}")
        return reading([Announcement(*one) for one in told["announced"]], told["problems"])


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    return {name: ours[name] for name in _ENVIRONMENT if name in ours}


def _cause(status: int, stderr: str) -> str:
    """Why the process has given nothing: a signal is a limit's, and so is a MemoryError; all else is in its words."""
    last = (stderr.strip().splitlines() or ["it said nothing"])[-1]
    if status < 0 or last.startswith("MemoryError"):
        return "the calendar takes too much time or memory to unfold; are its series without end?"
    return f"the calendar could not be unfolded: {last[:_MAX_CAUSE_CHARS]}"
