"""The benchmark's own arithmetic: window sums, readings, rule sets, bounds and goals."""

import math
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest

from bench.detection import goals, grid, incidents, measure, plots, table
from bench.detection.cell import Cell, Errors
from bench.detection.draws import poisson
from bench.detection.history import HOURS, baselines_of, simulate_hours
from bench.detection.incidents import Incident
from bench.detection.measure import Found, Result, poisson_upper
from bench.detection.rule_sets import JUDGES, RuleSet
from bench.detection.shipped import NEVER, column_of, convicted, firing, has_left_probation, rolled_back
from bench.detection.traffic import POLLS_BEFORE, SETTLE_POLLS, Readings, Traffic, simulate
from bench.detection.windows import Windows, WindowSums
from genesys.evidence import WINDOWS, Evidence, Outcomes, Signal
from genesys.excess import ExcessLimits
from genesys.history import NOTHING_KNOWN, Baseline, baseline_of

MINUTES = 100


def seen_at_once(errors: np.ndarray, volume: np.ndarray, **more: object) -> Traffic:
    """Minutes that every reading shows as they are, polled without a failure."""
    counts = [np.atleast_2d(np.asarray(one, dtype=np.int32)) for one in (errors, volume, volume)]
    rows, minutes = counts[0].shape
    readings = [Readings(one, one, one, one) for one in counts]
    known = {
        "errors": readings[0],
        "entries": readings[1],
        "exits": readings[2],
        "polled": np.ones((rows, POLLS_BEFORE + minutes + SETTLE_POLLS), dtype=bool),
        "published_min": np.zeros(rows),
        "minute_of_hour": np.zeros(rows, dtype=np.int64),
        "baseline": np.full((rows, 1), 0.01),
        "scatter": np.full((rows, 1), 1.0),
        "threshold": np.full((rows, 1), 0.05),
    }
    return Traffic(**{**known, **more})  # type: ignore[arg-type]


def alerts(rule_set: RuleSet, errors: list[int], volume: list[int]) -> int:
    return int(JUDGES[rule_set](seen_at_once(np.array(errors), np.array(volume))).alert[0])


@pytest.mark.parametrize("length", WINDOWS.values())
def test_a_window_sums_what_each_reading_shows(length: int) -> None:
    rng = np.random.default_rng(1)
    first, second, third, final = (rng.integers(0, 9, (4, MINUTES), dtype=np.int32) for _ in range(4))
    readings = Readings(first, second, third, final)
    sums = WindowSums(readings).over(length)
    for row in range(4):
        for newest in range(MINUTES):
            seen = column_of(readings, row, newest + SETTLE_POLLS)
            assert sums[row, newest] == seen[max(0, newest + 1 - length) :].sum()


def test_volume_is_the_larger_of_entries_and_exits_of_the_whole_window() -> None:
    traffic = seen_at_once(np.zeros(3), np.array([5, 0, 1]))
    exits = np.array([[0, 5, 0]], dtype=np.int32)
    volume = Windows(replace(traffic, exits=Readings(exits, exits, exits, exits))).over(2).volume
    assert volume.tolist() == [[5, 5, 5]]


def test_calls_have_the_volume_and_the_ratio_that_the_cell_says() -> None:
    for errors in Errors:
        traffic = simulate(Cell(50.0, 0.03, 0.03, 0, 240, errors), np.random.default_rng(1), 400)
        entries, failed = traffic.entries.final[:, 30:].mean(), traffic.errors.final[:, 30:].mean()
        redials = 50 * 0.03 * 1.5 if errors is Errors.REDIALS else 0.0
        assert entries == pytest.approx(50 + redials, rel=0.02)
        assert failed == pytest.approx(50 * 0.03 + redials, rel=0.05)


@pytest.mark.parametrize("most", [0.2, 3.0], ids=["rare", "usual"])
def test_counts_are_drawn_alike_whether_they_are_rare_or_not(most: float) -> None:
    mean = np.linspace(0.0, most, 5)[None, :].repeat(40_000, axis=0)
    counts = poisson(np.random.default_rng(1), mean)
    assert counts.shape == mean.shape
    assert counts.mean(axis=0) == pytest.approx(mean[0], abs=0.03 * most)
    assert counts.var(axis=0) == pytest.approx(mean[0], abs=0.05 * most)


HISTORIES = [
    *(Cell(10.0, 0.03, 0.03, 0, 150, errors) for errors in Errors),
    *(Cell(0.5, ratio, ratio, 0, 150, Errors.REDIALS) for ratio in (0.001, 0.03, 1.0)),
    Cell(20.0, 0.05, 0.05, 0, 150, Errors.SWINGS, rhythm=True),  # of some rows this hour is worse than the others
    Cell(0.019, 0.1, 0.1, 0, 150),  # of some rows too little is known
]


@pytest.mark.parametrize("cell", HISTORIES, ids=lambda cell: cell.name)
def test_the_past_is_judged_as_the_product_does(cell: Cell) -> None:
    rng = np.random.default_rng(4)
    hours = simulate_hours(cell, rng, np.full((1, 1), cell.per_minute), rng.integers(0, 1440, 60))
    found = baselines_of(hours)
    for row in range(60):
        told = Baseline(
            *(None if np.isnan(one[row]) else one[row] for one in (found.ratio, found.scatter, found.spread_ratio))
        )
        expected = _of_product(hours.errors[row].tolist(), hours.calls[row].tolist())
        assert astuple(told) == pytest.approx(astuple(expected))
    of_product = {_of_product(one.tolist(), all_.tolist()) for one, all_ in zip(hours.errors, hours.calls, strict=True)}
    assert cell.per_minute > 0.1 or {NOTHING_KNOWN} < of_product, "some rows must be known and some not"


def _of_product(errors: list[int], calls: list[int]) -> Baseline:
    outcomes = {
        hour * 3600: Outcomes(total, {"FLOW_ERROR_EXIT": failed, "TRANSFER": total - failed})
        for hour, (failed, total) in enumerate(zip(errors, calls, strict=True))
        if total
    }
    end = HOURS * 3600
    return baseline_of(
        Evidence(0, end, 3600, {("f", "13.0"): outcomes}),
        flow_id="f",
        live_version="14.0",
        live_since=end,
        signal=Signal.ERROR_EXIT,
    )


@pytest.mark.parametrize(
    ("errors", "low", "high"),
    [
        (Errors.INDEPENDENT, 0.9, 1.1),
        (Errors.REDIALS, 1.6, 1.85),
        (Errors.SWINGS, 1.7, 2.1),  # 18 errors an hour
        (Errors.BETA, 1.1, 1.3),  # 10 calls a minute with correlation 0.05
    ],
)
def test_the_scatter_is_that_of_the_cells_errors(errors: Errors, low: float, high: float) -> None:
    traffic = simulate(Cell(10.0, 0.03, 0.03, 0, 60, errors), np.random.default_rng(1), 400)
    assert low < np.median(traffic.scatter) < high


def test_nothing_is_known_of_a_flow_without_a_history() -> None:
    traffic = simulate(Cell(10.0, 0.03, 0.03, 0, 60, known=False), np.random.default_rng(1), 5)
    assert np.isnan(traffic.baseline).all()
    assert np.isnan(traffic.scatter).all()


def test_a_burst_fails_totally_for_its_minutes_and_no_longer() -> None:
    traffic = simulate(Cell(100.0, 0.0, 0.0, 0, 120, burst_minutes=2), np.random.default_rng(1), 200)
    assert traffic.errors.final.sum(axis=1).mean() == pytest.approx(200, rel=0.05)
    assert ((traffic.errors.final > 0).sum(axis=1) <= 4).all()


def test_total_failure_fires_after_three_bad_minutes_and_three_of_patience() -> None:
    assert alerts(RuleSet.SHIPPED, [20] * 20, [20] * 20) == 2 + SETTLE_POLLS + 3
    assert alerts(RuleSet.PLAIN_RATIO, [20] * 20, [20] * 20) == SETTLE_POLLS + 3
    assert alerts(RuleSet.MIN_VOLUME, [19] * 20, [19] * 20) == NEVER
    assert alerts(RuleSet.FLAGGER, [20] * 20, [20] * 20) == 4 + SETTLE_POLLS
    assert alerts(RuleSet.ARGO, [20] * 30, [20] * 30) == 19 + SETTLE_POLLS
    assert alerts(RuleSet.BURN_RATE, [20] * 20, [20] * 20) == SETTLE_POLLS


def test_flagger_does_not_forget_and_takes_silence_for_failure() -> None:
    now_and_then = [1 if minute % 4 == 0 else 0 for minute in range(40)]
    assert alerts(RuleSet.FLAGGER, now_and_then, [10] * 40) == 16 + SETTLE_POLLS
    assert alerts(RuleSet.FLAGGER, [0] * 20, [0] * 20) == 4 + SETTLE_POLLS
    assert alerts(RuleSet.ARGO, [0] * 40, [0] * 40) == 24 + SETTLE_POLLS


def test_failed_polls_delay_the_alert_and_never_make_it() -> None:
    traffic = seen_at_once(np.full(30, 20), np.full(30, 20))
    assert firing(traffic, convicted(traffic, ExcessLimits()))[0].argmax() == 7
    polled = traffic.polled.copy()
    polled[0, POLLS_BEFORE + 5 : POLLS_BEFORE + 9] = False
    gap = replace(traffic, polled=polled)
    assert firing(gap, convicted(gap, ExcessLimits()))[0].argmax() > 9


def test_a_version_that_has_left_probation_is_not_rolled_back() -> None:
    errors = np.array([0] * 130 + [20] * 20)
    traffic = seen_at_once(errors, np.full(150, 20))
    is_convicted = convicted(traffic, ExcessLimits())
    fires = firing(traffic, is_convicted)
    assert has_left_probation(traffic, 0, 140)
    assert fires.any()
    assert rolled_back(traffic, is_convicted, fires).tolist() == [NEVER]
    young = seen_at_once(errors[60:], np.full(90, 20))
    is_convicted = convicted(young, ExcessLimits())
    assert rolled_back(young, is_convicted, firing(young, is_convicted))[0] > 0


def test_the_receiver_waits_while_it_is_held_back() -> None:
    traffic = seen_at_once(np.full(30, 20), np.full(30, 20))
    is_convicted = convicted(traffic, ExcessLimits())
    fires = firing(traffic, is_convicted)
    assert rolled_back(traffic, is_convicted, fires, holds_back=lambda _, poll: poll < 12).tolist() == [12]


@pytest.mark.parametrize(("events", "bound"), [(0, 2.996), (1, 4.744), (4, 9.154), (30, 40.691), (31, 41.838)])
def test_the_upper_bound_of_a_count(events: int, bound: float) -> None:
    assert poisson_upper(events) == pytest.approx(bound, rel=0.001)


def test_the_same_seed_gives_the_same_figures() -> None:
    cell = Cell(5.0, 0.01, 0.3, 60, 120)
    assert measure.run(cell, 3, (RuleSet.SHIPPED,)) == measure.run(cell, 3, (RuleSet.SHIPPED,))
    assert measure.run(cell, 3, (RuleSet.SHIPPED,)) != measure.run(cell, 4, (RuleSet.SHIPPED,))


def test_every_goal_of_the_design_is_asked_of_some_cell_and_can_be_missed() -> None:
    cells = grid.full()
    bad = Found(1000, 1000, (1e9, 1e9), (1e9, 1e9))
    all_cells = (*cells.good, *cells.bursts, *cells.bad, *cells.at_threshold)
    results = [Result(cell, 1, {RuleSet.SHIPPED: bad}, 10.0, 10.0, 1e9) for cell in all_cells]
    found = list(goals.checks(cells, results, RuleSet.SHIPPED))
    assert len({check.goal for check in found}) == 5
    assert not any(check.is_met for check in found)


def test_the_plots_of_the_same_figures_are_the_same_files(tmp_path: Path) -> None:
    found = {rule_set: Found(1000, 3, (12.0, math.inf), (12.5, math.inf)) for rule_set in RuleSet}
    cells = grid.full()
    results = [Result(cell, 1, found) for cell in (*cells.good, *cells.bad)]
    for folder in ("once", "again"):
        plots.write(tmp_path / folder, results)
    first, second = ([file.read_text() for file in sorted((tmp_path / one).iterdir())] for one in ("once", "again"))
    assert first == second
    assert len(first) == 2
    assert not any("<metadata>" in text for text in first), "a date would be in it"


def test_what_is_missed_is_named_worst_first() -> None:
    cell, worse = grid.quick().bursts[:2]
    checks = [goals.Check("share", cell, 1, 0.02, 0.01), goals.Check("share", worse, 1, 0.5, 0.01)]
    lines = list(table.verdict([*checks, goals.Check("share", cell, 2, 0.0, 0.01)], RuleSet.SHIPPED))
    assert [line.split(":")[0] for line in lines[:2]] == ["missed", "missed"]
    assert worse.name in lines[0]
    assert lines[-1] == "1 of 3 goals met by shipped"


def test_a_common_cause_holds_back_what_would_be_rolled_back_alone() -> None:
    blamed = incidents.run(Incident(50, 0.1), 1)
    assert blamed.with_veto < blamed.without_veto <= blamed.incidents
