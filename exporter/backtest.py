"""Which publishes of the past would have been accused, and when: the alert's own test, replayed minute by minute.

Owns what is replayed: polls once a bucket, `settle`, `since`, the baseline as it was
then, the rules' `for`, and probation. Pure: `past` reads Genesys Cloud. What needs
more than one flow's figures is not replayed: common cause, locks, windows, modes,
lockout and budget can only make fewer rollbacks of what is found here.
"""

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from exporter.config import FlowPolicy
from exporter.publishes import Publish
from genesys.evidence import WINDOWS, Evidence, Signal, Tally
from genesys.excess import ACCUSING_WINDOWS, ExcessLimits, WindowFinding, find_excess
from genesys.history import baseline_ratio
from genesys.organizations import Analytics
from genesys.probation import Probation, ProbationLimits, judge_probation, stretches_of

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
    probation: Probation


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
    trials = [Trial(publish, past, policy, analytics, signal) for signal in Signal if signal in policy.act_on]
    alerts = [alert for trial in trials if (alert := trial.first_alert()) is not None]
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
        _leaves_probation_at(publish, known, policy.threshold(None), signal)
        for signal in Signal
        if signal in policy.act_on
    ]
    return min(limit, max(ends, default=publish.at))


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


class Trial:
    """One publish and one signal, looked at as of the end of each minute."""

    def __init__(self, publish: Publish, past: Past, policy: FlowPolicy, analytics: Analytics, signal: Signal) -> None:
        self._publish = publish
        self._past = past
        self._policy = policy
        self._analytics = analytics
        self._signal = signal
        self._bucket_s = past.minutes.bucket_s
        self._baselines: dict[int, float | None] = {}
        self.tallies = past.minutes.tallies(publish.flow.id, publish.version.id, signal, self._first)

    def first_alert(self) -> Alert | None:
        """The first time that the alert fires, whether or not the version is on probation then."""
        convicted = 0
        for end in self.ends:
            found = self.convicts(end) if self.may_convict(end) else None
            convicted = 0 if found is None else convicted + 1
            if found is not None and convicted > FOR_BUCKETS:
                return self._alert(end, found)
        return None

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
            threshold_ratio=self._policy.threshold(baseline),
            baseline_ratio=baseline,
        ).convicted_by

    def may_convict(self, end: int) -> bool:
        """False only where `convicts` finds nothing, whatever the flow's own earlier ratio was.

        Nearly every minute ends here, after a few subtractions: the threshold is
        at least what it is without a past, and chance explains at least `c` errors.
        """
        since, limits = self.since(end), ExcessLimits()
        for window in ACCUSING_WINDOWS:
            counted = self._sums.between(max(since, end - WINDOWS[window] * self._bucket_s), end)
            if counted.breached >= limits.breach_minutes[window] and counted.errors > max(
                limits.c, self._least_threshold * counted.volume
            ):
                return True
        return False

    def since(self, end: int) -> int:
        """Buckets from here on count: after the publish, and after the newest start of a call on another version."""
        position = bisect_right(self._others, end - self._bucket_s)
        return max(self._first, self._others[position - 1] + self._bucket_s if position else 0)

    def baseline(self, end: int) -> float | None:
        """The flow's own earlier ratio, as the last whole hour before the poll told it."""
        hour = self._analytics.history_end(end + self._analytics.settle_s)
        if hour not in self._baselines:
            self._baselines[hour] = baseline_ratio(
                self._history(hour),
                flow_id=self._publish.flow.id,
                live_version=self._publish.version.id,
                live_since=self._first,
                signal=self._signal,
            )
        return self._baselines[hour]

    def _alert(self, end: int, found: WindowFinding) -> Alert:
        baseline = self.baseline(end)
        return Alert(
            signal=self._signal,
            fires_at=end + self._analytics.settle_s + RULE_DELAY_BUCKETS * self._bucket_s,
            data_end=end,
            found=found,
            threshold_ratio=self._policy.threshold(baseline),
            baseline_ratio=baseline,
            probation=self._probation(end, self._policy.threshold(baseline)),
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
        return self._policy.threshold(None)

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
    def _sums(self) -> "_Sums":
        return _Sums(self.tallies, self._first, self._bucket_s, self._least_threshold)


@dataclass(frozen=True, slots=True)
class _Counted:
    errors: int
    volume: int
    breached: int


class _Sums:
    """Running sums over a version's minutes: what lies in a window is a difference of two."""

    def __init__(self, tallies: Mapping[int, Tally], first: int, bucket_s: int, threshold_ratio: float) -> None:
        self._first, self._bucket_s = first, bucket_s
        last = max(tallies, default=first)
        minutes = [tallies.get(start, Tally()) for start in range(first, last + bucket_s, bucket_s)]
        self._errors = _running(minutes, lambda tally: tally.errors)
        self._entries = _running(minutes, lambda tally: tally.entries)
        self._exits = _running(minutes, lambda tally: tally.exits)
        self._breached = _running(minutes, lambda tally: int(tally.errors > threshold_ratio * tally.volume))

    def between(self, start: int, end: int) -> _Counted:
        low, high = self._place(start), self._place(end)
        entries, exits = self._entries[high] - self._entries[low], self._exits[high] - self._exits[low]
        errors, breached = self._errors[high] - self._errors[low], self._breached[high] - self._breached[low]
        return _Counted(errors, max(entries, exits), breached)

    def _place(self, at: int) -> int:
        return min(max(0, (at - self._first) // self._bucket_s), len(self._errors) - 1)


def _running(minutes: Sequence[Tally], count: Callable[[Tally], int]) -> list[int]:
    return list(itertools.accumulate(map(count, minutes), initial=0))


def _part(evidence: Evidence, start: int, end: int) -> Evidence:
    """What lies in [start, end)."""
    return Evidence(
        start,
        end,
        evidence.bucket_s,
        {
            key: {at: outcomes for at, outcomes in buckets.items() if start <= at < end}
            for key, buckets in evidence.outcomes.items()
        },
    )
