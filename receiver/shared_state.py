"""The gauges that every receiver shares, read from the database at most every few seconds."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from genesys.log import event
from receiver import catalogue
from receiver.catalogue import Metric
from receiver.config import ReceiverSettings, Scope
from receiver.feeds.polling import is_current
from receiver.objects.standing import object_standings
from receiver.situation import Mode
from receiver.standing import standings
from receiver.store import changes, controls, decisions, feeds, leases, outbox, rollbacks, watchdog
from receiver.store.database import Store, StoreUnavailable, Transaction, clock
from receiver.store.rollbacks import Rollback, State

log = logging.getLogger(__name__)

CHANGES_S = 86400.0  # older ones are on no dashboard that people look at for a failing flow
CHANGES_SHOWN = 100  # of an organization: each is a series
MAX_AGE_S = 5.0  # several Prometheus servers may scrape; the database is asked once

Samples = Mapping[tuple[str, ...], float]
"""Value by label values, in the order of the metric's labels."""


class SharedState(Collector):
    """Collects the shared gauges, or only `genesys_rollback_store_up 0`. Safe to be shared by threads."""

    def __init__(
        self,
        store: Store,
        settings: ReceiverSettings,
        orgs: Collection[str],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Rows of organizations other than `orgs` are left out: nobody acts on them here."""
        self._store = store
        self._settings = settings
        self._orgs = tuple(orgs)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._families: list[GaugeMetricFamily] | None = None
        self._read_at = 0.0

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: whoever registers the collector must not need the database."""
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        with self._lock:
            now = self._monotonic()
            if self._families is None or now - self._read_at >= MAX_AGE_S:
                self._families, self._read_at = self._read(), now
            return self._families

    def _read(self) -> list[GaugeMetricFamily]:
        try:
            with self._store.begin() as tx:
                samples = _Reading(tx, clock(tx), self._settings, self._orgs).samples()
        except StoreUnavailable as problem:
            cure = "bring the database back; see database_url in receiver.yml"
            event(log, logging.WARNING, "shared_metrics_unread", error=problem, cure=cure)
            return [_family(catalogue.STORE_UP, {(): 0.0})]
        return [_family(catalogue.STORE_UP, {(): 1.0}), *(_family(metric, found) for metric, found in samples.items())]


def _family(metric: Metric, samples: Samples) -> GaugeMetricFamily:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples.items():
        family.add_metric(labels, value)
    return family


@dataclass(frozen=True, slots=True)
class _Reading:
    """One look at the database."""

    tx: Transaction
    now: float
    settings: ReceiverSettings
    orgs: tuple[str, ...]

    def samples(self) -> dict[Metric, Samples]:
        newest = [rollback for rollback in rollbacks.newest_of_each_flow(self.tx) if rollback.org in self.orgs]
        shown = [rollback for rollback in newest if not rollback.is_moot]
        backlog = outbox.backlog(self.tx)
        sinks = [sink.name for sink in self.settings.sinks]
        flows = standings(self.tx, self.settings, self.orgs, now=self.now)
        return {
            catalogue.LOCKOUT_ACTIVE: {_flow(rollback): self._is_locked_out(rollback) for rollback in newest},
            catalogue.PAUSED: {(org,): bool(controls.list_pauses(self.tx, org)) for org in self.orgs},
            catalogue.LAST_TIMESTAMP: {
                _flow(rollback): rollback.created_at if rollback.started_at is None else rollback.started_at
                for rollback in shown
                if rollback.state is not State.AWAITING_APPROVAL
            },
            **self._windows(),
            catalogue.LEASE_HELD: self._leases(),
            catalogue.OUTBOX_PENDING: {(sink,): backlog[sink].pending if sink in backlog else 0 for sink in sinks},
            catalogue.OUTBOX_OLDEST_AGE: {
                (sink,): max(0.0, self.now - backlog[sink].oldest_at) if sink in backlog else 0.0 for sink in sinks
            },
            catalogue.LAST_DECISION: {
                labels: at for labels, at in decisions.newest_times(self.tx).items() if labels[0] in self.orgs
            },
            catalogue.ATTEMPT_STATE: {
                (*_flow(rollback), state.value): rollback.state is state
                for rollback in shown
                for state in State
                if state is not State.OBSERVED
            },
            catalogue.ATTEMPT_AGE: {
                _flow(rollback): max(0.0, self.now - rollback.planned_at)
                for rollback in reversed(rollbacks.under_way(self.tx))  # oldest last: that is the one that counts
                if rollback.org in self.orgs and rollback.state is not State.AWAITING_APPROVAL
            },
            catalogue.ARMED: {(one.org, one.flow.id): one.armed for one in flows if one.mode is Mode.AUTO},
            catalogue.KNOWN_BAD: {(one.org, one.flow.id): 1.0 for one in flows if one.known_bad is not None},
            **self._feeds(),
            catalogue.WATCHDOG_TIMESTAMP: self._watchdog(),
            catalogue.CHANGE_TIMESTAMP: self._changes(),
            **self._objects(),
        }

    def _is_locked_out(self, rollback: Rollback) -> bool:
        scope = self.settings.lockout_scope
        started_at = rollbacks.last_start(
            self.tx,
            None if scope is Scope.ALL else rollback.org,
            rollback.object_id if scope is Scope.FLOW else None,
            shadow=False,
        )
        return started_at is not None and self.now < started_at + self.settings.timing.lockout_s

    def _windows(self) -> dict[Metric, Samples]:
        active = controls.active_windows(self.tx, now=self.now)
        whole = {window.org for window in active if not window.flow_ids}
        return {
            catalogue.MAINTENANCE_ACTIVE: {
                (window.org, flow_id): 1.0
                for window in active
                if window.org in self.orgs
                for flow_id in window.flow_ids
            },
            catalogue.ORG_MAINTENANCE_ACTIVE: {(org,): org in whole for org in self.orgs},
        }

    def _feeds(self) -> dict[Metric, Samples]:
        states = feeds.states(self.tx)
        read = {
            feed.name: states[feed.name].read_at if feed.name in states else None for feed in self.settings.feeds.all
        }
        return {
            catalogue.FEED_LAST_SUCCESS: {(name,): at for name, at in read.items() if at is not None},
            catalogue.FEED_CURRENT: {
                (feed.name,): is_current(feed, read[feed.name], self.now) for feed in self.settings.feeds.all
            },
        }

    def _changes(self) -> Samples:
        since = self.now - CHANGES_S
        return {
            (org, one.object_type, one.object_id, one.object_name, one.changed_by): one.at
            for org in self.orgs
            for one in changes.newest_of_each_object(self.tx, org, since=since, limit=CHANGES_SHOWN)
        }

    def _objects(self) -> dict[Metric, Samples]:
        found = object_standings(self.tx, self.settings, self.orgs)
        return {
            catalogue.OBJECT_INFO: {
                (*one.key, one.name, one.policy.owner): 1.0 for one in found if one.live is not None
            },
            catalogue.OBJECT_SIGNAL: {
                (*one.key, one.state.flow_id, signal.value): 1.0
                for one in found
                if one.state is not None and one.state.flow_id and one.policy.mode is not Mode.IGNORE
                for signal in one.policy.signals
            },
            catalogue.OBJECT_LIVE_SINCE: {one.key: one.live.since for one in found if one.live is not None},
            catalogue.OBJECT_READ: {
                one.key: 0.0 if one.state is None or one.state.read_at is None else one.state.read_at for one in found
            },
        }

    def _watchdog(self) -> Samples:
        seen_at = watchdog.last_seen(self.tx)
        return {} if seen_at is None else {(): seen_at}

    def _leases(self) -> Samples:
        held = leases.held(self.tx, now=self.now)
        return {(org,): f"org:{org}" in held for org in self.orgs}


def _flow(rollback: Rollback) -> tuple[str, str]:
    return rollback.org, rollback.object_id
