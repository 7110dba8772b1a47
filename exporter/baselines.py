"""Each flow's own earlier ratio, read from Genesys Cloud's history now and then.

It exists on the first day and does not depend on Prometheus' retention. A failed
read is no reason to forget the ratios: they change slowly.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from exporter.live import LiveVersions
from exporter.snapshot import Baselines
from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError
from genesys.evidence import EVERY_SIGNAL, Evidence, Outcomes, Signal
from genesys.history import baseline_ratio
from genesys.log import event
from genesys.organizations import Analytics

log = logging.getLogger(__name__)

RETRY_PARTS = 12  # of the interval: after a failure the next try comes in five minutes by default
KEPT_INTERVALS = 24  # a day by default: so old a ratio may be that of another design of the flow


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
        self._signals = tuple(signals)
        self._org = org
        self._cloud = cloud
        self._analytics = analytics
        self._interval_s = interval_s
        self._ratios: Baselines = {}
        self._read_at: float | None = None
        self._due_at: float | None = None

    def ratios(self, now: float) -> Baselines:
        """What is known; nothing when the last successful read is too long ago."""
        if self._read_at is None or now - self._read_at > KEPT_INTERVALS * self._interval_s:
            return {}
        return self._ratios

    def refresh(self, live: LiveVersions, now: float) -> bool:
        """Read the history if it is time to; says whether the ratios are new. A failure is logged.

        A flow that changes its live version keeps its ratio until the next read.
        """
        if self._due_at is not None and now < self._due_at:
            return False
        end = self._analytics.history_end(now)
        start = end - self._analytics.history_s
        try:
            history = self._cloud.evidence(start, end, bucket_s=self._analytics.history_bucket_s)
        except GenesysError as error:
            self._due_at = now + self._interval_s / RETRY_PARTS
            cure = "nothing if it passes; without a baseline the configured thresholds apply"
            event(log, logging.WARNING, "baseline_not_read", org=self._org, error=error, cure=cure)
            return False
        ratios = baselines(history, live, self._signals)
        self._ratios, self._read_at, self._due_at = ratios, now, now + self._interval_s
        return True


def baselines(
    history: Evidence, live: LiveVersions, signals: Iterable[Signal] = EVERY_SIGNAL
) -> dict[tuple[str, Signal], float]:
    """The earlier ratios of all flows that have a live version and enough of a past."""
    by_flow: dict[str, dict[tuple[str, str], Mapping[int, Outcomes]]] = {}
    for key, buckets in history.outcomes.items():
        by_flow.setdefault(key[0], {})[key] = buckets
    ratios: dict[tuple[str, Signal], float] = {}
    for flow_id, outcomes in by_flow.items():
        now = live.get(flow_id)
        if now is None:
            continue
        own = replace(history, outcomes=outcomes)  # of one flow: each look at its versions is short
        for signal in history.signals.intersection(signals):
            ratio = baseline_ratio(own, flow_id=flow_id, live_version=now.version, live_since=now.since, signal=signal)
            if ratio is not None:
                ratios[flow_id, signal] = ratio
    return ratios
