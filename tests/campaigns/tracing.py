"""The system calls of running programs, in the order in which they really happened: strace, attached from outside."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.processes import TOOLS, wait_until

CALLS = "fsync,fdatasync,write,writev,pwrite64,pwritev,sendto,sendmsg"
_ATTACHES_WITHIN_S = 60.0
_SHOWN_CHARS = "96"
_LINE = re.compile(r"(?P<thread>\d+) +(?:<\.\.\. )?(?P<name>\w+)(?P<rest>.*)")


class NotPermittedError(Exception):
    """The system lets nobody look at what its programs do."""


@dataclass(frozen=True, slots=True)
class Call:
    """One system call; `begun` and `ended` are its places in the order of all that was seen."""

    thread: int
    name: str
    arguments: str  # a file descriptor is followed by the path of its file
    begun: int
    ended: int
    result: str


def find_strace() -> str | None:
    return shutil.which("strace") or shutil.which("strace", path=str(TOOLS))


def family(pid: int) -> list[int]:
    """A process and those that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


@contextmanager
def traced(strace: str, pids: Sequence[int], log: Path) -> Iterator[None]:
    """What these processes do, with all their threads, is written to `log` until the context is left.

    Raises NotPermittedError.
    """
    watched = [word for pid in pids for word in ("-p", str(pid))]
    command = [strace, "-f", "-y", "-q", "-s", _SHOWN_CHARS, "-e", f"trace={CALLS}", "-o", str(log), *watched]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        try:
            wait_until(
                lambda: tracer.poll() is not None or _is_traced(pids), "strace attaches", within_s=_ATTACHES_WITHIN_S
            )
            if tracer.poll() is not None:
                raise NotPermittedError(str(tracer.stderr and tracer.stderr.read()).strip())
            yield
        finally:
            tracer.send_signal(signal.SIGINT)  # it lets go of them, and ends


def calls(log: Path) -> list[Call]:
    """What was seen, in the order of the beginnings; what had not ended is left out.

    The order holds between processes too: strace lets a call begin after it has written so, and writes that it has
    ended before the program can go on.
    """
    begun: dict[int, tuple[int, str]] = {}
    found = []
    for place, line in enumerate(log.read_text(errors="replace").splitlines()):
        matched = _LINE.match(line)
        if matched is None or line.rstrip().endswith(("+++", "---")):
            continue
        thread, rest = int(matched["thread"]), matched["rest"]
        if rest.endswith("<unfinished ...>"):
            begun[thread] = (place, rest)
            continue
        at, arguments = begun.pop(thread, (place, rest)) if rest.startswith(" resumed>") else (place, rest)
        found.append(Call(thread, matched["name"], arguments, at, place, rest.rpartition("= ")[2]))
    return sorted(found, key=lambda call: call.begun)


def _is_traced(pids: Sequence[int]) -> bool:
    tasks = (task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir())
    return all("TracerPid:\t0\n" not in (task / "status").read_text() for task in tasks)
