"""What happened before the simulation: counted by the hour, drawn when somebody asks.

Nothing is kept of single calls. Every hour of a flow is drawn from the seed
alone, so that two queries never disagree.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from simulator.behaviour import ERROR_REASONS, GOOD, STUCK_EXITS, Action, Exit
from simulator.callers import MEDIA, Key, Kind
from simulator.scenario import FlowSpec, Scenario, VersionSpec

HOUR = 3600.0  # simulated seconds
KEPT = 10 * 24 * HOUR  # simulated seconds; the baseline asks for seven days, and nobody for more


@dataclass(slots=True)
class Counts:
    """How often something happened, and how long it took."""

    count: int = 0
    sum_s: float = 0.0
    min_s: float = math.inf
    max_s: float = 0.0

    def add(self, other: "Counts") -> None:
        self.count += other.count
        self.sum_s += other.sum_s
        self.min_s = min(self.min_s, other.min_s)
        self.max_s = max(self.max_s, other.max_s)

    def add_one(self, duration_s: float) -> None:
        self.count += 1
        self.sum_s += duration_s
        self.min_s = min(self.min_s, duration_s)
        self.max_s = max(self.max_s, duration_s)


class Cell(NamedTuple):
    """Counts of a stretch of time [start, end) of at most an hour; when in it each one fell is not known."""

    start: float
    end: float
    key: Key
    counts: Counts

    def between(self, start: float, end: float) -> Counts:
        """The part in [start, end), as if all were spread evenly; parts side by side make the whole."""
        count = self._before(end) - self._before(start)
        mean_s = self.counts.sum_s / self.counts.count
        return Counts(count, count * mean_s, mean_s, mean_s)

    def _before(self, at: float) -> int:
        # Each cell begins somewhere else, so that the single calls of many cells do not fall together.
        begin = crc32(repr((self.key, self.start)).encode()) / 2**32
        share = min(1.0, max(0.0, (at - self.start) / (self.end - self.start)))
        return math.floor(self.counts.count * share + begin)


class History:
    """The hours before `end`, of every flow and the versions that were live then."""

    def __init__(self, scenario: Scenario, *, start: float, end: float, factor: float, seed: int) -> None:
        self._scenario = scenario
        self._start = start
        self._end = end
        self._factor = factor
        self._seed = seed
        self._hour_s = HOUR / factor
        self._drawn: dict[int, tuple[Cell, ...]] = {}

    def hours(self, first: int, last: int) -> range:
        """The hours from `first` to `last` that history knows."""
        earliest = math.floor((self._start - KEPT / self._factor) / self._hour_s)
        latest = math.floor(self._end / self._hour_s)
        return range(max(first, earliest), min(last, latest) + 1)

    def cells(self, hour: int) -> tuple[Cell, ...]:
        """What happened in the hour that begins at `hour` times the (lapsed) length of an hour."""
        if hour not in self._drawn:
            self._drawn[hour] = tuple(self._draw(hour))
        return self._drawn[hour]

    def _draw(self, hour: int) -> Iterator[Cell]:
        for flow in self._scenario.flows:
            for version, since, until in self._stints(flow.history()):
                start = max(hour * self._hour_s, since)
                end = min((hour + 1) * self._hour_s, until)
                if start < end:
                    cells = self._draw_stint(flow, version, start, end, hour)
                    yield from (cell for cell in cells if cell.counts.count)

    def _stints(self, versions: Sequence[VersionSpec]) -> Iterator[tuple[VersionSpec, float, float]]:
        begins = [self._start - version.published_ago / self._factor for version in versions]
        yield from zip(versions, begins, [*begins[1:], self._end], strict=True)

    def _draw_stint(self, flow: FlowSpec, version: VersionSpec, start: float, end: float, hour: int) -> Iterator[Cell]:
        rng = random.Random(f"{self._seed} history {flow.id} {version.version} {hour}")  # noqa: S311
        # Apart, so that the same callers came and went whatever else they did.
        deeds = random.Random(f"{self._seed} history deeds {flow.id} {version.version} {hour}")  # noqa: S311
        calls = flow.calls_per_min * self._factor / 60 * (end - start)
        if not calls:
            return
        behaviour = version.behaviour(GOOD)
        for media, share in MEDIA.items():
            entry = Key(Kind.ENTRY, flow.id, version.version, media)
            fine = calls * share * (1 - version.error_ratio)
            good = _leave(rng, deeds, entry, behaviour.exits, fine * (1 - behaviour.stuck_ratio), flow.good_call)
            stuck = _leave(deeds, deeds, entry, STUCK_EXITS, fine * behaviour.stuck_ratio, flow.stuck_call)
            bad = _counts(rng, entry, ERROR_REASONS, calls * share * version.error_ratio, flow.bad_call)
            errors = sum(counts.count for counts in bad.values())
            lost = errors + sum(counts.count for counts in stuck.values())
            errors += _poisson(rng, calls * share * self._scenario.conversation_error_ratio)
            yield Cell(start, end, entry._replace(kind=Kind.ERROR), Counts(errors))
            left = [*good.items(), *stuck.items(), *bad.items()]
            for key, counts in left:
                yield Cell(start, end, key._replace(kind=Kind.ENTRY), Counts(counts.count))
                yield Cell(start, end, key, self._lapsed(counts))
            ended = sum(counts.count for _, counts in left)
            failed = lost + min(ended - lost, _poisson(deeds, (ended - lost) * behaviour.outcome_failed_ratio))
            for count, key in _split_outcomes(entry, ended, failed):
                yield Cell(start, end, key, Counts(count))
            for action in behaviour.actions:
                for key, counts in _executions(deeds, entry, action, ended).items():
                    yield Cell(start, end, key, self._lapsed(counts))

    def _lapsed(self, counts: Counts) -> Counts:
        factor = self._factor
        return Counts(counts.count, counts.sum_s / factor, counts.min_s / factor, counts.max_s / factor)


def _leave(
    rng: random.Random, deeds: random.Random, entry: Key, exits: Sequence[Exit], calls: float, mean_s: float
) -> dict[Key, Counts]:
    """Draw by the reason, then part those of one reason, so that the targets of transfers change nothing else."""
    whole = sum(way.share for way in exits)
    shares: dict[str, float] = {}
    for way in exits:
        shares[way.reason] = shares.get(way.reason, 0.0) + way.share / whole
    left: dict[Key, Counts] = {}
    for key, counts in _counts(rng, entry, shares, calls, mean_s).items():
        ways = [way for way in exits if way.reason == key.exit_reason]
        parted = _part(deeds, counts.count, [way.share for way in ways])
        for way, count in zip(ways, parted, strict=True):
            mean = counts.sum_s / counts.count if counts.count else 0.0
            left[key.left_by(way)] = Counts(count, count * mean, counts.min_s, counts.max_s)
    return left


def _counts(
    rng: random.Random, entry: Key, shares: Mapping[str, float], calls: float, mean_s: float
) -> dict[Key, Counts]:
    drawn = {}
    for reason, share in shares.items():
        count = _poisson(rng, calls * share)
        spread = rng.uniform(0.95, 1.05)
        drawn[entry._replace(kind=Kind.EXIT, exit_reason=reason)] = _taking(count, mean_s * spread, mean_s)
    return drawn


def _taking(count: int, mean_s: float, usual_s: float) -> Counts:
    return Counts(count, count * mean_s, usual_s * 0.1, usual_s * 4.0)


def _part(rng: random.Random, count: int, shares: Sequence[float]) -> list[int]:
    """A count in parts that are as near to the shares as whole numbers can be; they add up to it."""
    begin, reached, before = rng.random(), 0.0, 0
    parts = []
    for share in shares[:-1]:
        reached += share / sum(shares)
        until = min(count, math.floor(count * reached + begin))
        parts.append(until - before)
        before = until
    return [*parts, count - before]


def _split_outcomes(entry: Key, ended: int, failed: int) -> Iterator[tuple[int, Key]]:
    for count, bad in ((ended - failed, False), (failed, True)):
        for key in entry.outcomes(failed=bad):
            yield count, key


def _executions(rng: random.Random, entry: Key, action: Action, calls: int) -> dict[Key, Counts]:
    failed = min(calls, _poisson(rng, calls * action.failed_ratio))
    return {
        entry.ran(action, failed=bad): _taking(count, action.duration * rng.uniform(0.95, 1.05), action.duration)
        for count, bad in ((calls - failed, False), (failed, True))
    }


def _poisson(rng: random.Random, mean: float) -> int:
    if mean > 50:  # from here on the normal distribution is as good
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    count, product, limit = 0, rng.random(), math.exp(-mean)
    while product > limit:
        count += 1
        product *= rng.random()
    return count
