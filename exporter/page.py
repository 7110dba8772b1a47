"""What /metrics serves: the last poll of each organization, until it is stale, and the process's own counters.

Pollers publish, scrapes read; neither waits for the other. A scrape puts pieces
together that were rendered and compressed before, and never calls Genesys Cloud.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import is_not

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family

from exporter import metrics
from exporter.compression import Beginning, Piece, begin, compressed
from exporter.exposition import OPENMETRICS_END, Format, Lines, assemble, header, render_families
from exporter.process import ProcessMetrics
from genesys.dialect import RateLimit

Pieces = Mapping[str, Piece]
"""An organization's sample lines by metric name, without HELP and TYPE."""

BEGUN_EVERY_S = 1.0  # at most: with 200 organizations a page has 40 MB, and each of them publishes

_HEADERS = {metric.name: compressed(header(metric)) for metric in metrics.SNAPSHOT_METRICS}


def prepared(lines: Lines) -> dict[str, Piece]:
    """Lines as a page needs them; compressing takes most of a tenth of a second at 5,000 flows."""
    return {name: compressed(text) for name, text in lines.items()}


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to a scrape: what pollers had found, and what this process counts."""

    beginning: Beginning
    own: bytes

    def plain(self) -> list[bytes]:
        return [*self.beginning.plain, self.own]

    def gzipped(self) -> list[bytes]:
        return self.beginning.ended(self.own)


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
        self._begun: tuple[list[Pieces], Beginning | None] = ([], None)
        self._begun_at = -math.inf

    def publish(self, published: Published) -> None:
        """Replace what the organization had, at once and as a whole."""
        self._published[published.org] = published
        if not 0 <= self._clock() - self._begun_at < BEGUN_EVERY_S:
            self._beginning(self.all())  # here, and not in the next scrape

    def last(self, org: str) -> Published:
        return self._published[org]

    def all(self) -> list[Published]:
        return list(self._published.values())

    @property
    def ready(self) -> bool:
        """Every organization has been polled, successfully or not: from now on the page tells the truth about each."""
        return all(published.polled for published in self.all())

    def page(self, form: Format = Format.TEXT) -> Page:
        """The whole page. Samples older than `stale_after_s` are left out: an absent series accuses nobody."""
        published = self.all()
        own = render_families([*_poll_families(published), *self._process.families()])
        rest = assemble((*metrics.POLL_METRICS, *metrics.PROCESS_METRICS), [own], form)
        if form is Format.OPENMETRICS:
            rest.append(OPENMETRICS_END)
        return Page(self._beginning(published), b"".join(rest))

    def _beginning(self, published: Iterable[Published]) -> Beginning:
        """What the fresh samples make of a page; put together once, until another poll ends or one gets stale."""
        now = self._clock()
        fresh = [
            each.pieces
            for each in published
            if each.pieces is not None
            and each.succeeded_at is not None
            and now - each.succeeded_at <= self._stale_after_s
        ]
        known, beginning = self._begun
        if beginning is None or len(known) != len(fresh) or any(map(is_not, known, fresh)):
            beginning = begin(_pieces(fresh))
            self._begun, self._begun_at = (fresh, beginning), now
        return beginning


def _pieces(fresh: Iterable[Pieces]) -> Iterator[Piece]:
    """A gauge's HELP and TYPE are the same in both formats, and so this part of the page is."""
    for metric in metrics.SNAPSHOT_METRICS:
        yield _HEADERS[metric.name]
        yield from (pieces[metric.name] for pieces in fresh if metric.name in pieces)


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
