"""What lies in any window of a version's minutes, as a difference of two running sums. Pure.

A replayed past asks for thousands of windows, of which nearly all are innocent.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from genesys.evidence import Tally


@dataclass(frozen=True, slots=True)
class Counted:
    """A window: `breached` is how many of its buckets were above the threshold themselves."""

    errors: int
    volume: int
    breached: int


class RunningSums:
    """Over the buckets from `first` to the last that has a tally; those without one count as empty."""

    def __init__(self, tallies: Mapping[int, Tally], first: int, bucket_s: int, threshold_ratio: float) -> None:
        self._first, self._bucket_s = first, bucket_s
        last = max(tallies, default=first)
        minutes = [tallies.get(start, Tally()) for start in range(first, last + bucket_s, bucket_s)]
        self._errors = _running(minutes, lambda tally: tally.errors)
        self._entries = _running(minutes, lambda tally: tally.entries)
        self._exits = _running(minutes, lambda tally: tally.exits)
        self._breached = _running(minutes, lambda tally: int(tally.errors > threshold_ratio * tally.volume))

    def between(self, start: int, end: int) -> Counted:
        """What lies in [start, end), Unix seconds; whatever is outside of the sums is empty."""
        low, high = self._place(start), self._place(end)
        entries, exits = self._entries[high] - self._entries[low], self._exits[high] - self._exits[low]
        errors, breached = self._errors[high] - self._errors[low], self._breached[high] - self._breached[low]
        return Counted(errors, max(entries, exits), breached)

    def _place(self, at: int) -> int:
        return min(max(0, (at - self._first) // self._bucket_s), len(self._errors) - 1)


def _running(minutes: Sequence[Tally], count: Callable[[Tally], int]) -> list[int]:
    return list(itertools.accumulate(map(count, minutes), initial=0))
