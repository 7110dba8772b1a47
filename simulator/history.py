"""What happened before the simulation: counted by the hour, drawn when somebody asks.

Nothing is kept of single calls. Every hour of a flow is drawn from the seed
alone, so that two queries never disagree.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from simulator.callers import BAD_EXITS, GOOD_EXITS, MEDIA, Key, Kind
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
        calls = flow.calls_per_min * self._factor / 60 * (end - start)
        for media, share in MEDIA.items():
            entry = Key(Kind.ENTRY, flow.id, version.version, media)
            good = _counts(rng, entry, GOOD_EXITS, calls * share * (1 - version.error_ratio), flow.good_call)
            bad = _counts(rng, entry, BAD_EXITS, calls * share * version.error_ratio, flow.bad_call)
            errors = sum(counts.count for counts in bad.values())
            errors += _poisson(rng, calls * share * self._scenario.conversation_error_ratio)
            yield Cell(start, end, entry._replace(kind=Kind.ERROR), Counts(errors))
            for key, counts in (good | bad).items():
                yield Cell(start, end, key._replace(kind=Kind.ENTRY), Counts(counts.count))
                yield Cell(start, end, key, self._lapsed(counts))

    def _lapsed(self, counts: Counts) -> Counts:
        factor = self._factor
        return Counts(counts.count, counts.sum_s / factor, counts.min_s / factor, counts.max_s / factor)


def _counts(rng: random.Random, entry: Key, exits: dict[str, float], calls: float, mean_s: float) -> dict[Key, Counts]:
    drawn = {}
    for reason, share in exits.items():
        count = _poisson(rng, calls * share)
        spread = rng.uniform(0.95, 1.05)
        counts = Counts(count, count * mean_s * spread, mean_s * 0.1, mean_s * 4.0)
        drawn[entry._replace(kind=Kind.EXIT, exit_reason=reason)] = counts
    return drawn


def _poisson(rng: random.Random, mean: float) -> int:
    if mean > 50:  # from here on the normal distribution is as good
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    count, product, limit = 0, rng.random(), math.exp(-mean)
    while product > limit:
        count += 1
        product *= rng.random()
    return count
