"""How long each program takes from its start until it is ready, and how much memory it has then."""

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.exporter import exporter
from bench.figures import Section, Sheet
from bench.processes import family, memory_mb, program
from bench.receivers import organization, receiver
from bench.scraping import get

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    starts: int = 5
    flows: int = 100


QUICK = Plan(starts=1, flows=20)


def measure(plan: Plan, say: Say) -> Section:
    sheet = Sheet("Start")
    with program("-m", "bench.cloud", str(plan.flows), says=r"listening on (\S+)") as (_, cloud):
        for name, start in (("exporter", _exporter), ("receiver", _receiver)):
            say(f"start: {name}")
            found = [start(cloud) for _ in range(plan.starts)]
            of = f"{name}, {plan.flows} flows: "
            sheet.add(f"{of}start until it is ready", statistics.median(ready_s for ready_s, _ in found), "s")
            sheet.add(f"{of}memory then", statistics.median(memory for _, memory in found), "MB")
    return sheet.done()


def _exporter(cloud: str) -> tuple[float, float]:
    started = time.monotonic()
    with exporter(cloud, interval_s=60) as (pid, address):
        while not _is_ready(address):
            time.sleep(0.01)
        return time.monotonic() - started, memory_mb(family(pid))


def _receiver(cloud: str) -> tuple[float, float]:
    """With a new database: its tables are made too."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, receiver(Path(folder), [organization("bench", cloud)]) as (pid, _):
        return time.monotonic() - started, memory_mb(family(pid))


def _is_ready(address: str) -> bool:
    try:
        get(address, "/-/ready")
    except OSError:
        return False
    return True
