"""Does a flow send callers where it did not before? Which one target is looked at, and what its share was.

The same choice for the exporter, by which a version is accused, for the receiver,
which checks, and for the backtest: the target that the test convicts, the strongest
if there are several. Pure.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist
from typing import Protocol

from genesys.evidence import WINDOWS, Columns, Evidence, Signal, Tally, total
from genesys.excess import ACCUSING_WINDOWS, ExcessLimits, Finding, find_excess, relative_threshold
from genesys.history import DAY_BUCKETS, MIN_VOLUME, NOTHING_KNOWN, Baseline, baseline_of, wilson_lower
from genesys.transfers import OTHERS, Target, Towards

_NEVER_NAMED = ""  # no target has this name
_NEVER_SEEN = Target("", _NEVER_NAMED)
_SHIFT = Signal.ROUTING_SHIFT


class Shares(Protocol):
    """What each target's share of a flow's volume was before the live version."""

    def of(self, target: Target) -> Baseline:
        """Its earlier share and scatter, those of a target which was never seen included."""

    def least(self, target: Target) -> float:
        """What `of` is not below, quickly."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The target that is looked at; `threshold_ratio` is what its share is compared with."""

    target: Target
    baseline: Baseline
    threshold_ratio: float
    finding: Finding


@dataclass(frozen=True, slots=True)
class EarlierShares:
    """`Shares` by the history of the flow, counted for those targets that are asked for."""

    history: Evidence
    flow_id: str
    live_version: str
    live_since: float

    def of(self, target: Target) -> Baseline:
        """The upper bound of the flow's baselines, and what its share surely was on some day at this hour.

        Flows send callers elsewhere by night, on Sundays and on holidays: that is
        the calendar's doing, and comes and goes with no version.
        """
        own = replace(self.history, towards=Towards(target, perhaps=True))
        found = baseline_of(
            own, flow_id=self.flow_id, live_version=self.live_version, live_since=self.live_since, signal=_SHIFT
        )
        return found if found.ratio is None else replace(found, ratio=max(found.ratio, self._by_calendar(own)))

    def least(self, target: Target) -> float:
        """The plain share before the live version, which no upper bound is below."""
        towards = Towards(target, perhaps=True)
        told = [self.history.columns(self.flow_id, version) for version in self.history.versions(self.flow_id)]
        counted = [_count(one, one.errors(_SHIFT, towards), 0, _ended_by(one, self.live_since)) for one in told]
        whole = total(counted)
        return whole.errors / whole.volume if whole.volume >= MIN_VOLUME else 0.0

    def targets(self) -> set[Target]:
        """Those with a share of their own; every other one has that of a target which was never seen."""
        versions = self.history.versions(self.flow_id)
        seen = {one for version in versions for one in self.history.columns(self.flow_id, version).transfers}
        seen.discard(OTHERS)
        types = {Target(one.type) for one in seen}
        return seen | types | {Target(one.type, _NEVER_NAMED) for one in types & seen} | {_NEVER_SEEN}

    def _by_calendar(self, own: Evidence) -> float:
        """The largest share that it surely had in one bucket at this hour of a day, an hour before or one after."""
        until = max(self.live_since, own.end - DAY_BUCKETS * own.bucket_s)
        shares = [0.0]
        for version in own.versions(self.flow_id):
            columns = own.columns(self.flow_id, version)
            errors = columns.errors(_SHIFT, own.towards)
            for position in _at_this_hour(columns, until) if errors else ():
                volume = max(columns.entries[position], columns.every_exit[position])
                if errors and errors[position]:
                    shares.append(wilson_lower(errors[position], max(volume, errors[position])))
        return max(shares)


@dataclass(frozen=True, slots=True)
class KnownShares:
    """`Shares` that were counted before: small enough to be kept of every flow."""

    known: Mapping[Target, Baseline]

    @classmethod
    def of_history(cls, shares: EarlierShares) -> "KnownShares":
        told = {target: shares.of(target) for target in shares.targets()}
        return cls({target: share for target, share in told.items() if share.ratio is not None})

    def of(self, target: Target) -> Baseline:
        for key in (target, Target(target.type, _NEVER_NAMED), _NEVER_SEEN):
            if key in self.known:
                return self.known[key]
        return NOTHING_KNOWN

    def least(self, target: Target) -> float:
        return self.of(target).ratio or 0.0


def largest_shift(evidence: Evidence, shares: Shares, *, flow_id: str, version: str, since: float) -> Shift | None:
    """The target that is looked at in the trailing hour; None if none has clearly more than it had.

    One that convicts comes before one that does not, then the stronger one.
    """
    found = list(_shifts(evidence, shares, flow_id, version, since))
    return max(found, key=_rank, default=None)


def turned(evidence: Evidence, target: Target | None) -> Evidence:
    """The same evidence, in which `routing_shift` counts what goes to the target, and only what surely does."""
    return evidence if target is None else replace(evidence, towards=Towards(target))


@dataclass(frozen=True, slots=True)
class Compared:
    """The evidence and the history by which a version is judged, and what its ratio was before."""

    evidence: Evidence
    history: Evidence
    baseline: Baseline
    target: Target | None = None


def compare(
    evidence: Evidence, history: Evidence, *, flow_id: str, version: str, since: float, signal: Signal
) -> Compared:
    """What a version is judged by, whatever the signal; of `routing_shift`, turned to the target that is looked at.

    Where no target has more than it had nothing is bad.
    """
    shift = None
    if signal is _SHIFT:
        earlier = EarlierShares(history, flow_id, version, since)
        shift = largest_shift(evidence, earlier, flow_id=flow_id, version=version, since=since)
    if shift is None:
        baseline = baseline_of(history, flow_id=flow_id, live_version=version, live_since=since, signal=signal)
        return Compared(evidence, history, baseline)
    return Compared(turned(evidence, shift.target), turned(history, shift.target), shift.baseline, shift.target)


def _shifts(evidence: Evidence, shares: Shares, flow_id: str, version: str, since: float) -> Iterator[Shift]:
    columns = evidence.columns(flow_id, version)
    limits = limits_among(len(columns.transfers))
    volumes = list(_volumes(columns, since))
    for target, transfers in columns.transfers.items():
        if target == OTHERS or not _may_be_more(transfers, volumes, 0.0, limits):
            continue  # nearly all end here, before their history is looked at
        if not _may_be_more(transfers, volumes, shares.least(target), limits):
            continue
        baseline = shares.of(target)
        threshold = relative_threshold(baseline.ratio, baseline.spread_ratio)
        if threshold is None:
            continue
        finding = find_excess(
            columns.tallies(_SHIFT, since, Towards(target)),
            end=evidence.end,
            bucket_s=evidence.bucket_s,
            threshold_ratio=threshold,
            baseline_ratio=baseline.ratio,
            scatter=baseline.scatter,
            limits=limits,
        )
        if any(window.is_excess for window in finding.windows):
            yield Shift(target, baseline, threshold, finding)


@cache
def limits_among(targets: int) -> ExcessLimits:
    """Limits for the worst of so many targets, which chance passes about as seldom as one target the usual ones."""
    usual, normal = ExcessLimits(), NormalDist()
    if targets < 2:
        return usual
    by_chance = 1 - normal.cdf(usual.z)
    more = normal.inv_cdf(1 - by_chance / targets) / usual.z
    return replace(usual, z=usual.z * more, c=usual.c * more)


def _volumes(columns: Columns, since: float) -> Iterator[tuple[int, int]]:
    """First position and volume of each window that may accuse."""
    end, live = len(columns.entries), columns.position(since)
    for window in ACCUSING_WINDOWS:
        first = max(live, end - WINDOWS[window])
        yield first, max(sum(columns.entries[first:]), sum(columns.every_exit[first:]))


def _may_be_more(
    transfers: Sequence[int], volumes: Sequence[tuple[int, int]], least: float, limits: ExcessLimits
) -> bool:
    """False only where no window could accuse, by its counts alone: nearly all targets end here."""
    threshold = relative_threshold(least)
    if threshold is None:
        return False
    return any(sum(transfers[first:]) > max(limits.c, threshold * volume) for first, volume in volumes)


def _count(columns: Columns, errors: Iterable[int] | None, first: int, end: int) -> Tally:
    part = slice(first, end)
    counts = [] if errors is None else list(errors)[part]
    return Tally(sum(counts), sum(columns.entries[part]), sum(columns.every_exit[part]))


def _ended_by(columns: Columns, at: float) -> int:
    """Position after the last bucket that ended by then."""
    return min(len(columns.entries), max(0, math.floor((at - columns.start) / columns.bucket_s)))


def _at_this_hour(columns: Columns, until: float) -> Iterator[int]:
    """Positions of the hour that begins at the end, a day or more before, and of an hour before and one after."""
    for back in (DAY_BUCKETS - 1, DAY_BUCKETS, DAY_BUCKETS + 1):
        yield from range((len(columns.entries) - back) % DAY_BUCKETS, _ended_by(columns, until), DAY_BUCKETS)


def _rank(shift: Shift) -> tuple[bool, float, Target]:
    strength = max(window.strength for window in shift.finding.windows if window.is_excess)
    convicts = shift.finding.convicted_by is not None
    return convicts, strength, Target(shift.target.type, shift.target.name or "")
