"""Each flow's own earlier ratio and scatter, read from Genesys Cloud's history now and then.

It exists on the first day and does not depend on Prometheus' retention. A failed
read is no reason to forget them, nor is one that leaves a signal out: they change
slowly.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from itertools import islice
from math import ceil

from exporter.live import LiveVersion, LiveVersions
from exporter.snapshot import Baselines, Shares
from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError
from genesys.evidence import EVERY_SIGNAL, Evidence, Outcomes, Signal
from genesys.history import Baseline, baseline_of
from genesys.log import event
from genesys.organizations import Analytics
from genesys.routing import EarlierShares, KnownShares

log = logging.getLogger(__name__)

RETRY_PARTS = 12  # of the interval: after a failure the next try comes in five minutes by default
KEPT_INTERVALS = 24  # a day by default: so old a ratio may be that of another design of the flow
# The shares of 5,000 flows take up to a hundred seconds of CPU: as much as that is not taken from one poll. But they
# are all counted long before the next history comes.
SHARES_PER_REFRESH, SHARES_PARTS = 250, 12


class BaselineKeeper:
    """The baselines of one organization. For one thread."""

    def __init__(
        self,
        org: str,
        cloud: GenesysCloud,
        analytics: Analytics,
        *,
        interval_s: float,
        signals: Iterable[Signal] = EVERY_SIGNAL,
    ) -> None:
        """`signals` are those that anybody watches."""
        self._signals = frozenset(signals)
        self._org = org
        self._cloud = cloud
        self._analytics = analytics
        self._interval_s = interval_s
        self._known: Baselines = {}
        self._shares: Shares = {}
        self._told_at: dict[Signal, float] = {}  # when the history last told it
        self._counting: Iterator[tuple[str, KnownShares]] = iter(())
        self._counted_at_once = SHARES_PER_REFRESH
        self._left_out: Set[Signal] = frozenset()
        self._due_at: float | None = None

    def baselines(self, now: float) -> Baselines:
        """What is known; nothing of a signal whose last reading is too long ago."""
        too_old = {signal for signal in self._told_at if not self._is_known(signal, now)}
        for signal in too_old:
            del self._told_at[signal]
        if too_old:
            self._known = {key: found for key, found in self._known.items() if key[1] not in too_old}
        return self._known

    def shares(self, now: float) -> Shares:
        """The same of transfer targets."""
        return self._shares if self._is_known(Signal.ROUTING_SHIFT, now) else {}

    def _is_known(self, signal: Signal, now: float) -> bool:
        told_at = self._told_at.get(signal)
        return told_at is not None and now - told_at <= KEPT_INTERVALS * self._interval_s

    def refresh(self, live: LiveVersions, now: float, told: Set[Signal] = frozenset()) -> bool:
        """Read the history if it is time to; says whether anything is new. A failure is logged.

        A flow that changes its live version keeps its baseline until the next read.
        Of the signals that a poll has `told` a history should tell too: one that
        does not is read again soon, once, and until then what was known stays.
        """
        if self._due_at is None or now >= self._due_at:
            return self._read(live, now, told)
        return self._count_shares()

    def _read(self, live: LiveVersions, now: float, told: Set[Signal]) -> bool:
        end = self._analytics.history_end(now)
        start = end - self._analytics.history_s
        soon = now + self._interval_s / RETRY_PARTS
        try:
            history = self._cloud.evidence(start, end, bucket_s=self._analytics.history_bucket_s)
        except GenesysError as error:
            self._due_at = soon
            cure = "nothing if it passes; without a baseline the configured thresholds apply"
            event(log, logging.WARNING, "baseline_not_read", org=self._org, error=error, cure=cure)
            return False
        left_out = (told & self._signals) - history.signals
        self._due_at = soon if left_out - self._left_out else now + self._interval_s
        self._left_out = left_out
        kept = {key: found for key, found in self.baselines(now).items() if key[1] not in history.signals}
        self._known = kept | baselines(history, live, self._signals)
        if Signal.ROUTING_SHIFT in self._signals & history.signals:
            # Of a flow that the history does not know any more nothing is known.
            told_of = {flow_id for flow_id, _ in history.outcomes} & live.keys()
            before = self.shares(now)
            self._shares = {flow_id: known for flow_id, known in before.items() if flow_id in told_of}
            self._counting = shares(history, live)
            self._counted_at_once = max(SHARES_PER_REFRESH, ceil(len(told_of) / SHARES_PARTS))
        self._told_at |= dict.fromkeys(self._signals & history.signals, now)
        self._count_shares()
        return True

    def _count_shares(self) -> bool:
        """Some of those that the last history has yet to tell; the others are what they were before."""
        counted = dict(islice(self._counting, self._counted_at_once))
        self._shares = {**self._shares, **counted}
        return bool(counted)


def baselines(
    history: Evidence, live: LiveVersions, signals: Iterable[Signal] = EVERY_SIGNAL
) -> dict[tuple[str, Signal], Baseline]:
    """The baselines of all flows that have a live version and enough of a past."""
    known: dict[tuple[str, Signal], Baseline] = {}
    for flow_id, now, own in _by_live_flow(history, live):
        for signal in history.signals.intersection(signals):
            baseline = baseline_of(own, flow_id=flow_id, live_version=now.version, live_since=now.since, signal=signal)
            if baseline.ratio is not None:
                known[flow_id, signal] = baseline
    return known


def shares(history: Evidence, live: LiveVersions) -> Iterator[tuple[str, KnownShares]]:
    """What of the same flows went to each transfer target, flow by flow; counted when asked for."""
    return (
        (flow_id, KnownShares.of_history(EarlierShares(own, flow_id, now.version, now.since)))
        for flow_id, now, own in _by_live_flow(history, live)
    )


def _by_live_flow(history: Evidence, live: LiveVersions) -> Iterator[tuple[str, LiveVersion, Evidence]]:
    """Each flow that has a live version, with its own part of the history: each look at its versions is short."""
    by_flow: dict[str, dict[tuple[str, str], Mapping[int, Outcomes]]] = {}
    for key, buckets in history.outcomes.items():
        by_flow.setdefault(key[0], {})[key] = buckets
    for flow_id, outcomes in by_flow.items():
        if flow_id in live:
            yield flow_id, live[flow_id], replace(history, outcomes=outcomes)
