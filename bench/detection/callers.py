"""The callers of many publishes of a version, as each signal counts them.

`traffic` simulates one stream of errors among good calls; here one version gives the streams of all signals, so that
the same publish can be shown to each of them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bench.detection.draws import poisson
from bench.detection.history import HOUR_MIN, HOURS, Baselines, Hours, baselines_of
from bench.detection.traffic import (
    CONFIGURED_RATIO,
    HALF_HOUR_MIN,
    Ratios,
    Readings,
    Traffic,
    as_read,
    polls,
)
from bench.detection.ways import Judged, Key, Lengths, Version, Way
from genesys.excess import relative_threshold, threshold_for
from genesys.history import DAY_BUCKETS, wilson_lower

_OF_OUTCOMES = (Judged.OUTCOME_FAILED,)
_OF_ACTIONS = (Judged.ACTION_FAILURE, Judged.ACTION_SLOW)
_ENTRIES: Key = (Judged.ERROR_EXIT, "entries")
_EXITS: Key = (Judged.ERROR_EXIT, "exits")
_FAILED_OUTCOMES: Key = (Judged.OUTCOME_FAILED, "")

Column = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Share:
    """What one signal looks at, and how large it was in the week before; of `routing_shift` one for each target."""

    signal: Judged
    before: float
    target: str = ""

    @property
    def key(self) -> Key:
        return self.signal, self.target


def shares(before: Version, after: Version) -> list[Share]:
    """What the signals look at; a target that only the new version has was at 0 before."""
    found = {(way.signal, way.target): 0.0 for way in (*before.ways, *after.ways)}
    for way in before.ways:
        found[way.signal, way.target] += way.share
    of_ways = [Share(signal, share, target) for (signal, target), share in found.items()]
    failed = sum(way.share * way.failed_outcomes for way in before.ways)
    return [
        *of_ways,
        Share(Judged.OUTCOME_FAILED, failed),
        Share(Judged.ACTION_FAILURE, before.failed_actions),
        Share(Judged.ACTION_SLOW, before.slow_actions),
    ]


def show(
    version: Version,
    looked_at: list[Share],
    rng: np.random.Generator,
    rows: int,
    minutes: int,
    *,
    per_minute: float,
    swing_cv: float = 0.0,
) -> dict[Share, Traffic]:
    """`rows` publishes of the version as each share's signal counts them, with what is known from the week before.

    With `swing_cv` the share of each way but the last is another one each half hour: its mean times a factor with this
    coefficient of variation; the last way gets what is left.
    """
    columns = minutes + 1  # as in `traffic`: the first is what is left of the minute of the publish
    published, start = rng.random(rows), rng.integers(0, 24 * 60, rows)
    rate = np.full((rows, columns), float(per_minute))
    rate[:, 0] *= published
    of_minute = _of_each_minute(version.ways, rng, start, columns, swing_cv)
    counts = _counts(version, rng, rate, of_minute, [share.key for share in looked_at])
    polled, counted = polls(rng, rows, minutes)
    readings = as_read(rng, [np.where(counted, one[:, 1:], 0).astype(np.int32) for one in counts.values()])
    read = dict(zip(counts, readings, strict=True))
    nothing = Readings(*(np.zeros((rows, minutes), dtype=np.int32) for _ in range(4)))
    shown = {}
    for share in looked_at:
        known = _baselines(share, rng, rows, per_minute, swing_cv)
        by_exits = share.signal not in (*_OF_OUTCOMES, *_OF_ACTIONS)
        shown[share] = Traffic(
            errors=read.get(share.key, nothing),
            entries=read[_ENTRIES] if by_exits else nothing,
            exits=read[_ENTRIES if share.signal in _OF_ACTIONS else _EXITS],
            polled=polled,
            published_min=published,
            minute_of_hour=start % 60,
            baseline=known.ratio[:, None],
            scatter=known.scatter[:, None],
            threshold=_thresholds(share.signal, known)[:, None],
        )
    return shown


def _of_each_minute(
    ways: tuple[Way, ...], rng: np.random.Generator, start: Column, columns: int, swing_cv: float
) -> list[Ratios]:
    """The share of each way, minute by minute; may be one number for all."""
    if not swing_cv:
        return [np.full((1, 1), way.share) for way in ways]
    of_minute = (start[:, None] % HALF_HOUR_MIN + np.arange(columns)) // HALF_HOUR_MIN
    halves = [way.share * _factors(rng, (start.size, columns // HALF_HOUR_MIN + 2), swing_cv) for way in ways[:-1]]
    too_much = np.maximum(1.0, sum(halves, np.zeros((1, 1))))
    swung = [np.take_along_axis(one / too_much, of_minute, axis=1) for one in halves]
    return [*swung, np.maximum(0.0, 1.0 - sum(swung, np.zeros((1, 1))))]


def _factors(rng: np.random.Generator, shape: tuple[int, int], cv: float) -> Ratios:
    """With mean 1."""
    return rng.gamma(cv**-2, cv**2, shape)


def _counts(
    version: Version, rng: np.random.Generator, rate: Ratios, of_minute: list[Ratios], wanted: list[Key]
) -> dict[Key, Column]:
    """What happens, by minute: entries, exits, and what the wanted signals take for bad."""
    counts: dict[Key, Column] = {key: np.zeros(rate.shape, dtype=np.int64) for key in (_ENTRIES, _EXITS, *wanted)}
    for way, share in zip(version.ways, of_minute, strict=True):
        came, left = _passages(rng, rate * share, way.lasts)
        counts[_ENTRIES] += came
        counts[_EXITS] += left
        if way.key in wanted:
            counts[way.key] += left
        if _FAILED_OUTCOMES in wanted:
            counts[_FAILED_OUTCOMES] += rng.binomial(left, way.failed_outcomes)
    of_runs = {Judged.ACTION_FAILURE: version.failed_actions, Judged.ACTION_SLOW: version.slow_actions}
    for signal, ratio in of_runs.items():
        if (signal, "") in wanted:
            counts[signal, ""] += rng.binomial(counts[_ENTRIES], ratio)
    return counts


def _passages(rng: np.random.Generator, rate: Ratios, lasts: Lengths) -> tuple[Column, Column]:
    """Who comes at a rate, and who leaves; each stays for some whole minutes."""
    came, left = (np.zeros(rate.shape, dtype=np.int64) for _ in range(2))
    for minutes, share in lasts:
        calls = poisson(rng, rate * share)
        came += calls
        left[:, minutes:] += calls[:, : calls.shape[1] - minutes]
    return came, left


def _baselines(share: Share, rng: np.random.Generator, rows: int, per_minute: float, swing_cv: float) -> Baselines:
    """As the product has them from the week before, in which the share came in the same way."""
    week = _week(share, rng, rows, per_minute, swing_cv)
    known = baselines_of(week)
    if share.signal is not Judged.ROUTING_SHIFT:
        return known
    # A share that it surely had on one of the days at this hour, an hour before and one after, is the calendar's doing.
    days = [(week.errors[:, hour : hour + 3], week.calls[:, hour : hour + 3]) for hour in range(0, HOURS, DAY_BUCKETS)]
    of_days = [
        [wilson_lower(*of_row) for of_row in zip(bad.sum(axis=1), all_.sum(axis=1), strict=True)] for bad, all_ in days
    ]
    return replace(known, ratio=np.maximum(known.ratio, np.max(np.array(of_days), axis=0)))


def _week(share: Share, rng: np.random.Generator, rows: int, per_minute: float, swing_cv: float) -> Hours:
    """What is bad, and of how many, by the hour."""
    ratio = np.full((1, 1), share.before)
    if swing_cv:
        halves = np.minimum(1.0, share.before * _factors(rng, (rows, 2 * HOURS), swing_cv))
        ratio = (halves[:, ::2] + halves[:, 1::2]) / 2
    calls = np.maximum(1, rng.poisson(per_minute * HOUR_MIN, (rows, HOURS)))
    return Hours(rng.binomial(calls, ratio), calls)


def _thresholds(signal: Judged, known: Baselines) -> Ratios:
    """As `Judging.threshold_of`, of a flow for which nothing is configured; NaN, which nothing is above, for none."""
    return np.array([_threshold(signal, *row) for row in zip(known.ratio, known.spread_ratio, strict=True)])


def _threshold(signal: Judged, ratio: float, spread_ratio: float) -> float:
    if signal is Judged.ERROR_EXIT:
        return threshold_for(CONFIGURED_RATIO, ratio)
    found = relative_threshold(ratio, spread_ratio)
    return math.nan if found is None else found


def by_signal(shown: Mapping[Share, Traffic]) -> dict[Judged, list[Traffic]]:
    """One traffic for each signal, but one for each target of `routing_shift`."""
    found: dict[Judged, list[Traffic]] = {}
    for share, traffic in shown.items():
        found.setdefault(share.signal, []).append(traffic)
    return found
