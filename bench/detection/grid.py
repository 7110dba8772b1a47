"""Which cells are run: the whole grid, or the quick form with the cells that decide."""

from dataclasses import dataclass

from bench.detection.cell import Cell, Durations, Errors

VOLUMES = (0.5, 2.0, 5.0, 10.0, 50.0, 200.0, 500.0)
BURST_VOLUMES = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 50.0, 200.0, 500.0)
RATIOS_AFTER = (0.06, 0.1, 0.15, 0.3, 0.5, 1.0)
NORMAL, GUIDE = 0.01, 0.06

_INDEPENDENT, _CLUSTERED = 30_000, 10_000  # 2.996 events are the upper bound of none: 1.0 and 3.0 per 10,000
_BURSTS, _BAD = 2_000, 1_000


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
    return Cell(volume, NORMAL, ratio, _BAD, minutes, durations=durations, rhythm=rhythm)


def _stays(volume: float, ratio: float) -> Cell:
    return Cell(volume, ratio, ratio, _BAD, 1440)
