"""The exporter as its users run it: two files, one process, a Genesys Cloud over HTTP, a page that Prometheus reads.

Genesys Cloud is the simulator with every duration divided by 30, so a minute takes two seconds.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
FACTOR = 30
MAIN_IVR = "ce677f29-f403-470c-adb0-8bfa6bf81d69"  # of the scenario bad-deploy

ORGANIZATIONS = """
organizations:
  - name: retail
    api_url: {url}
    login_url: {url}
    credentials: {{client_id: simulator, client_secret_env: SIMULATOR_SECRET}}
    timeout_s: 1
    deadline_s: 1
    analytics: {{bucket_s: 2, settle_s: 2, history_bucket_s: 120, history_s: 20160, transfers: true}}
"""

CONFIG = """
listen: 127.0.0.1:0
poll_interval_s: 2
stale_after_s: 6
baseline_interval_s: 120
flows:
  - match: {name: "Main*"}
    owner: team-voice
  - match: "*"
"""

Page = dict[str, dict[tuple[str, ...], float]]
"""Value by metric, and then by its label values in the catalogue's order."""

T = TypeVar("T")


def eventually(look: Callable[[], T | None], *, within_s: float = 60.0) -> T:
    """What `look` finds, as soon as it finds something true."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"not within {within_s} s")


@contextmanager
def program(module: str, *arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program of ours with its output in a file; killed at the end if it still runs."""
    start = f"from {module} import main; main()"
    environ = {**os.environ, "SIMULATOR_SECRET": "simulator", "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", start, *arguments], cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def logged(log: Path, pattern: str) -> str:
    def look() -> str | None:
        found = re.search(pattern, log.read_text(encoding="utf-8"))
        return found[1] if found else None

    return eventually(look)


@dataclass(frozen=True)
class Running:
    """The exporter, and the Genesys Cloud that it polls."""

    process: subprocess.Popen[bytes]
    exporter: httpx.Client
    genesys: httpx.Client
    log: Path

    def page(self) -> Page:
        answer = self.exporter.get("/metrics")
        assert answer.status_code == 200
        found: Page = {}
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                labels = CATALOGUE[sample.name].labels if sample.name in CATALOGUE else sorted(sample.labels)
                assert sample.timestamp is None
                assert set(labels) == set(sample.labels)
                found.setdefault(sample.name, {})[tuple(sample.labels[label] for label in labels)] = sample.value
        return found

    def page_where(self, holds: Callable[[Page], bool]) -> Page:
        def look() -> Page | None:
            page = self.page()
            return page if holds(page) else None

        return eventually(look)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    simulator_log, log = tmp_path / "simulator.log", tmp_path / "exporter.log"
    scenario = ("--scenario", "bad-deploy", "--listen", "127.0.0.1:0", "--time-factor", str(FACTOR))
    with program("simulator.cli", *scenario, log=simulator_log):
        url = logged(simulator_log, r"listening on (http://\S+)")
        files = {"organizations.yml": ORGANIZATIONS.format(url=url), "exporter.yml": CONFIG}
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        options = [f"--organizations={tmp_path}/organizations.yml", f"--config={tmp_path}/exporter.yml"]
        with program("exporter.cli", *options, log=log) as process:
            address = logged(log, r" listening address=(\S+)")
            with (
                httpx.Client(base_url=f"http://{address}", timeout=5.0, trust_env=False) as exporter,
                httpx.Client(base_url=url, timeout=5.0, trust_env=False) as genesys,
            ):
                yield Running(process, exporter, genesys, log)


def _judged(page: Page, metric: str, version: str, window: str) -> float:
    return page.get(metric, {}).get(("retail", MAIN_IVR, version, "error_exit", window), 0.0)


def test_a_bad_publish_shows_an_outage_drops_and_the_process_ends_when_told(running: Running) -> None:
    page = running.page_where(
        lambda page: _judged(page, "genesys_flow_errors", "14.0", "5m") > 0 and "genesys_flow_baseline_ratio" in page
    )
    _the_page_tells_the_bad_publish(page)
    _the_whole_catalogue_is_on_the_page(running)
    _scrapes_call_nobody_and_polls_are_cheap(running)
    _an_outage_shows_at_once_and_drops_the_samples_later(running)
    _another_publish_shows(running)
    _the_process_ends_when_told(running)


def _the_page_tells_the_bad_publish(page: Page) -> None:
    since = page["genesys_flow_live_since_timestamp_seconds"]
    assert [labels[2] for labels in since if labels[1] == MAIN_IVR] == ["14.0"]
    assert len(since) == 3, "one series per flow"
    assert _judged(page, "genesys_flow_volume", "13.0", "60m") > 0, "the version before is still seen draining"
    errors, volume = (_judged(page, f"genesys_flow_{what}", "14.0", "60m") for what in ("errors", "volume"))
    assert 0 < errors <= volume
    assert page["genesys_up"] == {("retail",): 1}
    owners = {labels[2]: labels[6] for labels in page["genesys_flow_info"]}
    assert owners == {"Main IVR": "team-voice", "Support": "", "Order Status": ""}
    ratios = page["genesys_flow_threshold_ratio"]
    assert all(0 < ratio <= 0.9 for ratio in ratios.values())
    assert all(0 < ratio < 0.05 for ratio in page["genesys_flow_baseline_ratio"].values())


def _the_whole_catalogue_is_on_the_page(running: Running) -> None:
    # A corrected bucket takes a while to come.
    page = running.page_where(lambda page: "genesys_bucket_revision_age_seconds_count" in page)
    expected = {name + ("_count" if metric.type == "histogram" else "") for name, metric in CATALOGUE.items()}
    assert expected <= page.keys()
    assert page["genesys_data_end_timestamp_seconds"]["retail",] % 2 == 0
    assert {code for _, _, code in page["genesys_api_requests_total"]} == {"200"}


def _scrapes_call_nobody_and_polls_are_cheap(running: Running) -> None:
    def sent() -> int:
        count = running.genesys.get("/sim/state").json()["request_count"]
        assert isinstance(count, int)
        return count

    began, before = time.monotonic(), sent()
    while time.monotonic() - began < 8:
        running.page()
        time.sleep(0.05)
    polls = (time.monotonic() - began) / 2 + 1
    assert sent() - before <= 6 * polls


def _an_outage_shows_at_once_and_drops_the_samples_later(running: Running) -> None:
    running.genesys.put("/sim/faults", json=[{"kind": "down"}]).raise_for_status()
    page = running.page_where(lambda page: page["genesys_up"] == {("retail",): 0})
    assert "genesys_flow_errors" in page

    page = running.page_where(lambda page: "genesys_flow_errors" not in page)
    assert page["genesys_up"] == {("retail",): 0}
    assert "genesys_data_end_timestamp_seconds" not in page
    assert ("retail", "error") in {(org, code) for org, _, code in page["genesys_api_requests_total"]}
    assert running.exporter.get("/-/ready").status_code == 200

    running.genesys.delete("/sim/faults").raise_for_status()
    page = running.page_where(lambda page: page["genesys_up"] == {("retail",): 1})
    assert "genesys_flow_errors" in page


def _another_publish_shows(running: Running) -> None:
    """The first one may have been before the first poll, on a machine that is busy."""
    published = {"event": "publish", "flow": MAIN_IVR, "version": "15.0", "error_ratio": 0.0, "by": "pipeline"}
    running.genesys.post("/sim/events", json=published).raise_for_status()
    live = ("retail", MAIN_IVR, "15.0")
    running.page_where(lambda page: live in page.get("genesys_flow_live_since_timestamp_seconds", {}))


def _the_process_ends_when_told(running: Running) -> None:
    running.process.send_signal(signal.SIGTERM)

    assert running.process.wait(timeout=5) == 0
    log = running.log.read_text(encoding="utf-8")
    assert log.splitlines()[-1].endswith(" info stopping")
    assert "traceback" not in log.lower()
    assert "live_version_changed org=retail" in log


def test_an_unusable_configuration_is_told_before_anything_starts(tmp_path: Path) -> None:
    log = tmp_path / "exporter.log"
    (tmp_path / "organizations.yml").write_text("organizations: []", encoding="utf-8")
    (tmp_path / "exporter.yml").write_text("listen: 127.0.0.1:0\nbogus: 1", encoding="utf-8")
    options = [f"--organizations={tmp_path}/organizations.yml", f"--config={tmp_path}/exporter.yml"]

    with program("exporter.cli", *options, log=log) as process:
        assert process.wait(timeout=10) == 2

    told = log.read_text(encoding="utf-8")
    assert "organizations.yml: organizations: " in told
    assert "exporter.yml: bogus: unknown key" in told
