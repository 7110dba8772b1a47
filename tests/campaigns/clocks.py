"""Two bad versions, one after the other, before a receiver whose clock jumps in the middle of it.

Genesys Cloud's time is the true one. The receiver's database has the product's own clock: on SQLite that is the host's,
on PostgreSQL the server's, which is made to show the true time whatever the receiver's host believes.
"""

import time
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from receiver.config import Timing
from receiver.payload import Alert
from receiver.store import alerts, leases, watchdog
from receiver.store.database import clock
from receiver.store.rollbacks import ENDS, LEASED, Rollback, State
from simulator.request_log import Request
from tests.integration.receiver_world import ALERTMANAGER, Time, alert_of
from tests.integration.simulated_world import ACCUSED, SimulatedScene, simulated_scene

SECOND = "flow-2"
_ACCUSED = (ACCUSED, "8.0")
SECOND_ALERT_AFTER_S = 400.0  # within the lockout of the first rollback
LASTS_S = 2000.0  # both rollbacks with the lockout between them, their verification, and some quiet


class Moment(StrEnum):
    """When the clock jumps: as soon as the first rollback is there."""

    ALERTED = "before the decision"
    PLANNED = "while it is planned"
    SENDING = "between the publish and its answer"
    CONFIRMING = "while the publish is looked for"
    VERIFYING = "while the target is measured"
    LOCKOUT = "in the lockout"


_STATES = {
    Moment.PLANNED: {State.PLANNED},
    Moment.CONFIRMING: {State.PUBLISHING, State.CONFIRMING},
    Moment.VERIFYING: {State.VERIFYING},
    Moment.LOCKOUT: ENDS,
}


@dataclass(frozen=True)
class Jump:
    """So many seconds ahead (or back), of the wall clock, and of the monotonic one if it is `monotonic` too."""

    moment: Moment
    by_s: float
    monotonic: bool = False

    def __str__(self) -> str:
        return f"{self.by_s:+g} s {self.moment.value}"


@dataclass
class HostClock:
    """What the receiver's host believes, and when it jumped."""

    true: Time
    jump: Jump | None
    ahead_s: float = 0.0
    jumped_at: float | None = None  # true time

    def wall(self) -> float:
        return self.true.now + self.ahead_s

    def monotonic(self) -> float:
        return self.true.now + (self.ahead_s if self.jump is not None and self.jump.monotonic else 0.0)

    def reach(self, *moments: Moment) -> None:
        if self.jump is not None and self.jumped_at is None and self.jump.moment in moments:
            self.ahead_s, self.jumped_at = self.jump.by_s, self.true.now


class _JumpyTransport(httpx.BaseTransport):
    """Real HTTP; the answer to a publish is the moment SENDING."""

    def __init__(self, host: HostClock) -> None:
        self._host = host
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._inner.handle_request(request)
        finally:
            if request.url.path.endswith("/publish"):
                self._host.reach(Moment.SENDING)

    def close(self) -> None:
        self._inner.close()


@dataclass(frozen=True)
class Story:
    """What came of both incidents, by the simulator's log and the receiver's records."""

    rollbacks: list[Rollback]
    publishes: list[Request]
    effects: list[Request]
    requests: list[Request]
    told: list[tuple[str, str]]  # rollback id and incident type
    leases: set[str]
    jumped_at: float | None

    def short(self) -> list[tuple[Any, ...]]:
        """What must not depend on the receiver's own clock."""
        ends = [(one.object_id, one.state, one.reason, one.started_at, one.ended_at) for one in self.rollbacks]
        return [*ends, *((one.flow_id, one.version, one.at) for one in self.publishes)]


def story(folder: Path, fault: dict[str, Any] | None, jump: Jump | None, database: "Database | None" = None) -> Story:
    """Both incidents until nothing more comes of them; `fault` meets the first publish. SQLite without `database`."""
    changes = {} if database is None else {"database_url": database.url}
    with (
        simulated_scene(folder, alertmanagers=[ALERTMANAGER], **changes) as here,
        pytest.MonkeyPatch.context() as world,
    ):
        host = HostClock(here.time, jump)
        world.setattr(time, "time", host.wall)
        show = database.show if database is not None else lambda _: None
        receiver = here.receiver(transport=_JumpyTransport(host), clock=clock, monotonic=host.monotonic)
        here.alertmanager.list()
        if fault is not None:
            here.genesys.fault(fault)
        here.genesys.happen({"event": "publish", "flow": SECOND, "version": "8.0", "error_ratio": 0.5})
        began_at = here.time.now
        to_come = [(0.0, alert_of()), (SECOND_ALERT_AFTER_S, alert_of(SECOND, version="8.0"))]
        while here.time.now < began_at + LASTS_S + _longer_s(host):
            _reach(here, host)
            show(here.time.now)
            while to_come and here.time.now >= began_at + to_come[0][0]:
                _accuse(here, to_come.pop(0)[1])
            _acquit(here)
            receiver.tick()
            at_work = any(one.state in LEASED for one in here.rollbacks())
            here.time.pass_(60.0 if not at_work else 2.0 if here.time.now < began_at + 30.0 else 15.0)
        return _what_came(here, host)


def _longer_s(host: HostClock) -> float:
    """A clock that was set back keeps the second rollback waiting, and shows no conversation of its target."""
    return 0.0 if host.ahead_s >= 0 else -host.ahead_s + Timing().verify_deadline_s


def _accuse(here: SimulatedScene, alert: Alert) -> None:
    here.alertmanager.list(*here.alertmanager.firing.values(), alert)
    with here.store.begin() as tx:
        alerts.record(tx, [alert], clock(tx))


def _acquit(here: SimulatedScene) -> None:
    """An alert ends when its version is live no more."""
    over = [one for one in here.alertmanager.firing.values() if here.genesys.live(one.label("flow_id")) not in _ACCUSED]
    for alert in over:
        del here.alertmanager.firing[alert.fingerprint]
        with here.store.begin() as tx:
            alerts.record(tx, [replace(alert, firing=False, ends_at=here.time.now)], clock(tx))


def _reach(here: SimulatedScene, host: HostClock) -> None:
    found = here.rollbacks()
    host.reach(Moment.ALERTED, *(moment for moment, states in _STATES.items() if found and found[0].state in states))
    with here.store.begin() as tx:
        watchdog.arrived(tx, now=clock(tx))


def _what_came(here: SimulatedScene, host: HostClock) -> Story:
    with here.store.begin() as tx:
        held = leases.held(tx, now=clock(tx))
    told = [(one["rollback_id"], one["incident_type"]) for one in here.told() if one["rollback_id"]]
    return Story(
        here.rollbacks(),
        here.genesys.publishes(),
        here.genesys.effects(),
        here.genesys.requests(),
        told,
        held,
        host.jumped_at,
    )


_OWN_CLOCK = """
CREATE SCHEMA sim;
CREATE TABLE sim.present (at double precision);
INSERT INTO sim.present VALUES (0);
CREATE FUNCTION sim.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT to_timestamp(at) FROM sim.present';
"""


class Database:
    """A PostgreSQL database whose clock the test moves: it has a `clock_timestamp()` before the server's."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = sa.create_engine(url)
        with self._engine.begin() as tx:
            name = tx.scalar(sa.text("SELECT current_database()"))
            tx.exec_driver_sql(_OWN_CLOCK)
            tx.exec_driver_sql(f'ALTER DATABASE "{name}" SET search_path = public, sim, pg_catalog')
        self._engine.dispose()

    def show(self, moment: float) -> None:
        with self._engine.begin() as tx:
            tx.execute(sa.text("UPDATE sim.present SET at = :at"), {"at": moment})

    def close(self) -> None:
        self._engine.dispose()
