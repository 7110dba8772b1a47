"""Which buckets of analytics came out otherwise than one poll before: late data, as Genesys Cloud corrects itself.

Remembers a number per bucket instead of the evidence, which may be 100 MB.
"""

import sys
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from genesys.evidence import Column, Evidence

BYTES = 8  # of a bucket in the sum


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """A number for each bucket; equal outcomes give equal numbers within a process."""

    start: int
    end: int
    by_bucket: Mapping[int, int]


def fingerprints(evidence: Evidence) -> Fingerprints:
    """The fingerprints of all buckets of an evidence: sums of all counts, each weighted by whose and what it is.

    A whole column is weighted at once, as one long number with a bucket in each
    64 bits. A carry (above 8 billion outcomes in a minute) would only blur two neighbours.
    """
    buckets = (evidence.end - evidence.start) // evidence.bucket_s
    together = 0
    for key, column in _columns(evidence):
        weight = hash(key) & 0x7FFFFFFF | 1
        together += weight * int.from_bytes(array("Q", column), sys.byteorder)
    marks = array("Q", (together % (1 << 8 * BYTES * buckets)).to_bytes(BYTES * buckets, sys.byteorder))
    starts = range(evidence.start, evidence.end, evidence.bucket_s)
    return Fingerprints(evidence.start, evidence.end, dict(zip(starts, marks, strict=True)))


def _columns(evidence: Evidence) -> Iterator[tuple[tuple[str, str, str], Column]]:
    """Every column of the evidence by flow, version, and what is counted."""
    for flow_id, version in evidence.outcomes:
        columns = evidence.columns(flow_id, version)
        yield (flow_id, version, ""), columns.entries
        for reason, column in columns.exits.items():
            yield (flow_id, version, reason), column


def revised_buckets(before: Fingerprints, after: Fingerprints) -> list[int]:
    """Starts of the buckets that both cover and in which any flow's outcomes differ, oldest first."""
    first, end = max(before.start, after.start), min(before.end, after.end)
    return sorted(
        start
        for start in before.by_bucket.keys() | after.by_bucket.keys()
        if first <= start < end and before.by_bucket.get(start) != after.by_bucket.get(start)
    )
