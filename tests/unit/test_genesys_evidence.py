"""What is an error, what is volume, what lies in a window."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.evidence import (
    WINDOWS,
    Columns,
    Evidence,
    Executions,
    Outcomes,
    Signal,
    Tally,
    breach_minutes,
    total,
    window_of,
)

EXIT_REASONS = {
    "UNKNOWN": False,
    "DISCONNECT": False,
    "FLOW_DISCONNECT": False,
    "FLOW_ERROR_DISCONNECT": True,
    "TRANSFER": False,
    "SESSION_EXPIRE_DISCONNECT": False,
    "RECOGNITION_FAILURE_DISCONNECT": False,
    "RECOGNITION_FAILURE_EXIT": False,
    "USER_EXIT": False,
    "FLOW_EXIT": False,
    "FLOW_ERROR_EXIT": True,
    "flow_error_exit": False,
    "FLOW_ERROR_NEW": False,
}


@pytest.mark.parametrize(("reason", "is_error"), EXIT_REASONS.items())
def test_only_error_exits_are_errors(reason, is_error):
    assert Outcomes(0, {reason: 3}).tally(Signal.ERROR_EXIT) == Tally(errors=3 * is_error, entries=0, exits=3)


@pytest.mark.parametrize(
    ("tally", "volume", "ratio"),
    [
        (Tally(errors=7, entries=30, exits=10), 30, 7 / 30),
        (Tally(errors=7, entries=8, exits=10), 10, 0.7),
        (Tally(errors=1, entries=0, exits=1), 1, 1.0),
        (Tally(), 0, None),
    ],
    ids=["many still in the flow", "more ended than began", "nothing but one error", "nothing at all"],
)
def test_volume_is_the_larger_of_entries_and_exits(tally, volume, ratio):
    assert (tally.volume, tally.ratio) == (volume, ratio)


def test_an_empty_total_is_an_empty_tally():
    assert total([]) == Tally()


EVIDENCE = Evidence(
    0,
    3600,
    60,
    {
        ("f", "14.0"): {0: Outcomes(1), 60: Outcomes(2), 120: Outcomes(3)},
        ("f", "13.0"): {0: Outcomes(5)},
        ("g", "1.0"): {0: Outcomes(7)},
    },
)


@pytest.mark.parametrize(("since", "starts"), [(0, {0, 60, 120}), (60, {60, 120}), (61, {120}), (121, set())])
def test_a_bucket_that_began_before_the_version_was_live_does_not_count(since, starts):
    assert EVIDENCE.tallies("f", "14.0", Signal.ERROR_EXIT, since).keys() == starts


def test_a_version_without_outcomes_has_no_tallies():
    assert EVIDENCE.tallies("f", "15.0", Signal.ERROR_EXIT) == {}


def test_versions_are_those_of_the_flow():
    assert EVIDENCE.versions("f") == {"13.0", "14.0"}
    assert EVIDENCE.versions("unknown") == set()


def test_a_window_is_the_newest_buckets_before_the_end():
    tallies = {start: Tally(entries=1) for start in range(0, 600, 60)}
    assert window_of(tallies, end=480, bucket_s=60, buckets=2).keys() == {360, 420}


@pytest.mark.parametrize(
    ("tallies", "minutes"),
    [
        ([Tally(1, 20, 20)], 0),
        ([Tally(2, 20, 20)], 1),
        ([Tally(0, 0, 0)], 0),
        ([Tally(1, 1, 1), Tally(0, 50, 50), Tally(1, 0, 1)], 2),
    ],
    ids=["exactly at the threshold", "above it", "nothing happened", "small minutes count as well"],
)
def test_a_minute_is_breached_above_its_threshold(tallies, minutes):
    assert breach_minutes(tallies, 0.05) == minutes


tally = st.builds(lambda errors, good, entries: Tally(errors, entries, errors + good), *[st.integers(0, 50)] * 3)
minutes = st.dictionaries(st.integers(0, 80).map(lambda minute: minute * 60), tally)


@given(st.lists(tally), st.lists(tally))
def test_tallies_of_disjoint_stretches_always_add_up(first, second):
    assert total(first) + total(second) == total(first + second)


@given(minutes)
def test_a_longer_window_always_holds_the_shorter_ones(tallies):
    windows = [
        window_of(tallies, end=4800, bucket_s=60, buckets=WINDOWS[label]) for label in sorted(WINDOWS, key=WINDOWS.get)
    ]
    assert all(shorter.items() <= longer.items() for shorter, longer in pairwise(windows))


@given(tally)
def test_a_ratio_is_never_outside_0_to_1(one):
    assert one.ratio is None or 0 <= one.ratio <= 1


@pytest.mark.parametrize(
    ("told", "tally"),
    [
        pytest.param(Outcomes(30, {"TRANSFER": 28}, 20, 6), Tally(6, 0, 20), id="outcomes, not calls"),
        pytest.param(Outcomes(30, {"TRANSFER": 28}), Tally(), id="a flow without outcomes"),
        pytest.param(Outcomes(0, {}, 2, 5), Tally(5, 0, 5), id="failed ones that came before the rest"),
    ],
)
def test_a_failed_outcome_is_one_of_the_flows_outcomes(told, tally):
    columns = Columns.of({0: told}, 0, 60, 60)
    assert told.tally(Signal.OUTCOME_FAILED) == tally
    assert list(columns.tallies(Signal.OUTCOME_FAILED, 0).values()) == ([tally] if tally.volume else [])
    assert dict(columns) == {0: told}


@pytest.mark.parametrize(
    ("signal", "tally"),
    [(Signal.ACTION_FAILURE, Tally(6, 0, 30)), (Signal.ACTION_SLOW, Tally(3, 0, 30)), (Signal.ERROR_EXIT, Tally(0, 5))],
)
def test_executions_of_a_flows_data_actions_are_counted_together_and_apart_from_calls(signal, tally):
    told = Outcomes(5, actions={"look-up": Executions(20, 6, 1), "order": Executions(10, 0, 2)})
    columns = Columns.of({60: told}, 0, 120, 60)
    assert told.tally(signal) == tally
    assert columns.tallies(signal, 0) == {60: tally}
    assert dict(columns) == {60: told}


def test_a_bucket_in_which_only_data_actions_ran_is_there():
    told = Outcomes(actions={"look-up": Executions(20, 6, 1)})
    assert dict(Columns.of({60: told}, 0, 120, 60)) == {60: told}


def test_executions_are_told_by_data_action_since_a_time():
    told = {start: Outcomes(5, actions={"look-up": Executions(20, 6, 1)}) for start in (0, 60, 120)}
    told[120] = Outcomes(5, actions={"look-up": Executions(4, 4, 0), "order": Executions(3)})
    evidence = Evidence(0, 180, 60, {("f", "14.0"): told})
    assert evidence.executions("f", "14.0", 60) == {"look-up": Executions(24, 10, 1), "order": Executions(3, 0, 0)}
    assert evidence.executions("f", "13.0", 0) == {}


OF_ONE_SIGNAL = {
    "FLOW_ERROR_EXIT": Signal.ERROR_EXIT,
    "FLOW_DISCONNECT": Signal.FLOW_DISCONNECT,
    "DISCONNECT": Signal.CALLER_HANGUP,
    "RECOGNITION_FAILURE_DISCONNECT": Signal.RECOGNITION,
    "RECOGNITION_FAILURE_EXIT": Signal.RECOGNITION,
    "SESSION_EXPIRE_DISCONNECT": Signal.STUCK,
}


@pytest.mark.parametrize("reason", EXIT_REASONS)
def test_a_conversation_is_bad_by_one_signal_at_most(reason):
    bad_by = [signal for signal in Signal if Outcomes(3, {reason: 2}).tally(signal).errors]
    assert len(bad_by) <= 1
    if reason in OF_ONE_SIGNAL:
        assert bad_by == [OF_ONE_SIGNAL[reason]]
