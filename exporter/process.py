"""What this process counts about itself while it lives: its calls to Genesys Cloud and the corrections it saw."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric as Family

from exporter import metrics
from genesys.budget import PutOff
from genesys.dialect import Call, Observer

# Up to the default timeout and beyond it, for those who raise it.
CALL_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# A bucket is first seen when it is as old as `settle_s`, so none younger than a poll or two can be revised.
REVISION_BUCKETS_S = (60.0, 90.0, 120.0, 180.0, 240.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)


class ProcessMetrics:
    """Counters of one process, in a registry of their own; safe to be shared by threads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            metrics.API_REQUESTS.name.removesuffix("_total"),
            metrics.API_REQUESTS.help,
            metrics.API_REQUESTS.labels,
            registry=self._registry,
        )
        self._put_off = Counter(
            metrics.POLLS_PUT_OFF.name.removesuffix("_total"),
            metrics.POLLS_PUT_OFF.help,
            metrics.POLLS_PUT_OFF.labels,
            registry=self._registry,
        )
        self._durations = self._histogram(metrics.API_REQUEST_DURATION, CALL_BUCKETS_S)
        self._revision_ages = self._histogram(metrics.BUCKET_REVISION_AGE, REVISION_BUCKETS_S)

    def _histogram(self, metric: metrics.Metric, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(metric.name, metric.help, metric.labels, buckets=buckets, registry=self._registry)

    def observer(self, org: str) -> Observer:
        """What the organization's connection tells its calls to; what it counts besides is there at 0."""
        self._put_off.labels(org)

        def observe(call: Call) -> None:
            self._requests.labels(org, call.endpoint, call.code).inc()
            self._durations.labels(org, call.endpoint).observe(call.duration_s)

        return observe

    def count_put_off(self, org: str, put_off_s: PutOff, what: str) -> float:
        """What the budget says; counted where something has to wait."""
        wait_s = put_off_s(what)
        if wait_s:
            self._put_off.labels(org).inc()
        return wait_s

    def add_revisions(self, org: str, ages_s: Iterable[float]) -> None:
        """Ages of the buckets that a poll found changed; with none, the organization's histogram is there at 0."""
        histogram = self._revision_ages.labels(org)
        for age_s in ages_s:
            histogram.observe(age_s)

    def families(self) -> list[Family]:
        """The counters as they stand, without the library's `_created` series: they are not in the catalogue."""
        families = list(self._registry.collect())
        for family in families:
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        return families
