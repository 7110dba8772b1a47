"""Which version of a flow was live when, for a dialect whose analytics know no versions.

Two sources: looks at the flow, and the dates of its versions, where they have any.
What neither tells is left out: an outcome that belongs to nobody accuses nobody.
Pure, and about one flow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from genesys.flows import FlowVersion

MOST_STINTS = 100  # kept of what was seen; a flow that changes more often has no version that earned anything
NO_VERSION = ""  # of a stint in which nothing was live


@dataclass(frozen=True, slots=True)
class Stint:
    """`version` was live from `start` to `end` (Unix seconds), and perhaps for longer."""

    version: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole buckets in [start, end) through which one version was live."""

    version: str
    start: int
    end: int


def seen(
    stints: Sequence[Stint], live: str | None, *, asked_at: float, answered_at: float, max_gap_s: float
) -> tuple[Stint, ...]:
    """The stints after one more look; between two looks that are further apart than `max_gap_s` nobody knows."""
    version = live or NO_VERSION
    if stints and stints[-1].version == version and asked_at - stints[-1].end <= max_gap_s:
        return (*stints[:-1], replace(stints[-1], end=max(stints[-1].end, asked_at)))
    return (*stints, Stint(version, answered_at, answered_at))[-MOST_STINTS:]


def dated(versions: Sequence[FlowVersion], live: str | None, *, asked_at: float) -> tuple[Stint, ...]:
    """The last stint of each version by its own dates; `live` is the one that was live at `asked_at`.

    Whether the date of a version moves when it is made live again is not known.
    So the live one's stint begins when the last of the others ended, and has no
    beginning if the end of one that came later is unknown.
    """
    others = [version for version in versions if version.id != live]
    stints = [
        Stint(version.id, version.published_at, version.published_until)
        for version in others
        if version.published_at is not None and version.published_until is not None
    ]
    published_at = next((version.published_at for version in versions if version.id == live), None)
    if live is not None and published_at is not None:
        begun = [published_at, *(version.published_until for version in others if version.published_until is not None)]
        without_end = (
            version.published_at is not None and version.published_until is None and version.published_at > published_at
            for version in others
        )
        if not any(without_end):
            stints.append(Stint(live, max(begun), asked_at))
    return tuple(stint for stint in stints if stint.start < stint.end)


def stretches(stints: Sequence[Stint], *, start: int, end: int, bucket_s: int, max_buckets: int) -> tuple[Stretch, ...]:
    """What of [start, end) belongs to one version, in stretches of at most `max_buckets`.

    They are cut at multiples of their greatest length, so that the same ones are
    found again later. A bucket in which the version changed belongs to none.
    """
    whole = merged(stints)
    found: list[Stretch] = []
    for bucket in range(start, end, bucket_s):
        version = _only(whole, bucket, bucket + bucket_s)
        if version is None:
            continue
        last = found[-1] if found else None
        goes_on = last is not None and (last.version, last.end) == (version, bucket)
        if last is not None and goes_on and bucket % (max_buckets * bucket_s):
            found[-1] = replace(last, end=bucket + bucket_s)
        else:
            found.append(Stretch(version, bucket, bucket + bucket_s))
    return tuple(found)


def merged(stints: Sequence[Stint]) -> list[Stint]:
    """Stints of the same version that meet become one; sorted by version and start."""
    whole: list[Stint] = []
    for stint in sorted(stints, key=lambda stint: (stint.version, stint.start)):
        if whole and whole[-1].version == stint.version and stint.start <= whole[-1].end:
            whole[-1] = replace(whole[-1], end=max(whole[-1].end, stint.end))
        else:
            whole.append(stint)
    return whole


def _only(whole: Sequence[Stint], start: float, end: float) -> str | None:
    """The version that was live all the time, if no other is said to have been live at any moment of it."""
    touching: Iterator[Stint] = (stint for stint in whole if stint.start < end and stint.end > start)
    first = next(touching, None)
    if first is None or next(touching, None) is not None:
        return None
    return first.version if first.version and first.start <= start and first.end >= end else None
