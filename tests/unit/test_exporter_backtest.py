"""The replay of one publish: the alert's own test at every minute, and what it rests on."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.backtest import FOR_BUCKETS, Judged, Outcome, Past, Trial, first_alert, judge, judged_until, trials_of
from exporter.config import ExporterConfig, FlowPolicy
from exporter.publishes import Publish, publishes_of
from genesys.evidence import Evidence, Outcomes, Signal, Tally
from genesys.excess import ExcessLimits, find_excess
from genesys.flows import FlowVersion
from genesys.history import baseline_of
from genesys.organizations import Analytics
from genesys.routing import EarlierShares, largest_shift
from genesys.transfers import Target
from tests.unit.exporter_world import MAIN, MINUTE, NOON

HOUR = 3600
DAY = 24 * HOUR
WEEK = 7 * DAY
ANALYTICS = Analytics()
POLICY = ExporterConfig().policy_for(MAIN)

Minutes = Mapping[int, tuple[int, int]]
"""Errors and good ends by minute after noon."""


def version(label: str, published_at: float | None, until: float | None = None, *, debug: bool = False) -> FlowVersion:
    return FlowVersion(label, debug, published_at, until, "archy-pipeline")


def outcomes(errors: int, good: int) -> Outcomes:
    return Outcomes(errors + good, {"FLOW_ERROR_EXIT": errors, "TRANSFER": good})


def publish(at: float = NOON, until: float = NOON + DAY) -> Publish:
    return Publish(MAIN, version("14.0", at), at, until, "13.0")


def past(minutes: Minutes, *, before: tuple[int, int] = (6, 594), others: Minutes | None = None) -> Past:
    """`before` is what 13.0 did in each hour of a week before noon; `others` are minutes of 13.0 after it."""
    by_minute = {
        label: {NOON + minute * MINUTE: outcomes(*counts) for minute, counts in done.items() if sum(counts)}
        for label, done in (("14.0", minutes), ("13.0", others or {}))
    }
    hours: dict[int, Outcomes] = {}
    for minute, (errors, good) in minutes.items():
        hour = NOON + minute // 60 * HOUR
        earlier = hours.get(hour, outcomes(0, 0))
        hours[hour] = outcomes(earlier.exits["FLOW_ERROR_EXIT"] + errors, earlier.exits["TRANSFER"] + good)
    week = {NOON - number * HOUR: outcomes(*before) for number in range(1, 168)} if sum(before) else {}
    return Past(
        Evidence(NOON - WEEK, NOON + 2 * DAY, HOUR, {("main", "13.0"): week, ("main", "14.0"): hours}),
        Evidence(NOON, NOON + 2 * DAY, MINUTE, {("main", label): done for label, done in by_minute.items()}),
    )


def judged(found: Past, one: Publish | None = None, policy: FlowPolicy = POLICY) -> Judged:
    return judge(one or publish(), found, policy, ANALYTICS)


def steady(errors: int, good: int, minutes: int = 600) -> dict[int, tuple[int, int]]:
    return dict.fromkeys(range(minutes), (errors, good))


def test_a_version_that_fails_from_its_first_minute_on_is_accused_with_its_evidence() -> None:
    found = judged(past(steady(5, 5)))

    assert found.outcome is Outcome.ACCUSED
    alert = found.alert
    assert alert is not None
    # Convicted as soon as enough minutes are breached, for three minutes more; then settle, a scrape and an evaluation.
    assert alert.data_end == NOON + (ExcessLimits().breach_minutes["5m"] + FOR_BUCKETS) * MINUTE
    assert alert.fires_at == alert.data_end + ANALYTICS.settle_s + 45
    assert alert.found.ratio == 0.5
    assert alert.threshold_ratio == POLICY.threshold(alert.baseline_ratio)
    assert alert.baseline_ratio == pytest.approx(0.01, abs=0.002)
    assert not alert.probation.left


@pytest.mark.parametrize(
    ("minutes", "before"),
    [
        pytest.param(steady(0, 10), (6, 594), id="healthy"),
        pytest.param(steady(1, 9), (60, 540), id="it always failed as much"),
        pytest.param(steady(0, 10) | steady(10, 0, 2), (6, 594), id="a burst of two minutes"),
        pytest.param(steady(0, 10) | steady(10, 0, 5), (6, 594), id="healed before the alert's for is over"),
        pytest.param({3: (1, 0)}, (6, 594), id="one failed call in the night"),
    ],
)
def test_what_is_no_reason_for_a_rollback_is_none_here(minutes: Minutes, before: tuple[int, int]) -> None:
    assert judged(past(minutes, before=before)).outcome is Outcome.FINE


def test_a_version_that_was_replaced_before_the_alert_fires_is_not_accused() -> None:
    fires_at = judged(past(steady(5, 5))).alert.fires_at  # type: ignore[union-attr]

    assert judged(past(steady(5, 5)), publish(until=fires_at - 120)).outcome is Outcome.FINE
    assert judged(past(steady(5, 5)), publish(until=fires_at)).outcome is Outcome.ACCUSED


def test_a_version_that_has_left_probation_is_not_accused_any_more() -> None:
    proved = steady(0, 10, 240)  # four hours of traffic, 2,400 conversations
    failing_later = proved | dict.fromkeys(range(240, 300), (10, 0))

    assert judged(past(failing_later)).outcome is Outcome.FINE
    assert judged(past({m: c for m, c in failing_later.items() if m >= 180})).outcome is Outcome.ACCUSED


def test_nothing_is_looked_at_after_probation() -> None:
    assert judged_until(publish(), past(steady(0, 10)).hours, POLICY, ANALYTICS) == NOON + 2 * HOUR
    assert judged_until(publish(), past(steady(5, 5)).hours, POLICY, ANALYTICS) == NOON + DAY, "until it is replaced"
    page_only = POLICY.model_copy(update={"act_on": frozenset()})
    assert judged_until(publish(), past(steady(5, 5)).hours, page_only, ANALYTICS) == NOON


def test_without_any_conversation_nothing_can_be_said() -> None:
    assert judged(past({})).outcome is Outcome.SILENT


def test_without_a_past_the_excess_must_be_over_the_threshold_itself() -> None:
    barely = past(steady(1, 9), before=(0, 0))
    known = past(steady(1, 9))

    late, soon = judged(barely).alert, judged(known).alert
    assert soon is not None
    assert soon.baseline_ratio is not None
    assert late is None or (late.baseline_ratio is None and late.fires_at > soon.fires_at)


def test_calls_that_still_start_on_another_version_put_off_the_beginning() -> None:
    alone = judged(past(steady(5, 5))).alert
    beside = judged(past(steady(5, 5), others=steady(0, 1, 20))).alert
    assert alone is not None
    assert beside is not None
    assert beside.fires_at == alone.fires_at + 20 * MINUTE


def test_the_baseline_is_what_was_known_then_and_never_holds_the_publish_itself() -> None:
    failing = Trial(publish(), past(steady(5, 5)), POLICY, ANALYTICS, Signal.ERROR_EXIT)
    healthy = Trial(publish(), past(steady(0, 10)), POLICY, ANALYTICS, Signal.ERROR_EXIT)

    assert failing.baseline(NOON + 5 * HOUR) == healthy.baseline(NOON + 5 * HOUR)


counts = st.one_of(
    st.just((0, 0)), st.tuples(st.integers(0, 3), st.integers(0, 20)), st.tuples(st.integers(0, 12), st.integers(0, 4))
)
pieces = st.lists(st.tuples(st.integers(1, 25), counts), min_size=1, max_size=12)


def _laid_out(parts: list[tuple[int, tuple[int, int]]]) -> dict[int, tuple[int, int]]:
    minutes = itertools.chain.from_iterable([count] * length for length, count in parts)
    return dict(enumerate(minutes))


@given(
    parts=pieces,
    other=st.none() | st.integers(0, 100),
    known=st.booleans(),
    threshold=st.sampled_from([0.02, 0.05, 0.3]),
)
@settings(max_examples=150, deadline=None)
def test_the_quick_way_finds_exactly_what_the_test_at_every_minute_finds(
    parts: list[tuple[int, tuple[int, int]]], other: int | None, known: bool, threshold: float
) -> None:
    others = None if other is None else {other: (0, 1)}
    found = past(_laid_out(parts), before=(12, 588) if known else (0, 0), others=others)
    policy = POLICY.model_copy(update={"threshold_ratio": threshold})
    trial = Trial(publish(until=NOON + 6 * HOUR), found, policy, ANALYTICS, Signal.ERROR_EXIT)

    alert = first_alert([trial])

    in_a_row, expected = 0, None
    for end in trial.ends:
        in_a_row = in_a_row + 1 if _convicted(found, policy, end, others or {}) else 0
        if in_a_row == FOR_BUCKETS + 1:
            expected = end
            break
    assert (None if alert is None else alert.data_end) == expected


def _convicted(found: Past, policy: FlowPolicy, end: int, others: Minutes) -> bool:
    """The test of the rules as of one minute, put together from its parts anew."""
    started = [NOON + minute * MINUTE for minute in others if NOON + minute * MINUTE < end]
    since = max([NOON, *(start + MINUTE for start in started)])
    tallies: dict[int, Tally] = found.minutes.tallies("main", "14.0", Signal.ERROR_EXIT, since)
    hour = ANALYTICS.history_end(end + ANALYTICS.settle_s)
    known = {
        key: {start: one for start, one in buckets.items() if hour - WEEK <= start < hour}
        for key, buckets in found.hours.outcomes.items()
    }
    baseline = baseline_of(
        replace(found.hours, start=hour - WEEK, end=hour, outcomes=known),
        flow_id="main",
        live_version="14.0",
        live_since=NOON,
        signal=Signal.ERROR_EXIT,
    )
    judged_now = find_excess(
        tallies,
        end=end,
        bucket_s=MINUTE,
        threshold_ratio=policy.threshold(baseline.ratio),
        baseline_ratio=baseline.ratio,
        scatter=baseline.scatter,
    )
    return judged_now.convicted_by is not None


def test_publishes_are_those_with_a_date_in_the_span_each_until_the_next() -> None:
    versions = [
        version("11.0", NOON - 30 * DAY, NOON - 20 * DAY),
        version("12.0", NOON - 20 * DAY, NOON - 3 * DAY),
        version("13.0", NOON - 3 * DAY, NOON - 3 * DAY + HOUR),
        version("14.0", NOON - 3 * DAY + HOUR),
        version("debug", NOON - DAY, debug=True),
        version("15.0", None),
    ]
    found, undated = publishes_of(MAIN, versions, start=NOON - 10 * DAY, end=NOON)

    assert [(one.version.id, one.at, one.until) for one in found] == [
        ("13.0", NOON - 3 * DAY, NOON - 3 * DAY + HOUR),
        ("14.0", NOON - 3 * DAY + HOUR, NOON),
    ]
    assert [one.target for one in found] == ["12.0", "12.0"], "13.0 was not live for a day"
    assert undated == [], "15.0 was never published"


def test_a_version_that_ended_but_has_no_beginning_is_named() -> None:
    found, undated = publishes_of(MAIN, [version("12.0", None, NOON - DAY)], start=NOON - 10 * DAY, end=NOON)
    assert (found, undated) == ([], ["12.0"])


HANGING_UP = POLICY.model_copy(update={"act_on": frozenset({Signal.FLOW_DISCONNECT})})


def ending_by(reason: str, found: Past) -> Past:
    """The same past, in which what was an error is another end."""

    def turned(evidence: Evidence) -> Evidence:
        done = {
            key: {
                start: replace(told, exits={reason: told.exits["FLOW_ERROR_EXIT"], "TRANSFER": told.exits["TRANSFER"]})
                for start, told in buckets.items()
            }
            for key, buckets in evidence.outcomes.items()
        }
        return replace(evidence, outcomes=done)

    return Past(turned(found.hours), turned(found.minutes))


def test_a_share_that_always_varied_is_no_accusation() -> None:
    found = past(steady(6, 4), before=(150, 450))
    week, (key, calm) = found.hours.outcomes, next(iter(found.hours.outcomes.items()))
    by_turns = {start: outcomes(300, 300) if start // HOUR % 2 else outcomes(0, 600) for start in calm}
    varying = replace(found, hours=replace(found.hours, outcomes={**week, key: by_turns}))

    assert judged(ending_by("FLOW_DISCONNECT", found), policy=HANGING_UP).outcome is Outcome.ACCUSED
    assert judged(ending_by("FLOW_DISCONNECT", varying), policy=HANGING_UP).outcome is Outcome.FINE


@pytest.mark.parametrize(
    ("minutes", "before", "outcome"),
    [
        pytest.param(steady(9, 1), (90, 510), Outcome.ACCUSED, id="nine of ten, where it was 15 %"),
        pytest.param(steady(2, 8), (90, 510), Outcome.FINE, id="a fifth, where it was 15 %"),
        pytest.param(steady(9, 1), (540, 60), Outcome.FINE, id="as before: nearly all"),
        pytest.param(steady(9, 1), (0, 0), Outcome.FINE, id="nobody knows what it was before"),
    ],
)
def test_another_signal_that_acts_is_compared_with_its_own_past(
    minutes: Minutes, before: tuple[int, int], outcome: Outcome
) -> None:
    found = judged(ending_by("FLOW_DISCONNECT", past(minutes, before=before)), policy=HANGING_UP)

    assert found.outcome is outcome
    if found.alert is not None:
        assert found.alert.signal is Signal.FLOW_DISCONNECT
        assert found.alert.threshold_ratio == POLICY.threshold_of(Signal.FLOW_DISCONNECT, found.alert.baseline_ratio)


SERVICE, SALES, CATCH_ALL = (Target("ACD", name) for name in ("Service", "Sales", "Catch-all"))
ROUTING = POLICY.model_copy(update={"act_on": frozenset({Signal.ROUTING_SHIFT})})


def sent(counts: Mapping[Target, int], times: int = 1) -> Outcomes:
    """Of ten calls so many to each target; the others hang up."""
    moved = sum(counts.values())
    exits = {"TRANSFER": moved * times, "DISCONNECT": (10 - moved) * times}
    return Outcomes(10 * times, exits, transfers={target: count * times for target, count in counts.items()})


def routed(by_minute: Sequence[Mapping[Target, int]], before: Mapping[Target, int] | None = None) -> Past:
    """What 14.0 did from noon on; before, if nothing is said, half of all went to Service and one of ten to Sales."""
    minutes = {NOON + number * MINUTE: sent(counts) for number, counts in enumerate(by_minute)}
    hours = {NOON + hour * HOUR: sent(by_minute[hour * 60], 60) for hour in range(len(by_minute) // 60)}
    week = {NOON - number * HOUR: sent(before or {SERVICE: 5, SALES: 1}, 60) for number in range(1, 168)}
    return Past(
        Evidence(NOON - WEEK, NOON + 2 * DAY, HOUR, {("main", "13.0"): week, ("main", "14.0"): hours}),
        Evidence(NOON, NOON + 2 * DAY, MINUTE, {("main", "14.0"): minutes}),
    )


def test_a_version_that_sends_callers_elsewhere_is_accused_and_the_target_is_named() -> None:
    found = judged(routed([{SERVICE: 1, CATCH_ALL: 8}] * 120), policy=ROUTING)

    assert (found.outcome, found.alert and found.alert.target) == (Outcome.ACCUSED, CATCH_ALL)
    assert judged(routed([{SERVICE: 5, SALES: 1}] * 120), policy=ROUTING).outcome is Outcome.FINE


def test_targets_that_had_no_names_before_accuse_nobody_here_either() -> None:
    usual, elsewhere = ([counts] * 120 for counts in ({SERVICE: 5, SALES: 1}, {Target("USER", "Ann"): 8}))
    assert judged(routed(usual, before={Target("ACD"): 6}), policy=ROUTING).outcome is Outcome.FINE
    assert judged(routed(elsewhere, before={Target("ACD"): 6}), policy=ROUTING).outcome is Outcome.ACCUSED


def test_a_version_that_leaves_probation_with_its_targets_is_looked_at_no_longer() -> None:
    usual, elsewhere = ([counts] * 600 for counts in ({SERVICE: 5, SALES: 1}, {SERVICE: 1, CATCH_ALL: 8}))
    assert judged_until(publish(), routed(usual).hours, ROUTING, ANALYTICS) == NOON + 2 * HOUR
    assert judged_until(publish(), routed(elsewhere).hours, ROUTING, ANALYTICS) == NOON + DAY


@given(
    parts=st.lists(
        st.tuples(st.integers(1, 30), st.sampled_from([{SERVICE: 5, SALES: 1}, {SALES: 6}, {CATCH_ALL: 9}, {}])),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_the_backtest_finds_what_the_choice_of_exporter_and_receiver_finds(
    parts: list[tuple[int, Mapping[Target, int]]],
) -> None:
    found = routed([counts for length, counts in parts for _ in range(length)])
    trials = trials_of(publish(), found, ROUTING, ANALYTICS, Signal.ROUTING_SHIFT)
    for end in range(NOON + MINUTE, NOON + 120 * MINUTE, 7 * MINUTE):
        hour = {("main", "14.0"): {at: one for at, one in found.minutes.outcomes["main", "14.0"].items() if at < end}}
        known_until = ANALYTICS.history_end(end + ANALYTICS.settle_s)
        hours = {
            key: {at: one for at, one in done.items() if known_until - WEEK <= at < known_until}
            for key, done in found.hours.outcomes.items()
        }
        history = Evidence(known_until - WEEK, known_until, HOUR, hours)
        shares = EarlierShares(history, "main", "14.0", NOON)
        shift = largest_shift(
            Evidence(end - HOUR, end, MINUTE, hour), shares, flow_id="main", version="14.0", since=NOON
        )
        expected = shift.target if shift is not None and shift.finding.convicted_by else None
        convicting = {trial.target for trial in trials if trial.may_convict(end) and trial.convicts(end)}
        assert (expected in convicting) if expected else not convicting
