"""What versions did while they were live: cut into periods, put together again, and what is no guess."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from genesys.evidence import ACTION_SIGNALS, Evidence, Outcomes, Signal, Tally
from genesys.flows import Flow, FlowVersion
from genesys.stints import Stint
from receiver.service import (
    NO_SERVICE,
    PERIOD_BUCKETS,
    Record,
    Service,
    ended_stints,
    live_stint,
    periods,
    together,
    whole,
)

HOUR = 3600
DAY = PERIOD_BUCKETS * HOUR
LIVE = Flow(
    id="f",
    name="Main IVR",
    type="inboundcall",
    division_id="d",
    division_name="Home",
    active=True,
    deleted=False,
    live_version="13.0",
    live_published_at=100.0,
    published_by=None,
    locked_by=None,
    operation=None,
)


def history(first_hour: int, last_hour: int, outcomes: dict[tuple[str, str], dict[int, Outcomes]]) -> Evidence:
    return Evidence(first_hour * HOUR, last_hour * HOUR, HOUR, outcomes)


def calls(entries: int, errors: int = 0) -> Outcomes:
    return Outcomes(entries, {"FLOW_ERROR_EXIT": errors, "FLOW_DISCONNECT": entries - errors})


def test_the_history_is_cut_at_the_same_places_wherever_it_begins() -> None:
    buckets = {hour * HOUR: calls(10, 1) for hour in (20, 23, 24, 50)}
    found = [
        (period.start, period.since, period.until, period.service)
        for period in periods(history(20, 51, {("f", "13.0"): buckets}))
        if period.signal is Signal.ERROR_EXIT
    ]
    assert found == [
        (0, 20 * HOUR, DAY, Service(Tally(2, 20, 20), 2.0 * HOUR)),
        (DAY, DAY, 2 * DAY, Service(Tally(1, 10, 10), 1.0 * HOUR)),
        (2 * DAY, 2 * DAY, 51 * HOUR, Service(Tally(1, 10, 10), 1.0 * HOUR)),
    ]


def test_each_version_and_signal_has_its_own() -> None:
    outcomes = {("f", "13.0"): {0: calls(1)}, ("f", "14.0"): {0: calls(2)}, ("g", "13.0"): {0: calls(3)}}
    found = [
        (one.flow_id, one.version, one.signal, one.service.tally.entries) for one in periods(history(0, 1, outcomes))
    ]
    assert sorted(found) == sorted(
        (flow_id, version, signal, entries)
        for signal in set(Signal) - {Signal.OUTCOME_FAILED, Signal.ROUTING_SHIFT} - ACTION_SIGNALS  # there were none
        for flow_id, version, entries in (("f", "13.0", 1), ("f", "14.0", 2), ("g", "13.0", 3))
    )


def test_of_a_signal_that_genesys_cloud_tells_nothing_about_there_is_no_record() -> None:
    told = replace(history(0, 1, {("f", "13.0"): {0: calls(1)}}), signals=frozenset({Signal.ERROR_EXIT}))
    assert [one.signal for one in periods(told)] == [Signal.ERROR_EXIT]


@given(st.sets(st.integers(0, 200)))
def test_what_was_cut_is_whole_when_it_is_put_together(hours: set[int]) -> None:
    told = history(0, 201, {("f", "13.0"): {hour * HOUR: calls(hour % 7 + 1, 1) for hour in hours}})
    expected = sum((calls(hour % 7 + 1, 1).tally(Signal.ERROR_EXIT) for hour in hours), Tally())
    kept = [(one.since, one.until, one.service) for one in periods(told) if one.signal is Signal.ERROR_EXIT]
    assert together(kept) == Service(expected, float(len(hours) * HOUR))


@given(st.permutations([(0, 10, 1), (5, 15, 2), (10, 20, 4), (20, 24, 8), (23, 50, 16)]))
def test_periods_that_overlap_are_never_counted_twice_in_any_order(kept: list[tuple[int, int, int]]) -> None:
    found = together((float(since), float(until), Service(Tally(0, n, n), 1.0)) for since, until, n in kept)
    assert found == Service(Tally(0, 13, 13), 3.0)


def test_nothing_put_together_is_no_service() -> None:
    assert together([]) == NO_SERVICE


def test_a_record_tells_how_long_and_until_when_a_version_was_live() -> None:
    record = Record(whole([Stint("13.0", 50, 60), Stint("13.0", 0, 10), Stint("13.0", 5, 20)]))
    assert (record.live_s, record.until) == (30, 60)
    assert (Record().live_s, Record().until) == (0, 0)


def stint_of(
    *known: Stint, published_at: float | None = 100.0, version: str | None = "13.0", other_began: int | None = None
) -> Stint | None:
    flow = Flow(
        **{name: getattr(LIVE, name) for name in LIVE.__slots__}
        | {"live_version": version, "live_published_at": published_at}
    )
    outcomes = {} if other_began is None else {("f", "14.0"): {other_began: calls(1)}}
    return live_stint(flow, known, history(0, 4, outcomes), listed_at=20_000.0)


def test_the_live_version_has_been_live_since_its_date() -> None:
    assert stint_of() == Stint("13.0", 100, 20_000)
    assert stint_of(Stint("13.0", 0, 50), Stint("12.0", 0, 90)) == Stint("13.0", 100, 20_000)


def test_a_date_that_stayed_when_the_version_was_made_live_again_gives_it_nothing_of_others() -> None:
    assert stint_of(Stint("14.0", 5000, 9000), Stint("12.0", 0, 50)) == Stint("13.0", 9000, 20_000)
    assert stint_of(other_began=HOUR) == Stint("13.0", 2 * HOUR, 20_000)
    assert stint_of(Stint("14.0", 5000, 20_000)) is None


def test_without_a_live_version_or_a_date_there_is_no_stint() -> None:
    assert stint_of(version=None) is None
    assert stint_of(published_at=None) is None


def test_versions_that_are_over_were_live_between_their_dates_and_not_while_others_were() -> None:
    versions = [
        FlowVersion("12.0", False, 0.0, 100.0, None),
        FlowVersion("13.0", False, 50.0, 300.0, None),  # made live again after 14.0, and the date stayed
        FlowVersion("14.0", False, 100.0, 200.0, None),
        FlowVersion("15.0", False, 300.0, None, None),
        FlowVersion("16.0", False, None, None, None),
    ]
    assert ended_stints(versions) == [Stint("12.0", 0, 100), Stint("13.0", 200, 300), Stint("14.0", 100, 200)]


def test_a_version_whose_dates_another_denies_altogether_has_no_stint() -> None:
    versions = [FlowVersion("12.0", False, 0.0, 100.0, None), FlowVersion("13.0", False, 50.0, 100.0, None)]
    assert ended_stints(versions) == []
