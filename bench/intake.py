"""The webhook of a real receiver: alerts accepted durably per second, and how long an answer takes.

Its loop runs meanwhile and decides about what comes in. Beside it a plain Flask handler under the same server, with the
same durability, that commits each alert.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Section, Sheet
from bench.post import Delivered, bodies, deliver
from bench.processes import family, memory_mb, program
from bench.receivers import counted_syncs, organization, receiver
from demo.processes import TOOLS, Process, free_ports, wait_until
from tests.postgresql_server import find_binaries, serving

LEAST_SINGLE_PER_S, LEAST_GROUPED_PER_S, MOST_P99_MS = 300.0, 1_000.0, 50.0
MOST_SYNCS = 1.25  # per request: one commit each, and now and then one of the loop's

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    lasts_s: float = 10.0
    at_rate_s: float = 30.0  # one pause of the machine is not a hundredth of the answers then
    connections: int = 4  # Alertmanager keeps one per receiver and group that is under way
    group: int = 20
    traced_s: float = 3.0


QUICK = Plan(lasts_s=0.5, at_rate_s=0.5, traced_s=0.3)


def measure(plan: Plan, say: Say, *, postgresql_url: str | None = None) -> Section:
    sheet = Sheet("Intake")
    with program("-m", "bench.cloud", "20", says=r"listening on (\S+)") as (_, cloud), _folder() as folder:
        say("intake: our receiver, SQLite")
        with receiver(folder, [organization("bench", cloud)]) as (pid, address):
            sheet.note(
                f"{plan.connections} connections, groups of {plan.group}, SQLite in {folder.parent}; the loop runs"
            )
            single, grouped = _tell(sheet, "SQLite", address, plan)
            sheet.add("memory of the receiver, after all that", memory_mb(family(pid)), "MB")
            _count_syncs(sheet, address, pid, folder, plan)
        with _postgresql(postgresql_url, sheet) as url:
            if url is not None:
                say("intake: our receiver, PostgreSQL")
                with receiver(folder, [organization("bench", cloud)], url) as (_, address):
                    _tell(sheet, "PostgreSQL", address, plan)
        say("intake: a plain handler")
        with _plain_handler(folder) as address:
            plain_single, plain_grouped = _both(address, plan)
    sheet.add("single alerts, a plain Flask handler", plain_single.alerts_per_s, "alerts/s")
    sheet.add("groups, a plain Flask handler with one commit per alert", plain_grouped.alerts_per_s, "alerts/s")
    sheet.add("groups, p99, a plain Flask handler", plain_grouped.answers.quantile(0.99), "ms")
    sheet.add("single alerts, ours / plain", single.alerts_per_s / plain_single.alerts_per_s, "×")
    sheet.add("groups, ours / plain", grouped.alerts_per_s / plain_grouped.alerts_per_s, "×")
    sheet.note(
        "prometheus-am-executor is not measured: "
        + ("it is not built here" if shutil.which("go") else "there is no Go toolchain to build it")
    )
    return sheet.done()


@contextmanager
def _postgresql(url: str | None, sheet: Sheet) -> Iterator[str | None]:
    """The URL of an empty database: the one that was given, or one of a server that is up for as long; None if neither.

    The server syncs what it commits, as a user's does; its programs share the processors with everything else here.
    """
    if url is not None:
        sheet.note("PostgreSQL is the one at the URL that was given")
        yield url
    elif (binaries := find_binaries()) is None:
        sheet.note("PostgreSQL is not measured: its server programs are not here, and no --postgresql URL was given")
        yield None
    else:
        with serving(binaries, fsync=True) as server:
            sheet.note(f"PostgreSQL runs on this machine, over a Unix socket, with fsync, in {server.folder.parent}")
            yield server.url


def _both(address: str, plan: Plan) -> tuple[Delivered, Delivered]:
    """Single alerts, then groups, as fast as they are answered; after a few that nobody measures."""
    deliver(address, bodies(1), alerts=1, connections=plan.connections, lasts_s=plan.lasts_s / 10)
    single, grouped = (
        deliver(address, bodies(alerts), alerts=alerts, connections=plan.connections, lasts_s=plan.lasts_s)
        for alerts in (1, plan.group)
    )
    return single, grouped


def _tell(sheet: Sheet, database: str, address: str, plan: Plan) -> tuple[Delivered, Delivered]:
    """What is accepted at most, and how quick the answers are: then, and at a rate that has to be borne."""
    fastest = _both(address, plan)
    for what, found, alerts, least in (
        ("single alerts", fastest[0], 1, LEAST_SINGLE_PER_S),
        ("groups", fastest[1], plan.group, LEAST_GROUPED_PER_S),
    ):
        sheet.add(f"{what}, {database}", found.alerts_per_s, "alerts/s", at_least=least)
        sheet.add(f"{what}, {database}, p50 at that rate", found.answers.quantile(0.5), "ms")
        sheet.add(f"{what}, {database}, p99 at that rate", found.answers.quantile(0.99), "ms")
        offered = deliver(
            address,
            bodies(alerts),
            alerts=alerts,
            connections=plan.connections,
            lasts_s=plan.at_rate_s,
            per_s=least,
        )
        at = f"{least:,.0f} alerts/s"
        sheet.add(f"{what}, {database}, p50 at {at}", offered.answers.quantile(0.5), "ms")
        sheet.add(f"{what}, {database}, p99 at {at}", offered.answers.quantile(0.99), "ms", at_most=MOST_P99_MS)
    return fastest


def _count_syncs(sheet: Sheet, address: str, pid: int, folder: Path, plan: Plan) -> None:
    strace = shutil.which("strace") or shutil.which("strace", path=str(TOOLS))
    if strace is None:
        sheet.note("syncs are not counted: there is no strace")
        return
    try:
        with counted_syncs(strace, family(pid), folder / "strace.log") as syncs:
            found = deliver(address, bodies(1), alerts=1, connections=1, lasts_s=plan.traced_s)
    except OSError as problem:
        sheet.note(f"syncs are not counted: {problem}")
        return
    sheet.add("syncs of SQLite's log per request, the loop's included", syncs[0] / found.requests, at_most=MOST_SYNCS)


@contextmanager
def _plain_handler(folder: Path) -> Iterator[str]:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    server = ["-m", "gunicorn", "--bind", address, "--workers", "1", "--worker-class", "gthread", "--threads", "8"]
    command = [sys.executable, *server, "--pythonpath", str(Path(__file__).parents[1]), "bench.plain_handler:app"]
    process = Process("plain", command, folder=folder, environ={"BENCH_DATABASE": str(folder / "plain.db")})
    process.start()
    try:
        wait_until(lambda: _listens(process), "the plain handler", within_s=60)
        yield address
    finally:
        process.end()


def _listens(process: Process) -> bool:
    return "Booting worker" in process.tail()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
