"""Calls of many publishes at once, as Genesys Cloud's analytics show them minute by minute.

Rows are publishes, columns are one-minute buckets since the poll that saw the new version live. A bucket is read
again at every poll: at the first three readings some of it may still be missing.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.detection.cell import Cell, Durations, Errors
from bench.detection.draws import poisson
from bench.detection.history import BETA_RHO, REDIALS, RHYTHM, SWING_SHAPE, Baselines, baselines_of, simulate_hours
from genesys.excess import threshold_for

Counts = npt.NDArray[np.int32]
Ratios = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

CONFIGURED_RATIO = 0.05  # the default threshold

# Share of calls by their length in whole minutes, as (minutes, share).
GOOD = {Durations.USUAL: ((1, 0.3), (2, 0.3), (4, 0.25), (8, 0.15)), Durations.LONG: ((2, 0.2), (5, 0.4), (15, 0.4))}
BAD = {Durations.USUAL: ((0, 0.7), (1, 0.3)), Durations.LONG: ((0, 0.4), (1, 0.3), (2, 0.3))}

REDIAL_MIN = 5  # in which a caller who failed dials again
HALF_HOUR_MIN = 30

# Analytics' latency: a tenth of the buckets shows 70 % at its first reading; one of a hundred shows nothing at the
# first two and half at the third.
_LATE, _LATE_SHOWS, _VERY_LATE, _VERY_LATE_SHOWS = 0.1, 0.7, 0.01, 0.5
# Polls fail one in a hundred, and the interface is away for 3 to 15 minutes once in eight hours.
_FAILED_POLL, _GAP, _GAP_MIN = 0.01, 1 / 480, (3, 15)
POLLS_BEFORE = 3  # that are looked back at
SETTLE_POLLS = 2  # bucket 0 ends after a minute, has settled after another one: poll 2 is the first that has it


@dataclass(frozen=True, slots=True)
class Readings:
    """One count, as the first, second and third reading of a bucket show it, and as it is in the end."""

    first: Counts
    second: Counts
    third: Counts
    final: Counts


@dataclass(frozen=True, slots=True)
class Traffic:
    """What analytics show of many publishes, and what is known of the flows."""

    errors: Readings
    entries: Readings
    exits: Readings
    polled: Flags  # whether the poll at minute column - POLLS_BEFORE succeeded
    published_min: Ratios  # before column 0; at most a minute
    minute_of_hour: npt.NDArray[np.int64]  # of column 0
    baseline: Ratios  # one column; NaN where nothing is known of the flow
    scatter: Ratios  # likewise
    threshold: Ratios  # one column

    @property
    def shape(self) -> tuple[int, int]:
        rows, minutes = self.errors.final.shape
        return rows, minutes


def simulate(
    cell: Cell,
    rng: np.random.Generator,
    rows: int,
    *,
    per_minute: Ratios | None = None,
    ratio: Ratios | None = None,
) -> Traffic:
    """`rows` publishes of the cell's kind.

    `per_minute` gives each row its own volume, in one column; `ratio` the ratio of each minute, after one column for
    what is left of the minute of the publish.
    """
    columns = cell.minutes + 1  # the first is what is left of the minute in which the version was published
    published = rng.random(rows)
    start = rng.integers(0, 24 * 60, rows)
    volume = np.full((1, 1), float(cell.per_minute)) if per_minute is None else per_minute
    rate = np.array(np.broadcast_to(volume, (rows, columns)))
    if cell.rhythm:
        rate *= RHYTHM[(start[:, None] + np.arange(columns) - 1) // 60 % 24]
    rate[:, 0] *= published
    ratio = _ratio(cell, rng, rows, columns, start) if ratio is None else ratio
    if cell.burst_minutes:
        ratio = _with_burst(cell, rng, ratio, rows, columns)
    calls = _calls(cell, rng, rate, ratio)
    polled, counted = polls(rng, rows, cell.minutes)
    known = baselines_of(simulate_hours(cell, rng, volume, start)) if cell.known else _nothing_known(rows)
    threshold = [threshold_for(CONFIGURED_RATIO, None if np.isnan(one) else float(one)) for one in known.ratio]
    errors, entries, exits = as_read(rng, [np.where(counted, count[:, 1:], 0).astype(np.int32) for count in calls])
    return Traffic(
        errors=errors,
        entries=entries,
        exits=exits,
        polled=polled,
        published_min=published,
        minute_of_hour=start % 60,
        baseline=known.ratio[:, None],
        scatter=known.scatter[:, None],
        threshold=np.array(threshold)[:, None],
    )


def _nothing_known(rows: int) -> Baselines:
    return Baselines(*(np.full(rows, np.nan) for _ in range(3)))


def _ratio(cell: Cell, rng: np.random.Generator, rows: int, columns: int, start: npt.NDArray[np.int64]) -> Ratios:
    """The ratio that each call of a minute has to fail; may be one number for all."""
    if cell.errors is Errors.SWINGS:
        halves = rng.gamma(SWING_SHAPE, 1 / SWING_SHAPE, (rows, columns // HALF_HOUR_MIN + 2))
        of_minute = (start[:, None] % HALF_HOUR_MIN + np.arange(columns)) // HALF_HOUR_MIN
        return np.minimum(1.0, cell.after * np.take_along_axis(halves, of_minute, axis=1))
    if cell.errors is Errors.BETA:
        weight = (1 - BETA_RHO) / BETA_RHO
        return rng.beta(cell.after * weight, (1 - cell.after) * weight, (rows, columns))
    return np.full((1, 1), cell.after)


def _with_burst(cell: Cell, rng: np.random.Generator, ratio: Ratios, rows: int, columns: int) -> Ratios:
    """Everything fails for a while that begins anywhere in a minute, from right after the publish to an hour later."""
    begin = rng.uniform(0, 60, (rows, 1))
    minute = np.arange(columns) - 1.0
    inside = np.minimum(minute + 1, begin + cell.burst_minutes) - np.maximum(minute, begin)
    share = np.clip(inside, 0.0, 1.0)
    return np.asarray(share + (1 - share) * ratio)


def _calls(
    cell: Cell, rng: np.random.Generator, rate: Ratios, ratio: Ratios
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Errors, entries and exits; the parts of a Poisson stream are independent Poisson streams."""
    errors, entries, exits = (np.zeros(rate.shape, dtype=np.int64) for _ in range(3))

    def add(calls: npt.NDArray[np.int64], minutes: int, into: npt.NDArray[np.int64]) -> None:
        entries[:] += calls
        into[:, minutes:] += calls[:, : calls.shape[1] - minutes]

    if cell.errors is Errors.REDIALS:
        failing = _with_redials(rng, rate * ratio)
        left, of_left = failing, 1.0
        for minutes, share in BAD[cell.durations]:
            now = rng.binomial(left, min(1.0, share / of_left))
            add(now, minutes, errors)
            left, of_left = left - now, of_left - share
    else:
        for minutes, share in BAD[cell.durations]:
            add(poisson(rng, rate * ratio * share), minutes, errors)
    for minutes, share in GOOD[cell.durations]:
        add(poisson(rng, rate * (1 - ratio) * share), minutes, exits)
    return errors, entries, exits + errors


def _with_redials(rng: np.random.Generator, failing: Ratios) -> npt.NDArray[np.int64]:
    """First calls that fail at a rate, and the calls that their callers make again, which fail as well."""
    calls = poisson(rng, failing / len(REDIALS))
    left = np.zeros_like(calls)
    for times in REDIALS[1:]:
        firsts = poisson(rng, failing / len(REDIALS))
        calls += firsts
        left += times * firsts
    for minutes in range(1, REDIAL_MIN + 1):
        now = rng.binomial(left, 1 / (REDIAL_MIN + 1 - minutes))
        calls[:, minutes:] += now[:, : now.shape[1] - minutes]
        left = left - now
    return calls


def polls(rng: np.random.Generator, rows: int, minutes: int) -> tuple[Flags, Flags]:
    """Which polls succeed, and which buckets count: those that begin when a poll has seen the version, or later."""
    polled = rng.random((rows, POLLS_BEFORE + minutes + SETTLE_POLLS)) >= _FAILED_POLL
    for row, begin in zip(*np.nonzero(rng.random(polled.shape) < _GAP), strict=True):
        polled[row, begin : begin + rng.integers(*_GAP_MIN, endpoint=True)] = False
    polled[:, :POLLS_BEFORE] = True
    seen = np.argmax(polled[:, POLLS_BEFORE:], axis=1)
    return polled, np.arange(minutes) >= seen[:, None]


def as_read(rng: np.random.Generator, counts: list[Counts]) -> list[Readings]:
    """The counts as the first readings of each bucket show them."""
    chance = rng.random(counts[0].shape)
    late = np.nonzero(chance < _LATE)
    very_late = np.nonzero(chance > 1 - _VERY_LATE)
    readings = []
    for final in counts:
        first, second, third = final.copy(), final.copy(), final.copy()
        first[late] = rng.binomial(final[late], _LATE_SHOWS)
        first[very_late] = second[very_late] = 0
        third[very_late] = rng.binomial(final[very_late], _VERY_LATE_SHOWS)
        readings.append(Readings(first, second, third, final))
    return readings
