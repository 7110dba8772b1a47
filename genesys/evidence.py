"""Outcomes of conversations per flow, version and bucket, and how they are counted.

Owns the arithmetic of evidence: what is an error, what is volume, what lies in a
window. Reading the buckets is the dialects' work, judging them is `excess`'s.

Times are Unix seconds. A bucket is named by its start and lasts `bucket_s`
seconds: one minute, unless `organizations.yml` says otherwise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

WINDOWS: Mapping[str, int] = MappingProxyType({"1m": 1, "2m": 2, "5m": 5, "15m": 15, "60m": 60})
"""Label of each window and its length in buckets."""


class Signal(StrEnum):
    """What counts as a bad outcome; the value is the Prometheus label `signal`."""

    ERROR_EXIT = "error_exit"


BAD_EXITS: Mapping[Signal, frozenset[str]] = MappingProxyType(
    # Genesys Cloud, flow aggregates, dimension exitReason. An exit reason that is not listed is no error.
    {Signal.ERROR_EXIT: frozenset({"FLOW_ERROR_DISCONNECT", "FLOW_ERROR_EXIT"})}
)


@dataclass(frozen=True, slots=True)
class Tally:
    """Conversations of one flow version in some stretch of time; tallies of disjoint stretches add up."""

    errors: int = 0
    entries: int = 0
    exits: int = 0

    @property
    def volume(self) -> int:
        """Outcomes that could have been bad.

        Failing calls often end sooner than good ones, so that errors/exits is
        too high right after a publish: entries count as soon as they are there.
        """
        return max(self.entries, self.exits)

    @property
    def ratio(self) -> float | None:
        """Errors per volume; None without volume: nobody knows."""
        return self.errors / self.volume if self.volume else None

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.errors + other.errors, self.entries + other.entries, self.exits + other.exits)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What Genesys Cloud reports for one flow version and one bucket: entries, and exits by exit reason."""

    entries: int = 0
    exits: Mapping[str, int] = field(default_factory=dict)

    def tally(self, signal: Signal) -> Tally:
        bad = BAD_EXITS[signal]
        errors = sum(count for reason, count in self.exits.items() if reason in bad)
        return Tally(errors, self.entries, sum(self.exits.values()))


@dataclass(frozen=True, slots=True)
class Evidence:
    """Every outcome of an organization in the buckets from `start` up to, but not including, `end`.

    `end` is the end of the newest settled bucket that was asked for. A bucket
    that is absent had no outcome. `outcomes` maps (flow id, flow version) to
    bucket start to outcomes.
    """

    start: int
    end: int
    bucket_s: int
    outcomes: Mapping[tuple[str, str], Mapping[int, Outcomes]]

    def tallies(self, flow_id: str, version: str, signal: Signal, since: float = 0.0) -> dict[int, Tally]:
        """Tally by bucket start, of the buckets that begin at or after `since`."""
        buckets = self.outcomes.get((flow_id, version), {})
        return {start: outcome.tally(signal) for start, outcome in buckets.items() if start >= since}

    def versions(self, flow_id: str) -> set[str]:
        """Versions of the flow that have any outcome here."""
        return {version for flow, version in self.outcomes if flow == flow_id}


def total(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, Tally())


def window_of(tallies: Mapping[int, Tally], *, end: int, bucket_s: int, buckets: int) -> dict[int, Tally]:
    """The tallies of the newest `buckets` buckets before `end`."""
    first = end - buckets * bucket_s
    return {start: tally for start, tally in tallies.items() if first <= start < end}


def breach_minutes(tallies: Iterable[Tally], threshold_ratio: float) -> int:
    """Number of buckets whose own ratio is above the threshold."""
    return sum(1 for tally in tallies if tally.errors > threshold_ratio * tally.volume)
