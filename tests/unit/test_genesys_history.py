"""The baseline: what may be compared with, and how sure it is."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.evidence import Evidence, Outcomes, Signal
from genesys.history import MIN_VOLUME, NOTHING_KNOWN, PRIOR_DISPERSION, Baseline, baseline_of, wilson_upper

HOUR = 3600
WEEK = 168 * HOUR
LIVE_SINCE = WEEK - 2 * HOUR

Hours = dict[int, tuple[int, int]]


def history(**versions: Hours) -> Evidence:
    """Versions `v13` to their hours: (errors, good ones) by number."""
    outcomes = {
        ("f", version): {
            hour * HOUR: Outcomes(errors + good, {"FLOW_ERROR_EXIT": errors, "TRANSFER": good})
            for hour, (errors, good) in hours.items()
        }
        for version, hours in versions.items()
    }
    return Evidence(0, WEEK, HOUR, outcomes)


def past(evidence: Evidence, live_since: float = LIVE_SINCE) -> Baseline:
    return baseline_of(evidence, flow_id="f", live_version="v14", live_since=live_since, signal=Signal.ERROR_EXIT)


def baseline(evidence: Evidence, live_since: float = LIVE_SINCE) -> float | None:
    return past(evidence, live_since).ratio


def scatter(evidence: Evidence) -> float:
    found = past(evidence).scatter
    assert found is not None
    return found


def test_the_baseline_is_the_upper_bound_of_what_the_flow_did_before():
    found = baseline(history(v13=dict.fromkeys(range(100), (1, 99))))
    assert found == wilson_upper(100, 10_000)
    assert found == pytest.approx(0.0118, abs=0.0002)


def test_all_earlier_versions_count():
    assert baseline(history(v12={1: (0, 150)}, v13={2: (3, 147)})) == wilson_upper(3, 300)


def test_other_flows_do_not_count():
    others = Evidence(0, WEEK, HOUR, {("g", "v13"): {0: Outcomes(5000, {"FLOW_ERROR_EXIT": 5000})}})
    assert baseline(others) is None


@pytest.mark.parametrize(("volume", "known"), [(MIN_VOLUME - 1, False), (MIN_VOLUME, True)])
def test_with_too_little_before_nothing_is_known(volume, known):
    assert (baseline(history(v13={5: (0, volume)})) is not None) == known


@pytest.mark.parametrize(("end", "counts"), [(LIVE_SINCE, True), (LIVE_SINCE + 1, False)])
def test_only_buckets_that_ended_before_the_version_became_live_count(end, counts):
    evidence = Evidence(0, WEEK, HOUR, {("f", "v13"): {end - HOUR: Outcomes(1000, {"TRANSFER": 1000})}})
    assert (baseline(evidence) is not None) == counts


def test_a_version_older_than_the_history_is_compared_with_its_own_past():
    steady = dict.fromkeys(range(168), (1, 99))
    assert baseline(history(v14=steady), live_since=-1) == wilson_upper(144, 14_400)


def test_its_newest_day_does_not_count():
    failing_today = dict.fromkeys(range(144), (0, 100)) | dict.fromkeys(range(144, 168), (100, 0))
    assert baseline(history(v14=failing_today), live_since=-1) == wilson_upper(0, 14_400)


def swinging(*, by_night: int, by_day: int, nights: range = range(8)) -> Hours:
    """Hours with their errors beside 100 good ones: night is from 23 to 2, and the history ends at midnight."""
    return {
        hour: (by_night if (hour + 1) % 24 <= 2 and (hour + 1) // 24 in nights else by_day, 100) for hour in range(164)
    }


def test_a_flow_that_fails_more_often_at_this_hour_is_compared_with_this_hour():
    swings = baseline(history(v13=swinging(by_night=8, by_day=1)))
    assert swings == wilson_upper(
        (2 + 5 * 3) * 8, (2 + 5 * 3) * 108
    )  # the first night lacks an hour, the worst is left out
    assert swings > 2 * baseline(history(v13=dict.fromkeys(range(164), (2, 100))))


def test_an_hour_that_is_better_than_the_whole_does_not_lower_the_bound():
    found = baseline(history(v13=swinging(by_night=0, by_day=5)))
    assert found > 5 / 105 * 0.8


def whole_week(hours: Hours) -> float:
    return wilson_upper(sum(errors for errors, _ in hours.values()), sum(sum(one) for one in hours.values()))


def test_the_worst_day_at_this_hour_does_not_count():
    incident = swinging(by_night=50, by_day=1, nights=range(5, 6))
    assert baseline(history(v13=incident)) == whole_week(incident)


def test_a_difference_that_may_be_chance_changes_nothing():
    barely = {hour: (2 if hour % 24 == 23 else 1, 100) for hour in range(164)}
    assert baseline(history(v13=barely)) == whole_week(barely)


def week_of(rng: random.Random, failing: Callable[[random.Random], int], calls: int = 600) -> Hours:
    """Hours with so many calls, of which each hour's errors are drawn."""
    return {hour: (failing(rng), calls) for hour in range(160)}


def independent(rng: random.Random) -> int:
    return sum(rng.random() < 0.01 for _ in range(600))


def redialling(rng: random.Random) -> int:
    return sum(rng.choice((1, 2, 3, 4)) for _ in range(600) if rng.random() < 0.004)


def swinging_by_the_hour(rng: random.Random) -> int:
    return 5 * independent(rng) if rng.random() < 0.2 else independent(rng)


@pytest.mark.parametrize(
    ("failing", "low", "high"),
    [
        pytest.param(independent, 0.85, 1.15, id="each on its own"),
        pytest.param(redialling, 1.5, 1.95, id="callers who dial again: the root of 3"),
        pytest.param(swinging_by_the_hour, 2.0, 8.0, id="bad hours"),
        pytest.param(lambda _: 6, 0.0, 0.15, id="always the same"),
    ],
)
def test_the_scatter_tells_how_unevenly_the_errors_came(
    failing: Callable[[random.Random], int], low: float, high: float
) -> None:
    assert low < scatter(history(v13=week_of(random.Random(1), failing))) < high


def test_the_scatter_is_the_same_whichever_versions_the_hours_calls_were_on() -> None:
    whole = {hour: (2 * (hour % 3), 200) for hour in range(150)}
    half = {hour: (hour % 3, 100) for hour in range(150)}
    assert scatter(history(v12=half, v13=half)) == pytest.approx(scatter(history(v13=whole)))


def test_busy_hours_with_as_many_more_errors_do_not_scatter() -> None:
    assert scatter(history(v13={hour: (hour % 24, 99 * (hour % 24)) for hour in range(160)})) < 0.3


def test_of_little_the_scatter_is_taken_for_worse() -> None:
    without = scatter(history(v13={1: (0, 5000)}))
    few = scatter(history(v13={hour: (hour % 80 == 0, 500) for hour in range(160)}))
    many = scatter(history(v13=week_of(random.Random(2), independent)))
    assert without == math.sqrt(PRIOR_DISPERSION) > few > many


def test_of_figures_that_were_spread_over_hours_nobody_knows_the_scatter() -> None:
    spread = replace(history(v13=dict.fromkeys(range(100), (1, 99))), is_spread=True)
    assert past(spread) == Baseline(wilson_upper(100, 10_000), None)


def test_what_every_call_met_does_not_scatter_beyond_what_is_assumed() -> None:
    assert scatter(history(v13=dict.fromkeys(range(100), (100, 0)))) == pytest.approx(math.sqrt(PRIOR_DISPERSION))


counts = st.tuples(st.integers(0, 500), st.integers(0, 500))
hours = st.dictionaries(st.integers(0, 165), counts, max_size=20)
newest_hours = st.dictionaries(st.integers(166, 167), counts)


@given(hours, newest_hours)
def test_what_a_version_does_on_its_first_day_never_moves_its_baseline(before, since):
    assert past(history(v13=before, v14=since)) == past(history(v13=before))


@given(hours, hours)
def test_a_baseline_is_never_below_the_ratio_it_bounds_and_never_above_one(v12, v13):
    known = past(history(v12=v12, v13=v13))
    found = known.ratio
    errors = sum(one[0] for one in [*v12.values(), *v13.values()])
    volume = sum(sum(one) for one in [*v12.values(), *v13.values()])
    if found is None:
        assert volume < MIN_VOLUME
        assert known == NOTHING_KNOWN
    else:
        assert errors / volume <= found <= 1
        assert found > 0
        assert known.scatter is not None
        assert math.isfinite(known.scatter)
        assert known.scatter > 0


@given(st.integers(0, 1000), st.integers(1, 1000), st.integers(2, 50))
def test_more_of_the_same_always_tightens_the_bound(errors, good, factor):
    volume = errors + good
    assert wilson_upper(errors * factor, volume * factor) < wilson_upper(errors, volume)


@given(st.integers(0, 1000), st.integers(0, 1000).filter(bool))
def test_the_bound_is_the_ratio_from_which_the_count_is_just_too_low_at_95_percent(errors, good):
    volume = errors + good
    upper = wilson_upper(errors, volume)
    deviations = (upper - errors / volume) / math.sqrt(upper * (1 - upper) / volume)
    assert deviations == pytest.approx(NormalDist().inv_cdf(0.95))


def spread(evidence: Evidence) -> float:
    found = past(evidence).spread_ratio
    assert found is not None
    return found


def test_the_spread_is_how_far_the_ratio_varies_from_hour_to_hour() -> None:
    by_turns = {hour: (200, 800) if hour % 2 else (300, 700) for hour in range(160)}
    assert spread(history(v13=by_turns)) == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("calls", [30, 600])
def test_what_chance_makes_of_few_calls_is_no_spread(calls: int) -> None:
    rng = random.Random(1)
    failed = {hour: sum(rng.random() < 0.25 for _ in range(calls)) for hour in range(160)}
    assert spread(history(v13={hour: (bad, calls - bad) for hour, bad in failed.items()})) < 0.03


def test_an_incident_of_one_day_is_no_spread() -> None:
    calm = dict.fromkeys(range(160), (250, 750))
    one_day = dict.fromkeys(range(100, 104), (900, 100))
    another = dict.fromkeys(range(40, 44), (900, 100))
    assert spread(history(v13=calm | one_day)) < 0.02
    assert spread(history(v13=calm | one_day | another)) > 0.08
