"""Bad versions that leave no error exit, and what analytics tell of them."""

from collections import Counter
from typing import Any

import pytest

from simulator.analytics import read_query
from simulator.behaviour import GOOD
from simulator.catalogue import ACTION_DIMENSIONS, ACTION_METRICS, FLOW_METRICS, flow_dimensions
from simulator.errors import ApiError
from simulator.ids import id_of
from simulator.vocabulary import Switches
from tests.unit.simulator_world import DAY, HOUR, MAIN, Organization, counted

WAYS = ("exitReason", "transferType", "transferTargetName")
CATCH_ALL = {"reason": "TRANSFER", "share": 3.0, "transfer_type": "ACD", "transfer_target": "Catch-all"}
ACTION = {"id": "look-up", "name": "Look up", "duration": 0.5}
PAST = (-2 * DAY, -DAY)
SINCE = (0, 2 * HOUR)


def published(**said: Any) -> Organization:
    """Two hours of a new version of Main IVR that is as the one before but for what is said."""
    org = Organization(switches=said.pop("switches", Switches()))
    org.happens(event="publish", flow=MAIN, version="14.0", error_ratio=0.0, **said)
    org.wait(2 * HOUR)
    return org


def of_version(org: Organization, version: str, *group: str, **more: Any) -> Counter[tuple[Any, ...]]:
    """Counts of one version of Main IVR since the publish."""
    asked = {"groupBy": ["flowId", "flowVersion", *group], **more}
    counts = counted(org.flows(*SINCE, "PT1H", **asked), "flowVersion", *group)
    return Counter({(metric, *rest): count for (metric, label, *rest), count in counts.items() if label == version})


def test_a_good_version_transfers_to_two_queues() -> None:
    past = counted(Organization().flows(*PAST, "PT1H", groupBy=["flowVersion", *WAYS], metrics=["tFlow"]), *WAYS)
    now = of_version(published(), "14.0", *WAYS, metrics=["tFlow"])
    for counts in (past, now):
        good = {key: count for key, count in counts.items() if not key[1].startswith("FLOW_ERROR")}
        assert {key[1:] for key in good} == {
            ("TRANSFER", "ACD", "Service"),
            ("TRANSFER", "ACD", "Sales"),
            ("DISCONNECT", None, None),
            ("FLOW_DISCONNECT", None, None),
        }
        for way in GOOD.exits:
            key = ("tFlow", way.reason, way.transfer_type, way.transfer_target)
            assert good[key] / sum(good.values()) == pytest.approx(way.share, abs=0.03)


def test_calls_leave_by_the_exits_of_their_version_whatever_the_shares_add_up_to() -> None:
    counts = of_version(published(exits=[CATCH_ALL, {"reason": "USER_EXIT", "share": 1}]), "14.0", *WAYS)
    assert counts["tFlow", "TRANSFER", "ACD", "Catch-all"] / sum(
        count for (metric, *_), count in counts.items() if metric == "tFlow"
    ) == pytest.approx(0.75, abs=0.03)
    assert {key[1] for key in counts if key[0] == "tFlow"} == {"TRANSFER", "USER_EXIT"}


@pytest.mark.parametrize(
    ("position", "named", "addressed"),
    [("named", "Catch-all", id_of("Catch-all")), ("address", None, id_of("Catch-all")), ("absent", None, None)],
)
def test_what_is_told_of_a_transfers_target_is_a_switch(
    position: Any, named: str | None, addressed: str | None
) -> None:
    org = published(exits=[CATCH_ALL], switches=Switches(transfer_target=position))
    counts = of_version(org, "14.0", "transferType", "transferTargetName", "transferTargetAddress", metrics=["tFlow"])
    assert set(counts) == {("tFlow", "ACD", named, addressed)}


@pytest.mark.parametrize("told", [True, False])
def test_what_has_no_value_of_a_dimension_is_told_by_it_only_if_the_switch_says_so(told: bool) -> None:
    org = published(exits=[CATCH_ALL, {"reason": "DISCONNECT", "share": 1.0}], switches=Switches(unset_dimensions=told))
    counts = of_version(org, "14.0", "exitReason", "transferType", metrics=["tFlow"])
    assert {key[1] for key in counts} >= ({"TRANSFER", "DISCONNECT"} if told else {"TRANSFER"})
    assert (("tFlow", "DISCONNECT", None) in counts) == told
    assert ("tFlow", "DISCONNECT") in of_version(org, "14.0", "exitReason", metrics=["tFlow"])


def test_stuck_calls_enter_and_leave_only_long_after() -> None:
    good, stuck = published(), published(stuck_ratio=0.9)
    entered = of_version(good, "14.0")["nFlow",]
    assert of_version(stuck, "14.0")["nFlow",] == pytest.approx(entered, rel=0.01)
    ends = of_version(stuck, "14.0", "exitReason")
    # A stuck call lasts 20 minutes on average, so that of two hours about a sixth is still inside.
    assert sum(ends[key] for key in ends if key[0] == "tFlow") == pytest.approx(0.84 * entered, rel=0.05)
    assert ends["tFlow", "SESSION_EXPIRE_DISCONNECT"] == pytest.approx(0.7 * 0.9 * 0.83 * entered, rel=0.1)
    assert ends["tFlow", "TRANSFER"] == pytest.approx(0.6 * 0.1 * entered, rel=0.3)


@pytest.mark.parametrize(("said", "ratio"), [({}, 0.05), ({"outcome_failed_ratio": 0.8}, 0.8), ({"stuck_ratio": 1}, 1)])
def test_outcomes_fail_at_the_ratio_of_their_version(said: dict[str, Any], ratio: float) -> None:
    org = published(**said)
    group = ("flowOutcomeId", "flowOutcomeValue")
    counts = of_version(org, "14.0", *group, metrics=["nFlowOutcome", "nFlowOutcomeFailed"])
    (outcome,) = {key[1] for key in counts}
    failed, succeeded = counts["nFlowOutcome", outcome, "FAILURE"], counts["nFlowOutcome", outcome, "SUCCESS"]
    assert failed / (failed + succeeded) == pytest.approx(ratio, abs=0.03)
    assert counts["nFlowOutcomeFailed", outcome, "FAILURE"] == failed
    assert counts["nFlowOutcomeFailed", outcome, "SUCCESS"] == 0
    assert outcome != MAIN


def test_a_call_that_fails_does_not_achieve_its_outcome_either() -> None:
    org = Organization()
    metrics = ["nFlow", "nFlowOutcome", "nFlowOutcomeFailed"]
    past = counted(org.flows(-9 * DAY, -5 * DAY, "PT1H", groupBy=["flowId", "flowVersion"], metrics=metrics), "flowId")
    assert past["nFlowOutcome", MAIN] == past["nFlow", MAIN]
    assert past["nFlowOutcomeFailed", MAIN] / past["nFlowOutcome", MAIN] == pytest.approx(0.1 + 0.9 * 0.05, rel=0.05)


def test_outcomes_know_their_version_only_if_the_switch_says_so() -> None:
    org = published(switches=Switches(outcome_version=False))
    counts = counted(org.flows(*SINCE, "PT1H", groupBy=["flowVersion"], metrics=["nFlowOutcome"]), "flowVersion")
    assert set(counts) == {("nFlowOutcome", None)}


def test_a_version_that_does_not_say_how_its_calls_go_is_as_the_one_before() -> None:
    org = published(exits=[CATCH_ALL], outcome_failed_ratio=1)
    org.happens(event="publish", flow=MAIN, version="15.0", error_ratio=0.0, outcome_failed_ratio=0)
    org.happens(event="publish", flow=MAIN, version="13.0")
    live = org.simulation.world.flow(MAIN)
    assert live.versions["15.0"].behaviour.exits == live.versions["14.0"].behaviour.exits != GOOD.exits
    assert live.versions["15.0"].behaviour.outcome_failed_ratio == 0
    assert live.live.behaviour == GOOD


def test_a_data_action_tells_how_it_ended_and_not_where_it_ran() -> None:
    failing = ACTION | {"failed_ratio": 0.6, "error_type": "TIMEOUT", "response_status": "504"}
    org = published(actions=[failing])
    counts = counted(org.actions(*SINCE, "PT1H"), "actionId", "errorType", "responseStatus")
    good, bad = (counts["tTotalExecution", "look-up", *end] for end in (("NONE", "200"), ("TIMEOUT", "504")))
    assert good + bad == sum(counts.values()) == pytest.approx(of_version(org, "14.0")["nFlow",], rel=0.01)
    assert bad / (good + bad) == pytest.approx(0.6, abs=0.03)
    assert not {"flowId", "flowVersion", "mediaType"} & {*ACTION_DIMENSIONS, *org.actions(*SINCE)[0]["group"]}


def test_a_data_action_that_worked_may_have_no_error_type() -> None:
    org = published(actions=[ACTION], switches=Switches(action_no_error="absent"))
    assert set(counted(org.actions(*SINCE), "errorType")) == {("tTotalExecution", None)}


def a_view(**change: Any) -> dict[str, Any]:
    view = {"target": "tTotalExecution", "name": "slow", "function": "rangeBound", "range": {"gte": 3000}}
    return {name: value for name, value in (view | change).items() if value is not None}


def in_view(results: list[dict[str, Any]], name: str) -> int:
    found = (view for result in results for row in result["data"] for view in row.get("views", ()))
    return sum(view["stats"]["count"] for view in found if view["name"] == name)


def test_a_view_counts_the_part_that_took_so_long() -> None:
    views = [a_view(), a_view(name="quick", range={"lt": 3000})]
    for duration, least, most in ((0.4, 0, 0.01), (8, 0.75, 0.95)):
        results = published(actions=[ACTION | {"duration": duration}]).actions(*SINCE, "PT1H", views=views)
        total = sum(counted(results).values())
        assert in_view(results, "slow") + in_view(results, "quick") == total
        assert least <= in_view(results, "slow") / total <= most


def test_a_view_of_the_past_counts_as_durations_are_spread() -> None:
    views = [a_view(target="tFlow", name="long", range={"gte": 120_000})]
    old, new = Organization(), published()
    shares = []
    for org, span in ((old, (-3 * DAY, -DAY)), (new, (0, HOUR))):
        results = org.flows(*span, "PT1H", metrics=["tFlow"], groupBy=["flowId"], views=views)
        shares.append(in_view(results, "long") / sum(counted(results).values()))
    assert shares[0] == pytest.approx(shares[1], abs=0.04)
    assert 0.15 < shares[0] < 0.35


@pytest.mark.parametrize(
    ("views", "told"),
    [
        pytest.param({}, "list", id="no list"),
        pytest.param([a_view(function="percentile")], "rangeBound", id="another function"),
        pytest.param([a_view(name="tTotalExecution")], "name", id="the name of a metric"),
        pytest.param([a_view(), a_view()], "of its own", id="one name twice"),
        pytest.param([a_view(target="tFlow")], "target", id="another API's metric"),
        pytest.param([a_view(range=None)], "range", id="no range"),
        pytest.param([a_view(range={"gt": 1})], "range", id="an unknown bound"),
        pytest.param([a_view(range={"gte": "1"})], "numbers", id="a bound that is no number"),
        pytest.param([a_view(name=f"n{number}") for number in range(11)], "at most 10", id="too many"),
    ],
)
def test_a_wrong_view_is_refused_with_a_reason(views: Any, told: str) -> None:
    query = {"interval": "2026-11-22T14:00:00Z/2026-11-22T15:00:00Z", "metrics": ["tTotalExecution"]}
    read_query(query | {"views": [a_view()]}, ACTION_METRICS, ACTION_DIMENSIONS, Switches())
    with pytest.raises(ApiError, match=told) as refused:
        read_query(query | {"views": views or {"no": "list"}}, ACTION_METRICS, ACTION_DIMENSIONS, Switches())
    assert refused.value.status == 400


def test_counts_have_no_views() -> None:
    query = {"interval": "2026-11-22T14:00:00Z/2026-11-22T15:00:00Z", "metrics": ["nFlow"]}
    with pytest.raises(ApiError, match="a time"):
        read_query(query | {"views": [a_view(target="nFlow")]}, FLOW_METRICS, flow_dimensions({}), Switches())
