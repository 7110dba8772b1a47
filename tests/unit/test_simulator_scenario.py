"""Scenario files are strict, and the shipped ones tell the stories they are named for."""

from itertools import pairwise

import pytest

from simulator.behaviour import BehaviourWords
from simulator.scenario import ScenarioError, load, names, parse
from simulator.vocabulary import Call, ErrorRatio, Publish, SetFaults

MAIN = "ce677f29-f403-470c-adb0-8bfa6bf81d69"
GOOD = """
description: one flow
flows:
  - id: a
    name: A
    type: inboundcall
    calls_per_min: 3
    versions:
      - {version: "1.0", published_ago: 600}
"""

# The scenarios whose version has no more error exits than the one before, and what they say of it.
SAYS = {
    "catch-all-queue": {"exits"},
    "failed-outcomes": {"outcome_failed_ratio"},
    "failing-action": {"actions"},
    "loop": {"stuck_ratio"},
    "not-recognized": {"exits"},
    "polite-hangup": {"exits"},
    "silence": {"exits"},
    "slow-action": {"actions"},
    "wrong-queue": {"exits"},
}


def test_every_shipped_scenario_loads() -> None:
    assert names() == sorted(
        (
            *("backend-outage", "bad-deploy", "burst", "calm", "data-action", "flapping", "ivr", "low-traffic"),
            *("maintenance", "platform-outage", "rate-limited", "silenced"),
            *SAYS,
        )
    )
    for name in names():
        assert len(load(name).flows) >= 3


def test_nothing_happens_in_calm() -> None:
    assert load("calm").timeline == ()


def test_bad_deploy_publishes_a_failing_version_of_main_ivr_after_a_minute() -> None:
    scenario = load("bad-deploy")
    main = next(flow for flow in scenario.flows if flow.id == MAIN)
    assert (main.name, [past.version for past in main.history()]) == ("Main IVR", ["12.0", "13.0"])
    (moment,) = scenario.timeline
    assert moment.at == 60
    assert moment.do == Publish(event="publish", flow=MAIN, version="14.0", error_ratio=0.45, by="cx-as-code")


@pytest.mark.parametrize("name", SAYS)
def test_a_bad_version_without_error_exits_is_published_as_in_bad_deploy_and_bad_in_one_thing(name: str) -> None:
    scenario = load(name)
    assert scenario.flows == load("calm").flows
    (moment,) = scenario.timeline
    assert moment.at == 60
    assert isinstance(moment.do, Publish)
    assert (moment.do.flow, moment.do.version, moment.do.error_ratio) == (MAIN, "14.0", 0.01)
    assert {word for word in BehaviourWords.model_fields if getattr(moment.do, word) is not None} == SAYS[name]


@pytest.mark.parametrize(("name", "changed"), [("slow-action", "duration"), ("failing-action", "failed_ratio")])
def test_the_bad_data_action_is_the_one_that_ran_before(name: str, changed: str) -> None:
    scenario = load(name)
    (moment,) = scenario.timeline
    assert isinstance(moment.do, Publish)
    (bad,) = moment.do.actions or ()
    (good,) = scenario.flows[0].history()[-1].actions or ()
    assert (bad.id, bad.name) == (good.id, good.name)
    assert getattr(bad, changed) > 10 * getattr(good, changed)


def test_rate_limited_refuses_the_first_two_publishes_after_the_bad_one() -> None:
    publish, faults = (moment.do for moment in load("rate-limited").timeline)
    assert publish == load("bad-deploy").timeline[0].do
    assert isinstance(faults, SetFaults)
    first = faults.faults[0]
    assert (first.match.path_prefix, first.times, first.retry_after) == ("/api/v2/flows/actions/publish", 2, 20)


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        pytest.param("calls_per_min: 3", "calls_per_minute: 3", "flows.0.calls_per_minute: Extra", id="unknown key"),
        pytest.param('"1.0"', "1.0", "flows.0.versions.0.version: Input should be a valid string", id="a bare number"),
        pytest.param("published_ago: 600", "published_ago: 0", "greater than 0", id="published now"),
        pytest.param("type: inboundcall", "type: INBOUNDCALL", "flows.0.type", id="a type in upper case"),
        pytest.param('{version: "1.0", published_ago: 600}', "", "versions", id="no version"),
        pytest.param("description: one flow", "[", "not YAML", id="not YAML"),
        pytest.param("description: one flow", "as: nothing", "as: nothing is not one of", id="as an unknown scenario"),
        pytest.param(
            "description: one flow", "switches: {republish: maybe}", "switches.republish", id="an unknown position"
        ),
        pytest.param(
            "description: one flow",
            "timeline: [{at: 1, do: {event: lock, flow: b}}]\ndescription: x",
            "no flow has the id b",
            id="an event for a flow that does not exist",
        ),
        pytest.param(
            "published_ago: 600",
            "published_ago: 600, exits: [{reason: TRANSFER, share: 1}]",
            "flows.0.versions.0.exits.0: Value error, transfer_type belongs to",
            id="a transfer to nowhere",
        ),
        pytest.param(
            "published_ago: 600",
            "published_ago: 600, exits: [{reason: DISCONNECT, share: 1, transfer_target: B}]",
            "transfer_target belongs to reason TRANSFER",
            id="a target without a transfer",
        ),
        pytest.param(
            "published_ago: 600", "published_ago: 600, exits: []", "flows.0.versions.0.exits", id="no way out"
        ),
        pytest.param(
            "description: one flow",
            "timeline: [{at: 1, do: {event: explode}}]\ndescription: x",
            "timeline.0.do",
            id="an unknown event",
        ),
    ],
)
def test_a_wrong_scenario_is_refused_with_the_path(good: str, bad: str, told: str) -> None:
    parse(GOOD)
    with pytest.raises(ScenarioError) as refused:
        parse(GOOD.replace(good, bad))
    assert told in str(refused.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ScenarioError) as refused:
        parse(GOOD.replace("name: A", "nome: A").replace("calls_per_min: 3", "calls_per_min: -3"))
    told = str(refused.value)
    assert all(path in told for path in ("flows.0.name", "flows.0.nome", "flows.0.calls_per_min"))


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match="backend-outage, bad-deploy, burst, calm"):
        load("no-such-scenario")


def test_a_scenario_that_is_as_another_has_all_that_it_does_not_say_itself() -> None:
    base = load("bad-deploy")
    own = parse("description: x\nas: bad-deploy\nswitches: {republish: nothing}\nconversation_error_ratio: 0.1")
    assert (own.flows, own.timeline) == (base.flows, base.timeline)
    assert (own.description, own.switches.republish, own.conversation_error_ratio) == ("x", "nothing", 0.1)
    assert base.switches.republish == "works"


@pytest.mark.parametrize("name", ["maintenance", "silenced"])
def test_what_people_do_in_a_scenario_is_theirs_to_do(name: str) -> None:
    assert load(name).model_copy(update={"description": ""}) == load("bad-deploy").model_copy(
        update={"description": ""}
    )


def test_in_platform_outage_genesys_cloud_is_down_for_ten_minutes_after_the_bad_deploy() -> None:
    publish, faults = load("platform-outage").timeline
    assert (publish, faults.at) == (load("bad-deploy").timeline[0], 180)
    assert isinstance(faults.do, SetFaults)
    assert [(fault.kind, fault.for_s) for fault in faults.do.faults] == [("down", 600)]


def test_in_backend_outage_established_versions_of_several_flows_fail_at_once() -> None:
    scenario = load("backend-outage")
    assert {type(moment.do) for moment in scenario.timeline} == {ErrorRatio}
    assert {moment.at for moment in scenario.timeline} == {120}
    live = {(flow.id, flow.history()[-1].version) for flow in scenario.flows}
    assert {
        (moment.do.flow, moment.do.version) for moment in scenario.timeline if isinstance(moment.do, ErrorRatio)
    } == live
    assert min(past.published_ago for flow in scenario.flows for past in flow.versions) >= 5 * 86400


def test_the_burst_lasts_a_minute() -> None:
    publish, total, healed = load("burst").timeline
    assert isinstance(publish.do, Publish)
    assert isinstance(total.do, ErrorRatio)
    assert isinstance(healed.do, ErrorRatio)
    assert (total.do.error_ratio, healed.do.error_ratio, healed.at - total.at) == (1.0, 0.01, 60)


def test_flapping_goes_to_and_fro_about_five_percent_every_minute_for_ten_minutes() -> None:
    _, publish, *flaps = load("flapping").timeline
    assert publish.do == Publish(event="publish", flow=MAIN, version="14.0", error_ratio=0.01, by="cx-as-code")
    ratios = [flap.do.error_ratio for flap in flaps if isinstance(flap.do, ErrorRatio)]
    assert ratios == [*[0.051, 0.049] * 5, 0.01]
    assert {later.at - earlier.at for earlier, later in pairwise(flaps)} == {60}


def test_at_low_traffic_single_calls_fail_on_a_version_that_fails_no_other() -> None:
    scenario = load("low-traffic")
    assert max(flow.calls_per_min for flow in scenario.flows) <= 0.2
    publish, *calls = (moment.do for moment in scenario.timeline)
    assert publish == Publish(event="publish", flow=MAIN, version="14.0", error_ratio=0.0, by="cx-as-code")
    assert calls == [Call(event="call", flow=MAIN, fails=True)] * 2
