"""Programs under measurement: started, found, looked at through /proc (Linux only), ended."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo.processes import ROOT

SECRET = {"BENCH_SECRET": "simulator"}  # the simulator checks it


@contextmanager
def program(*arguments: str, says: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python program, and what it says where it listens: the first group of `says`."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | SECRET,
        cwd=ROOT,
    )
    told: list[str] = []
    try:
        for line in process.stdout or ():
            told.append(line)
            if found := re.search(says, line):
                yield process, found[1]
                return
        raise RuntimeError(f"{' '.join(arguments)} did not start:\n{''.join(told)}")
    finally:
        process.kill()
        process.wait()


def family(pid: int) -> list[int]:
    """A process and those that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(one for child in children for one in family(int(child)))]


def cpu_s(pids: Sequence[int]) -> float:
    """Seconds of processor time that the processes have used so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(pids: Sequence[int]) -> float:
    """Memory of the processes now; what they share with others is divided among them."""
    return sum(_kb(pid, "smaps_rollup", "Pss") for pid in pids) / 1024


def most_memory_mb(pid: int) -> float:
    """The most that the process has ever had."""
    return _kb(pid, "status", "VmHWM") / 1024


def _kb(pid: int, file: str, what: str) -> int:
    found = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/{file}").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) if found else 0
