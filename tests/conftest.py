"""What tests of more than one kind start: the simulator as a process of its own, and a PostgreSQL server."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import postgresql_server

ROOT = Path(__file__).resolve().parents[1]


class SimulatorProcess:
    """A running simulator: its URL (login and API alike), and its control API. Client and secret are `simulator`."""

    def __init__(self, *, scenario: str, time_factor: float, seed: int) -> None:
        options = ["--scenario", scenario, "--listen", "127.0.0.1:0"]
        options += ["--time-factor", str(time_factor), "--seed", str(seed)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from simulator.cli import main; main()", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        first_line = self.process.stdout.readline()
        assert first_line.startswith("listening on "), f"the simulator did not start: {first_line!r}"
        self.url = first_line.split()[-1]

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Call `/sim/{path}` with a JSON body; durations in it are simulated seconds."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/sim/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def requests(self, method: str, path: str) -> list[dict[str, Any]]:
        """What was really sent, oldest first."""
        sent = self.control("GET", "requests")
        return [one for one in sent if (one["method"], one["path"]) == (method, path)]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


StartSimulator = Callable[..., SimulatorProcess]


@pytest.fixture(scope="module")
def start_simulator() -> Iterator[StartSimulator]:
    """Starts simulators: `start_simulator(scenario="bad-deploy", time_factor=10)`; all end with the module."""
    running: list[SimulatorProcess] = []

    def start(*, scenario: str = "calm", time_factor: float = 10, seed: int = 1) -> SimulatorProcess:
        running.append(SimulatorProcess(scenario=scenario, time_factor=time_factor, seed=seed))
        return running[-1]

    yield start
    for one in running:
        one.end()


@pytest.fixture(scope="session")
def postgresql_binaries() -> Path:
    """PostgreSQL's programs; missing, it fails in CI and skips at a desk."""
    binaries = postgresql_server.find_binaries()
    if binaries is None:
        reason = "PostgreSQL's initdb, pg_ctl and postgres are neither in PATH, /usr/lib/postgresql nor .tools"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return binaries


@pytest.fixture(scope="session")
def postgresql_url(postgresql_binaries: Path) -> Iterator[str]:
    """A PostgreSQL server of this test run."""
    with postgresql_server.running(postgresql_binaries) as url:
        yield url
