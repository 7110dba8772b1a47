"""The replay of one publish: the alert's own test at every minute, and what it rests on."""

import itertools
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.backtest import FOR_BUCKETS, Judged, Outcome, Past, Trial, judge, judged_until
from exporter.config import ExporterConfig, FlowPolicy
from exporter.publishes import Publish, publishes_of
from genesys.evidence import Evidence, Outcomes, Signal, Tally
from genesys.excess import ExcessLimits, find_excess
from genesys.flows import FlowVersion
from genesys.history import baseline_ratio
from genesys.organizations import Analytics
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

    alert = trial.first_alert()

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
    baseline = baseline_ratio(
        replace(found.hours, start=hour - WEEK, end=hour, outcomes=known),
        flow_id="main",
        live_version="14.0",
        live_since=NOON,
        signal=Signal.ERROR_EXIT,
    )
    judged_now = find_excess(
        tallies, end=end, bucket_s=MINUTE, threshold_ratio=policy.threshold(baseline), baseline_ratio=baseline
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
