"""What /metrics serves: the last poll of each organization, until it is stale, and the process's own counters.

Pollers publish, scrapes read; neither waits for the other. A scrape puts pieces
together that were rendered before, and never calls Genesys Cloud.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family

from exporter import metrics
from exporter.exposition import Pieces, assemble, render
from exporter.process import ProcessMetrics
from genesys.dialect import RateLimit


@dataclass(frozen=True, slots=True)
class Published:
    """The outcome of an organization's last poll. `pieces` are of the last poll that succeeded, at `succeeded_at`."""

    org: str
    polled: bool = False
    up: bool = False
    succeeded_at: float | None = None
    pieces: Pieces | None = None
    rate_limit: RateLimit | None = None


class Board:
    """The newest `Published` of each organization; safe to be shared by threads."""

    def __init__(
        self, orgs: Iterable[str], process: ProcessMetrics, *, stale_after_s: float, clock: Callable[[], float]
    ) -> None:
        self._published = {org: Published(org) for org in orgs}
        self._process = process
        self._stale_after_s = stale_after_s
        self._clock = clock

    def publish(self, published: Published) -> None:
        """Replace what the organization had, at once and as a whole."""
        self._published[published.org] = published

    def last(self, org: str) -> Published:
        return self._published[org]

    def all(self) -> list[Published]:
        return list(self._published.values())

    @property
    def ready(self) -> bool:
        """Every organization has been polled, successfully or not: from now on the page tells the truth about each."""
        return all(published.polled for published in self.all())

    def page(self) -> bytes:
        """The whole page. Samples older than `stale_after_s` are left out: an absent series accuses nobody."""
        published, now = self.all(), self._clock()
        fresh = [
            each.pieces
            for each in published
            if each.pieces is not None
            and each.succeeded_at is not None
            and now - each.succeeded_at <= self._stale_after_s
        ]
        own = render([*_poll_families(published), *self._process.families()])
        return assemble(metrics.CATALOGUE.values(), [*fresh, own])


def _poll_families(published: Iterable[Published]) -> list[Family]:
    up, allowed, used = (
        GaugeMetricFamily(metric.name, metric.help, labels=metric.labels) for metric in metrics.POLL_METRICS
    )
    for each in published:
        up.add_metric([each.org], each.up)
        if each.rate_limit is not None:
            allowed.add_metric([each.org], each.rate_limit.allowed)
            used.add_metric([each.org], each.rate_limit.used)
    return [up, allowed, used]
