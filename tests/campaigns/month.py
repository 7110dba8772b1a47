"""Weeks of a receiver's life in minutes: every day the same incidents at the same hours, and what is left of them.

The receiver is put together as the program does it, with its door, its workers, its listings, its ledger and its
deliveries; only Genesys Cloud, Alertmanager and the sinks are in memory, and the host's clock is moved by the test.
"""

import gc
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from genesys.organizations import Organization
from receiver.catalogue import ATTEMPTS
from receiver.ledger import Ledger
from receiver.metrics import ReceiverMetrics
from receiver.notify.delivery import Deliverer
from receiver.notify.sinks import sinks_of
from receiver.outbound import Outbound, OutboundError
from receiver.payload import Alert
from receiver.roster import Roster
from receiver.store import rollbacks
from receiver.store.database import Store
from receiver.store.rollbacks import LEASED, State
from receiver.store.schema import metadata
from receiver.tools import put_together
from receiver.web import create_app
from receiver.worker import Worker
from tests.integration.receiver_world import (
    ALERTMANAGER,
    BAD_PUBLISH_AT,
    DAY_S,
    AlertmanagerInMemory,
    FlowInGenesys,
    GenesysInMemory,
    Time,
    alert_of,
)
from tests.receiver_world import TOKENS, opened, organizations_of, settings_of

HOUR_S = 3600.0
REPEAT_S = 300.0  # Alertmanager's repeat_interval
SLOW_S = 600.0  # between two looks at what is due every ten minutes or more
LOOK_S = 3600.0  # between two scrapes
PUBLISHING_S, VERIFYING_S = 10.0, 30.0  # between two rounds while a rollback is at work
ACTING = [f"retail-{number}" for number in range(7)]
OBSERVED = [f"retail-{number}" for number in range(7, 10)]
FLOWS = {"retail": [*ACTING, *OBSERVED], "bank": ["bank-0", "bank-1", "bank-2"]}


@dataclass(frozen=True)
class Left:
    """What is there at the end of a day."""

    day: int
    rows: Mapping[str, int]  # by table
    resident_bytes: int
    objects: int  # that Python's collector knows of


class Sinks:
    """Whom people are told through; every tenth delivery fails."""

    def __init__(self) -> None:
        self.tries = 0
        self.told: Counter[str] = Counter()  # deliveries by incident type

    def post_json(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self.tries += 1
        if self.tries % 10 == 0:
            raise OutboundError("pager answered HTTP 503")
        self.told[body["incident_type"]] += 1


class Month:
    """One receiver from its first day on."""

    def __init__(self, folder: Path, *, keep_days: float, step_s: float, round_s: float) -> None:
        """A watchdog every `step_s`, and a round of everything every `round_s` while nothing is at work."""
        self.time = Time(BAD_PUBLISH_AT)
        self.step_s = step_s
        self.round_s = round_s
        self.deliveries = 0
        self.organizations = organizations_of(folder, list(FLOWS))
        self.workers: list[Worker] = []
        self.beside: list[Callable[[], object]] = []
        self.alertmanager = AlertmanagerInMemory()
        self.alertmanager.list()
        self.watchdog_arrives = True
        self.clouds = {
            org: GenesysInMemory(self.time, *[_flow(flow_id) for flow_id in ids]) for org, ids in FLOWS.items()
        }
        self.sinks = Sinks()
        self.settings = settings_of(
            folder,
            flows=[
                *({"match": {"id": flow_id}, "mode": "observe"} for flow_id in OBSERVED),
                {"match": "*", "mode": "auto"},
            ],
            alertmanagers=[ALERTMANAGER],
            webhooks=[{"name": name, "url": f"http://{name}:9/"} for name in ("pager", "chat")],
            timing={
                "retention_s": keep_days * DAY_S,
                "ledger_keep_s": keep_days * DAY_S,
                "budget_s": min(1.0, keep_days) * DAY_S,  # rollbacks are kept for as long at least
            },
        )
        self._told_at: dict[str, float] = {}  # when Alertmanager last delivered a firing alert, by fingerprint
        self._versions = 2

    def begin(self, store: Store) -> None:
        """Put the receiver together on its database, as `Process` does."""
        self.store = store
        settings, orgs = self.settings, list(FLOWS)
        self.metrics = ReceiverMetrics(store, settings, orgs, monotonic=self._monotonic)
        for organization in self.organizations:
            self._serve(organization, orgs)
        self.deliverer = Deliverer(store, sinks_of(settings, self.sinks), self.metrics, settings.timing)
        self.client = create_app(store, settings, orgs, self.metrics, lambda: ()).test_client()

    def _serve(self, organization: Organization, orgs: Sequence[str]) -> None:
        org, store, timing = organization.name, self.store, self.settings.timing
        credentials = partial(self.metrics.credentials, org)
        ledger = Ledger(org, store, self.clouds[org], organization.analytics, timing, credentials=credentials)
        roster = Roster(org, store, self.clouds[org], timing, credentials=credentials)
        tools = put_together(
            organization,
            orgs,
            self.settings,
            store=store,
            genesys=self.clouds[org],
            http=cast(Outbound, self.alertmanager),
            metrics=self.metrics,
            receiver="receiver-1",
            note_versions=ledger.note_versions,
        )
        tools = replace(tools, monotonic=self._monotonic)
        self.workers.append(Worker(org, tools, responsible_for_strangers=orgs if org == orgs[0] else ()))
        self.beside += [ledger.keep_stints, ledger.read_if_due, roster.list_if_due]

    def _monotonic(self) -> float:
        return self.time.now

    # What happens around it

    def fire(self, alert: Alert) -> None:
        """From now on; each firing has its own start."""
        self.alertmanager.firing[alert.fingerprint] = replace(alert, starts_at=self.time.now)

    def end(self, *alerts: Alert) -> None:
        for alert in alerts:
            firing = self.alertmanager.firing.pop(alert.fingerprint, None)
            self._told_at.pop(alert.fingerprint, None)
            if firing is not None:
                self._deliver(replace(firing, firing=False, ends_at=self.time.now))

    def accusation(self, org: str, flow_id: str) -> Alert:
        """The alert of the version that is live."""
        return alert_of(flow_id, org, self.flow(org, flow_id).live)

    def flow(self, org: str, flow_id: str) -> FlowInGenesys:
        return self.clouds[org].of(flow_id)

    def publish(self, org: str, flow_id: str, *, error_ratio: float = 0.0) -> None:
        """The pipeline brings a version that nobody has seen."""
        self._versions += 1
        version = f"{self._versions}.0"
        self.flow(org, flow_id).error_ratio = {version: error_ratio}
        self.clouds[org].make_live(version, flow_id)

    def order(self, method: str, path: str, **body: Any) -> Any:
        """What somebody on call asks of the receiver."""
        headers = {"Authorization": f"Bearer {TOKENS['operator']}"}
        answer = self.client.open(f"/api/v1/{path}", method=method, json=body or None, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.get_json(silent=True)

    def ended(self) -> dict[State, int]:
        """How many rollbacks have ended since the first day, by their end; retention does not touch the count."""
        (family,) = (one for one in self.metrics.collect() if f"{one.name}_total" == ATTEMPTS.name)
        return {State(one.labels["state"]): int(one.value) for one in family.samples if one.value}

    def _deliver(self, *told: Alert) -> None:
        headers = {"Authorization": f"Bearer {TOKENS['alertmanager']}"}
        body = {"version": "4", "alerts": [_as_told(alert) for alert in told]}
        assert self.client.post("/api/v1/alerts", json=body, headers=headers).status_code == 202
        self.deliveries += 1

    # What passes

    def pass_(self) -> None:
        """One step of time: what Alertmanager delivers, and a round of everything; more while a rollback is at work."""
        now = self.time.now
        due = [one for name, one in self.alertmanager.firing.items() if now - self._told_at.get(name, 0.0) >= REPEAT_S]
        self._told_at |= {one.fingerprint: now for one in due}
        self.alertmanager.watchdog = self.watchdog_arrives
        watchdog = [_WATCHDOG] if self.watchdog_arrives else []
        for told in (due, watchdog):
            if told:
                self._deliver(*told)
        if now % SLOW_S == 0:
            for one in self.beside:
                one()
        if now % LOOK_S == 0:
            assert self.client.get("/metrics").status_code == 200
        if now % self.round_s == 0:
            self._rounds(now + self.step_s)
            self.deliverer.deliver_due()
            self.alertmanager.asked.clear()
        self.time.now = now + self.step_s

    def _rounds(self, until: float) -> None:
        while self.time.now < until:
            for worker in self.workers:
                worker.tick()
            at_work = self.store.transact(rollbacks.under_way)
            if not at_work:
                return
            self.time.pass_(PUBLISHING_S if any(one.state in LEASED for one in at_work) else VERIFYING_S)

    def left(self, day: int) -> Left:
        gc.collect()
        with self.store.begin() as tx:
            rows = {
                table.name: tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for table in metadata.sorted_tables
            }
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return Left(day, rows, pages * os.sysconf("SC_PAGE_SIZE"), len(gc.get_objects()))


_WATCHDOG = replace(alert_of(labels={"genesys_action": "watchdog"}), fingerprint="fp-watchdog")


def _flow(flow_id: str) -> FlowInGenesys:
    past = [(BAD_PUBLISH_AT - 40 * DAY_S, "1.0"), (BAD_PUBLISH_AT - 20 * DAY_S, "2.0")]
    return FlowInGenesys(flow_id, timeline=past, error_ratio={})


def _as_told(alert: Alert) -> dict[str, Any]:
    ends_at = "0001-01-01T00:00:00Z" if alert.ends_at is None else shown(alert.ends_at)
    return {
        "status": "firing" if alert.firing else "resolved",
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": shown(alert.starts_at),
        "endsAt": ends_at,
        "fingerprint": alert.fingerprint,
    }


def shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


@contextmanager
def month(folder: Path, *, keep_days: float, step_s: float, round_s: float) -> Iterator[Month]:
    """A receiver on its first day; every clock in the process shows the month's time."""
    made = Month(folder, keep_days=keep_days, step_s=step_s, round_s=round_s)
    with pytest.MonkeyPatch.context() as world, opened(made.settings) as store:
        world.setattr(time, "time", lambda: made.time.now)
        made.begin(store)
        yield made
