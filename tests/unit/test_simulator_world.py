"""The simulated world: what is live, what a read shows, and what a publish does."""

import random

import pytest
from pydantic import TypeAdapter

from simulator.errors import ApiError
from simulator.representation import flow_as_json, version_as_json
from simulator.scenario import FlowSpec, VersionSpec
from simulator.vocabulary import FlowEvent, Settings, Switches
from simulator.world import Fate, World, build

START = 1_795_000_000.0
FLOW = "flow-1"
FLOW_EVENT: TypeAdapter[FlowEvent] = TypeAdapter(FlowEvent)
SPEC = FlowSpec(
    id=FLOW,
    name="Main IVR",
    type="inboundcall",
    calls_per_min=30,
    versions=(
        VersionSpec(version="13.0", published_ago=3600, error_ratio=0.01),
        VersionSpec(version="12.0", published_ago=7200, error_ratio=0.02),
    ),
)


def a_world(factor: float = 1.0, switches: Switches = Switches()) -> World:  # noqa: B008
    settings = Settings(publish_time=10, effect_delay=5)
    return build([SPEC], settings, switches, start=START, factor=factor, rng=random.Random(1))


def happens(world: World, at: float, **event: object) -> None:
    world.apply(FLOW_EVENT.validate_python({"flow": FLOW, **event}), at)


def shown(world: World, at: float) -> str:
    world.settle(at)
    return str(flow_as_json(world.flow(FLOW), at)["publishedVersion"]["id"])


def test_the_version_published_last_is_live_at_the_start() -> None:
    world = a_world()
    assert world.flow(FLOW).live.label == "13.0"
    assert shown(world, START) == "13.0"


@pytest.mark.parametrize("factor", [1.0, 10.0])
def test_a_publish_takes_its_time_and_shows_later_still(factor: float) -> None:
    world = a_world(factor)
    operation = world.publish(FLOW, "12.0", client="bridge", at=START)
    assert operation.completes_at == START + 10 / factor

    world.settle(START + 9.9 / factor)
    assert (operation.complete, world.flow(FLOW).live.label) == (False, "13.0")
    world.settle(START + 10 / factor)
    assert (operation.complete, world.flow(FLOW).live.label) == (True, "12.0")
    assert shown(world, START + 14.9 / factor) == "13.0"
    assert shown(world, START + 15 / factor) == "12.0"


def test_a_read_tells_of_the_operation_while_it_runs_and_after() -> None:
    world = a_world()
    operation = world.publish(FLOW, "12.0", client="bridge", at=START)
    running = flow_as_json(world.flow(FLOW), START)["currentOperation"]
    assert (running["id"], running["complete"], running["actionStatus"]) == (operation.id, False, "STARTED")
    world.settle(START + 10)
    done = flow_as_json(world.flow(FLOW), START + 10)["currentOperation"]
    assert (done["complete"], done["actionName"], done["actionStatus"]) == (True, "PUBLISH", "SUCCESS")
    assert done["client"]["name"] == "bridge"


def test_an_older_label_made_live_again_is_published_anew_and_ends_the_other() -> None:
    world = a_world()
    flow = world.flow(FLOW)
    before = version_as_json(flow, flow.versions["12.0"], START)
    assert before["datePublished"] == "2026-11-18T09:06:40.000Z"
    assert before["datePublishedEnd"] == "2026-11-18T10:06:40.000Z"

    world.publish(FLOW, "12.0", client="bridge", at=START)
    world.settle(START + 10)
    again = version_as_json(flow, flow.versions["12.0"], START + 15)
    ended = version_as_json(flow, flow.versions["13.0"], START + 15)
    assert again["datePublished"] == ended["datePublishedEnd"] == "2026-11-18T11:06:50.000Z"
    assert "datePublishedEnd" not in again
    assert again["createdByClient"]["name"] == "cx-as-code"


@pytest.mark.parametrize(
    ("before", "flow", "version", "status"),
    [
        pytest.param([], "flow-2", "12.0", 404, id="unknown flow"),
        pytest.param([], FLOW, "99.0", 404, id="unknown version"),
        pytest.param([{"event": "delete_version", "version": "12.0"}], FLOW, "12.0", 404, id="deleted version"),
        pytest.param([{"event": "delete_flow"}], FLOW, "12.0", 410, id="deleted flow"),
        pytest.param([{"event": "lock", "by": "ann"}], FLOW, "12.0", 409, id="locked flow"),
    ],
)
def test_a_publish_that_is_refused_has_no_effect(
    before: list[dict[str, object]], flow: str, version: str, status: int
) -> None:
    world = a_world()
    for event in before:
        happens(world, START, **event)
    with pytest.raises(ApiError) as refused:
        world.publish(flow, version, client="bridge", at=START)
    assert refused.value.status == status
    assert world.next_due() is None


def test_a_second_publish_conflicts_until_the_first_is_complete() -> None:
    world = a_world()
    world.publish(FLOW, "12.0", client="bridge", at=START)
    with pytest.raises(ApiError) as refused:
        world.publish(FLOW, "13.0", client="bridge", at=START + 9)
    assert refused.value.status == 409
    world.settle(START + 10)
    world.publish(FLOW, "13.0", client="bridge", at=START + 11)


def test_a_lock_shows_and_ends() -> None:
    world = a_world()
    happens(world, START, event="lock", by="ann")
    assert flow_as_json(world.flow(FLOW), START)["lockedUser"]["name"] == "ann"
    happens(world, START, event="unlock")
    assert "lockedUser" not in flow_as_json(world.flow(FLOW), START)
    world.publish(FLOW, "12.0", client="bridge", at=START)


def test_a_version_deleted_while_it_is_published_fails_the_operation() -> None:
    world = a_world()
    world.publish(FLOW, "12.0", client="bridge", at=START)
    happens(world, START + 1, event="delete_version", version="12.0")
    assert shown(world, START + 20) == "13.0"
    operation = flow_as_json(world.flow(FLOW), START + 20)["currentOperation"]
    assert (operation["complete"], operation["actionStatus"]) == (True, "FAILURE")
    assert operation["errorCode"]


def test_others_publish_at_once_whatever_runs_and_the_running_one_still_lands() -> None:
    world = a_world()
    world.publish(FLOW, "12.0", client="bridge", at=START)
    happens(world, START + 5, event="publish", version="14.0", error_ratio=0.45)
    assert world.flow(FLOW).live.label == "14.0"
    assert shown(world, START + 10) == "14.0"
    assert shown(world, START + 15) == "12.0"


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({"event": "publish", "version": "14.0"}, id="a new version without error_ratio"),
        pytest.param({"event": "delete_version", "version": "13.0"}, id="deleting the live version"),
        pytest.param({"event": "error_ratio", "version": "99.0", "error_ratio": 0.5}, id="an unknown version"),
    ],
)
def test_an_impossible_event_is_refused_and_changes_nothing(event: dict[str, object]) -> None:
    world = a_world()
    with pytest.raises(ApiError):
        happens(world, START, **event)
    assert list(world.flow(FLOW).versions) == ["12.0", "13.0"]
    assert world.flow(FLOW).live.label == "13.0"


def test_a_switch_refuses_every_republish() -> None:
    world = a_world(switches=Switches(republish="refused"))
    with pytest.raises(ApiError) as refused:
        world.publish(FLOW, "12.0", client="bridge", at=START)
    assert refused.value.status == 400
    assert world.flow(FLOW).operation is None


@pytest.mark.parametrize(
    ("switches", "fate", "status"),
    [
        pytest.param(Switches(republish="nothing"), None, "SUCCESS", id="the switch that lets a republish do nothing"),
        pytest.param(Switches(), Fate.FAILS, "FAILURE", id="an operation that fails"),
        pytest.param(Switches(republish="nothing"), Fate.FAILS, "FAILURE", id="a fault goes before a switch"),
        pytest.param(Switches(), Fate.HANGS, "STARTED", id="an operation that hangs"),
    ],
)
def test_a_publish_without_effect_changes_nothing_but_the_operation(
    switches: Switches, fate: Fate | None, status: str
) -> None:
    world = a_world(switches=switches)
    operation = world.publish(FLOW, "12.0", client="bridge", at=START, fate=fate)
    assert operation.effect_at is None
    assert shown(world, START + 1000) == "13.0"
    told = flow_as_json(world.flow(FLOW), START + 1000)["currentOperation"]
    assert (told["id"], told["actionStatus"], told["complete"]) == (operation.id, status, status != "STARTED")
    assert ("errorCode" in told) == (status == "FAILURE")


def test_a_hanging_operation_conflicts_with_the_next_publish() -> None:
    world = a_world()
    world.publish(FLOW, "12.0", client="bridge", at=START, fate=Fate.HANGS)
    world.settle(START + 1000)
    with pytest.raises(ApiError, match="operation is running"):
        world.publish(FLOW, "12.0", client="bridge", at=START + 1000)


def test_a_forgotten_publish_is_answered_even_for_a_version_that_does_not_exist() -> None:
    world = a_world()
    assert world.publish(FLOW, "99.0", client="bridge", at=START, fate=Fate.FORGOTTEN).effect_at is None
    assert "currentOperation" not in flow_as_json(world.flow(FLOW), START + 1000)
    assert world.next_due() is None


def test_a_version_made_live_again_keeps_its_first_date_if_the_switch_says_so() -> None:
    world = a_world(switches=Switches(date_published="stays"))
    flow = world.flow(FLOW)
    before = version_as_json(flow, flow.versions["12.0"], START)
    world.publish(FLOW, "12.0", client="bridge", at=START)
    world.settle(START + 10)
    again = version_as_json(flow, flow.versions["12.0"], START + 15)
    ended = version_as_json(flow, flow.versions["13.0"], START + 15)
    assert again["datePublished"] == before["datePublished"]
    assert "datePublishedEnd" not in again
    assert ended["datePublishedEnd"] == "2026-11-18T11:06:50.000Z"


def test_the_past_can_be_read_as_it_was() -> None:
    world = a_world()
    happens(world, START + 10, event="publish", version="14.0", error_ratio=0.4)
    world.publish(FLOW, "13.0", client="bridge", at=START + 20)
    world.settle(START + 30)
    happens(world, START + 40, event="lock", by="ann")

    def as_of(at: float) -> tuple[object, ...]:
        flow = world.as_of(START + at).flow(FLOW)
        told = flow_as_json(flow, START + at)
        operation = told.get("currentOperation", {}).get("actionStatus")
        return told["publishedVersion"]["id"], operation, "lockedUser" in told, "14.0" in flow.versions

    assert as_of(9) == ("13.0", None, False, False)
    assert as_of(19) == ("14.0", None, False, True)
    assert as_of(29) == ("14.0", "STARTED", False, True)
    assert as_of(39) == ("13.0", "SUCCESS", False, True)
    assert as_of(40) == ("13.0", "SUCCESS", True, True)
