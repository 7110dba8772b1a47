"""A common module that is rolled back: which flows use it is in the record and in what people are told."""

from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from receiver.notify.wording import worded
from receiver.store.rollbacks import Rollback, State
from tests.integration.simulated_scene import BAD_DEPLOY, FLOW_ID, SimulatedScene, simulated_scene

MODULE, *OTHERS = BAD_DEPLOY.flows
TRACKING = "/api/v2/architect/dependencytracking"
EVENT = {"incident_type": "APPROVAL_REQUESTED", "flow_id": "m", "flow_type": "commonmodule", "org": "retail"}
WITH_A_MODULE = BAD_DEPLOY.model_copy(
    update={
        "flows": (
            MODULE.model_copy(update={"type": "commonmodule"}),
            *(one.model_copy(update={"uses": (FLOW_ID,)}) for one in OTHERS),
        )
    }
)


def asked_for(here: SimulatedScene) -> Rollback:
    """The rollback of the module, which waits for a person."""
    here.scene.deliver(here.accusation())
    for _ in range(10):
        here.time.pass_(2.0)
        here.receivers[0].tick()
    (rollback,) = here.scene.rollbacks()
    assert rollback.state is State.AWAITING_APPROVAL
    return rollback


def told(here: SimulatedScene) -> str:
    (event,) = here.scene.told()
    return worded(event, UTC).text


def test_which_flows_use_the_module_is_in_the_record_and_in_the_notification(tmp_path: Path) -> None:
    with simulated_scene(tmp_path, scenario=WITH_A_MODULE) as here:
        rollback = asked_for(here)
        assert rollback.facts["dependents"] == [
            {"flow_id": one.id, "flow_name": one.name, "version": one.versions[0].version}
            for one in sorted(OTHERS, key=lambda one: one.name)
        ]
        assert rollback.facts["dependents_count"] == len(OTHERS)
        assert "Used by Order Status, Support: what is done to the module does not publish them again." in told(here)


@pytest.mark.parametrize(
    ("switches", "fault", "says"),
    [
        ({"dependency_tracking": "absent"}, None, "NOTBUILT"),
        ({"dependency_tracking": "stale"}, None, "OPERATIONALNEEDSREBUILD"),
        ({}, {"kind": "status", "status": 403}, "403"),
        ({}, {"kind": "truncated"}, "cut off"),
    ],
    ids=["not built", "out of date", "not allowed", "half an answer"],
)
def test_what_nobody_can_tell_is_said_and_is_in_the_way_of_nothing(
    tmp_path: Path, switches: dict[str, Any], fault: dict[str, Any] | None, says: str
) -> None:
    with simulated_scene(tmp_path, scenario=WITH_A_MODULE) as here:
        control = here.app.test_client()
        faults = [fault | {"match": {"path_prefix": TRACKING}}] if fault else []
        for name, told_it in (("switches", switches), ("faults", faults)):
            assert control.put(f"/sim/{name}", json=told_it).status_code == 200
        rollback = asked_for(here)
        assert says in rollback.facts["dependents_problem"]
        assert "dependents" not in rollback.facts
        assert "Nobody could tell which flows use this module" in told(here)


def test_of_a_flow_that_is_no_module_nobody_is_asked(tmp_path: Path) -> None:
    with simulated_scene(tmp_path) as here:
        here.scene.deliver(here.accusation())
        here.receivers[0].tick()
        paths = [one["path"] for one in here.app.test_client().get("/sim/requests").get_json()]
        assert paths
        assert not [path for path in paths if path.startswith(TRACKING)]


def test_a_module_that_nobody_uses_is_told_as_such() -> None:
    assert "No published flow uses this module." in worded(EVENT | {"dependents": [], "dependents_count": 0}, UTC).text


def test_of_many_flows_the_first_are_named() -> None:
    many = [{"flow_id": str(number), "flow_name": f"Flow {number}", "version": "1.0"} for number in range(20)]
    said = worded(EVENT | {"dependents": many, "dependents_count": 45}, UTC).text
    assert "Used by Flow 0, Flow 1, Flow 2 and 42 more" in said


def test_where_they_are_published_once_more_that_is_said() -> None:
    users = {
        "dependents": [{"flow_id": "1", "flow_name": "Support"}],
        "dependents_count": 1,
        "dependents_to_publish": 1,
    }
    assert "Used by Support: they are published once more, as they are, once the module is live." in (
        worded(EVENT | users, UTC).text
    )
