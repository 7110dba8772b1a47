"""A receiver before the simulated Genesys Cloud, in one process and on one clock that only a test moves.

The way is the real one: dialect `platform`, HTTP requests, the simulator's application. What was
written is counted in the simulator's request log.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from genesys.access import open_session
from genesys.http import Clock, Connection
from genesys.platform import Platform
from receiver.payload import Alert
from receiver.store import controls
from simulator.app import create_app
from simulator.scenario import Scenario, load
from simulator.simulation import Simulation
from tests.integration.receiver_world import ALERTMANAGER, DAY_S, Scene, alert_of

FLOW_ID = "ce677f29-f403-470c-adb0-8bfa6bf81d69"
URL = "http://genesys.test"
PUBLISHED_AFTER_S = 60.0  # the bad version, in the scenario
EVIDENCE_AFTER_S = 961.0  # fifteen settled minutes of it

BAD_DEPLOY = load("bad-deploy")

REPLICAS = ("", "a", "b")  # the same alert from Prometheus servers whose own label was not dropped
STOPS = ("paused", "held", "window", "silenced")


class SimulatedScene:
    """A scene whose Genesys Cloud is the simulator with a bad deployment, fifteen minutes after it."""

    def __init__(self, scene: Scene, scenario: Scenario) -> None:
        self.scene = scene
        self.time = scene.time
        simulation = Simulation(scenario, factor=1.0, seed=1, clock=lambda: self.time.now)
        self.app = create_app(simulation, scenario_name="bad-deploy", sleep=self.time.pass_)
        connection = Connection(
            transport=httpx.WSGITransport(app=self.app),
            clock=Clock(lambda: self.time.now, lambda: self.time.now, self.time.pass_, lambda: 0.5),
        )
        session = open_session(
            login_url=URL,
            client_id="simulator",
            client_secret="simulator",
            timeout_s=10.0,
            deadline_s=30.0,
            connection=connection,
        )
        self.cloud = Platform(session, api_url=URL)
        self.published_at = self.time.now + PUBLISHED_AFTER_S
        scene.clouds["retail"] = self.cloud  # type: ignore[assignment]
        self.receivers = [scene.another_receiver("receiver-1"), scene.another_receiver("receiver-2")]
        self.time.pass_(PUBLISHED_AFTER_S + EVIDENCE_AFTER_S)
        scene.alertmanager.list()

    def accusation(self, *, replica: str = "", starts_at: float | None = None, firing: bool = True) -> Alert:
        """The alert of the bad version; another `replica` has another fingerprint."""
        plain = alert_of(FLOW_ID, firing=firing, labels={"replica": replica})
        annotations = plain.annotations | {"live_since": str(self.published_at)}
        began = self.published_at + 400 if starts_at is None else starts_at
        ends_at = None if firing else began + 60
        name = f"{plain.fingerprint}{replica}"
        return replace(plain, fingerprint=name, annotations=annotations, starts_at=began, ends_at=ends_at)

    def publishes(self) -> list[str]:
        """The versions of all publishes that reached Genesys Cloud, oldest first."""
        return [one["version"] for one in self._sim("requests") if one.get("publish")]

    def live_version(self) -> str:
        (flow,) = (one for one in self._sim("state")["flows"] if one["id"] == FLOW_ID)
        version: str = flow["live_version"]
        return version

    def restart(self, position: int) -> None:
        """A new process in the place of a receiver: it remembers nothing."""
        self.receivers[position] = self.scene.another_receiver(f"receiver-{position + 1}")

    def set_stop(self, name: str, active: bool) -> None:
        """Begin or end what holds the bridge back; what is so already stays so."""
        now = self.time.now
        if name == "silenced":
            silenced = [self.accusation(replica=replica).fingerprint for replica in REPLICAS] if active else []
            self.scene.alertmanager.silenced = {fingerprint: ["s1"] for fingerprint in silenced}
            return
        with self.scene.store.begin() as tx:
            if name == "paused" and active:
                controls.pause(tx, "retail", by="ann", reason="storm", now=now)
            elif name == "paused":
                controls.resume(tx, "retail", by="ann", now=now)
            elif name == "held" and active:
                controls.hold(tx, "retail", [FLOW_ID], owner="ann", reason="x", by="ann", now=now)
            elif name == "held":
                controls.release(tx, "retail", FLOW_ID, by="ann", now=now)
            elif active:
                self._open_window(tx, now)
            else:
                for window in controls.active_windows(tx, now=now, org="retail"):
                    controls.close_window(tx, window.id, by="ann", now=now)

    def _open_window(self, tx: Any, now: float) -> None:
        controls.open_window(
            tx,
            org="retail",
            flow_ids=(),
            kind="maintenance",
            starts_at=now,
            ends_at=now + DAY_S,
            reason="x",
            owner="ann",
            created_by="ann",
            now=now,
        )

    def _sim(self, path: str) -> Any:
        return self.app.test_client().get(f"/sim/{path}").get_json()


@contextmanager
def simulated_scene(folder: Path, *, scenario: Scenario = BAD_DEPLOY, **changes: Any) -> Iterator[SimulatedScene]:
    """With an Alertmanager that can be asked, and two receivers on one database."""
    made = Scene(folder, alertmanagers=[ALERTMANAGER], **changes)
    try:
        yield SimulatedScene(made, scenario)
    finally:
        made.store.close()
