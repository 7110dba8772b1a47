"""A receiver in front of the real simulator, over HTTP: its real worker, store and client. Time moves only when told.

What was sent is counted in the simulator's request log, what became of it in the simulator's own history of the flow.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import httpx

from genesys.access import open_session
from genesys.actions import DataAction
from genesys.http import Clock, Connection
from genesys.organizations import Analytics
from genesys.platform import Platform
from receiver.store import alerts, leases, rollbacks, watchdog
from receiver.store import outbox as outbox_store
from receiver.store.database import Store, Transaction
from receiver.store.rollbacks import ENDS, Permit, Rollback, Step
from receiver.store.schema import decisions, outbox
from simulator.app import create_app
from simulator.request_log import Request
from simulator.scenario import parse
from simulator.server import listen
from simulator.simulation import Simulation
from simulator.vocabulary import CUES, EVENT, FAULTS
from tests.integration.receiver_world import (
    BAD_PUBLISH_AT,
    CALL_TIMEOUT_S,
    FIRST_LOOK_AT,
    FLOW_ID,
    AlertmanagerInMemory,
    Receiver,
    Time,
    alert_of,
)
from tests.receiver_world import settings_of

ACCUSED, TARGET = "14.0", "13.0"
PUBLISH = {"method": "POST", "path_prefix": "/api/v2/flows/actions/publish"}
UPLOADS = "/storage/uploads/"
ANALYTICS = Analytics(history_s=36 * 3600)
READS = {"method": "GET", "path_prefix": "/api/v2/flows"}

SCENARIO = parse(
    """
description: three flows, the first of which is about to get a bad version; few calls, to be quick
flows:
  - id: flow-1
    name: Main IVR
    type: inboundcall
    calls_per_min: 12
    versions:
      - version: "12.0"
        published_ago: 777600
        actions: &actions
          - {id: look-up, name: Look up customer, failed_ratio: 0.01}
          - {id: balance, name: Balance, failed_ratio: 0.01}
      - {version: "13.0", published_ago: 108000, actions: *actions} # 30 hours: with a short history both have one
  - id: flow-2
    name: Support
    type: inboundcall
    calls_per_min: 4
    versions:
      - {version: "7.0", published_ago: 1209600}
  - id: flow-3
    name: Orders
    type: inboundcall
    calls_per_min: 4
    versions:
      - {version: "3.0", published_ago: 1209600}
"""
)


class Simulated:
    """The simulated Genesys Cloud with its bad version live for a while, and what really happened in it."""

    def __init__(self, time: Time, *, seed: int = 1, bad: Mapping[str, Any] | None = None) -> None:
        """`bad` is what is wrong with the bad version: half of its calls end with an error, if nothing is said."""
        self._time = time
        time.now = BAD_PUBLISH_AT - 60
        self._simulation = Simulation(SCENARIO, factor=1, seed=seed, clock=lambda: time.now)
        app = create_app(self._simulation, scenario_name="faults", sleep=time.pass_)
        self._server = listen("127.0.0.1", 0, app)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        time.now = BAD_PUBLISH_AT
        publish = {"event": "publish", "flow": FLOW_ID, "version": ACCUSED}
        self.happen({**publish, **({"error_ratio": 0.5} if bad is None else bad)})
        time.now = FIRST_LOOK_AT

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def happen(self, event: dict[str, Any]) -> None:
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

    def rename(self, name: str, flow_id: str = FLOW_ID) -> None:
        with self._simulation.present():
            flow = self._simulation.world.flow(flow_id)
            for version in flow.versions.values():
                version.flow_name = flow.spec.name
            flow.spec = flow.spec.model_copy(update={"name": name})

    def live(self, flow_id: str = FLOW_ID) -> str:
        """What callers of the flow meet now."""
        return self.history(flow_id)[-1]

    def history(self, flow_id: str = FLOW_ID) -> list[str]:
        """The versions of the flow in the order in which they became live, since the bad one."""
        with self._simulation.present():
            return [
                stint.version
                for stint in self._simulation.world.flow(flow_id).stints
                if stint.start > BAD_PUBLISH_AT - 1
            ]

    def content(self, flow_id: str = FLOW_ID) -> str:
        """What callers of the flow meet now, whatever its label."""
        with self._simulation.present():
            return self._simulation.world.flow(flow_id).live.content

    def requests(self) -> list[Request]:
        """Every request that was sent, oldest first."""
        with self._simulation.present():
            return self._simulation.requests.newest()

    def publishes(self) -> list[Request]:
        """Every publish that was sent, whatever came of it."""
        return [request for request in self.requests() if request.publish]

    def effects(self) -> list[Request]:
        """Those that have made their version live."""
        with self._simulation.present():
            flows = self._simulation.world.flows.values()
            began = {(flow.spec.id, stint.start) for flow in flows for stint in flow.stints}
        return [request for request in self.publishes() if (request.flow_id, request.effect_at) in began]

    def failures(self) -> dict[int, float]:
        """Number of a write → when its job ended in failure, or its operation, if that was the flow's last one."""
        failed = {}
        for request in self.publishes():
            job_id = request.path.removeprefix(UPLOADS)
            with self._simulation.present() as now:
                if job_id != request.path:
                    job = self._simulation.jobs.deploy_job(job_id)
                    if job.done_at is not None and job.status(now) == "Failure":
                        failed[request.seq] = job.done_at
                elif request.flow_id is not None:
                    operation = self._simulation.world.flow(request.flow_id).operation
                    if operation is not None and operation.error_code and request.at <= operation.completes_at <= now:
                        failed[request.seq] = operation.completes_at
        return failed


@cache
def _migrated_file() -> bytes:
    """An empty database at this release's schema: migrating takes longer than many a rollback here."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rollback.db"
        store = Store(f"sqlite:///{file}")
        store.migrate()
        store.close()
        return file.read_bytes()


class SimulatedScene:
    """One database, the simulator, and receivers that come and go."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 1,
        bad: Mapping[str, Any] | None = None,
        outcomes: bool = False,
        data_actions: Sequence[DataAction] = (),
        **changes: Any,
    ) -> None:
        """`bad` is as in `Simulated`; with `outcomes` and `data_actions` the receivers ask for these as well."""
        self._outcomes, self._data_actions = outcomes, data_actions
        values: dict[str, Any] = {
            "flows": [{"match": "*", "mode": "auto", "owner": "team-voice"}],
            "webhooks": [{"name": "pager", "url": "http://127.0.0.1:9/"}],
        } | changes
        self.settings = settings_of(folder, **values)
        self.time = Time()
        self.genesys = Simulated(self.time, seed=seed, bad=bad)
        self.alertmanager = AlertmanagerInMemory()
        if "database_url" not in changes:
            (folder / "rollback.db").write_bytes(_migrated_file())
        self.store = Store(self.settings.database_url)
        self.store.migrate()
        self._connections: list[Connection] = []

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self.store.close()
        self.genesys.close()

    def receiver(
        self,
        name: str = "receiver-1",
        *,
        store: Store | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[Transaction], float] | None = None,
        monotonic: Callable[[], float] | None = None,
    ) -> Receiver:
        """A new process: it remembers nothing, with its own connections; `clock` and `monotonic` as `Receiver`."""
        clouds = {"retail": self.cloud(transport, monotonic)}
        return Receiver(
            self.settings,
            store or self.store,
            self.time,
            clouds,
            self.alertmanager,
            name,
            ANALYTICS,
            clock=clock,
            monotonic=monotonic,
        )

    def cloud(
        self, transport: httpx.BaseTransport | None = None, monotonic: Callable[[], float] | None = None
    ) -> Platform:
        """Genesys Cloud as a new process sees it, over connections of its own."""
        clock = Clock(
            monotonic=monotonic or (lambda: self.time.now),
            now=lambda: self.time.now,
            sleep=self.time.pass_,
            random=lambda: 0.5,
        )
        connection = Connection(transport=transport, clock=clock)
        self._connections.append(connection)
        session = open_session(
            login_url=self.genesys.url,
            client_id="simulator",
            client_secret="simulator",
            timeout_s=CALL_TIMEOUT_S,
            deadline_s=30.0,
            connection=connection,
        )
        return Platform(
            session,
            api_url=self.genesys.url,
            outcomes=self._outcomes,
            transfers=True,
            data_actions=self._data_actions,
        )

    def deliver(self, *, signal: str = "error_exit") -> None:
        with self.store.begin() as tx:
            watchdog.arrived(tx, now=self.time.now + 1e6)  # its silence is another story
            alerts.record(tx, [alert_of(labels={"signal": signal})], self.time.now)

    def accuse(self, version: str) -> None:
        """Another alert, about this version."""
        alert = alert_of(labels={"flow_version": version})
        now = self.time.now
        fresh = replace(
            alert, fingerprint=f"fp-{version}", starts_at=now - 180, annotations=alert.annotations | {"live_since": ""}
        )
        with self.store.begin() as tx:
            alerts.record(tx, [fresh], now)

    def run(self, receiver: Receiver, seconds: float, *, step_s: float = 2.0) -> None:
        until = self.time.now + seconds
        while self.time.now < until:
            receiver.tick()
            self.time.pass_(step_s)

    def run_to_the_end(self, receiver: Receiver, within_s: float = 4000.0) -> Rollback | None:
        """Tick until the first rollback has ended, and give it; None if after two minutes there is none.

        In short steps first, where much happens; the waiting is done in longer ones.
        """
        began_at = self.time.now
        while (passed_s := self.time.now - began_at) < within_s:
            receiver.tick()
            first = next(iter(self.rollbacks()), None)
            if first is not None and first.state in ENDS:
                return first
            if first is None and passed_s > 120:
                return None
            confirmed = first is not None and first.confirmed_at is not None
            self.time.pass_(20.0 if confirmed else 2.0 if passed_s < 30 else 10.0)
        raise AssertionError(f"not at an end after {within_s} s: {self.rollbacks()}")

    def rollbacks(self) -> list[Rollback]:
        """Oldest first."""
        with self.store.begin() as tx:
            return rollbacks.newest(tx, org=None, flow_id=None, limit=100)[::-1]

    def steps(self, rollback: Rollback) -> list[Step]:
        with self.store.begin() as tx:
            return rollbacks.steps_of(tx, rollback.id)

    def permits(self, rollback: Rollback) -> list[Permit]:
        with self.store.begin() as tx:
            return rollbacks.permits_of(tx, rollback.id)

    def leases(self) -> set[str]:
        with self.store.begin() as tx:
            return leases.held(tx, now=self.time.now)

    def verdicts(self) -> list[str]:
        with self.store.begin() as tx:
            return list(tx.scalars(decisions.select().with_only_columns(decisions.c.verdict).order_by(decisions.c.id)))

    def guards(self, name: str) -> list[Mapping[str, Any]]:
        """What a guard has said in each decision, oldest first."""
        with self.store.begin() as tx:
            told = tx.scalars(decisions.select().with_only_columns(decisions.c.guards).order_by(decisions.c.id))
            return [guard for each in told for guard in each if guard["guard"] == name]

    def untold(self) -> bool:
        """Does anything wait to be delivered?"""
        with self.store.begin() as tx:
            return bool(outbox_store.backlog(tx))

    def told(self) -> list[dict[str, Any]]:
        """The events in the outbox, oldest first."""
        with self.store.begin() as tx:
            return list(tx.scalars(outbox.select().with_only_columns(outbox.c.payload).order_by(outbox.c.id)))


@contextmanager
def simulated_scene(folder: Path, **changes: Any) -> Iterator[SimulatedScene]:
    made = SimulatedScene(folder, **changes)
    try:
        yield made
    finally:
        made.close()
