"""A process that has imported the receiver and forks one whenever it is told to: `python -m tests.campaigns.zygote`.

To import everything takes a second of a core, to fork some milliseconds. What is forked is the real program with its
own arguments, in a session of its own; but its clock may be wrong, and it may stop itself at a moment of its publish.

Speaks JSON lines: {"start": {...}} is answered with {"pid": ...}, {"reap": pid} with {} once nothing is left of that
process and of those that it has started. Ends with its standard input, and all that it has started with it.
"""

import ctypes
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_true_time = time.time
_clock_offset_s = 0.0


def _time() -> float:
    return _true_time() + _clock_offset_s


time.time = _time  # before anything else is imported: some keep the function itself

import gunicorn.workers.gthread  # noqa: E402, F401 - what the program imports when it needs it
import httpx  # noqa: E402
import psycopg  # noqa: E402, F401
import sqlalchemy.dialects.postgresql.psycopg  # noqa: E402, F401

import receiver.store.impatient  # noqa: E402, F401
from receiver.cli import main as rollback_receiver  # noqa: E402
from tests.campaigns.seams import Seams, Stop  # noqa: E402

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2): who outlives its parent becomes ours, so that we can wait for its end


def main() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    httpx.Client().close()  # imports the rest of it
    running: set[int] = set()
    for line in sys.stdin:
        command = json.loads(line)
        answer = {}
        if "start" in command:
            answer["pid"] = _start(**command["start"])
            running.add(answer["pid"])
        else:
            _reap(command["reap"])
            running.discard(command["reap"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in running:
        os.killpg(pid, signal.SIGKILL)


def _start(*, arguments: list[str], log: str, environ: dict[str, str], clock_offset_s: float, stop: str | None) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _become(log, environ, clock_offset_s)
        Seams(None if stop is None else Stop(stop), Path(log)).install()
        rollback_receiver(args=arguments, prog_name="rollback-receiver")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(status)  # the rest of this program is not for the child


def _become(log: str, environ: dict[str, str], clock_offset_s: float) -> None:
    """A process like one that was started by itself."""
    global _clock_offset_s  # noqa: PLW0603
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.environ.update(environ)
    _clock_offset_s = clock_offset_s


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-pid, 0)


if __name__ == "__main__":
    main()
