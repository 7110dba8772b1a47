"""The shipped rules in a real Prometheus that scrapes an organization of N flows: how long an evaluation takes.

In real time: in time-lapse an evaluation does the same work, but beside it Prometheus reads the page more often. The
small form divides every duration by one factor, so that as many samples lie in each range.
"""

import json
import re
import shutil
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.figures import Section, Sheet
from bench.page import FAILS_EVERY
from bench.processes import memory_mb, program
from bench.scraping import get
from demo.lapse import shorten_duration, shorten_file
from demo.processes import ROOT, TOOLS, Process, free_ports

MOST_EVALUATION_S = 5.0
GOAL_FLOWS = 5_000
GROUPS = ("genesys-rollback", "genesys-ratios")
WRONG = ("evaluation_failures", "group_iterations_missed")
RULES = ("rollback.rules.yml", "health.rules.yml")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    flows: int = GOAL_FLOWS
    factor: float = 1.0
    warm_up_s: float = 270.0  # until `offset 3m`, and a minute more, find samples
    looks_s: float = 150.0


QUICK = Plan(flows=20, factor=15.0, warm_up_s=5.0, looks_s=4.0)


def measure(plan: Plan, say: Say) -> Section:
    sheet = Sheet("Rules")
    prometheus = shutil.which("prometheus", path=str(TOOLS)) or shutil.which("prometheus")
    if prometheus is None:
        sheet.note("not measured: there is no prometheus; dev/install-tools puts it there")
        return sheet.done()
    for signals in (1, 9):
        say(f"rules: {plan.flows} flows, {signals} signal(s), {plan.warm_up_s + plan.looks_s:g} s")
        _measure(sheet, prometheus, plan, signals)
    sheet.note(f"evaluated every {30 / plan.factor:g} s; every hundredth flow fails")
    return sheet.done()


def _measure(sheet: Sheet, prometheus: str, plan: Plan, signals: int) -> None:
    minute_s = 60 / plan.factor
    command = ("-m", "bench.page", str(plan.flows), str(signals), str(minute_s))
    with program(*command, says=r"listening on (\S+)") as (_, page):
        size = len(get(page))
        with _prometheus(prometheus, page, plan.factor) as (process, address):
            time.sleep(plan.warm_up_s)
            seconds: dict[str, list[float]] = {group: [] for group in GROUPS}
            until = time.monotonic() + plan.looks_s
            while time.monotonic() < until:
                for group, looks in seconds.items():
                    looks.append(_of_group(address, "prometheus_rule_group_last_duration_seconds", group))
                time.sleep(15 / plan.factor)
            wrong = sum(
                _of_group(address, f"prometheus_rule_{what}_total", group) for what in WRONG for group in GROUPS
            )
            series = _figure(address, "prometheus_tsdb_head_series")
            alerts = _alerts(address)
            memory = memory_mb([process.pid])
    of = f"{plan.flows:,} flows, " + ("one signal: " if signals == 1 else f"{signals} signals, one acts: ")
    goal = MOST_EVALUATION_S if plan.flows == GOAL_FLOWS else None
    sheet.add(f"{of}page", size / 1e6, "MB")
    for group, looks in seconds.items():
        sheet.add(f"{of}evaluation of {group}, longest", max(looks), "s", at_most=goal)
        sheet.add(f"{of}evaluation of {group}, median", sorted(looks)[len(looks) // 2], "s")
    sheet.add(f"{of}evaluations that failed or were left out", wrong, at_most=0)
    # Else nothing was judged, and the evaluation was quick for nothing.
    sheet.add(f"{of}flows accused", alerts, at_least=plan.flows // FAILS_EVERY if goal else None)
    sheet.add(f"{of}series in Prometheus, recorded ones included", series)
    sheet.add(f"{of}memory of Prometheus", memory, "MB")


@contextmanager
def _prometheus(binary: str, page: str, factor: float) -> Iterator[tuple[Process, str]]:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rules in RULES:
            shorten_file(ROOT / "alert_rules" / rules, folder / rules, factor)
        configuration = {
            "global": {
                "scrape_interval": shorten_duration("15s", factor),
                "scrape_timeout": shorten_duration("15s", factor),
                "evaluation_interval": shorten_duration("30s", factor),
            },
            "rule_files": list(RULES),
            "scrape_configs": [
                {"job_name": "genesys-exporter", "honor_labels": True, "static_configs": [{"targets": [page]}]}
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
        command = [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            f"--query.lookback-delta={shorten_duration('5m', factor)}",
        ]
        process = Process("prometheus", command, folder=folder, environ={})
        process.start()
        try:
            process.await_ready(f"http://{address}/-/ready", within_s=120)
            yield process, address
        finally:
            process.end()


def _of_group(address: str, name: str, group: str) -> float:
    return _figure(address, f'{name}{{rule_group="[^"]*{group}"}}')


def _figure(address: str, pattern: str) -> float:
    """What Prometheus says of itself."""
    found = re.search(rf"^{pattern} (\S+)$", get(address).decode(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"Prometheus tells no {pattern}")
    return float(found[1])


def _alerts(address: str) -> float:
    """Alerts that wait or fire."""
    query = urllib.parse.quote('count(ALERTS{alertname="GenesysFlowFailing"})')
    told = json.loads(get(address, f"/api/v1/query?query={query}"))
    return sum(float(each["value"][1]) for each in told["data"]["result"])
