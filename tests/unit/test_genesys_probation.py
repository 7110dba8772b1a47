"""When a version has left probation, and that it stays so."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.evidence import Evidence, Outcomes, Signal, Tally
from genesys.probation import Probation, ProbationLimits, Stretch, judge_probation, stretches_of

LIMITS = ProbationLimits(busy_s=7200, quiet_s=14400, max_s=14 * 86400)
HOUR_S = 3600.0


def hours(*tallies: tuple[int, int]) -> list[Stretch]:
    """(errors, ended conversations) of one hour after the other."""
    return [
        Stretch(number * HOUR_S, HOUR_S, Tally(errors, exits, exits)) for number, (errors, exits) in enumerate(tallies)
    ]


def judge(stretches: list[Stretch], *, live_s: float = 3 * 86400.0, limits: ProbationLimits = LIMITS) -> Probation:
    return judge_probation(stretches, live_s=live_s, threshold_ratio=0.05, limits=limits)


@pytest.mark.parametrize(
    ("stretches", "live_s"),
    [
        pytest.param(hours((0, 250), (0, 250)), 7200.0, id="500 conversations in 2 h"),
        pytest.param(hours((0, 12), (0, 13), (0, 12), (0, 13)), 14400.0, id="50 conversations in 4 h"),
        pytest.param(hours((12, 250), (13, 250)), 7200.0, id="exactly at the threshold"),
        pytest.param(hours((40, 250), (0, 250), (0, 500)), 10800.0, id="a bad first hour, outweighed by two good ones"),
        pytest.param(hours((0, 250), (0, 250), (300, 300)), 10800.0, id="it fails only after it had left"),
        pytest.param(hours((0, 250), (0, 0), (0, 250)), 10800.0, id="an hour without traffic between"),
        pytest.param(hours((250, 250)), 14 * 86400.0, id="whatever it did, after 14 days"),
        pytest.param([], 14 * 86400.0, id="nobody called in 14 days"),
    ],
)
def test_it_has_left_probation(stretches: list[Stretch], live_s: float) -> None:
    assert judge(stretches, live_s=live_s).left


@pytest.mark.parametrize(
    "stretches",
    [
        pytest.param([], id="no traffic"),
        pytest.param(hours((0, 5000)), id="many conversations in too short a time"),
        pytest.param(hours((0, 250), (0, 249)), id="one conversation too few in 2 h"),
        pytest.param(hours((0, 12), (0, 12), (0, 12), (0, 13)), id="one conversation too few in 4 h"),
        pytest.param(hours((0, 40), (0, 0), (0, 0), (0, 40)), id="hours without traffic are no service"),
        pytest.param(hours((13, 250), (13, 250)), id="just above the threshold"),
        pytest.param(hours((125, 250), (125, 250), (125, 250)), id="bad from the first call on"),
        pytest.param(hours((0, 250), (250, 250)), id="it failed before its time was over"),
        pytest.param([Stretch(0, HOUR_S, Tally(0, 900, 100)), *hours((0, 300))[0:]], id="entries do not count"),
    ],
)
def test_it_is_on_probation(stretches: list[Stretch]) -> None:
    assert not judge(stretches).left


def test_the_time_limits_are_settings() -> None:
    lapsed = ProbationLimits(busy_s=720, quiet_s=1440, max_s=14 * 8640)
    stretches = [replace(one, served_s=360.0) for one in hours((0, 250), (0, 250))]

    assert judge(stretches, live_s=720.0, limits=lapsed).left
    assert not judge(stretches, live_s=720.0).left


def test_the_record_says_what_it_rests_on() -> None:
    assert judge(hours((2, 250), (3, 250), (100, 100))).because == (
        "left probation with 5 errors of 500 ended conversations in 7200 s with traffic"
    )
    assert judge(hours((2, 250))).because == "on probation: 2 errors of 250 ended conversations in 3600 s with traffic"


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)).map(sorted), max_size=8),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)).map(sorted), max_size=8),
)
def test_whoever_has_left_probation_never_comes_back(before: list[list[int]], after: list[list[int]]) -> None:
    sooner = [(errors, exits) for errors, exits in before]
    later = [(errors, exits) for errors, exits in after]
    if judge(hours(*sooner)).left:
        assert judge(hours(*sooner, *later)).left


# Where the stretches come from

HISTORY_END = 7 * 3600


def outcomes(count: int) -> Outcomes:
    return Outcomes(count, {"FLOW_DISCONNECT": count})


def test_the_history_counts_by_the_hour_and_the_trailing_hour_where_it_is_newer() -> None:
    history = Evidence(0, HISTORY_END, 3600, {("f", "14.0"): {3600: outcomes(60), 6 * 3600: outcomes(90)}})
    minutes = {HISTORY_END - 60: outcomes(9), HISTORY_END: outcomes(5), HISTORY_END + 60: outcomes(6)}
    recent = Evidence(HISTORY_END - 1800, HISTORY_END + 1800, 60, {("f", "14.0"): minutes, ("f", "13.0"): minutes})

    found = list(
        stretches_of(history, recent, flow_id="f", version="14.0", signal=Signal.ERROR_EXIT, live_since=5400.0)
    )
    assert [(one.start, one.served_s, one.tally.exits) for one in found] == [
        (3600, 1800.0, 60),  # live for half of that hour
        (6 * 3600, 3600.0, 90),
        (HISTORY_END, 60.0, 5),
        (HISTORY_END + 60, 60.0, 6),
    ]
