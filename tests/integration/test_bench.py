"""The benchmark in its small form: each of its figures is there, and could be true. No speed is asked for."""

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from bench.__main__ import SECTIONS
from bench.figures import Figure, Section, Sheet, as_json, table
from demo.processes import ROOT, TOOLS
from tests.postgresql_server import find_binaries

HOUR_MS, HOUR_S = 3_600_000.0, 3_600.0
# By unit: what would be wrong whatever the machine is.
PLAUSIBLE = {
    "MB": (0.001, 10_000.0),
    "ms": (0.01, HOUR_MS),
    "s": (0.0001, HOUR_S),
    "×": (0.0001, 1e6),
    "alerts/s": (0.1, 1e6),
}

OF_EACH_SIZE = [
    "page",
    "page, gzip",
    "scrape p50, gzip, polls included",
    "scrape p99, gzip, polls included",
    "scrape p50, identity",
    "scrape p50, prometheus_client's generate_latest, gzip",
    "scrape p50, an exporter that polls within the scrape, gzip",
    "CPU of a poll",
    "memory at most",
]
DATABASES = ["SQLite"] if find_binaries() is None else ["SQLite", "PostgreSQL"]
OF_EACH_INTAKE = [
    f"{what}, {database}{figure}"
    for database in DATABASES
    for what, rate in (("single alerts", "300"), ("groups", "1,000"))
    for figure in ("", ", p50 at that rate", f", p99 at {rate} alerts/s")
]
NAMES = {
    "exporter": [f"{flows} flows: {name}" for flows in (20, 60) for name in OF_EACH_SIZE]
    + ["from 20 to 60 flows, growth of page / growth of flows"],
    "intake": [*OF_EACH_INTAKE, "single alerts, a plain Flask handler", "groups, ours / plain"],
    "rules": [
        f"20 flows, {signals}: {name}"
        for signals in ("one signal", "9 signals, one acts")
        for name in ("page", "evaluation of genesys-rollback, longest", "memory of Prometheus")
    ],
    "starting": [f"{name}, 20 flows: start until it is ready" for name in ("exporter", "receiver")],
    "live": ["webhook received to confirmed, publish time subtracted, p95"],
    "organizations": [
        "5 organizations: webhook received to publish sent, longest",
        "5 organizations, exporter: CPU of a poll of all",
        "5 organizations, receiver: memory",
    ],
}


def run(name: str) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "bench", "--quick", "--json", "--only", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {figure["name"]: figure for figure in json.loads(done.stdout)}


@pytest.mark.parametrize("name", SECTIONS)
def test_each_figure_is_there_and_could_be_true(name: str) -> None:
    if name == "rules" and not (shutil.which("prometheus") or (TOOLS / "prometheus").exists()):
        pytest.skip("prometheus is neither in PATH nor in .tools/bin")
    found = run(name)

    assert set(NAMES[name]) <= set(found)
    for figure in found.values():
        least, most = PLAUSIBLE.get(figure["unit"], (0.0, 1e7))
        assert least <= figure["value"] <= most, figure
        assert not figure["missed"]
    if name == "exporter":
        for flows in (20, 60):  # one list, two questions about flows, one about conversations; a poll may be cut in two
            assert 3 <= found[f"{flows} flows: API calls per poll, and so per minute"]["value"] <= 5


@pytest.mark.parametrize(
    ("figure", "missed"),
    [
        pytest.param(Figure("a", "b", 5.1, "s", 5.0), True, id="above what it may be"),
        pytest.param(Figure("a", "b", 5.0, "s", 5.0), False, id="just what it may be"),
        pytest.param(Figure("a", "b", 299.0, "", 300.0, "at least"), True, id="below what it must be"),
        pytest.param(Figure("a", "b", 1e9), False, id="without a goal"),
    ],
)
def test_a_goal_is_missed_on_its_wrong_side(figure: Figure, missed: bool) -> None:
    assert figure.missed is missed
    assert ("MISSED" in table([Section("a", [figure])])) is missed
    assert json.loads(as_json([Section("a", [figure])]))[0]["missed"] is missed


def test_a_small_run_has_no_goals() -> None:
    sheet = Sheet("a")
    sheet.add("b", 2.0, at_most=1.0)
    assert [figure.missed for figure in sheet.done().figures] == [True]
    assert [figure.missed for figure in sheet.done().without_goals().figures] == [False]
