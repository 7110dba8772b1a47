"""The benchmark of mistakes that are no errors: its callers, what each signal counts of them, and its goals."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.detection import goals, grid, mistakes, table
from bench.detection.callers import Share, shares, show
from bench.detection.mistakes import Accused, Calm, Late, Made, Noticed
from bench.detection.rule_sets import RuleSet
from bench.detection.shipped import convicted, firing, first
from bench.detection.traffic import POLLS_BEFORE, SETTLE_POLLS, Readings, Traffic
from bench.detection.ways import BEFORE, LARGE, MISTAKES, MOST, SMALL, Judged, Mistake, Version
from genesys.excess import ExcessLimits, relative_threshold

CATCH_ALL, LOOP = MISTAKES[:2]
PER_MINUTE, ROWS, MINUTES = 50.0, 200, 240
SETTLED = slice(60, None)  # the longest stay in the flow is over


def shown_of(version: Version) -> dict[Share, Traffic]:
    rng = np.random.default_rng(1)
    return show(version, shares(BEFORE, version), rng, ROWS, MINUTES, per_minute=PER_MINUTE)


def share_seen(traffic: Traffic) -> float:
    errors, exits = (one.final[:, SETTLED].sum() for one in (traffic.errors, traffic.exits))
    return float(errors / exits)


def seen_at_once(errors: int, volume: int, *, baseline: float, minutes: int = 30) -> Traffic:
    """Minutes that are all alike, and that every reading shows as they are."""
    bad, all_ = (np.full((1, minutes), count, dtype=np.int32) for count in (errors, volume))
    threshold = relative_threshold(baseline)
    assert threshold is not None
    return Traffic(
        errors=Readings(bad, bad, bad, bad),
        entries=Readings(all_, all_, all_, all_),
        exits=Readings(all_, all_, all_, all_),
        polled=np.ones((1, POLLS_BEFORE + minutes + SETTLE_POLLS), dtype=bool),
        published_min=np.zeros(1),
        minute_of_hour=np.zeros(1, dtype=np.int64),
        baseline=np.full((1, 1), baseline),
        scatter=np.full((1, 1), 1.0),
        threshold=np.full((1, 1), threshold),
    )


def test_the_shares_of_every_version_make_a_whole() -> None:
    for version in (BEFORE, *(mistake.version for mistake in MISTAKES)):
        assert sum(way.share for way in version.ways) == pytest.approx(1.0)


def test_a_good_version_shows_each_signal_the_share_that_it_had_before() -> None:
    for share, traffic in shown_of(BEFORE).items():
        assert share_seen(traffic) == pytest.approx(share.before, rel=0.03, abs=0.0005), share
        assert traffic.exits.final[:, SETTLED].mean() == pytest.approx(PER_MINUTE, rel=0.01)
        assert float(traffic.baseline.mean()) == pytest.approx(share.before, rel=0.1, abs=0.001)


def test_callers_that_are_hit_go_the_way_of_the_mistake_and_the_others_as_before() -> None:
    seen = {share.key: share_seen(traffic) for share, traffic in shown_of(CATCH_ALL.version).items()}
    assert seen[Judged.ROUTING_SHIFT, "Catch-all"] == pytest.approx(MOST, rel=0.01)
    assert seen[Judged.ROUTING_SHIFT, "Service"] == pytest.approx(LARGE * (1 - MOST), rel=0.05)
    assert seen[Judged.ERROR_EXIT, ""] == pytest.approx(0.001, rel=0.2)


def test_a_target_that_was_never_seen_was_at_nothing_before() -> None:
    (new,) = (one for one in shares(BEFORE, CATCH_ALL.version) if one.target == "Catch-all")
    assert new.before == 0.0
    assert float(shown_of(CATCH_ALL.version)[new].threshold[0, 0]) == relative_threshold(0.0)


def test_who_goes_round_in_circles_leaves_late_and_achieves_nothing() -> None:
    by_key = {share.key: traffic for share, traffic in shown_of(LOOP.version).items()}
    stuck = by_key[Judged.STUCK, ""].errors.final.mean(axis=0)
    assert stuck[:9].max() < 1.0
    assert stuck[40:].min() > 20.0
    assert share_seen(by_key[Judged.OUTCOME_FAILED, ""]) > MOST


def test_flow_outcomes_and_runs_of_a_data_action_have_no_entries() -> None:
    for share, traffic in shown_of(BEFORE).items():
        has_entries = share.signal not in {Judged.OUTCOME_FAILED, Judged.ACTION_FAILURE, Judged.ACTION_SLOW}
        assert bool(traffic.entries.final.any()) is has_entries, share


def test_a_data_action_has_run_before_its_caller_leaves() -> None:
    by_key = {share.key: traffic for share, traffic in shown_of(BEFORE).items()}
    runs, exits = (by_key[key].exits.final[:, 1:3].mean() for key in ((Judged.ACTION_SLOW, ""), (Judged.STUCK, "")))
    assert runs == pytest.approx(PER_MINUTE, rel=0.05)
    assert exits < 0.7 * PER_MINUTE


@pytest.mark.parametrize("cv", [0.25, 0.5])
def test_a_swinging_share_keeps_its_mean_and_swings_every_half_hour(cv: float) -> None:
    version, looked_at = mistakes.calm_version(Calm(Judged.CALLER_HANGUP, (0.1,), 500.0, 0, 0))
    shown = show(version, looked_at, np.random.default_rng(1), 300, 120, per_minute=500.0, swing_cv=cv)
    (traffic,) = shown.values()
    ratio = traffic.errors.final[:, 60:65].sum(axis=1) / traffic.exits.final[:, 60:65].sum(axis=1)
    assert ratio.mean() == pytest.approx(0.1, rel=0.1)
    assert ratio.std() / ratio.mean() == pytest.approx(cv, rel=0.2)


def test_a_signal_that_only_pages_needs_six_bad_minutes() -> None:
    traffic = seen_at_once(20, 20, baseline=0.25)
    long_only = convicted(traffic, ExcessLimits(), mistakes.windows_of(Judged.CALLER_HANGUP))
    all_windows = convicted(traffic, ExcessLimits(), mistakes.windows_of(Judged.ERROR_EXIT))
    assert first(firing(traffic, long_only)).tolist() == [5 + SETTLE_POLLS + 3]
    assert first(firing(traffic, all_windows)).tolist() == [2 + SETTLE_POLLS + 3]


def test_of_several_targets_one_that_has_grown_is_judged() -> None:
    grown, as_ever = seen_at_once(18, 20, baseline=0.01), seen_at_once(2, 20, baseline=0.1)
    assert mistakes.alert_minutes(Judged.ROUTING_SHIFT, [as_ever, grown]).tolist() == [10.5]
    assert mistakes.alert_minutes(Judged.ROUTING_SHIFT, [as_ever]).tolist() == [math.inf]


def test_a_mistake_is_found_by_its_own_signal_and_by_no_error() -> None:
    found = mistakes.notice(Made(CATCH_ALL, PER_MINUTE, 30, 90), 1)
    assert found.by_signal[Judged.ROUTING_SHIFT].never == 0.0
    assert 10 < found.by_signal[Judged.ROUTING_SHIFT].median_min < 15
    assert found.first == found.by_signal[Judged.ROUTING_SHIFT]
    assert found.by_signal[Judged.ERROR_EXIT].never == 1.0


def test_a_good_version_is_accused_where_its_share_swings_wildly_and_else_not() -> None:
    usual = (Judged.CALLER_HANGUP, (0.05,), PER_MINUTE, 200, 150)
    assert mistakes.accuse(Calm(*usual), 1).accused == 0
    wild = mistakes.accuse(Calm(*usual, swing_cv=1.5), 1)
    assert wild.accused > 10
    assert wild.per_10000 < wild.upper_per_10000


def test_the_same_seed_gives_the_same_figures() -> None:
    once, again, other = (mistakes.notice(Made(LOOP, 2.0, 20, 120), seed) for seed in (3, 3, 4))
    assert once == again
    assert once.by_signal != other.by_signal


def test_every_goal_of_the_signals_can_be_missed() -> None:
    signals = grid.signals()
    late = Late(math.inf, math.inf, 1.0)
    accused = [Accused(calm, 1, 10_000, 10) for calm in signals.calm]
    noticed = [Noticed(made, 1, {}, late) for made in signals.made]
    checks = list(goals.signal_checks(accused, noticed))
    assert len({check.goal for check in checks}) == 2
    assert not any(check.is_met for check in checks)
    assert {check.what for check in checks} >= {calm for calm in signals.calm if calm.has_goal}
    assert {calm.minutes for calm in signals.calm if not calm.has_goal and not calm.swing_cv} == {mistakes.DAY_MIN}


def test_a_mistake_that_not_everybody_meets_has_no_goal() -> None:
    weak = Mistake("weak", BEFORE)
    late = Late(math.inf, math.inf, 1.0)
    assert not list(goals.signal_checks([], [Noticed(Made(weak, 500.0, 1, 1), 1, {}, late)]))


def test_the_table_names_who_found_a_mistake_and_not_who_did_not() -> None:
    found, never = Late(12.0, 15.0, 0.0), Late(math.inf, math.inf, 1.0)
    made = Made(CATCH_ALL, 10.0, 100, 240)
    by_signal = {Judged.ROUTING_SHIFT: found, Judged.ERROR_EXIT: never}
    by_two = {**by_signal, Judged.STUCK: replace(found, median_min=11.0)}
    for shown, names in ((by_signal, ["routing_shift"]), (by_two, ["stuck", "routing_shift", "the"]), ({}, ["the"])):
        lines = list(table.signal_lines([], [Noticed(made, 1, shown, found)]))
        assert [line[len(made.name) :].split()[2] for line in lines[1:]] == names
    missed = goals.Check("a", Calm(Judged.STUCK, (SMALL,), 10.0, 1, 1), 1, 2.0, 1.0)
    assert "10/min, stuck 0.04" in next(table.verdict([missed], RuleSet.SHIPPED))
