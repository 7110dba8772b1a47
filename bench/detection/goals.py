"""The goals of the design, and which of them a run has missed. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.detection.cell import Cell, Errors
from bench.detection.grid import GUIDE, Grid
from bench.detection.measure import Result
from bench.detection.mistakes import Accused, Calm, Made, Noticed
from bench.detection.rule_sets import RuleSet
from bench.detection.shipped import FOR_POLLS

FALSE_PER_10000 = {Errors.INDEPENDENT: 1.0, Errors.REDIALS: 10.0, Errors.SWINGS: 10.0, Errors.BETA: 10.0}
BURST_SHARE = {1: 0.01, 2: 0.05}
GUIDE_MIN = ((200.0, 15.0), (10.0, 30.0))  # from so many calls a minute on, so many minutes in the median
BEYOND_CUSUM_MIN = 2.0
CUSUM_WITHIN_MIN = 60.0  # a detector that needs longer sets no limit
LEFT_ALONE = 0.99
FALSE_PAGES_PER_10000 = 10.0
MISTAKE_MIN = 25.0  # that most callers meet, in the median, by the first signal; no loop shows before sessions expire
MISTAKE_PER_MINUTE = 10.0  # from so many calls a minute on


@dataclass(frozen=True, slots=True)
class Check:
    """One goal, asked of one cell, calm flow or mistake."""

    goal: str
    what: Cell | Calm | Made
    seed: int
    measured: float
    limit: float

    @property
    def is_met(self) -> bool:
        return self.measured <= self.limit


def checks(grid: Grid, results: Sequence[Result], rule_set: RuleSet) -> Iterator[Check]:
    """Every goal of every cell."""
    by_cell: dict[Cell, list[Result]] = {}
    for result in results:
        by_cell.setdefault(result.cell, []).append(result)
    for cells, judge in (
        (grid.good, _false),
        (grid.bursts, _bursts),
        (grid.bad, _delays),
        (grid.at_threshold, _at_threshold),
    ):
        for cell in cells:
            for result in by_cell.get(cell, ()):
                yield from judge(result, rule_set)


def _check(goal: str, result: Result, measured: float, limit: float) -> Check:
    return Check(goal, result.cell, result.seed, measured, limit)


def _false(result: Result, rule_set: RuleSet) -> Iterator[Check]:
    limit = FALSE_PER_10000[result.cell.errors]
    yield _check("false per 10,000, upper bound", result, result.found[rule_set].upper_per_10000, limit)


def _bursts(result: Result, rule_set: RuleSet) -> Iterator[Check]:
    limit = BURST_SHARE.get(result.cell.burst_minutes)
    if limit is not None:
        yield _check("share of healed bursts", result, result.found[rule_set].share, limit)


def _delays(result: Result, rule_set: RuleSet) -> Iterator[Check]:
    cell, found = result.cell, result.found[rule_set]
    if cell.after == GUIDE:
        limit = next((minutes for volume, minutes in GUIDE_MIN if cell.per_minute >= volume), None)
        if limit is not None and not cell.rhythm:
            yield _check("minutes to the alert at 6 %", result, found.alert_min[0], limit)
    best, beyond = result.cusum_min, result.beyond_cusum_min
    if best is not None and best < CUSUM_WITHIN_MIN and beyond is not None and not cell.rhythm:
        yield _check("minutes beyond CUSUM and hysteresis", result, beyond - FOR_POLLS, BEYOND_CUSUM_MIN)


def _at_threshold(result: Result, rule_set: RuleSet) -> Iterator[Check]:
    yield _check("share of days not left alone", result, result.found[rule_set].share, 1 - LEFT_ALONE)


def signal_checks(accused: Sequence[Accused], noticed: Sequence[Noticed]) -> Iterator[Check]:
    """The goals of the signals that only page."""
    for one in accused:
        if one.calm.has_goal:
            bound = one.upper_per_10000
            yield Check("false pages per 10,000, upper bound", one.calm, one.seed, bound, FALSE_PAGES_PER_10000)
    for found in noticed:
        if found.made.mistake.hits_most and found.made.per_minute >= MISTAKE_PER_MINUTE:
            late = found.first.median_min
            yield Check("minutes to the page of a mistake", found.made, found.seed, late, MISTAKE_MIN)
