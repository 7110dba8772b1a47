"""Scenario files are strict, and the shipped ones tell the stories they are named for."""

import pytest

from simulator.scenario import ScenarioError, load, names, parse
from simulator.vocabulary import Publish, SetFaults

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


def test_every_shipped_scenario_loads() -> None:
    assert {"bad-deploy", "calm", "rate-limited"} <= set(names())
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
        pytest.param(
            "description: one flow",
            "timeline: [{at: 1, do: {event: lock, flow: b}}]\ndescription: x",
            "no flow has the id b",
            id="an event for a flow that does not exist",
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
    with pytest.raises(ScenarioError, match="bad-deploy, calm, rate-limited"):
        load("no-such-scenario")
