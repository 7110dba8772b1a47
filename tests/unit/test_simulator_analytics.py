"""The simulated callers and what analytics tell of them, on an injected clock."""

from collections import Counter
from typing import Any

import pytest

from simulator.analytics import read_query, read_time
from simulator.catalogue import FLOW_METRICS, flow_dimensions
from simulator.errors import ApiError
from simulator.scenario import Moment
from simulator.vocabulary import CallsPerMin, ErrorRatio, Switches
from tests.unit.simulator_world import AT_ONCE, BAD, DAY, HOUR, MAIN, MINUTE, SMALL, START, Organization, counted


def error_ratio(results: list[dict[str, Any]], version: str) -> float:
    counts = counted(results, "flowVersion", "exitReason")
    errors = sum(counts["tFlow", version, reason] for reason in BAD)
    return errors / sum(count for (metric, label, _), count in counts.items() if (metric, label) == ("tFlow", version))


def by_bucket(results: list[dict[str, Any]], metric: str) -> Counter[float]:
    counts: Counter[float] = Counter()
    for result in results:
        for row in result["data"]:
            start = read_time(row["interval"].split("/")[0], "interval") - START
            counts[start] += sum(found["stats"]["count"] for found in row["metrics"] if found["metric"] == metric)
    return +counts  # without the buckets of other metrics


def test_callers_arrive_at_the_rate_of_their_flow() -> None:
    org = Organization()
    org.wait(2 * HOUR)
    counts = counted(org.flows(0, 2 * HOUR), "flowId")
    assert counts["nFlow", MAIN] == pytest.approx(3600, abs=240)  # four standard deviations
    assert counts["nFlow", SMALL] == pytest.approx(24, abs=20)


def test_what_the_timeline_changes_changes_at_its_time_however_late_one_looks() -> None:
    quiet = Moment(at=10 * MINUTE, do=CallsPerMin(event="calls_per_min", flow=MAIN, calls_per_min=0))
    failing = Moment(at=5 * MINUTE, do=ErrorRatio(event="error_ratio", flow=MAIN, version="13.0", error_ratio=1))
    org = Organization(timeline=(failing, quiet))
    org.wait(HOUR)
    entries = by_bucket(org.flows(0, HOUR, filter=FILTERS["a clause beside a predicate"][0]), "nFlow")
    assert sorted(entries) == [MINUTE * number for number in range(10)]
    assert error_ratio(org.flows(0, 5 * MINUTE), "13.0") < 0.1
    assert error_ratio(org.flows(10 * MINUTE, HOUR), "13.0") > 0.1


def test_the_same_seed_brings_the_same_callers_however_often_one_looks() -> None:
    once, often, other = Organization(seed=1), Organization(seed=1), Organization(seed=2)
    for _ in range(60):
        often.wait(60)
        often.flows(0, HOUR)
    for org in (once, other):
        org.wait(HOUR)
    assert often.flows(0, HOUR) == once.flows(0, HOUR) != other.flows(0, HOUR)


def test_a_call_ends_by_the_version_it_started_on() -> None:
    org = Organization()
    org.happens(event="error_ratio", flow=MAIN, version="13.0", error_ratio=0)
    org.wait(10 * MINUTE)
    org.happens(event="publish", flow=MAIN, version="14.0", error_ratio=1.0)
    org.wait(10 * MINUTE)
    after = counted(org.flows(10 * MINUTE, 20 * MINUTE), "flowVersion", "exitReason")
    assert after["nFlow", "13.0", None] == 0
    assert sum(after["tFlow", "13.0", reason] for reason in ("TRANSFER", "DISCONNECT", "FLOW_DISCONNECT")) > 10
    assert sum(after["tFlow", "13.0", reason] for reason in BAD) == 0
    assert after["nFlow", "14.0", None] > 200
    assert {reason for metric, label, reason in after if (metric, label) == ("tFlow", "14.0")} == set(BAD)


def test_failing_calls_end_sooner() -> None:
    org = Organization()
    org.happens(event="error_ratio", flow=MAIN, version="13.0", error_ratio=0.5)
    org.wait(HOUR)
    spent: Counter[bool] = Counter()
    calls: Counter[bool] = Counter()
    for result in org.flows(HOUR / 2, HOUR, metrics=["tFlow"]):
        if result["group"]["flowId"] == MAIN:
            for row in result["data"]:
                stats = row["metrics"][0]["stats"]
                assert 0 <= stats["min"] <= stats["sum"] / stats["count"] <= stats["max"] + 1
                spent[result["group"]["exitReason"] in BAD] += stats["sum"]
                calls[result["group"]["exitReason"] in BAD] += stats["count"]
    assert spent[True] / calls[True] == pytest.approx(20_000, rel=0.2)  # milliseconds
    assert spent[False] / calls[False] == pytest.approx(90_000, rel=0.2)


def test_a_deactivated_flow_gets_no_callers_until_it_is_back() -> None:
    org = Organization()
    org.happens(event="deactivate", flow=MAIN)
    org.wait(HOUR)
    assert counted(org.flows(0, HOUR), "flowId")["nFlow", MAIN] == 0
    org.happens(event="activate", flow=MAIN)
    org.wait(HOUR)
    assert counted(org.flows(HOUR, 2 * HOUR), "flowId")["nFlow", MAIN] > 1500


def test_what_did_not_happen_is_absent_not_zero() -> None:
    org = Organization()
    org.wait(HOUR)
    small = [result for result in org.flows(0, HOUR) if result["group"]["flowId"] == SMALL]
    buckets = by_bucket(small, "nFlow")
    assert 0 < len(buckets) < 60
    assert all(metric["stats"]["count"] > 0 for result in small for row in result["data"] for metric in row["metrics"])
    assert org.flows(2 * HOUR, 3 * HOUR) == []
    assert "exitReason" not in next(row for row in small if row["data"][0]["metrics"][0]["metric"] == "nFlow")["group"]


def test_an_unasked_key_splits_groups_that_must_be_summed() -> None:
    org = Organization()
    org.wait(HOUR)
    groups = [result["group"] for result in org.flows(0, HOUR, groupBy=["flowId"], metrics=["nFlow"])]
    assert {(group["flowId"], group["mediaType"]) for group in groups} >= {(MAIN, "voice"), (MAIN, "callback")}


def test_no_key_is_added_if_the_switch_says_so() -> None:
    org = Organization(switches=Switches(extra_group_keys=False))
    org.wait(HOUR)
    groups = [result["group"] for result in org.flows(0, HOUR, groupBy=["flowId"], metrics=["nFlow"])]
    assert groups == [{"flowId": MAIN}, {"flowId": SMALL}]
    assert [result["group"] for result in org.conversations(0, HOUR)] == [{}]


@pytest.mark.parametrize("span", [(0, HOUR), (-DAY, 0)])
def test_entries_have_the_exit_reason_of_their_call_only_if_the_switch_says_so(span: tuple[float, float]) -> None:
    without, having = (Organization(switches=Switches(n_flow_exit_reason=switch)) for switch in (False, True))
    for org in (without, having):
        org.wait(HOUR)
    unknown, known = (counted(org.flows(*span, "PT1H", metrics=["nFlow"]), "exitReason") for org in (without, having))
    assert set(unknown) == {("nFlow", None)}
    assert set(known) >= {("nFlow", "TRANSFER"), ("nFlow", "FLOW_ERROR_DISCONNECT")}
    assert ("nFlow", None) not in known
    assert sum(known.values()) == unknown["nFlow", None]


def test_a_single_call_ends_as_told() -> None:
    org = Organization()
    org.happens(event="calls_per_min", flow=SMALL, calls_per_min=0)
    org.wait(HOUR)
    for fails in (True, True, False):
        org.happens(event="call", flow=SMALL, fails=fails)
    org.wait(HOUR)
    found = [one for one in org.flows(HOUR, 2 * HOUR, metrics=["nFlow", "tFlow"]) if one["group"]["flowId"] == SMALL]
    counts = counted(found, "exitReason")
    assert counts["nFlow", None] == 3
    assert sum(counts["tFlow", reason] for reason in BAD) == 2


def test_a_flow_out_of_service_takes_no_single_call() -> None:
    org = Organization()
    org.happens(event="deactivate", flow=SMALL)
    with pytest.raises(ApiError, match="not in service"):
        org.happens(event="call", flow=SMALL, fails=True)


def test_an_event_shows_after_the_latency() -> None:
    org = Organization(settings=AT_ONCE.model_copy(update={"analytics_latency": 100.0, "analytics_jitter": 20.0}))
    org.wait(10 * MINUTE)
    shown = by_bucket(org.flows(0, 10 * MINUTE), "nFlow")
    assert max(shown) == 8 * MINUTE  # the last two minutes are still under way
    assert shown[8 * MINUTE] < 0.6 * shown[6 * MINUTE]


def test_late_events_correct_buckets_that_were_read_before() -> None:
    late = {"analytics_latency": 20.0, "analytics_late_ratio": 0.3, "analytics_late": 300.0}
    org = Organization(settings=AT_ONCE.model_copy(update=late))
    org.wait(10 * MINUTE)
    first = by_bucket(org.flows(0, 10 * MINUTE), "nFlow")
    org.wait(10 * MINUTE)
    second = by_bucket(org.flows(0, 10 * MINUTE), "nFlow")
    assert all(second[start] >= first[start] for start in second)
    assert sum(second.values()) > sum(first.values()) + 20


def test_entries_count_when_a_call_starts_and_exits_when_it_ends() -> None:
    org = Organization()
    org.happens(event="calls_per_min", flow=SMALL, calls_per_min=0)
    org.wait(MINUTE)
    org.happens(event="calls_per_min", flow=MAIN, calls_per_min=0)
    org.wait(HOUR)
    entries, exits = (by_bucket(org.flows(MINUTE, HOUR), metric) for metric in ("nFlow", "tFlow"))
    assert sum(entries.values()) == 0
    assert sum(exits.values()) > 20


@pytest.mark.parametrize("factor", [1.0, 10.0])
def test_the_days_before_the_start_have_the_ratio_of_the_version_that_was_live_then(factor: float) -> None:
    org = Organization(factor=factor)
    hour = "PT1H" if factor == 1 else "PT6M"
    results = org.flows(-8 * DAY, 0, hour)
    assert error_ratio(results, "12.0") == pytest.approx(0.1, rel=0.05)
    assert error_ratio(results, "13.0") == pytest.approx(0.02, rel=0.05)
    counts = counted(results, "flowVersion")
    assert counts["nFlow", "12.0"] == pytest.approx(3 * DAY / 60 * 30, rel=0.01)
    assert counts["nFlow", "13.0"] == pytest.approx(5 * DAY / 60 * 30, rel=0.01)
    assert results == org.flows(-8 * DAY, 0, hour)


def test_history_tells_the_same_at_every_granularity() -> None:
    org = Organization()
    span = (-26 * HOUR, -2 * HOUR)
    hourly, fine, whole = (counted(org.flows(*span, each), "flowVersion") for each in ("PT1H", "PT1M", None))
    assert hourly == fine == whole


@pytest.mark.parametrize("offset", [0, 7 * MINUTE])
def test_buckets_that_cut_the_hours_of_the_past_lose_no_call(offset: float) -> None:
    org = Organization()
    org.wait(7 * HOUR)
    start, end = -26 * HOUR + offset, 5 * HOUR + offset
    by_bucket = [counted(org.flows(start, end, each), "flowVersion") for each in ("PT1H", "PT1M", None)]
    assert by_bucket[0] == by_bucket[1] == by_bucket[2]
    halves = [counted(org.flows(*part, "PT1H"), "flowVersion") for part in ((start, start + DAY), (start + DAY, end))]
    assert halves[0] + halves[1] == by_bucket[0]
    assert by_bucket[0]["nFlow", "13.0"] == pytest.approx(31 * 1800, rel=0.03)


def test_buckets_that_no_hour_can_hold_count_the_same_as_time_goes_on() -> None:
    org = Organization()
    org.wait(HOUR)
    for now in range(HOUR, 6 * HOUR, HOUR // 2):
        span = (now - HOUR, now - 4 * MINUTE)  # eight buckets, which begin elsewhere each time
        before = by_bucket(org.flows(*span, "PT7M"), "tFlow")
        assert sum(before.values()) == counted(org.flows(*span, None))["tFlow",]
        org.wait(HOUR // 2)
        assert sum(by_bucket(org.flows(*span, "PT7M"), "tFlow").values()) == pytest.approx(
            sum(before.values()), rel=0.05
        )


def test_a_question_about_a_part_of_an_old_hour_counts_that_part() -> None:
    org = Organization()
    whole, *parts = (
        counted(org.flows(-10 * HOUR + start, -10 * HOUR + end, None))["nFlow",]
        for start, end in ((0, HOUR), (0, 1000), (1000, 2500), (2500, HOUR))
    )
    assert sum(parts) == whole
    assert parts[1] / whole == pytest.approx(1500 / HOUR, abs=0.02)


def test_many_different_questions_do_not_disturb_each_other() -> None:
    org = Organization()
    org.wait(HOUR)
    whole = counted(org.flows(-HOUR, HOUR, None))["nFlow",]
    for seconds in range(20, 60):
        length = 2 * HOUR // seconds * seconds
        part = counted(org.flows(HOUR - length, HOUR, f"PT{seconds}S"))["nFlow",]
        assert part == pytest.approx(whole, rel=0.02)
    assert counted(org.flows(-HOUR, HOUR, "PT20S"))["nFlow",] == whole


def test_the_calls_of_an_old_hour_are_spread_over_its_minutes() -> None:
    entries = by_bucket(Organization().flows(-10 * HOUR, -9 * HOUR, groupBy=["flowVersion"]), "nFlow")
    assert len(entries) == 60
    assert max(entries.values()) < 2 * min(entries.values())


def test_the_hour_before_the_start_is_there_by_the_minute() -> None:
    buckets = by_bucket(Organization().flows(-HOUR, 0), "nFlow")
    assert sorted(buckets) == [-HOUR + MINUTE * number for number in range(60)]
    assert max(buckets.values()) < 3 * min(buckets.values()) + 30


def test_growing_old_loses_no_call_and_counts_none_twice() -> None:
    org = Organization()
    org.wait(HOUR)
    fresh = counted(org.flows(0, HOUR), "flowVersion", "exitReason")
    org.wait(6 * HOUR)
    assert counted(org.flows(0, HOUR, "PT1H"), "flowVersion", "exitReason") == fresh
    assert counted(org.flows(0, HOUR, "PT5M"), "flowVersion", "exitReason") == fresh
    by_minute = counted(org.flows(0, 7 * HOUR, "PT1M"), "flowVersion")
    assert by_minute == counted(org.flows(0, 7 * HOUR, "PT7H"), "flowVersion")
    assert by_minute["nFlow", "13.0"] == pytest.approx(7 * 1800, rel=0.05)


def test_the_trailing_hour_stays_exact_by_the_minute_as_time_goes_on() -> None:
    org = Organization()
    org.wait(HOUR)
    for now in range(HOUR, 4 * HOUR, 10 * MINUTE):
        before = by_bucket(org.flows(now - 50 * MINUTE, now), "tFlow")
        org.wait(10 * MINUTE)
        assert by_bucket(org.flows(now - 50 * MINUTE, now), "tFlow") == before


def test_an_interval_that_ends_inside_a_bucket_counts_only_what_is_in_it() -> None:
    org = Organization()
    org.wait(HOUR)
    cut = counted(org.flows(0, 90))["nFlow",]
    assert counted(org.flows(0, 60))["nFlow",] < cut < counted(org.flows(0, 120))["nFlow",]
    assert cut == counted(org.flows(0, 90, "PT30S"))["nFlow",]


FILTERS = {
    "one flow": ({"type": "and", "predicates": [{"dimension": "flowId", "value": SMALL}]}, {SMALL}),
    "either flow": (
        {
            "type": "or",
            "predicates": [
                {"type": "dimension", "dimension": "flowId", "operator": "matches", "value": flow}
                for flow in (MAIN, SMALL)
            ],
        },
        {MAIN, SMALL},
    ),
    "a clause beside a predicate": (
        {
            "type": "and",
            "clauses": [{"type": "or", "predicates": [{"dimension": "flowId", "value": MAIN}]}],
            "predicates": [{"dimension": "flowType", "operator": "matches", "value": "inboundcall"}],
        },
        {MAIN},
    ),
    "both flows at once": (
        {"type": "and", "predicates": [{"dimension": "flowId", "value": flow} for flow in (MAIN, SMALL)]},
        set(),
    ),
}


@pytest.mark.parametrize(("given", "flows"), FILTERS.values(), ids=FILTERS)
def test_a_filter_leaves_out_other_flows(given: dict[str, Any], flows: set[str]) -> None:
    org = Organization()
    org.wait(HOUR)
    assert {result["group"]["flowId"] for result in org.flows(-DAY, HOUR, "PT1H", filter=given)} == flows


def test_conversations_have_errors_and_no_flow_dimension() -> None:
    org = Organization()
    org.happens(event="publish", flow=MAIN, version="14.0", error_ratio=0.45)
    org.wait(HOUR)
    counts = counted(org.conversations(0, HOUR))
    assert counts["nConversations",] == counts["nOffered",] == counts["nConnected",] > 1500
    assert counts["nError",] / counts["nConversations",] == pytest.approx(0.45, abs=0.05)
    assert all(set(result["group"]) == {"mediaType"} for result in org.conversations(0, HOUR))
    past = counted(org.conversations(-2 * DAY, -DAY, "PT1H"))
    assert past["nError",] / past["nConversations",] == pytest.approx(0.022, rel=0.15)


GOOD_QUERY: dict[str, Any] = {
    "interval": "2026-11-22T14:00:00.000Z/2026-11-22T15:00:00.000Z",
    "granularity": "PT1M",
    "groupBy": ["flowId"],
    "metrics": ["nFlow"],
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"interval": None}, "interval", id="no interval"),
        pytest.param({"interval": "2026-11-22T15:00:00Z/2026-11-22T14:00:00Z"}, "does not end", id="ends first"),
        pytest.param({"interval": "yesterday/today"}, "ISO-8601", id="not a time"),
        pytest.param({"granularity": "1m"}, "granularity", id="not a duration"),
        pytest.param({"granularity": "PT0S"}, "granularity", id="no duration"),
        pytest.param({"metrics": []}, "metrics", id="no metrics"),
        pytest.param({"metrics": ["nConversations"]}, "nConversations", id="another API's metric"),
        pytest.param({"groupBy": ["version"]}, "version", id="unknown dimension"),
        pytest.param({"filter": {"predicates": []}}, "type", id="a filter without type"),
        pytest.param({"filter": {"type": "and", "predicates": [{"dimension": "x"}]}}, "dimension", id="unknown filter"),
        pytest.param({"groupby": ["flowId"]}, "groupby", id="misspelt field"),
    ],
)
def test_a_wrong_question_is_refused_with_a_reason(change: dict[str, Any], told: str) -> None:
    dimensions = flow_dimensions({})
    read_query(GOOD_QUERY, FLOW_METRICS, dimensions, Switches())
    with pytest.raises(ApiError, match=told) as refused:
        read_query(GOOD_QUERY | change, FLOW_METRICS, dimensions, Switches())
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("text", "bucket_s"), [("PT6S", 6), ("PT1M", 60), ("PT6M", 360), ("PT1H", 3600), ("P1D", 86400), ("PT0.5S", 0.5)]
)
def test_every_iso_duration_is_a_granularity(text: str, bucket_s: float) -> None:
    query = read_query(GOOD_QUERY | {"granularity": text}, FLOW_METRICS, flow_dimensions({}), Switches())
    assert query.span.bucket_ms == bucket_s * 1000
