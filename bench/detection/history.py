"""The week before a publish, by the hour, and what the product makes of it.

Errors come as they do after the publish, but for one thing: who dials again does it within the hour. The product
asks one flow at a time; here many are asked at once, and a test proves that the answers are the same.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.detection.cell import Cell, Errors
from bench.detection.draws import poisson
from genesys.history import DAY_BUCKETS, MIN_VOLUME, PRIOR_DISPERSION, PRIOR_ERRORS, Z_ONE_SIDED_95

Counts = npt.NDArray[np.int64]
Ratios = npt.NDArray[np.float64]

HOURS = 7 * DAY_BUCKETS
HOUR_MIN = 60

# Calls of each hour of the day, relative to the mean: nights of next to nothing, a peak in the morning.
_DAY = np.array([1, 1, 1, 1, 1, 2, 8, 25, 60, 80, 85, 75, 60, 65, 75, 75, 70, 60, 45, 30, 20, 12, 6, 3], dtype=float)
RHYTHM = _DAY / _DAY.mean()

REDIALS = (0, 1, 2, 3)  # times that a caller who failed dials again, as often each
SWING_SHAPE = 4.0  # of a gamma distribution with mean 1: coefficient of variation 0.5
BETA_RHO = 0.05


@dataclass(frozen=True, slots=True)
class Hours:
    """Errors and calls by publish and hour; the newest hour is the last."""

    errors: Counts
    calls: Counts


@dataclass(frozen=True, slots=True)
class Baselines:
    """As `genesys.history.Baseline`, of many publishes; NaN is unknown."""

    ratio: Ratios
    scatter: Ratios
    spread_ratio: Ratios


def simulate_hours(cell: Cell, rng: np.random.Generator, volume: Ratios, start: Counts) -> Hours:
    """The week before each publish: `volume` in calls a minute by row or for all, `start` in minutes of the day."""
    rows = start.size
    rate = np.array(np.broadcast_to(volume * HOUR_MIN, (rows, HOURS)))
    if cell.rhythm:
        rate *= RHYTHM[(start[:, None] // HOUR_MIN - np.arange(HOURS, 0, -1)) % DAY_BUCKETS]
    failing = rate * cell.before
    if cell.errors is Errors.REDIALS:
        errors = np.zeros((rows, HOURS), dtype=np.int64)
        for times in REDIALS:
            errors += (1 + times) * poisson(rng, failing / len(REDIALS))
    else:
        errors = rng.poisson(failing * _swings(cell, rng, (rows, HOURS)))
    return Hours(errors, errors + rng.poisson(rate - failing))


def _swings(cell: Cell, rng: np.random.Generator, shape: tuple[int, int]) -> Ratios:
    """The ratio of each hour relative to its mean."""
    if cell.errors is Errors.SWINGS:
        return rng.gamma(2 * SWING_SHAPE, 1 / (2 * SWING_SHAPE), shape)  # the mean of two half hours
    if cell.errors is Errors.BETA:  # the mean of sixty minutes, each drawn by itself
        same_spread = HOUR_MIN * cell.before / ((1 - cell.before) * BETA_RHO)
        return rng.gamma(same_spread, 1 / same_spread, shape)
    return np.ones((1, 1))


def baselines_of(hours: Hours) -> Baselines:
    """What `genesys.history.baseline_of` says when the newest hour has just ended and nothing older is left out."""
    errors, calls = hours.errors.sum(axis=1), hours.calls.sum(axis=1)
    bound = _wilson(errors, calls, Z_ONE_SIDED_95)
    now_errors, now_calls = _at_this_hour(hours)
    is_worse = (now_calls >= MIN_VOLUME) & (_wilson(now_errors, now_calls, -Z_ONE_SIDED_95) > bound)
    ratio = np.where(is_worse, _wilson(now_errors, now_calls, Z_ONE_SIDED_95), bound)
    known = calls >= MIN_VOLUME
    return Baselines(*(np.where(known, one, np.nan) for one in (ratio, _scatter(hours), _spread_ratio(hours))))


def _scatter(hours: Hours) -> Ratios:
    errors = hours.errors.sum(axis=1)
    ratio = errors / np.maximum(hours.calls.sum(axis=1), 1)
    apart = hours.errors - ratio[:, None] * hours.calls
    seen = np.einsum("ij,ij->i", apart, apart)
    return np.asarray(np.sqrt((seen + PRIOR_ERRORS * PRIOR_DISPERSION) / (errors * (1 - ratio) + PRIOR_ERRORS)))


def _spread_ratio(hours: Hours) -> Ratios:
    ratio = (hours.errors.sum(axis=1) / np.maximum(hours.calls.sum(axis=1), 1))[:, None]
    days = (-1, HOURS // DAY_BUCKETS, DAY_BUCKETS)
    beyond = (hours.errors - ratio * hours.calls) ** 2 - ratio * (1 - ratio) * hours.calls
    of_days, weights = beyond.reshape(days).sum(axis=2), (hours.calls.astype(float) ** 2).reshape(days).sum(axis=2)
    worst = of_days.argmax(axis=1)[:, None]
    others, weight = (one.sum(axis=1) - np.take_along_axis(one, worst, axis=1)[:, 0] for one in (of_days, weights))
    return np.asarray(np.sqrt(np.maximum(0.0, others) / np.maximum(weight, 1)))


def _at_this_hour(hours: Hours) -> tuple[Counts, Counts]:
    """Errors and calls of this hour of the day and of those beside it, without the worst of the days."""
    days = HOURS // DAY_BUCKETS + 1
    place = np.arange(HOURS, 0, -1) + 1  # the hour that begins now is 1
    day, hour = np.divmod(place, DAY_BUCKETS)
    member = ((day == np.arange(days)[:, None]) & (hour <= 2)).astype(float)
    errors, calls = hours.errors @ member.T, hours.calls @ member.T
    worst = errors.argmax(axis=1)[:, None]
    others = [one.sum(axis=1) - np.take_along_axis(one, worst, axis=1)[:, 0] for one in (errors, calls)]
    return others[0].astype(np.int64), others[1].astype(np.int64)


def _wilson(errors: Counts, calls: Counts, z: float) -> Ratios:
    calls = np.maximum(calls, 1)
    share = errors / calls
    centre = share + z * z / (2 * calls)
    spread = z * np.sqrt(share * (1 - share) / calls + z * z / (4 * calls * calls))
    return np.clip((centre + spread) / (1 + z * z / calls), 0.0, 1.0)
