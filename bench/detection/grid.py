"""Which cells are run: the whole grid, or the quick form with the cells that decide."""

from dataclasses import dataclass

from bench.detection.cell import Cell, Durations, Errors
from bench.detection.mistakes import DAY_MIN, Calm, Made
from bench.detection.ways import LARGE, MIDDLE, MISTAKES, SMALL, Judged, Mistake

VOLUMES = (0.5, 2.0, 5.0, 10.0, 50.0, 200.0, 500.0)
BURST_VOLUMES = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 50.0, 200.0, 500.0)
RATIOS_AFTER = (0.06, 0.1, 0.15, 0.3, 0.5, 1.0)
NORMAL, GUIDE = 0.01, 0.06

_INDEPENDENT, _CLUSTERED = 30_000, 10_000  # 2.996 events are the upper bound of none: 1.0 and 3.0 per 10,000
_BURSTS, _BAD, _SLOW = 5_000, 3_000, 1_000  # shares of a percent and medians within half a minute, but of whole days
_CALM, _SWINGING, _DAYS, _MADE = 5_000, 1_000, 500, 500

SIGNAL_VOLUMES = (0.5, 2.0, 10.0, 50.0, 200.0, 500.0)
SWINGING_VOLUMES = (2.0, 10.0, 200.0)
SWINGS_CV = (0.25, 0.5)
# What is usual in calm flows, of everything that a signal counts: exits, flow outcomes, runs of a data action.
USUAL_SHARES = (
    (Judged.CALLER_HANGUP, (0.05,)),
    (Judged.CALLER_HANGUP, (0.25,)),
    (Judged.FLOW_DISCONNECT, (0.6,)),
    (Judged.RECOGNITION, (0.01,)),
    (Judged.STUCK, (0.005,)),
    (Judged.OUTCOME_FAILED, (0.1,)),
    (Judged.ROUTING_SHIFT, (LARGE, MIDDLE, SMALL, 0.02, 0.01)),
    (Judged.ACTION_FAILURE, (0.01,)),
    (Judged.ACTION_SLOW, (0.02,)),
)


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells, by what is asked of them."""

    good: tuple[Cell, ...]  # nothing has changed: every rollback is false
    bursts: tuple[Cell, ...]
    bad: tuple[Cell, ...]
    at_threshold: tuple[Cell, ...]  # it has always been as bad as the threshold, or 8 %
    reported: tuple[Cell, ...]  # good ones of which no goal speaks: nothing is known of the flow


def full() -> Grid:
    good = [_good(volume, ratio) for volume in VOLUMES for ratio in (0.01, 0.03)]
    good += [_good(volume, 0.001) for volume in (0.5, 10.0, 200.0)]
    good += [_good(volume, 0.03, rhythm=True) for volume in (0.5, 10.0, 200.0)]
    good += [_good(volume, 0.03, durations=Durations.LONG) for volume in (2.0, 50.0)]
    clusters = (Errors.REDIALS, Errors.SWINGS, Errors.BETA)
    good += [_good(volume, ratio, errors) for errors in clusters for volume in VOLUMES for ratio in (0.01, 0.03)]
    good += [_good(10.0, 0.03, errors, rhythm=True) for errors in clusters]
    bad = [_bad(volume, ratio) for ratio in RATIOS_AFTER for volume in (*VOLUMES[:1], 1.0, *VOLUMES[1:])]
    bad += [_bad(10.0, ratio, rhythm=True) for ratio in (GUIDE, 0.3)]
    bad += [_bad(volume, 0.3, durations=Durations.LONG) for volume in (2.0, 50.0)]
    return Grid(
        good=tuple(good),
        bursts=tuple(_burst(volume, minutes) for minutes in (1, 2, 3) for volume in BURST_VOLUMES),
        bad=tuple(bad),
        at_threshold=tuple(_stays(volume, ratio) for ratio in (0.05, 0.08) for volume in (2.0, 10.0, 200.0)),
        reported=tuple(_good(volume, 0.03, known=False) for volume in (0.5, 10.0, 200.0)),
    )


def quick() -> Grid:
    return Grid(
        good=(_good(10.0, 0.03), _good(200.0, 0.03, Errors.SWINGS), _good(10.0, 0.03, Errors.BETA)),
        bursts=tuple(_burst(volume, minutes) for minutes in (1, 2) for volume in (2.0, 12.0)),
        bad=tuple(_bad(volume, ratio) for volume, ratio in ((10.0, GUIDE), (200.0, GUIDE), (10.0, 1.0))),
        at_threshold=(_stays(10.0, 0.08),),
        reported=(),
    )


@dataclass(frozen=True, slots=True)
class Signals:
    """What is asked of the signals that are no errors."""

    calm: tuple[Calm, ...]
    made: tuple[Made, ...]


def signals() -> Signals:
    calm = [
        _calm(signal, usual, volume, swing_cv)
        for swing_cv in (0.0, *SWINGS_CV)
        for signal, usual in USUAL_SHARES
        for volume in (SWINGING_VOLUMES if swing_cv else SIGNAL_VOLUMES)
    ]
    days = [
        Calm(signal, usual, 10.0, _DAYS, DAY_MIN, swing_cv)
        for swing_cv in (0.0, SWINGS_CV[0])
        for signal, usual in USUAL_SHARES
    ]
    return Signals(
        calm=(*calm, *days),
        made=tuple(_made(mistake, volume) for mistake in MISTAKES for volume in SIGNAL_VOLUMES),
    )


def signals_quick() -> Signals:
    catch_all, *_ = MISTAKES
    return Signals(calm=(_calm(Judged.CALLER_HANGUP, (0.25,), 10.0),), made=(_made(catch_all, 10.0),))


def _calm(signal: Judged, usual: tuple[float, ...], volume: float, swing_cv: float = 0.0) -> Calm:
    publishes = _SWINGING if swing_cv else _CALM
    return Calm(signal, usual, volume, publishes, _probation_min(volume, rhythm=False), swing_cv)


def _made(mistake: Mistake, volume: float) -> Made:
    return Made(mistake, volume, _MADE, 480 if volume < 10 else 240)


def _good(
    volume: float,
    ratio: float,
    errors: Errors = Errors.INDEPENDENT,
    durations: Durations = Durations.USUAL,
    *,
    rhythm: bool = False,
    known: bool = True,
) -> Cell:
    publishes = _INDEPENDENT if errors is Errors.INDEPENDENT else _CLUSTERED
    return Cell(
        volume, ratio, ratio, publishes, _probation_min(volume, rhythm=rhythm), errors, durations, rhythm, known
    )


def _probation_min(volume: float, *, rhythm: bool) -> int:
    """Until a version leaves probation: 500 calls in 2 h, or 50 in 4 h, and an hour's rounding."""
    if rhythm:
        return 360 if volume >= 50 else 960
    return 150 if volume >= 4.5 else 330


def _burst(volume: float, minutes: int) -> Cell:
    return Cell(volume, NORMAL, NORMAL, _BURSTS, 150, burst_minutes=minutes)


def _bad(volume: float, ratio: float, durations: Durations = Durations.USUAL, *, rhythm: bool = False) -> Cell:
    slow = volume < 5 and ratio < 0.3
    minutes = 1440 if slow or rhythm else 480 if volume < 50 else 240
    publishes = _SLOW if minutes == 1440 else _BAD
    return Cell(volume, NORMAL, ratio, publishes, minutes, durations=durations, rhythm=rhythm)


def _stays(volume: float, ratio: float) -> Cell:
    return Cell(volume, ratio, ratio, _SLOW, 1440)
