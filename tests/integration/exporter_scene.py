"""The exporter's polls of simulated organizations, over HTTP: time moves only when told, and with slow answers.

What Prometheus would read is the page; what was really sent is the simulator's request log.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from exporter.baselines import BaselineKeeper
from exporter.config import ExporterConfig
from exporter.page import Board
from exporter.poller import Poller
from exporter.process import ProcessMetrics
from exporter.reader import OrganizationReader
from genesys.budget import Budget
from genesys.dialect import GenesysCloud, RateLimit
from genesys.organizations import Analytics, Organization, open_organization
from simulator.app import create_app
from simulator.request_log import Request
from simulator.scenario import Scenario, parse
from simulator.server import listen
from simulator.simulation import Simulation
from simulator.vocabulary import CUES, EVENT, FAULTS
from simulator.world import Flow

NOON = 1_795_348_800  # 2026-11-22T12:00:00Z
MINUTE = 60
ANALYTICS = Analytics(history_s=6 * 3600)  # few hours, for who does not look at the baseline

CALM = parse(
    """
description: two healthy flows
flows:
  - id: main
    name: Main IVR
    type: inboundcall
    calls_per_min: 20
    versions: [{version: "13.0", published_ago: 180000}]
  - id: support
    name: Support
    type: inboundcall
    calls_per_min: 5
    versions: [{version: "7.0", published_ago: 180000}]
"""
)


class Time:
    """Seconds since 1970, for the exporter and Genesys Cloud alike."""

    def __init__(self) -> None:
        self.now = float(NOON)

    def pass_(self, seconds: float) -> None:
        self.now += seconds


class Cloud:
    """One simulated organization."""

    def __init__(self, time: Time, scenario: Scenario) -> None:
        self._simulation = Simulation(scenario, factor=1, seed=1, clock=lambda: time.now)
        self._server = listen("127.0.0.1", 0, create_app(self._simulation, scenario_name="polls", sleep=time.pass_))
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

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

    def set(self, **settings: float) -> None:
        with self._simulation.present():
            self._simulation.change_settings(self._simulation.world.settings.model_copy(update=settings))

    def switch(self, **switches: Any) -> None:
        with self._simulation.present():
            self._simulation.change_switches(self._simulation.world.switches.model_copy(update=switches))

    def change(self, flow_id: str, **spec: Any) -> None:
        """Somebody renames a flow, or moves it."""
        with self._simulation.present():
            flow: Flow = self._simulation.world.flow(flow_id)
            flow.spec = flow.spec.model_copy(update=spec)

    def requests(self) -> list[Request]:
        """Every request that was sent, oldest first."""
        with self._simulation.present():
            return self._simulation.requests.newest()


Page = dict[str, dict[str, float]]
"""Value by metric, then by its label values in one line, sorted by label name."""


class Exporter:
    """The exporter's parts as its command line wires them, without threads of its own."""

    def __init__(
        self, time: Time, clouds: dict[str, str], config: ExporterConfig, *, deadline_s: float, analytics: Analytics
    ) -> None:
        self._time = time
        process = ProcessMetrics()
        self.board = Board(clouds, process, stale_after_s=config.stale_after_s, clock=lambda: time.now)
        self.pollers: dict[str, Poller] = {}
        self._close: list[Callable[[], None]] = []
        for org, url in clouds.items():
            cloud = open_organization(organization_at(org, url, deadline_s, analytics), observe=process.observer(org))
            self._close.append(cloud.close)
            tell_revisions = partial(process.add_revisions, org)
            reader = OrganizationReader(org, cloud, analytics, tell_revisions=tell_revisions)
            baselines = BaselineKeeper(org, cloud, analytics, interval_s=config.baseline_interval_s)
            budget = Budget(org, partial(_limit, cloud), reserve_ratio=0.3, now=lambda: time.now)
            put_off_s = partial(process.count_put_off, org, budget.put_off_s)
            self.pollers[org] = Poller(
                org, cloud, reader, baselines, config=config, board=self.board, put_off_s=put_off_s
            )

    def close(self) -> None:
        for close in self._close:
            close()

    def poll(self, *, minutes_later: float = 1) -> Page:
        """Let time pass, poll every organization, and read the page."""
        self._time.pass_(minutes_later * MINUTE)
        for poller in self.pollers.values():
            poller.poll(self._time.now)
        return self.page()

    def page(self) -> Page:
        found: Page = {}
        for family in text_string_to_metric_families(b"".join(self.board.page().plain()).decode()):
            for sample in family.samples:
                labels = " ".join(value for _, value in sorted(sample.labels.items()))
                found.setdefault(sample.name, {})[labels] = sample.value
        return found


def _limit(cloud: GenesysCloud) -> RateLimit | None:
    return cloud.rate_limit


@contextmanager
def scene(
    *orgs: str,
    scenario: Scenario = CALM,
    config: ExporterConfig | None = None,
    deadline_s: float = 30.0,
    analytics: Analytics = ANALYTICS,
) -> Iterator[tuple[Time, dict[str, Cloud], Exporter]]:
    """Organizations at noon, and an exporter that has not polled any of them yet."""
    time = Time()
    clouds = {org: Cloud(time, scenario) for org in orgs or ("retail",)}
    urls = {org: cloud.url for org, cloud in clouds.items()}
    exporter = Exporter(time, urls, config or ExporterConfig(), deadline_s=deadline_s, analytics=analytics)
    try:
        yield time, clouds, exporter
    finally:
        exporter.close()
        for cloud in clouds.values():
            cloud.close()


def many(flows: int) -> Scenario:
    """So many flows with hardly any call, all of them new: nobody has to draw their past."""
    first = CALM.flows[0].model_copy(update={"calls_per_min": 0.01})
    (version,) = first.versions
    new = version.model_copy(update={"published_ago": 600.0})
    listed = tuple(
        first.model_copy(update={"id": f"flow-{number}", "name": f"Flow {number}", "versions": (new,)})
        for number in range(flows)
    )
    return CALM.model_copy(update={"flows": listed})


def organization_at(name: str, url: str, deadline_s: float = 30.0, analytics: Analytics = ANALYTICS) -> Organization:
    return Organization.model_validate(
        {
            "name": name,
            "api_url": url,
            "login_url": url,
            "credentials": {"client_id": "simulator", "client_secret": SecretStr("simulator")},
            "timeout_s": min(10.0, deadline_s),
            "deadline_s": deadline_s,
            "analytics": analytics,
        }
    )
