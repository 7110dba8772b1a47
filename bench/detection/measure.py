"""Runs a cell and says what each rule set did with it.

A cell of good publishes is run on where a rollback was false, so that one of them does not decide; what is given is a
count with its upper 95 % bound.
"""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.detection.cell import Cell, Errors
from bench.detection.history import REDIALS
from bench.detection.rule_sets import JUDGES, RuleSet, log_likelihood
from bench.detection.traffic import CONFIGURED_RATIO, SETTLE_POLLS, Traffic, simulate
from genesys.history import Z_ONE_SIDED_95

CHUNK = 60_000  # minutes of publishes at once: a count of them fits into a cache, which is quicker by a third
COMPARED = 2_000  # publishes that the other rule sets are shown: they are wrong often enough
RUN_ON = 4  # times as many publishes, where some were rolled back falsely
EVALUATION_MIN = 0.5  # from the poll to the evaluation that sees it
ALERT_TO_LIVE_MIN = (1 + 2 + 2 + 20) / 60  # Alertmanager, a tick, reading; and 20 s for Genesys Cloud to publish

CUSUM_NULL = 0.03
_CUSUM_PUBLISHES = 3_000
_CUSUM_TAIL = 0.01
_EXACT_EVENTS = 30


@dataclass(frozen=True, slots=True)
class Found:
    """What one rule set did in one cell."""

    publishes: int
    rolled_back: int
    alert_min: tuple[float, float]  # from publish to alert: median and 95th percentile; inf where it never came
    live_min: tuple[float, float]  # the same to the good version live

    @property
    def share(self) -> float:
        return self.rolled_back / self.publishes

    @property
    def per_10000(self) -> float:
        return 1e4 * self.share

    @property
    def upper_per_10000(self) -> float:
        return 1e4 * poisson_upper(self.rolled_back) / self.publishes


@dataclass(frozen=True, slots=True)
class Result:
    """One cell from one seed."""

    cell: Cell
    seed: int
    found: dict[RuleSet, Found]
    cusum_min: float | None = None  # median from publish to where the best possible detector would alert
    cusum_independent_min: float | None = None  # the same of one that need not withstand redials
    beyond_cusum_min: float | None = None  # how much later the first rule set alerts, of the same publish; median


def run(cell: Cell, seed: int, rule_sets: tuple[RuleSet, ...]) -> Result:
    """Simulate a cell and judge it. The figures follow from cell and seed alone."""
    rng = np.random.default_rng([seed, zlib.crc32(cell.name.encode())])
    minutes: dict[RuleSet, list[npt.NDArray[np.float64]]] = {rule_set: [] for rule_set in rule_sets}
    acted: dict[RuleSet, list[npt.NDArray[np.float64]]] = {rule_set: [] for rule_set in rule_sets}
    cusum: list[npt.NDArray[np.float64]] = []
    easier: list[npt.NDArray[np.float64]] = []
    limits = _cusum_limits(cell, rng) if is_judged_against_cusum(cell) else None
    for done, traffic in _chunks(cell, rng):
        for rule_set in rule_sets:
            if rule_set is RuleSet.SHIPPED or done < COMPARED or len(rule_sets) == 1:
                outcome = JUDGES[rule_set](traffic)
                minutes[rule_set].append(after_publish(traffic, outcome.alert))
                acted[rule_set].append(after_publish(traffic, outcome.action))
        if limits is not None:
            score = log_likelihood(traffic, CUSUM_NULL, cell.after)
            cusum.append(_cusum_minutes(traffic, score, max(limits)))
            easier.append(_cusum_minutes(traffic, score, limits[0]))
        if done + traffic.shape[0] >= cell.publishes and not _runs_on(cell, acted[rule_sets[0]]):
            break
    found = {rule_set: _found(minutes[rule_set], acted[rule_set]) for rule_set in rule_sets}
    if limits is None:
        return Result(cell, seed, found)
    best = np.concatenate(cusum)
    later = np.where(np.isinf(best), 0.0, np.concatenate(minutes[rule_sets[0]]) - np.minimum(best, 1e9))
    return Result(
        cell, seed, found, quantiles(best)[0], quantiles(np.concatenate(easier))[0], round(quantiles(later)[0], 6)
    )


def is_judged_against_cusum(cell: Cell) -> bool:
    """From three times the threshold on; less than that is no clear failure."""
    return cell.after > 2.99 * CONFIGURED_RATIO


def _chunks(cell: Cell, rng: np.random.Generator) -> Iterator[tuple[int, Traffic]]:
    rows = min(cell.publishes, max(50, CHUNK // cell.minutes))
    for done in range(0, RUN_ON * cell.publishes, rows):
        yield done, simulate(cell, rng, rows)


def _runs_on(cell: Cell, acted: list[npt.NDArray[np.float64]]) -> bool:
    is_good = cell.after == cell.before and not cell.burst_minutes
    return is_good and 0 < sum(int(np.isfinite(part).sum()) for part in acted) <= 20


def after_publish(traffic: Traffic, polls: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.where(polls >= 0, polls + EVALUATION_MIN + traffic.published_min, math.inf)


def _found(alerts: list[npt.NDArray[np.float64]], actions: list[npt.NDArray[np.float64]]) -> Found:
    alert, action = np.concatenate(alerts), np.concatenate(actions)
    return Found(alert.size, int(np.isfinite(action).sum()), quantiles(alert), quantiles(action + ALERT_TO_LIVE_MIN))


def quantiles(minutes: npt.NDArray[np.float64]) -> tuple[float, float]:
    middle, late = np.quantile(minutes, (0.5, 0.95), method="higher")
    return float(middle), float(late)


def _cusum_limits(cell: Cell, rng: np.random.Generator) -> tuple[float, float]:
    """The limits that keep CUSUM within the goals: 1 false of 10,000 at 3 % independent, 10 at 3 % with redials.

    The largest value that it reaches by chance has an exponential tail with rate 1 for independent errors; for
    redials the quantile is read off.
    """
    redialling = CUSUM_NULL / (1 + float(np.mean(REDIALS)) * (1 - CUSUM_NULL))  # of first calls: 3 % of all
    limits = []
    for errors, ratio, goal in ((Errors.INDEPENDENT, CUSUM_NULL, 1e-4), (Errors.REDIALS, redialling, 1e-3)):
        null = Cell(cell.per_minute, ratio, ratio, _CUSUM_PUBLISHES, 240, errors, cell.durations)
        largest = [
            log_likelihood(simulate(null, rng, 500), CUSUM_NULL, cell.after).max(axis=1)
            for _ in range(_CUSUM_PUBLISHES // 500)
        ]
        tail = _CUSUM_TAIL if errors is Errors.INDEPENDENT else goal
        limits.append(float(np.quantile(np.concatenate(largest), 1 - tail)) + math.log(tail / goal))
    return limits[0], limits[1]


def _cusum_minutes(traffic: Traffic, score: npt.NDArray[np.float64], limit: float) -> npt.NDArray[np.float64]:
    alarms = score > limit
    polls = np.where(alarms.any(axis=1), np.argmax(alarms, axis=1) + SETTLE_POLLS, -1)
    return after_publish(traffic, polls)


def poisson_upper(events: int) -> float:
    """Upper end of the one-sided 95 % interval of a Poisson mean, of which so many events were seen: 2.996 of none."""
    if events > _EXACT_EVENTS:
        at = events + 1.0
        return float(at * (1 - 1 / (9 * at) + Z_ONE_SIDED_95 / (3 * math.sqrt(at))) ** 3)  # Wilson and Hilferty
    low, high = float(events), events + 10 * math.sqrt(events + 1) + 10
    for _ in range(60):
        middle = (low + high) / 2
        chance = sum(
            math.exp(count * math.log(middle) - middle - math.lgamma(count + 1)) for count in range(events + 1)
        )
        low, high = (middle, high) if chance > 0.05 else (low, middle)
    return high
