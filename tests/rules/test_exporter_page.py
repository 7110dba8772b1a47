"""What Prometheus' own tools say about a page of the exporter: its linter, and a real server that scrapes it."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from demo.processes import free_ports
from exporter.metrics import CATALOGUE, FLOW_BREACH_MINUTES
from exporter.web import application, bind
from genesys.settings import Address
from tests.rules.conftest import Run, path_of
from tests.unit.exporter_pages import full_board

OPENMETRICS = "application/openmetrics-text"
NAME = 'Zürich 🎧 "quoted" \\ two\nlines'


def test_promtool_has_nothing_to_complain_about(promtool: Run) -> None:
    page = b"".join(full_board(NAME).page().plain()).decode()
    # It counts buckets, and its name is a contract; to the linter it looks like a duration in minutes.
    read = "".join(line for line in page.splitlines(keepends=True) if FLOW_BREACH_MINUTES.name not in line)

    assert promtool("check", "metrics", read=read) == ""
    assert all(f"\n{name}" in page for name in CATALOGUE), "the page has samples of everything"


def test_promtool_would_complain(promtool: Run) -> None:
    with pytest.raises(pytest.fail.Exception, match="no help text"):
        promtool("check", "metrics", read="genesys_up 1\n")


@pytest.fixture
def asked() -> list[dict[str, str]]:
    """Headers of the scrapes, as they come."""
    return []


@pytest.fixture
def exporter(asked: list[dict[str, str]]) -> Iterator[str]:
    pages = application(full_board(NAME))

    def note(environ, start_response):
        asked.append({name: environ.get(f"HTTP_{name}", "") for name in ("ACCEPT", "ACCEPT_ENCODING")})
        return pages(environ, start_response)

    server = bind(Address("127.0.0.1", 0), note)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield str(server.address)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def scraping(tmp_path: Path) -> Iterator[Callable[[str], httpx.Client]]:
    """Starts a Prometheus that scrapes a target."""
    tool = path_of("prometheus")
    started: list[subprocess.Popen[bytes]] = []

    def start(target: str) -> httpx.Client:
        (port,) = free_ports(1)
        config = tmp_path / "prometheus.yml"
        job = "{job_name: e, scrape_interval: 1s, scrape_timeout: 1s, honor_labels: true"
        config.write_text(f"scrape_configs: [{job}, static_configs: [{{targets: ['{target}']}}]}}]\n")
        options = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
        with (tmp_path / "log").open("wb") as log:
            started.append(subprocess.Popen([tool, *options, f"--web.listen-address=127.0.0.1:{port}"], stderr=log))
        return httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=5)

    yield start
    for process in started:
        process.kill()
        process.wait()


def ask(prometheus: httpx.Client, expression: str) -> list[dict]:
    try:
        answer = prometheus.get("/api/v1/query", params={"query": expression})
    except httpx.TransportError:
        return []  # not up yet
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return []  # it starts
    return answer.json().get("data", {}).get("result", [])


def test_a_real_prometheus_reads_the_whole_page_compressed_and_as_openmetrics(
    exporter: str, asked: list[dict[str, str]], scraping: Callable[[str], httpx.Client]
) -> None:
    with scraping(exporter) as prometheus:
        end = time.monotonic() + 60
        while not (found := ask(prometheus, '{__name__=~"genesys_.+"}')) and time.monotonic() < end:
            time.sleep(0.2)

    assert asked[0]["ACCEPT_ENCODING"] == "gzip"
    assert asked[0]["ACCEPT"].startswith(OPENMETRICS)
    names = {series["metric"]["__name__"] for series in found}
    assert names >= {f"{name}_bucket" if of.type == "histogram" else name for name, of in CATALOGUE.items()}
    (info,) = (series["metric"] for series in found if series["metric"]["__name__"] == "genesys_flow_info")
    assert info["flow_name"] == NAME
