"""Has a version left probation? After that, what fails is not its deployment any more.

A version leaves probation once, by what it did from its first conversation on:
within its threshold it has served for long enough, and enough conversations.
What it does later does not put it back. Pure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from genesys.evidence import Evidence, Signal, Tally

# The design's numbers: so many ended conversations within the shorter time, or so few within the longer one.
BUSY_CONVERSATIONS = 500
QUIET_CONVERSATIONS = 50


@dataclass(frozen=True, slots=True)
class ProbationLimits:
    """Time with traffic that a version has to serve, and how long probation lasts at most; seconds."""

    busy_s: float = 7200.0
    quiet_s: float = 14400.0
    max_s: float = 1209600.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a version did in one bucket; `served_s` is what of the bucket it was live."""

    start: float
    served_s: float
    tally: Tally


@dataclass(frozen=True, slots=True)
class Probation:
    """Whether a version has left probation, and what that rests on, in one line for the record."""

    left: bool
    because: str


def judge_probation(
    stretches: Iterable[Stretch], *, live_s: float, threshold_ratio: float, limits: ProbationLimits
) -> Probation:
    """Judge a version by its stretches with traffic; `live_s` is for how long it has been live, as far as is known."""
    done, served_s = Tally(), 0.0
    for stretch in sorted(stretches, key=lambda one: one.start):
        if not stretch.tally.volume:
            continue
        done += stretch.tally
        served_s += stretch.served_s
        if _is_proved(done, served_s, threshold_ratio, limits):
            return Probation(True, f"left probation with {_told(done, served_s)}")
    if live_s >= limits.max_s:
        return Probation(True, f"live for longer than {limits.max_s:.0f} s, or nobody knows since when")
    return Probation(False, f"on probation: {_told(done, served_s)}")


def stretches_of(
    history: Evidence, evidence: Evidence, *, flow_id: str, version: str, signal: Signal, live_since: float
) -> Iterator[Stretch]:
    """The version's buckets of the history, and those of the trailing hour that are newer.

    The bucket in which the version became live counts from that moment on.
    """
    for source, first in ((history, float(history.start)), (evidence, float(history.end))):
        for start, tally in source.tallies(flow_id, version, signal, first).items():
            end = start + source.bucket_s
            served_s = end - live_since if start < live_since < end else float(source.bucket_s)
            yield Stretch(start, served_s, tally)


def _is_proved(done: Tally, served_s: float, threshold_ratio: float, limits: ProbationLimits) -> bool:
    long_enough = (done.exits >= BUSY_CONVERSATIONS and served_s >= limits.busy_s) or (
        done.exits >= QUIET_CONVERSATIONS and served_s >= limits.quiet_s
    )
    return long_enough and done.errors <= threshold_ratio * done.exits


def _told(done: Tally, served_s: float) -> str:
    return f"{done.errors} errors of {done.exits} ended conversations in {served_s:.0f} s with traffic"
