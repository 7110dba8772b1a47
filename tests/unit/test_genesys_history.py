"""The baseline: what may be compared with, and how sure it is."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.evidence import Evidence, Outcomes, Signal
from genesys.history import MIN_VOLUME, baseline_ratio, wilson_upper

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


def baseline(evidence: Evidence, live_since: float = LIVE_SINCE) -> float | None:
    return baseline_ratio(evidence, flow_id="f", live_version="v14", live_since=live_since, signal=Signal.ERROR_EXIT)


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


counts = st.tuples(st.integers(0, 500), st.integers(0, 500))
hours = st.dictionaries(st.integers(0, 165), counts, max_size=20)
newest_hours = st.dictionaries(st.integers(166, 167), counts)


@given(hours, newest_hours)
def test_what_a_version_does_on_its_first_day_never_moves_its_baseline(before, since):
    assert baseline(history(v13=before, v14=since)) == baseline(history(v13=before))


@given(hours, hours)
def test_a_baseline_is_never_below_the_ratio_it_bounds_and_never_above_one(v12, v13):
    found = baseline(history(v12=v12, v13=v13))
    errors = sum(one[0] for one in [*v12.values(), *v13.values()])
    volume = sum(sum(one) for one in [*v12.values(), *v13.values()])
    if found is None:
        assert volume < MIN_VOLUME
    else:
        assert errors / volume <= found <= 1
        assert found > 0


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
