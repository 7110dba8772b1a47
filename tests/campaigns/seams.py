"""Where a receiver process of a campaign stops itself (SIGSTOP): a moment that no signal from outside would meet.

The moments are seen at the seams that the program has anyway: its store and its HTTP transport. The time between them,
in which the permit is looked at for the last time, is measured in every process.
"""

import os
import signal
import threading
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx

from receiver.store.database import Store
from receiver.store.rollbacks import Permit

WRITES = (("POST", "/api/v2/flows/actions/publish"), ("PUT", "/storage/uploads/"), ("PUT", "/api/v2/architect/"))


class Stop(StrEnum):
    """Where a process stops, once; it goes on when somebody sends SIGCONT."""

    BEFORE_CHECK = "before_check"  # the permit is durable, and has not been looked at again
    AFTER_CHECK = "after_check"  # the permit was good, and no byte of the publish is sent


class Seams:
    """What is noted, and may be waited for, in one process that sends publishes."""

    def __init__(self, stop: Stop | None, notes: Path) -> None:
        """Two files tell of it: `notes`.stopped has the process, `notes`.windows the length of each such time (s)."""
        self._stop = stop
        self._notes = notes
        self._permitted = threading.local()

    def install(self) -> None:
        _beside(self._notes, "stopped").unlink(missing_ok=True)  # of another process
        transact, handle_request = Store.transact, httpx.HTTPTransport.handle_request

        def transact_and_look(store: Store, work: Any, *args: Any, **kwargs: Any) -> Any:
            result = transact(store, work, *args, **kwargs)
            if isinstance(result, tuple) and any(isinstance(one, Permit) for one in result):
                self._permitted_now()
            return result

        def look_and_handle(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            if any(request.method == method and request.url.path.startswith(path) for method, path in WRITES):
                self._about_to_send()
            return handle_request(transport, request)

        Store.transact = transact_and_look  # type: ignore[method-assign, assignment]
        httpx.HTTPTransport.handle_request = look_and_handle  # type: ignore[method-assign, assignment]

    def _permitted_now(self) -> None:
        self._permitted.at = time.monotonic()
        self._stop_at(Stop.BEFORE_CHECK)

    def _about_to_send(self) -> None:
        with _beside(self._notes, "windows").open("a") as file:
            file.write(f"{time.monotonic() - self._permitted.at}\n")
        self._stop_at(Stop.AFTER_CHECK)

    def _stop_at(self, moment: Stop) -> None:
        if self._stop is not moment:
            return
        self._stop = None
        os.kill(os.getppid(), signal.SIGSTOP)  # the server that has started us, which would take us for hung
        _beside(self._notes, "stopped").write_text(str(os.getpid()))
        # To this thread, which therefore does nothing more; to the process, it might come so far as to send.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def stopped(notes: Path) -> bool:
    """Has the process stopped at its moment?"""
    file = _beside(notes, "stopped")
    if not file.exists() or not (pid := file.read_text()):
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


def windows_s(notes: Path) -> list[float]:
    """How long each publish was between its durable permit and its first byte."""
    file = _beside(notes, "windows")
    return [float(line) for line in file.read_text().split()] if file.exists() else []


def _beside(notes: Path, ending: str) -> Path:
    return notes.with_name(f"{notes.name}.{ending}")
