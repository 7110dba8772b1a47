"""Genesys Cloud's views on a metric: the part of what happened that took at least and less than some time."""

import math
from dataclasses import dataclass

from simulator.callers import Kind
from simulator.history import Counts


@dataclass(frozen=True, slots=True)
class RangeBound:
    """Counts what is of a kind and took [gte_s, lt_s); equal ones are equal."""

    name: str
    kind: Kind
    gte_s: float
    lt_s: float

    def holds(self, kind: Kind, duration_s: float) -> bool:
        return kind is self.kind and self.gte_s <= duration_s < self.lt_s

    def part_of(self, kind: Kind, counts: Counts) -> Counts:
        """The part of what is only known as counts, as if durations were spread as those of callers are."""
        if kind is not self.kind or not counts.count:
            return Counts()
        mean_s = counts.sum_s / counts.count
        count = round(counts.count * (_share_below(self.lt_s, mean_s) - _share_below(self.gte_s, mean_s)))
        typical_s = min(max(mean_s, self.gte_s), self.lt_s)
        return Counts(count, count * typical_s, typical_s, typical_s) if count else Counts()


def _share_below(duration_s: float, mean_s: float) -> float:
    """Of the gamma distribution with shape 2, by which callers draw."""
    if math.isinf(duration_s):
        return 1.0
    halves = 2.0 * duration_s / mean_s
    return 1.0 - math.exp(-halves) * (1.0 + halves)
