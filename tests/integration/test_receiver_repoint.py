"""Callers are led to another flow that is known to be good: read back, measured, undone; and nothing is published."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genesys.settings import SettingsError
from receiver import orders
from receiver.payload import Alert
from receiver.store import alerts, watchdog
from receiver.store.rollbacks import Rollback, State
from receiver.strategy import Strategy
from simulator.scenario import parse
from tests.integration.object_world import MAIN, OLD, ObjectScene, object_scene
from tests.receiver_world import settings_of

ROUTE, GROUP = "line", "fire"
WORLD = """
description: two flows, the call route that leads to the first, and an emergency group that leads to the second
settings: {analytics_late_ratio: 0}
flows:
  - id: flow-1
    name: Main IVR
    type: inboundcall
    calls_per_min: 6
    versions: [{version: "12.0", published_ago: 2592000}, {version: "13.0", published_ago: 864000}]
  - id: flow-2
    name: Old IVR
    type: inboundcall
    calls_per_min: 1
    versions: [{version: "3.0", published_ago: 2592000}]
objects:
  - type: ivr
    id: line
    name: Main line
    fields: {dnis: ["+1"], openHoursFlow: {id: flow-1}, closedHoursFlow: {id: flow-3}, holidayHoursFlow: {id: flow-1}}
    while_changed: &led [{flow: flow-1, calls_per_min: 0.1}, {flow: flow-2, calls_per_min: 6}]
  - type: emergency_group
    id: fire
    name: Fire
    fields: {enabled: false, emergencyCallFlows: [{emergencyFlow: {id: flow-2}, ivrs: [{id: line}]}]}
    while_changed: *led
"""
POLICIES = {
    ROUTE: {"type": "ivr", "id": ROUTE, "flow_id": OLD},
    GROUP: {"type": "emergency_group", "id": GROUP, "flow_id": OLD},
}
PATHS = {ROUTE: "/api/v2/architect/ivrs/line", GROUP: "/api/v2/architect/emergencygroups/fire"}


def settings(by: str, *ways: str) -> dict[str, Any]:
    main = {"match": {"id": MAIN}, "mode": "auto", "ways_back": list(ways), "repoint": POLICIES[by]}
    return {"flows": [main, {"match": "*", "mode": "auto"}], "objects": []}


@pytest.fixture
def led(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ObjectScene]:
    """The bad version has failed for a quarter of an hour; `request.param`: what leads callers, and the ways back."""
    with object_scene(tmp_path, scenario=parse(WORLD), **settings(*request.param)) as here:
        here.happen({"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.6})
        here.time.pass_(961.0)
        accuse(here)
        yield here


by_route = pytest.mark.parametrize("led", [(ROUTE, "repoint")], indirect=True, ids=["by the call route"])
by_each = pytest.mark.parametrize(
    "led", [(ROUTE, "repoint"), (GROUP, "repoint")], indirect=True, ids=["by the call route", "by the emergency group"]
)


def accuse(here: ObjectScene) -> None:
    labels = {
        "alertname": "GenesysFlowFailing",
        "org": "retail",
        "flow_id": MAIN,
        "flow_version": "14.0",
        "signal": "error_exit",
        "genesys_action": "rollback",
        "genesys_contract": "1",
    }
    with here.store.begin() as tx:
        watchdog.arrived(tx, now=here.time.now + 1e6)
        alerts.record(tx, [Alert("fp", True, here.time.now - 60, None, labels, {})], here.time.now)


def ended(here: ObjectScene) -> Rollback:
    receiver = here.receiver()
    here.run(receiver, 10)
    return here.run_to_the_end(receiver)


def read(here: ObjectScene, by: str) -> dict[str, Any]:
    with here.simulation.present():
        return dict(here.simulation.objects.read({ROUTE: "ivr", GROUP: "emergency_group"}[by], by))


def slots(here: ObjectScene) -> list[str]:
    found = read(here, ROUTE)
    return [found[name]["id"] for name in ("openHoursFlow", "closedHoursFlow", "holidayHoursFlow")]


def publishes(here: ObjectScene) -> list[str]:
    with here.simulation.present():
        return [one.version or "" for one in here.simulation.requests.newest() if one.publish]


@by_each
def test_callers_are_led_to_the_good_flow_and_its_figures_say_whether_it_helps(led: ObjectScene) -> None:
    done = ended(led)
    assert (done.state, done.strategy, done.target_version) == (State.SUCCEEDED, Strategy.REPOINT, "flow:flow-2")
    assert "ended conversations" in done.reason
    assert (len(led.writes()), publishes(led)) == (1, [])
    assert [event["incident_type"] for event in led.told()] == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"]


@by_route
def test_only_the_slots_that_lead_to_the_flow_are_changed(led: ObjectScene) -> None:
    ended(led)
    assert slots(led) == [OLD, "flow-3", OLD]
    assert read(led, ROUTE)["dnis"] == ["+1"]


@by_each
def test_an_undo_leads_them_back(led: ObjectScene) -> None:
    before = [read(led, by) | {"version": None} for by in (ROUTE, GROUP)]
    first = ended(led)
    with led.store.begin() as tx:
        orders.undo(tx, first, led.settings, by="ann", reason="it was the carrier", now=led.time.now)
    undone = led.run_to_the_end(led.receiver())
    assert (undone.state, undone.is_undo, len(led.writes())) == (State.SUCCEEDED, True, 2)
    assert [read(led, by) | {"version": None} for by in (ROUTE, GROUP)] == before
    assert publishes(led) == []


@pytest.mark.parametrize("led", [(ROUTE, "republish", "repoint")], indirect=True, ids=["after republish"])
def test_it_has_its_turn_when_a_publish_did_nothing(led: ObjectScene) -> None:
    with led.simulation.present():
        led.simulation.change_switches(led.simulation.world.switches.model_copy(update={"republish": "nothing"}))
    done = ended(led)
    assert (done.state, done.strategy) == (State.SUCCEEDED, Strategy.REPOINT)
    assert (len(led.writes()), publishes(led)) == (1, ["13.0"])


@by_route
def test_a_version_conflict_is_met_with_a_new_look(led: ObjectScene) -> None:
    event = {"event": "change_object", "type": "ivr", "id": ROUTE, "fields": {"description": "mine"}}
    match = {"path_prefix": PATHS[ROUTE], "method": "PUT"}
    cue = [{"match": match, "when": "before", "do": event}]
    assert led.app.test_client().put("/sim/cues", json=cue).status_code == 200
    done = ended(led)
    assert [one.status for one in led.writes()] == [409, 200]
    assert done.state is State.SUCCEEDED
    assert read(led, ROUTE)["description"] == "mine"


@by_each
@pytest.mark.parametrize(
    ("kind", "end", "writes"),
    [
        ({"kind": "drop_after", "times": 1}, State.SUCCEEDED, 1),
        ({"kind": "drop_before", "times": 1}, State.SUCCEEDED, 2),
        ({"kind": "object_nothing", "times": 9}, State.FAILED, 1),
        ({"kind": "status", "status": 403, "times": 9}, State.FAILED, 1),
    ],
    ids=["lost after its effect", "lost before its effect", "answered and not done", "not allowed"],
)
def test_in_a_faulty_world_it_is_written_once_or_again_only_after_the_proof(
    led: ObjectScene, kind: dict[str, Any], end: State, writes: int
) -> None:
    led.fault(*(kind | {"match": {"path_prefix": path, "method": "PUT"}} for path in PATHS.values()))
    done = ended(led)
    assert (done.state, len(led.writes())) == (end, writes)


@by_route
def test_a_call_route_that_leads_elsewhere_already_is_left_alone(led: ObjectScene) -> None:
    led.happen(
        {
            "event": "change_object",
            "type": "ivr",
            "id": ROUTE,
            "fields": {"openHoursFlow": {"id": "flow-3"}, "holidayHoursFlow": {"id": "flow-3"}},
        }
    )
    done = ended(led)
    assert (done.state, done.reason, led.writes()) == (State.FAILED, "cannot_repoint", [])


@by_route
def test_a_good_flow_that_is_out_of_service_takes_no_callers(led: ObjectScene) -> None:
    led.happen({"event": "deactivate", "flow": OLD})
    done = ended(led)
    assert (done.state, done.reason, led.writes()) == (State.FAILED, "cannot_repoint", [])


def unreadable(status: int) -> list[dict[str, Any]]:
    """Faults: so is answered whoever asks for what leads callers."""
    kind = {"kind": "status", "status": status}
    return [kind | {"match": {"path_prefix": path, "method": "GET"}} for path in PATHS.values()]


may_not_be_read_or_is_missing = pytest.mark.parametrize("status", [403, 404])


@pytest.mark.parametrize(
    "led",
    [
        (ROUTE, "republish", "repoint"),
        (GROUP, "republish", "repoint"),
        (ROUTE, "repoint", "republish"),
        (GROUP, "repoint", "republish"),
    ],
    indirect=True,
    ids=" ".join,
)
@may_not_be_read_or_is_missing
def test_where_what_leads_callers_cannot_be_read_the_flow_is_published(led: ObjectScene, status: int) -> None:
    led.fault(*unreadable(status))
    done = ended(led)
    assert (done.state, done.strategy) == (State.SUCCEEDED, Strategy.REPUBLISH)
    assert (led.writes(), publishes(led)) == ([], ["13.0"])


@pytest.mark.parametrize("led", [(ROUTE, "repoint", "republish"), (GROUP, "repoint", "republish")], indirect=True)
@may_not_be_read_or_is_missing
@pytest.mark.parametrize("lost", [True, False], ids=["answer lost", "answered"])
def test_where_it_was_written_and_cannot_be_read_back_nothing_else_is_written(
    led: ObjectScene, lost: bool, status: int
) -> None:
    """Whoever has not read it before does not take the flow as it stands for the proof that nothing was done."""
    if lost:
        led.fault(*({"kind": "drop_after", "match": {"path_prefix": path, "method": "PUT"}} for path in PATHS.values()))
    receiver = led.receiver()
    for _ in range(100):
        if led.writes():
            break
        led.run(receiver, 2.0)
    led.fault(*unreadable(status))
    done = led.run_to_the_end(led.receiver())
    assert (done.state, done.strategy) == (State.FAILED, Strategy.REPOINT)
    assert (len(led.writes()), publishes(led)) == (1, [])


@by_route
def test_what_may_not_be_read_any_more_is_not_taken_for_callers_that_were_led_back(led: ObjectScene) -> None:
    receiver = led.receiver()
    led.run(receiver, 10)
    done = led.run_to_the_end(receiver)
    assert done.state is State.SUCCEEDED
    led.fault(*unreadable(403))
    with led.store.begin() as tx:
        orders.undo(tx, done, led.settings, by="ann", reason="", now=led.time.now)
    undone = led.run_to_the_end(receiver)
    assert (undone.state, undone.reason, len(led.writes())) == (State.FAILED, "unread", 1)


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ({"ways_back": ["repoint"]}, "needed with repoint among ways_back"),
        ({"repoint": POLICIES[ROUTE]}, "needed with repoint among ways_back"),
        ({"ways_back": ["repoint"], "repoint": POLICIES[ROUTE] | {"type": "queue"}}, "must be ivr or emergency_group"),
    ],
    ids=["nowhere to lead to", "never led", "a queue leads nobody"],
)
def test_a_wrong_entry_is_refused(tmp_path: Path, policy: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        settings_of(tmp_path, flows=[{"match": "*", "mode": "auto"} | policy])
