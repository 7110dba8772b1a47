"""What the doctor says of what is no flow: whether it can be read, and nothing of it is written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.config import FlowPolicy
from receiver.doctor import cloud, objects, reaching
from receiver.doctor.examination import Finding, State, examine
from receiver.objects.settings import ObjectPolicy
from tests.integration.drill_world import SCENARIO, DrillWorld, drill_world

WORLD = SCENARIO.replace(
    "access:\n",
    """\
  - id: hours
    name: Hours
    type: commonmodule
    calls_per_min: 0
    versions: [{version: "1.0", published_ago: 777600}]
  - id: user-1
    name: Uses it
    type: inboundcall
    calls_per_min: 0
    uses: [hours]
    versions: [{version: "1.0", published_ago: 777600}]
objects:
  - {type: ivr, id: line, name: Main line, fields: {openHoursFlow: {id: ivr-1}}}
  - {type: queue, id: sales, name: Sales}
access:
""",
)
LINE = {"org": "retail", "type": "ivr", "id": "line", "mode": "approve"}
QUEUES = {"org": "retail", "type": "queue", "name": "S*", "mode": "ignore"}
LED = {"match": "*", "mode": "auto", "ways_back": ["repoint"]}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[DrillWorld]:
    with drill_world(tmp_path, WORLD) as made:
        yield made


def examined(world: DrillWorld, *kept: dict[str, Any], routes: str | None = None) -> dict[str, Finding]:
    repoint = [] if routes is None else [LED | {"repoint": {"type": "ivr", "id": routes, "flow_id": "ivr-1"}}]
    policies = [FlowPolicy.model_validate(one) for one in repoint]
    with cloud.opened_to_read(world.organization(), clock=world.clock) as opened:
        named = [ObjectPolicy.model_validate(one) for one in kept]
        steps = [*reaching.steps(opened), *objects.steps(opened, named, policies)]
        return {one.step: one for one in examine("retail", steps, lambda *_: None)}


def test_what_can_be_read_is_counted(world: DrillWorld) -> None:
    found = examined(world, LINE, QUEUES, routes="line")
    assert {found[step].state for step in ("objects", "what leads callers", "who uses a module")} == {State.PROVED}
    assert found["objects"].seen.startswith("1 read by id, 1 found by name")
    assert found["who uses a module"].seen == "1 published flows use Hours"
    assert not [one for one in world.requests() if one.object_write or one.publish]


def test_where_nothing_is_configured_nothing_is_asked(world: DrillWorld) -> None:
    found = examined(world)
    assert (found["objects"].state, found["what leads callers"].state) == (State.SKIPPED, State.SKIPPED)


def test_another_organization_s_objects_are_not_asked_for(world: DrillWorld) -> None:
    assert examined(world, LINE | {"org": "bank"})["objects"].state is State.SKIPPED


def test_what_is_not_there_is_named(world: DrillWorld) -> None:
    found = examined(world, LINE | {"id": "gone"}, QUEUES)["objects"]
    assert (found.state, "ivr gone" in found.seen, "docs/objects.md" in found.cure) == (State.FAILED, True, True)


def test_a_name_that_nothing_has_is_told(world: DrillWorld) -> None:
    found = examined(world, QUEUES | {"name": "Zzz*"})["objects"]
    assert (found.state, "no queue Zzz*" in found.seen) == (State.NOT_PROVED, True)


def test_a_route_that_is_not_there_may_be_another_organization_s(world: DrillWorld) -> None:
    found = examined(world, routes="elsewhere")["what leads callers"]
    assert (found.state, "0 of 1 read" in found.seen) == (State.NOT_PROVED, True)


def test_a_missing_permission_is_a_fault(world: DrillWorld) -> None:
    world.fault({"kind": "status", "status": 403, "match": {"path_prefix": "/api/v2/architect/ivrs"}})
    found = examined(world, LINE, routes="line")
    assert (found["objects"].state, found["what leads callers"].state) == (State.FAILED, State.FAILED)


@pytest.mark.parametrize("tracking", ["stale", "absent"])
def test_dependency_tracking_that_is_not_built_is_told(world: DrillWorld, tracking: str) -> None:
    world.switch(dependency_tracking=tracking)
    found = examined(world)["who uses a module"]
    assert (found.state, "Architect" in found.cure) == (State.NOT_PROVED, True)
