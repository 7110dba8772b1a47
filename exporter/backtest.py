"""Which publishes of the past would have been accused, and when: the alert's own test, replayed minute by minute.

Owns what is replayed: polls once a bucket, `settle`, `since`, the baseline as it was
then, the rules' `for`, and probation. Pure: `past` reads Genesys Cloud. What needs
more than one flow's figures is not replayed: common cause, locks, windows, modes,
lockout and budget can only make fewer rollbacks of what is found here.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from exporter.config import FlowPolicy
from exporter.publishes import Publish
from exporter.running_sums import RunningSums
from genesys.evidence import WINDOWS, Evidence, Signal
from genesys.excess import ACCUSING_WINDOWS, ExcessLimits, WindowFinding, find_excess, relative_threshold
from genesys.history import Baseline, baseline_of
from genesys.organizations import Analytics
from genesys.probation import Probation, ProbationLimits, judge_probation, stretches_of
from genesys.routing import EarlierShares, limits_among, turned
from genesys.transfers import OTHERS, Target

FOR_BUCKETS = 3  # `for: 3m` of GenesysFlowFailing
RULE_DELAY_BUCKETS = 0.75  # a scrape (15 s) and an evaluation (30 s) after the poll
TRAILING_BUCKETS = max(WINDOWS.values())


class Outcome(StrEnum):
    """What would have become of a publish."""

    ACCUSED = "accused"  # the alert would have asked for a rollback
    ESTABLISHED = "established"  # it failed, but only after it had left probation
    FINE = "fine"
    SILENT = "silent"  # not one conversation: nothing can be said


@dataclass(frozen=True, slots=True)
class Alert:
    """The first alert about a publish: when it would have fired, and the evidence that it would have shown."""

    signal: Signal
    fires_at: float
    data_end: int
    found: WindowFinding
    threshold_ratio: float
    baseline_ratio: float | None
    scatter: float | None
    probation: Probation
    target: Target | None = None  # that took over, of routing_shift


@dataclass(frozen=True, slots=True)
class Judged:
    """A publish and what would have become of it; an alert, where there was one."""

    publish: Publish
    outcome: Outcome
    alert: Alert | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """What one flow did: by the hour from a baseline's length before the first publish on, by the minute where needed.

    Each evidence holds this flow only.
    """

    hours: Evidence
    minutes: Evidence


def judge(publish: Publish, past: Past, policy: FlowPolicy, analytics: Analytics) -> Judged:
    """What would have become of a publish; the earliest alert of all signals that act."""
    acting = [signal for signal in Signal if signal in policy.act_on]
    trials = [trials_of(publish, past, policy, analytics, signal) for signal in acting]
    alerts = [alert for some in trials if (alert := first_alert(some)) is not None]
    asking = [alert for alert in alerts if not alert.probation.left]
    first = min(asking or alerts, key=lambda alert: alert.fires_at, default=None)
    if asking:
        return Judged(publish, Outcome.ACCUSED, first)
    if first is not None:
        return Judged(publish, Outcome.ESTABLISHED, first)
    return Judged(publish, Outcome.FINE if _has_served(publish, past) else Outcome.SILENT)


def _has_served(publish: Publish, past: Past) -> bool:
    return any(
        start + evidence.bucket_s > publish.at and start < publish.until
        for evidence in (past.hours, past.minutes)
        for start in evidence.outcomes.get((publish.flow.id, publish.version.id), {})
    )


def judged_until(publish: Publish, hours: Evidence, policy: FlowPolicy, analytics: Analytics) -> float:
    """From when on nothing could accuse the publish any more: replaced, or off probation by its hours alone.

    Judged by the smallest threshold that it can have: with a larger one it leaves probation no later.
    """
    limit = min(publish.until, publish.at + ProbationLimits().max_s)
    known = _part(hours, math.floor(publish.at - analytics.history_s), hours.end)
    ends = [
        _leaves_probation_at(publish, known, policy.least_threshold(signal), signal)
        for signal in Signal
        if signal in policy.act_on and signal is not Signal.ROUTING_SHIFT
    ]
    if Signal.ROUTING_SHIFT in policy.act_on:
        ends += _leave_probation_towards_targets(publish, known)
    return min(limit, max(ends, default=publish.at))


def _leave_probation_towards_targets(publish: Publish, hours: Evidence) -> Iterator[float]:
    """The same by the hours for each transfer target, whose threshold is what it was at the publish."""
    flow_id, version = publish.flow.id, publish.version.id
    shares = EarlierShares(hours, flow_id, version, publish.at)
    for target in hours.columns(flow_id, version).transfers:
        threshold = relative_threshold(shares.least(target))
        if threshold is not None:
            yield _leaves_probation_at(publish, turned(hours, target), threshold, Signal.ROUTING_SHIFT)


def _leaves_probation_at(publish: Publish, hours: Evidence, threshold_ratio: float, signal: Signal) -> float:
    nothing = Evidence(hours.end, hours.end, hours.bucket_s, {})
    stretches = sorted(
        stretches_of(
            hours,
            nothing,
            flow_id=publish.flow.id,
            version=publish.version.id,
            signal=signal,
            live_since=publish.at,
        ),
        key=lambda one: one.start,
    )

    def has_left(count: int) -> bool:
        first = stretches[:count]
        return judge_probation(first, live_s=0.0, threshold_ratio=threshold_ratio, limits=ProbationLimits()).left

    # Once it has left it never comes back, so that halving finds the first hour.
    count = bisect_left(range(len(stretches) + 1), True, key=has_left)
    return stretches[count - 1].start + hours.bucket_s if count <= len(stretches) else math.inf


def trials_of(publish: Publish, past: Past, policy: FlowPolicy, analytics: Analytics, signal: Signal) -> list["Trial"]:
    """One trial, or one for each transfer target: the one that is looked at is any that convicts."""
    if signal is not Signal.ROUTING_SHIFT:
        return [Trial(publish, past, policy, analytics, signal)]
    minutes = past.minutes.outcomes.get((publish.flow.id, publish.version.id), {})
    targets = {target for outcomes in minutes.values() for target in outcomes.transfers} - {OTHERS}
    return [Trial(publish, past, policy, analytics, signal, target) for target in sorted(targets, key=str)]


def first_alert(trials: Sequence["Trial"]) -> Alert | None:
    """The first time that the alert of one signal fires, whether or not the version is on probation then."""
    convicted = 0
    for end in trials[0].ends if trials else ():
        found = [(one, trial) for trial in trials if trial.may_convict(end) and (one := trial.convicts(end))]
        convicted = convicted + 1 if found else 0
        if convicted > FOR_BUCKETS:
            window, trial = max(found, key=lambda each: each[0].strength)
            return trial.alert(end, window)
    return None


class Trial:
    """One publish and one signal, of transfers one target, looked at as of the end of each minute."""

    def __init__(
        self,
        publish: Publish,
        past: Past,
        policy: FlowPolicy,
        analytics: Analytics,
        signal: Signal,
        target: Target | None = None,
    ) -> None:
        self._publish = publish
        self._past = Past(turned(past.hours, target), turned(past.minutes, target))
        self.target = target
        self._policy = policy
        self._analytics = analytics
        self._signal = signal
        self._bucket_s = past.minutes.bucket_s
        self._baselines: dict[int, Baseline] = {}
        self.tallies = self._past.minutes.tallies(publish.flow.id, publish.version.id, signal, self._first)

    @property
    def ends(self) -> range:
        """Ends of the newest settled bucket, at each poll while the version was live and could be accused."""
        last = judged_until(self._publish, self._past.hours, self._policy, self._analytics)
        return range(self._first + self._bucket_s, math.floor(last - self._analytics.settle_s) + 1, self._bucket_s)

    def convicts(self, end: int) -> WindowFinding | None:
        """The window that convicts the version by its data up to `end`."""
        since = self.since(end)
        first = max(since, end - TRAILING_BUCKETS * self._bucket_s)
        baseline = self.baseline(end)
        return find_excess(
            {start: self.tallies[start] for start in range(first, end, self._bucket_s) if start in self.tallies},
            end=end,
            bucket_s=self._bucket_s,
            threshold_ratio=self.threshold(end),
            baseline_ratio=baseline.ratio,
            scatter=baseline.scatter,
            limits=self._limits(end),
        ).convicted_by

    def _limits(self, end: int) -> ExcessLimits:
        """Those for one, or for the worst of the targets that there were in the hour."""
        if self.target is None:
            return ExcessLimits()
        mine = self._past.minutes.outcomes[self._publish.flow.id, self._publish.version.id]
        hour = range(end - TRAILING_BUCKETS * self._bucket_s, end, self._bucket_s)
        return limits_among(len({target for start in hour if start in mine for target in mine[start].transfers}))

    def may_convict(self, end: int) -> bool:
        """False only where `convicts` finds nothing, whatever the flow's own earlier ratio was.

        Nearly every minute ends here, after a few subtractions: the threshold is
        at least what it is without a past, and chance explains at least `c` errors.
        """
        since, limits = self.since(end), ExcessLimits()
        threshold = self._least_threshold if self.target is None else self.threshold(end)
        for window in ACCUSING_WINDOWS:
            counted = self._sums.between(max(since, end - WINDOWS[window] * self._bucket_s), end)
            if counted.breached >= limits.breach_minutes[window] and counted.errors > max(
                limits.c, threshold * counted.volume
            ):
                return True
        return False

    def since(self, end: int) -> int:
        """Buckets from here on count: after the publish, and after the newest start of a call on another version."""
        position = bisect_right(self._others, end - self._bucket_s)
        return max(self._first, self._others[position - 1] + self._bucket_s if position else 0)

    def baseline(self, end: int) -> Baseline:
        """The flow's own past, as the last whole hour before the poll told it."""
        hour = self._analytics.history_end(end + self._analytics.settle_s)
        if hour not in self._baselines:
            self._baselines[hour] = self._baseline(self._history(hour))
        return self._baselines[hour]

    def _baseline(self, history: Evidence) -> Baseline:
        flow_id, version = self._publish.flow.id, self._publish.version.id
        if self.target is not None:
            return EarlierShares(history, flow_id, version, self._first).of(self.target)
        return baseline_of(history, flow_id=flow_id, live_version=version, live_since=self._first, signal=self._signal)

    def threshold(self, end: int) -> float:
        """What the ratio is compared with; 1 where the signal has no threshold, because no ratio is above it."""
        baseline = self.baseline(end)
        found = self._policy.threshold_of(self._signal, baseline.ratio, baseline.spread_ratio)
        return 1.0 if found is None else found

    def alert(self, end: int, found: WindowFinding) -> Alert:
        baseline = self.baseline(end)
        return Alert(
            signal=self._signal,
            fires_at=end + self._analytics.settle_s + RULE_DELAY_BUCKETS * self._bucket_s,
            data_end=end,
            found=found,
            threshold_ratio=self.threshold(end),
            baseline_ratio=baseline.ratio,
            scatter=baseline.scatter,
            probation=self._probation(end, self.threshold(end)),
            target=self.target,
        )

    def _probation(self, end: int, threshold_ratio: float) -> Probation:
        hour = self._analytics.history_end(end + self._analytics.settle_s)
        start = end - TRAILING_BUCKETS * self._bucket_s
        since = self.since(end)
        stretches = stretches_of(
            self._history(hour),
            _part(self._past.minutes, start, end),
            flow_id=self._publish.flow.id,
            version=self._publish.version.id,
            signal=self._signal,
            live_since=since,
        )
        return judge_probation(stretches, live_s=end - since, threshold_ratio=threshold_ratio, limits=ProbationLimits())

    def _history(self, hour: int) -> Evidence:
        return _part(self._past.hours, hour - self._analytics.history_s, hour)

    @cached_property
    def _least_threshold(self) -> float:
        return self._policy.least_threshold(self._signal)

    @cached_property
    def _first(self) -> int:
        """The first minute that counts: the poll that saw the publish is as of a full minute."""
        return math.ceil(self._publish.at / self._bucket_s) * self._bucket_s

    @cached_property
    def _others(self) -> Sequence[int]:
        """Buckets since the publish in which a conversation began on another version of the flow."""
        mine = (self._publish.flow.id, self._publish.version.id)
        return sorted(
            {
                start
                for version, buckets in self._past.minutes.outcomes.items()
                if version != mine
                for start, outcomes in buckets.items()
                if outcomes.entries and start >= self._first - self._bucket_s
            }
        )

    @cached_property
    def _sums(self) -> RunningSums:
        return RunningSums(self.tallies, self._first, self._bucket_s, self._least_threshold)


def _part(evidence: Evidence, start: int, end: int) -> Evidence:
    """What lies in [start, end)."""
    parts = {
        key: {at: outcomes for at, outcomes in buckets.items() if start <= at < end}
        for key, buckets in evidence.outcomes.items()
    }
    return replace(evidence, start=start, end=end, outcomes=parts)
