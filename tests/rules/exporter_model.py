"""A modelled exporter: what Prometheus scrapes from it, written as promtool's input series.

Polls once a minute, leaves out what has not settled, is scraped every 15 seconds, and fails in the ways in which
exporters fail. Its own arithmetic is the product's (`genesys.evidence`); its polling is written anew. All times are
seconds since the start of the test; buckets before 0 exist, so that the windows are full from the start.
"""

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from genesys.evidence import WINDOWS, Tally, breach_minutes, total, window_of

BUCKET_S = 60
POLL_S = 60
POLL_DURATION_S = 2  # so a poll at :00 shows in the scrape at :15
SCRAPE_S = 15
STALE_AFTER_S = 180
LONG_WINDOWS = ("15m", "60m")  # of a signal that does not act the exporter gives only these,
LEAST_BREACHED = 6  # and nothing while the hour has fewer bad minutes, unless it is `error_exit`

Calls = Callable[[str, int], Tally]
"""What one version of a flow has in the bucket that starts at a time."""


def calls(volume: int, errors: int) -> Tally:
    return Tally(errors=errors, entries=volume, exits=volume)


def steadily(by_version: Mapping[str, Tally]) -> Calls:
    """The same calls in every bucket; nothing for a version that is not named."""
    return lambda version, _: by_version.get(version, Tally())


@dataclass(frozen=True)
class Flow:
    """A flow with its publications (time → version); `draining` is what versions have that are not live (any more)."""

    publishes: Mapping[float, str]
    calls: Calls
    draining: Calls = field(default=lambda version, start: Tally())
    flow_id: str = "f1"
    org: str = "retail"
    threshold_ratio: float | None = 0.05  # without one, as of a relative signal with an unknown past, nothing is told
    baseline_ratio: float | None = 0.01
    scatter: float | None = 1.0
    acts: bool = True
    signal: str = "error_exit"

    def published(self, at: float) -> float:
        """When the version that is live at a time was published."""
        return max(moment for moment in self.publishes if moment <= at)

    def is_told(self, breached: int) -> bool:
        """Whether the exporter tells the signal, of a version with so many bad minutes in the hour."""
        return self.acts or self.signal == "error_exit" or breached >= LEAST_BREACHED

    def tallies(self, version: str, starts: Iterable[int]) -> dict[int, Tally]:
        """By bucket start; a bucket belongs to the version that is live when it starts."""
        return {
            start: (self.calls if self.publishes[self.published(start)] == version else self.draining)(version, start)
            for start in starts
        }


@dataclass(frozen=True)
class Exporter:
    """An exporter that has been running for a day; what is in `failed_polls` and `missed_scrapes` goes wrong."""

    instance: str = "a"
    poll_second: int = 0  # of each minute
    failed_polls: Container[float] = ()
    missed_scrapes: Container[float] = ()
    frozen_from: float = math.inf  # the poll loop hangs from here on; the last page is served for ever
    settle_s: int = 60
    sees: Sequence[Flow] | None = None  # other answers or another configuration than the test's flows
    spoilt: Mapping[str, float] = field(default_factory=dict)  # metric → what it shows instead of its values
    target_org: str | None = None  # a target label `org`, without honor_labels: ours becomes `exported_org`

    def page(self, flows: Sequence[Flow], at: float) -> dict[str, float]:
        """Series and values that a scrape gets."""
        target = f'job="genesys-exporter",instance="{self.instance}"'
        if at in self.missed_scrapes:
            return {f"up{{{target}}}": 0}
        newest = self._newest_poll(at)
        last_try = self._last_try(at)
        samples = {f"up{{{target}}}": 1.0}
        for flow in flows if self.sees is None else self.sees:
            organization = f'{target},org="{flow.org}"'
            samples[f"genesys_up{{{organization}}}"] = float(newest == last_try)
            if last_try - newest < STALE_AFTER_S:
                samples |= self._flow_samples(flow, organization, newest)
        return {self._stored(series): self._shown(series, value) for series, value in samples.items()}

    def _stored(self, series: str) -> str:
        if self.target_org is None:
            return series
        labels = series.replace(',org="', ',exported_org="').removesuffix("}")
        return f'{labels},org="{self.target_org}"}}'

    def _shown(self, series: str, value: float) -> float:
        return self.spoilt.get(series.partition("{")[0], value)

    def _last_try(self, at: float) -> int:
        until = min(at - POLL_DURATION_S, self.frozen_from)
        return math.floor((until - self.poll_second) / POLL_S) * POLL_S + self.poll_second

    def _newest_poll(self, at: float) -> int:
        poll = self._last_try(at)
        while poll in self.failed_polls:
            poll -= POLL_S
        return poll

    def _since(self, flow: Flow, poll: int) -> float:
        """The publication, or the poll that saw it if that was later; the first publication is older than we are."""
        published = flow.published(poll)
        if published == min(flow.publishes):
            return published
        seen = math.ceil((published - self.poll_second) / POLL_S) * POLL_S + self.poll_second
        while seen in self.failed_polls:
            seen += POLL_S
        return max(published, seen)

    def _flow_samples(self, flow: Flow, organization: str, poll: int) -> dict[str, float]:
        end = (poll - self.settle_s) // BUCKET_S * BUCKET_S
        live = flow.publishes[flow.published(poll)]
        since = self._since(flow, poll)
        of_flow = f'{organization},flow_id="{flow.flow_id}"'
        of_signal = f'{of_flow},signal="{flow.signal}"'
        samples: dict[str, float] = {
            f"genesys_data_end_timestamp_seconds{{{organization}}}": end,
            f'genesys_flow_info{{{of_flow},flow_name="Main IVR"}}': 1,
            f'genesys_flow_live_since_timestamp_seconds{{{of_flow},flow_version="{live}"}}': since,
        }
        counted: dict[str, float] = {}
        for version in sorted(set(flow.publishes.values())):
            counted_from = since if version == live else -math.inf
            starts = [start for start in range(end - 60 * BUCKET_S, end, BUCKET_S) if start >= counted_from]
            tallies = flow.tallies(version, starts)
            hour = window_of(tallies, end=end, bucket_s=BUCKET_S, buckets=60).values()
            if not flow.is_told(breach_minutes(hour, flow.threshold_ratio or math.inf)):
                continue
            for window in WINDOWS if flow.acts else LONG_WINDOWS:
                inside = window_of(tallies, end=end, bucket_s=BUCKET_S, buckets=WINDOWS[window]).values()
                found = total(inside)
                if flow.threshold_ratio is not None and (found.volume or version == live):
                    labels = f'{{{of_signal},flow_version="{version}",window="{window}"}}'
                    counted[f"genesys_flow_errors{labels}"] = found.errors
                    counted[f"genesys_flow_volume{labels}"] = found.volume
                    counted[f"genesys_flow_breach_minutes{labels}"] = breach_minutes(inside, flow.threshold_ratio)
        if not counted and not flow.is_told(0):
            return samples
        samples[f"genesys_flow_signal_acts{{{of_signal}}}"] = float(flow.acts)
        if flow.baseline_ratio is not None:
            samples[f"genesys_flow_baseline_ratio{{{of_signal}}}"] = flow.baseline_ratio
        if flow.scatter is not None:
            samples[f"genesys_flow_scatter_ratio{{{of_signal}}}"] = flow.scatter
        if flow.threshold_ratio is not None:
            samples[f"genesys_flow_threshold_ratio{{{of_signal}}}"] = flow.threshold_ratio
        return samples | counted


def input_series(exporters: Sequence[Exporter], flows: Sequence[Flow], *, until_s: int) -> list[dict[str, str]]:
    """promtool's `input_series` at SCRAPE_S; a series that is gone from a scrape gets a stale marker, as it would."""
    values: dict[str, list[str]] = {}
    for number, at in enumerate(range(0, until_s + 1, SCRAPE_S)):
        scraped = {series: value for exporter in exporters for series, value in exporter.page(flows, at).items()}
        for series in values.keys() | scraped.keys():
            column = values.setdefault(series, ["_"] * number)
            gone = "_" if not column or column[-1] in {"_", "stale"} else "stale"
            column.append(repr(float(scraped[series])) if series in scraped else gone)
    return [{"series": series, "values": " ".join(column)} for series, column in sorted(values.items())]
