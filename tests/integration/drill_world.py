"""A simulated Genesys Cloud over HTTP with a workflow that nobody calls, on a clock that only a test moves."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

from genesys.http import Clock
from genesys.organizations import Organization, Organizations
from genesys.settings import load
from simulator.app import create_app
from simulator.request_log import Request
from simulator.scenario import parse
from simulator.server import listen
from simulator.simulation import Simulation
from simulator.vocabulary import CUES, EVENT, FAULTS
from tests.integration.receiver_world import Time

WORKFLOW, IVR = "wf-1", "ivr-1"
ACTION = "custom_-_1"
SCENARIO = """
description: a workflow that nobody calls, beside a flow with callers
flows:
  - id: wf-1
    name: Drill me
    type: workflow
    calls_per_min: 0
    versions:
      - {version: "1.0", published_ago: 777600, content: hello}
      - {version: "2.0", published_ago: 108000, content: hello}
  - id: ivr-1
    name: Main IVR
    type: inboundcall
    calls_per_min: 20
    versions:
      - {version: "7.0", published_ago: 1777600, content: old}
      - version: "8.0"
        published_ago: 1000000
        content: new
        error_ratio: 0.1
        actions: [{id: custom_-_1, name: Look up, failed_ratio: 0.2}]
access:
  clients:
    - {id: simulator, secret: simulator, name: simulator}
    - {id: reader, secret: simulator, name: reader, read_only: true}
    - {id: republisher, secret: simulator, name: republisher, lacks: ["architect:job:view", "architect:jobExport:view"]}
"""


class DrillWorld:
    """The simulator behind a socket, and the organization as `organizations.yml` has it."""

    def __init__(self, folder: Path, scenario: str = SCENARIO) -> None:
        self.time = Time()
        self._folder = folder
        self._simulation = Simulation(parse(scenario), factor=1, seed=1, clock=lambda: self.time.now)
        app = create_app(self._simulation, scenario_name="drill", sleep=self.time.pass_)
        self._server = listen("127.0.0.1", 0, app)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.time.pass_(1800.0)
        self.clock = self.clock_of(self.time.pass_)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def clock_of(self, sleep: Callable[[float], None]) -> Clock:
        return Clock(lambda: self.time.now, lambda: self.time.now, sleep, lambda: 0.5)

    def organization(self, **changes: Any) -> Organization:
        """With client and secret of the simulator, or what `changes` says."""
        values = {
            "name": "retail",
            "api_url": self.url,
            "login_url": self.url,
            "credentials": {"client_id": "simulator", "client_secret_env": "SECRET"},
            "timeout_s": 2,
            "deadline_s": 4,
        } | changes
        file = self._folder / "organizations.yml"
        file.write_text(yaml.safe_dump({"organizations": [values]}))
        return load(file, Organizations, environ={"SECRET": "simulator"}).organizations[0]

    def switch(self, **switches: Any) -> None:
        with self._simulation.present():
            self._simulation.change_switches(self._simulation.world.switches.model_copy(update=switches))

    def happen(self, **event: Any) -> None:
        with self._simulation.present() as now:
            self._simulation.apply(EVENT.validate_json(json.dumps(event)), now)

    def fault(self, *faults: dict[str, Any]) -> None:
        """These are set from now on, and no other."""
        with self._simulation.present() as now:
            self._simulation.faults.replace(FAULTS.validate_json(json.dumps(faults)), now)

    def cue(self, *cues: dict[str, Any]) -> None:
        with self._simulation.present():
            self._simulation.cues.replace(CUES.validate_json(json.dumps(cues)))

    def live(self, flow_id: str = WORKFLOW) -> str:
        with self._simulation.present():
            return self._simulation.world.flow(flow_id).live.label

    def requests(self) -> list[Request]:
        with self._simulation.present():
            return self._simulation.requests.newest()

    def publishes(self) -> list[str | None]:
        """The versions of all publishes that were sent, oldest first."""
        return [one.version for one in self.requests() if one.publish]


@contextmanager
def drill_world(folder: Path, scenario: str = SCENARIO) -> Iterator[DrillWorld]:
    made = DrillWorld(folder, scenario)
    try:
        yield made
    finally:
        made.close()
