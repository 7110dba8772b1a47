"""What this process counts, and the page that shows it together with the shared state."""

import time
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from receiver.catalogue import (
    ALERTS_RECEIVED,
    ATTEMPTS,
    CREDENTIALS_READY,
    DECISIONS,
    DURATION,
    NOTIFICATIONS,
    STEP_DURATION,
    WORKER_LAST_TICK,
    Metric,
)
from receiver.config import ReceiverSettings
from receiver.policy import Verdict
from receiver.shared_state import SharedState
from receiver.store.database import Store
from receiver.store.rollbacks import ENDS, State

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# A publish takes seconds (voice) to minutes (bots); verification waits for conversations, half an hour at most.
BUCKETS_S = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0)


class Outcome(StrEnum):
    """What became of what `POST /alerts` was given; the first four count alerts, the others requests."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # an alert that was known already
    WATCHDOG = "watchdog"  # the alert that always fires: only its time is kept
    RECONCILED = "reconciled"  # opened from Alertmanager's list: no webhook has told of it
    MALFORMED = "malformed"  # 400
    UNAUTHORIZED = "unauthorized"  # 401, or 403: a token without the role
    TOO_LARGE = "too_large"  # 413
    NOT_STORED = "not_stored"  # 503 or 500: Alertmanager sends it again


class Sending(StrEnum):
    """What became of one try to deliver a notification."""

    DELIVERED = "delivered"
    FAILED = "failed"  # it is tried again
    REFUSED = "refused"  # it is not: the sink will never take it


class Step(StrEnum):
    """The parts of a rollback that take time."""

    CONFIRM = "confirm"  # from the first permit to publish until the target is read back as live
    VERIFY = "verify"  # from there to the verdict over the target


class ReceiverMetrics:
    """The metrics of one receiver, in a registry of their own. Safe to be shared by threads.

    Every label value that is known beforehand is there from the start, so that each rate begins at 0.
    """

    def __init__(
        self,
        store: Store,
        settings: ReceiverSettings,
        orgs: Collection[str],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`store` is read at a scrape, see `shared_state`; `orgs` are the configured organizations."""
        self._registry = registry = CollectorRegistry()
        self._received = _counter(ALERTS_RECEIVED, registry)
        self._decisions = _counter(DECISIONS, registry)
        self._attempts = _counter(ATTEMPTS, registry)
        self._notifications = _counter(NOTIFICATIONS, registry)
        self._duration = Histogram(DURATION.name, DURATION.help, buckets=BUCKETS_S, registry=registry)
        self._step = Histogram(
            STEP_DURATION.name, STEP_DURATION.help, STEP_DURATION.labels, buckets=BUCKETS_S, registry=registry
        )
        self._credentials = Gauge(
            CREDENTIALS_READY.name, CREDENTIALS_READY.help, CREDENTIALS_READY.labels, registry=registry
        )
        self._last_tick = Gauge(
            WORKER_LAST_TICK.name, WORKER_LAST_TICK.help, WORKER_LAST_TICK.labels, registry=registry
        )
        registry.register(SharedState(store, settings, orgs, monotonic=monotonic))
        self._begin_at_zero(sink.name for sink in settings.sinks)

    def _begin_at_zero(self, sinks: Iterable[str]) -> None:
        for outcome in Outcome:
            self._received.labels(outcome.value)
        for verdict in Verdict:
            self._decisions.labels(verdict.value)
        for state in ENDS:
            self._attempts.labels(state.value)
        for step in Step:
            self._step.labels(step.value)
        for sink in sinks:
            for result in Sending:
                self._notifications.labels(sink, result.value)

    def received(self, outcome: Outcome, count: int = 1) -> None:
        """Alerts stored or known, or one rejected request."""
        self._received.labels(outcome.value).inc(count)

    def decided(self, verdict: Verdict) -> None:
        self._decisions.labels(verdict.value).inc()

    def ended(self, state: State, duration_s: float) -> None:
        """A rollback reached `state`, its end, `duration_s` after it was planned."""
        self._attempts.labels(state.value).inc()
        self._duration.observe(duration_s)

    def step(self, step: Step, duration_s: float) -> None:
        self._step.labels(step.value).observe(duration_s)

    def sent(self, sink: str, result: Sending) -> None:
        """One try to deliver a notification has ended."""
        self._notifications.labels(sink, result.value).inc()

    def tick(self, org: str, at: float) -> None:
        """The worker finished a round for the organization at `at` (Unix seconds)."""
        self._last_tick.labels(org).set(at)

    def credentials(self, org: str, ready: bool) -> None:
        """Genesys Cloud accepted or refused the organization's OAuth client."""
        self._credentials.labels(org).set(ready)

    def collect(self) -> list[Family]:
        """Every sample as it stands, without the library's `_created` series: they are not in the catalogue."""
        families = list(self._registry.collect())
        for family in families:
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        return families

    def page(self) -> bytes:
        """What `/metrics` answers, in the format that CONTENT_TYPE names."""
        return generate_latest(_Page(self.collect()))


class _Page(Collector):
    """Samples that have been collected already."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> list[Family]:
        return self._families


def _counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    return Counter(metric.name, metric.help, metric.labels, registry=registry)
