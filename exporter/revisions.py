"""Which buckets of analytics came out otherwise than one poll before: late data, as Genesys Cloud corrects itself.

Remembers a number per bucket instead of the evidence, which may be 100 MB.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from genesys.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """A number for each bucket that has any outcome; equal outcomes give equal numbers within a process."""

    start: int
    end: int
    by_bucket: Mapping[int, int]


def fingerprints(evidence: Evidence) -> Fingerprints:
    """The fingerprints of all buckets of an evidence."""
    by_bucket: dict[int, int] = {}
    for version, buckets in evidence.outcomes.items():
        for start, outcomes in buckets.items():
            mark = hash((version, outcomes.entries, frozenset(outcomes.exits.items())))
            by_bucket[start] = by_bucket.get(start, 0) + mark
    return Fingerprints(evidence.start, evidence.end, by_bucket)


def revised_buckets(before: Fingerprints, after: Fingerprints) -> list[int]:
    """Starts of the buckets that both cover and in which any flow's outcomes differ, oldest first."""
    first, end = max(before.start, after.start), min(before.end, after.end)
    return sorted(
        start
        for start in before.by_bucket.keys() | after.by_bucket.keys()
        if first <= start < end and before.by_bucket.get(start) != after.by_bucket.get(start)
    )
