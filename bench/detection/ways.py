"""What the callers of a version do, if nothing in it ends in an error: the good version, and mistakes.

Shares and lengths are made up to be plausible; the mistakes are those of the simulator's scenarios, and weaker forms.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from bench.detection.cell import Durations
from bench.detection.traffic import BAD, GOOD

Lengths = tuple[tuple[int, float], ...]

USUAL: Lengths = GOOD[Durations.USUAL]
SOON: Lengths = BAD[Durations.USUAL]
AT_ONCE: Lengths = ((0, 1.0),)
EXPIRES: Lengths = ((10, 0.3), (20, 0.4), (30, 0.3))  # whole minutes until the session does, or the caller gives up


class Judged(StrEnum):
    """What is judged, by the name of the signal."""

    ERROR_EXIT = "error_exit"
    FLOW_DISCONNECT = "flow_disconnect"
    CALLER_HANGUP = "caller_hangup"
    RECOGNITION = "recognition"
    STUCK = "stuck"
    OUTCOME_FAILED = "outcome_failed"
    ROUTING_SHIFT = "routing_shift"
    ACTION_FAILURE = "action_failure"
    ACTION_SLOW = "action_slow"


Key = tuple[Judged, str]  # a signal, and the target of a transfer


@dataclass(frozen=True, slots=True)
class Way:
    """How a share of the callers leaves the flow: by a signal's exits, or with a transfer to `target`."""

    share: float
    signal: Judged
    target: str = ""
    lasts: Lengths = USUAL
    failed_outcomes: float = 0.1  # of these callers, who did not get what they called for

    @property
    def key(self) -> Key:
        return self.signal, self.target


@dataclass(frozen=True, slots=True)
class Version:
    """The ways out, and the data action that each call runs once, right at its beginning."""

    ways: tuple[Way, ...]
    slow_actions: float = 0.02
    failed_actions: float = 0.01


def _transfer(share: float, target: str, lasts: Lengths = USUAL) -> Way:
    return Way(share, Judged.ROUTING_SHIFT, target, lasts)


_ENDS = (
    Way(0.01, Judged.ERROR_EXIT, lasts=SOON, failed_outcomes=1.0),
    Way(0.01, Judged.RECOGNITION),
    Way(0.005, Judged.STUCK, lasts=EXPIRES, failed_outcomes=1.0),
    Way(0.24, Judged.CALLER_HANGUP),
    Way(0.145, Judged.FLOW_DISCONNECT),
)
MOST, SOME = 0.9, 0.3  # of the callers: as in the simulator's scenarios, and one that not everybody meets
LARGE, MIDDLE, SMALL = 0.4, 0.12, 0.04


def _routed(service: float, sales: float, billing: float) -> Version:
    rest = (_transfer(0.02, "Orders"), _transfer(0.01, "Complaints"))
    return Version(
        (*_ENDS, _transfer(service, "Service"), _transfer(sales, "Sales"), _transfer(billing, "Billing"), *rest)
    )


BEFORE = _routed(LARGE, MIDDLE, SMALL)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A kind of mistake, and the version that has it."""

    name: str
    version: Version
    hits_most: bool = False


def _hit(name: str, share: float, *ways: Way) -> Mistake:
    """A share of the callers goes these ways, whose own shares make 1, and the others as before."""
    others = tuple(replace(way, share=way.share * (1 - share)) for way in BEFORE.ways)
    hit = tuple(replace(way, share=way.share * share) for way in ways)
    return _mistake(f"{name}, {share:.0%} of the callers", share, ways=(*others, *hit))


def _mistake(name: str, share: float, **changes: Any) -> Mistake:
    return Mistake(name, replace(BEFORE, **changes), hits_most=share == MOST)


def _mistakes(share: float) -> tuple[Mistake, ...]:
    gives_up = Way(0.3, Judged.CALLER_HANGUP, lasts=EXPIRES, failed_outcomes=1.0)
    return (
        _hit("catch-all queue", share, _transfer(1.0, "Catch-all", SOON)),
        _hit("loop", share, Way(0.7, Judged.STUCK, lasts=EXPIRES, failed_outcomes=1.0), gives_up),
        _hit("silence", share, Way(1.0, Judged.CALLER_HANGUP, lasts=SOON)),
        _hit("polite hang-up", share, Way(1.0, Judged.FLOW_DISCONNECT, lasts=SOON)),
        _hit("not understood", share, Way(1.0, Judged.RECOGNITION)),
        _failed_outcomes(share),
        _mistake(f"slow data action, {share:.0%} of the runs", share, slow_actions=share),
        _mistake(f"failing data action, {share:.0%} of the runs", share, failed_actions=share),
    )


def _failed_outcomes(share: float) -> Mistake:
    ways = (replace(way, failed_outcomes=max(share, way.failed_outcomes)) for way in BEFORE.ways)
    return _mistake(f"failed outcomes, {share:.0%} of the callers", share, ways=tuple(ways))


WRONG_QUEUES = (
    Mistake("wrong queue, 40 % and 12 % confused", _routed(MIDDLE, LARGE, SMALL)),
    Mistake("wrong queue, 12 % and 4 % confused", _routed(LARGE, SMALL, MIDDLE)),
)
MISTAKES = (*_mistakes(MOST), *_mistakes(SOME), *WRONG_QUEUES)
