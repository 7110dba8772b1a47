"""`python -m bench`: what the programs cost and how fast they are, beside what people would take instead."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import exporter, intake, live, organizations, rules, starting
from bench.figures import Section, as_json, table
from bench.machine import speed

MISSED = 1
Measure = Callable[[argparse.Namespace], Section]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


SECTIONS: dict[str, Measure] = {
    "exporter": lambda asked: exporter.measure(exporter.QUICK if asked.quick else exporter.Plan(), _say),
    "intake": lambda asked: intake.measure(
        intake.QUICK if asked.quick else intake.Plan(), _say, postgresql_url=asked.postgresql
    ),
    "rules": lambda asked: rules.measure(rules.QUICK if asked.quick else rules.Plan(), _say),
    "starting": lambda asked: starting.measure(starting.QUICK if asked.quick else starting.Plan(), _say),
    "live": lambda asked: live.measure(live.QUICK if asked.quick else live.Plan(), _say),
    "organizations": lambda asked: organizations.measure(
        organizations.QUICK if asked.quick else organizations.Plan(), _say
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print the table; 1 if a goal of the design is missed. Small sizes have no goals."""
    asked = _parser().parse_args(arguments)
    found = []
    before = speed()
    for name in asked.only or SECTIONS:
        started = time.monotonic()
        section = SECTIONS[name](asked)
        found.append(section.without_goals() if asked.quick else section)
        _say(f"{name}: {time.monotonic() - started:.0f} s")
    print(as_json(found) if asked.json else f"{_machine()}\nbefore: {before}\nafter: {speed()}\n\n{table(found)}")
    missed = [figure for section in found for figure in section.figures if figure.missed]
    for figure in missed:
        _say(f"missed: {figure.section}: {figure.name}: {figure.value:g} {figure.unit}, {figure.bound} {figure.goal:g}")
    return MISSED if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the programs as real processes on this machine, beside what people would take instead. "
        "The full run takes about 45 minutes; nothing else should run meanwhile. The first lines tell how fast "
        "the machine was before and after: one that shares its processors may need twice the time.",
        epilog="Exit code 1: a goal of the design is missed. Linux only, because memory and CPU are read from /proc.",
    )
    parser.add_argument("--only", action="append", choices=SECTIONS, help="one section; may be given several times")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works; no goals")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead of the table")
    parser.add_argument("--postgresql", metavar="URL", help="an empty database to measure the intake on")
    return parser


def _machine() -> str:
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    models = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return f"{os.cpu_count()} × {model}, Python {platform.python_version()}, load at the end {load}"


if __name__ == "__main__":
    sys.exit(main())
