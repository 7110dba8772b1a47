"""Configuration objects that are no flows: each kind is accused, approved, restored and undone, and nothing by itself.

What is written is counted in the simulator's request log.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genesys.errors import Refused
from receiver import orders
from receiver.store import controls
from receiver.store.rollbacks import Rollback, State
from receiver.strategy import Strategy
from tests.integration.object_world import (
    ACTION,
    CHANGES,
    GROUP,
    IVR,
    MAIN,
    POLICIES,
    QUEUE,
    SCHEDULE,
    TABLE,
    TYPES,
    ObjectScene,
    object_scene,
)
from tests.integration.receiver_world import Receiver

RESTORABLE = (ACTION, IVR, TABLE, SCHEDULE, GROUP)
WRITES = {
    ACTION: ["PATCH /api/v2/integrations/actions/look-up"],
    IVR: ["PUT /api/v2/architect/ivrs/main"],
    TABLE: [
        "PUT /api/v2/flows/datatables/holidays/rows/a",
        "POST /api/v2/flows/datatables/holidays/rows",
        "DELETE /api/v2/flows/datatables/holidays/rows/d",
    ],
    SCHEDULE: ["PUT /api/v2/architect/schedules/weekdays"],
    GROUP: ["PUT /api/v2/architect/schedulegroups/office"],
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[ObjectScene]:
    with object_scene(tmp_path) as made:
        yield made


def asked(here: ObjectScene, object_id: str) -> Receiver:
    """It is broken and accused, and a person is asked."""
    here.break_it(object_id)
    here.accuse(object_id)
    receiver = here.receiver()
    here.run(receiver, 10)
    return receiver


def approve(here: ObjectScene) -> None:
    waiting = here.asked_for()
    with here.store.begin() as tx:
        orders.approve(tx, waiting, here.settings, by="ann", reason="", now=here.time.now)


def restored(here: ObjectScene, object_id: str) -> Rollback:
    receiver = asked(here, object_id)
    approve(here)
    return here.run_to_the_end(receiver)


def written(here: ObjectScene) -> list[str]:
    return [f"{one.method} {one.path}" for one in here.writes()]


@pytest.mark.parametrize("object_id", RESTORABLE)
def test_an_object_is_restored_once_a_person_agrees(here: ObjectScene, object_id: str) -> None:
    asked(here, object_id)
    assert here.verdicts() == ["awaiting_approval"]
    assert not here.writes(), "nothing before a person agrees"
    approve(here)
    done = here.run_to_the_end(here.receiver())
    assert (done.state, done.strategy, done.object_type) == (State.SUCCEEDED, Strategy.RESTORE, TYPES[object_id].value)
    assert here.content(object_id) == here.before[object_id]
    assert written(here) == WRITES[object_id]


def changed_and_restored(here: ObjectScene, object_id: str) -> tuple[Any, Rollback]:
    """What somebody made of it, and the rollback that a person agreed to."""
    here.change(object_id)
    changed = here.content(object_id)
    here.time.pass_(1.0)
    here.see(object_id)
    here.time.pass_(960.0)
    here.accuse(object_id)
    here.run(here.receiver(), 10)
    approve(here)
    return changed, here.run_to_the_end(here.receiver())


@pytest.mark.parametrize("object_id", RESTORABLE)
def test_what_was_restored_is_undone_when_a_person_orders_it(here: ObjectScene, object_id: str) -> None:
    changed, first = changed_and_restored(here, object_id)
    with here.store.begin() as tx:
        orders.undo(tx, first, here.settings, by="ann", reason="was right", now=here.time.now)
    undone = here.run_to_the_end(here.receiver())
    assert (undone.state, undone.is_undo) == (State.SUCCEEDED, True)
    assert here.content(object_id) == changed
    assert len(here.writes()) == 2 * len(WRITES[object_id])


def test_what_would_be_restored_is_in_the_record_and_in_what_people_are_told(here: ObjectScene) -> None:
    asked(here, ACTION)
    difference = {
        "path": "config.request.requestUrlTemplate",
        "accused": "https://crm.example/v3/${input.id}",
        "target": "https://crm.example/v2/customers/${input.id}",
    }
    assert here.asked_for().facts["differences"] == [difference]
    (event,) = here.told()
    assert event["incident_type"] == "APPROVAL_REQUESTED"
    assert (event["object_type"], event["owner"], event["differences"]) == ("data_action", "team-crm", [difference])


def test_a_secret_is_nowhere_and_stays_as_it_is(here: ObjectScene) -> None:
    done = restored(here, ACTION)
    assert done.state is State.SUCCEEDED
    assert here.content(ACTION)[0]["config"]["request"]["headers"] == {"X-Key": "hunter2"}
    assert b"hunter2" not in (Path(here.settings.database_url.removeprefix("sqlite:///"))).read_bytes()


def test_what_was_restored_is_not_accused_again(here: ObjectScene) -> None:
    restored(here, ACTION)
    here.time.pass_(1000.0)
    actions = [{"id": ACTION, "name": "Look up customer", "failed_ratio": 0.6}]
    here.happen({"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.01, "actions": actions})
    here.time.pass_(2000.0)
    here.accuse(ACTION, labels={"replica": "b"})
    here.run(here.receiver(), 30)
    assert len(here.rollbacks()) == 1
    assert here.verdicts()[-1] == "restored_by_bridge"


def test_an_object_that_nobody_has_changed_lately_is_not_to_blame(here: ObjectScene) -> None:
    """The flow fails, and the table has been as it is for a day."""
    here.happen({"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.6})
    here.time.pass_(961.0)
    here.accuse(TABLE)
    here.run(here.receiver(), 10)
    assert here.verdicts() == ["established"]


def test_a_change_after_an_established_content_is_decided_about_under_the_same_alert(here: ObjectScene) -> None:
    here.happen({"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.1})
    here.time.pass_(961.0)
    here.accuse(TABLE)
    here.run(here.receiver(), 10)
    here.break_it(TABLE)
    here.run(here.receiver(), 10)
    assert here.verdicts() == ["established", "awaiting_approval"]


@pytest.mark.parametrize(
    ("labels", "missing"),
    [
        ({"object_id": "another"}, "object_id (not in `objects` of receiver.yml)"),
        ({"object_type": "ivr"}, "object_id (not in `objects` of receiver.yml)"),
        ({"object_type": "flow", "flow_id": ACTION, "flow_version": "1"}, "flow_id (no flow)"),
        ({"signal": "unheard_of"}, "signal (unknown)"),
        ({"signal": ""}, "signal"),
    ],
    ids=["another id", "another type", "as if it were a flow", "a signal that nobody knows", "no signal"],
)
def test_what_is_not_configured_is_not_understood(here: ObjectScene, labels: dict[str, str], missing: str) -> None:
    here.break_it(ACTION)
    here.accuse(ACTION, labels=labels)
    here.run(here.receiver(), 10)
    assert here.verdicts() == ["unknown_contract"]
    assert missing in here.guards("unknown_contract")[-1]["value"]
    assert not here.writes()


@pytest.mark.parametrize(("mode", "verdict"), [("observe", "observing"), ("ignore", "ignored")])
def test_in_other_modes_nothing_is_written(tmp_path: Path, mode: str, verdict: str) -> None:
    policies = [one | {"mode": mode if one["id"] == ACTION else one["mode"]} for one in POLICIES]
    with object_scene(tmp_path, objects=policies) as here:
        asked(here, ACTION)
        assert here.verdicts()[0] == verdict
        assert not here.writes()


@pytest.mark.parametrize("object_id", RESTORABLE)
def test_a_third_partys_change_in_between_stops_it(here: ObjectScene, object_id: str) -> None:
    receiver = asked(here, object_id)
    further = {"rows": [{"key": "z", "closed": True}]} if object_id == TABLE else {"fields": {"description": "mine"}}
    here.change(object_id, **further)
    kept = here.content(object_id)
    approve(here)
    done = here.run_to_the_end(receiver)
    assert done.state is State.SUPERSEDED
    assert (here.content(object_id), here.writes()) == (kept, [])


@pytest.mark.parametrize("object_id", [ACTION, IVR])
def test_a_change_right_before_the_write_is_refused_by_genesys_cloud(here: ObjectScene, object_id: str) -> None:
    receiver = asked(here, object_id)
    approve(here)
    path = f"/api/v2/{'integrations/actions' if object_id == ACTION else 'architect/ivrs'}/{object_id}"
    event = {"event": "change_object", "type": TYPES[object_id].value, "id": object_id, "fields": {"name": "Mine"}}
    match = {"path_prefix": path, "method": "PATCH" if object_id == ACTION else "PUT"}
    assert (
        here.app.test_client().put("/sim/cues", json=[{"match": match, "when": "before", "do": event}]).status_code
        == 200
    )
    done = here.run_to_the_end(receiver)
    assert (done.state, done.wrote) == (State.SUPERSEDED, False)
    assert [one.status for one in here.writes()] == [409]
    assert here.content(object_id)[0]["name"] == "Mine"


@pytest.mark.parametrize("object_id", RESTORABLE)
def test_an_object_that_was_deleted_is_not_made_anew(here: ObjectScene, object_id: str) -> None:
    receiver = asked(here, object_id)
    here.happen({"event": "delete_object", "type": TYPES[object_id].value, "id": object_id})
    approve(here)
    done = here.run_to_the_end(receiver)
    assert (done.state, done.reason) == (State.FAILED, "refused_inactive")
    assert not here.writes()


def fault(kind: str, method: str = "PUT", *, times: int = 1, **more: Any) -> dict[str, Any]:
    prefix = "/api/v2/architect/ivrs" if method == "PUT" else "/api/v2/flows/datatables"
    return {"kind": kind, "times": times, "match": {"path_prefix": prefix, "method": method}} | more


@pytest.mark.parametrize(
    ("faults", "end", "writes"),
    [
        pytest.param([fault("drop_before")], State.SUCCEEDED, 2, id="lost before its effect"),
        pytest.param([fault("drop_after")], State.SUCCEEDED, 1, id="lost after its effect"),
        pytest.param([fault("truncated")], State.SUCCEEDED, 1, id="half an answer"),
        pytest.param([fault("status_after", status=503)], State.SUCCEEDED, 1, id="503 after its effect"),
        pytest.param([fault("status", status=503)], State.SUCCEEDED, 2, id="503 without effect"),
        pytest.param([fault("throttle", retry_after=5)], State.SUCCEEDED, 2, id="too many requests"),
        pytest.param([fault("status", status=403)], State.FAILED, 1, id="not allowed"),
        pytest.param([fault("status", status=400)], State.FAILED, 1, id="refused"),
        pytest.param([fault("object_nothing", times=9)], State.FAILED, 1, id="answered and not done"),
        pytest.param([fault("drop_before", times=9)], State.FAILED, 2, id="lost again and again"),
    ],
)
def test_in_a_faulty_world_it_is_written_once_or_again_only_after_the_proof(
    here: ObjectScene, faults: list[dict[str, Any]], end: State, writes: int
) -> None:
    receiver = asked(here, IVR)
    changed = here.content(IVR)
    approve(here)
    here.fault(*faults)
    done = here.run_to_the_end(receiver)
    assert (done.state, len(here.writes())) == (end, writes)
    assert here.content(IVR) == (here.before[IVR] if end is State.SUCCEEDED else changed)


@pytest.mark.parametrize("kind", ["drop_before", "status"])
def test_a_table_that_is_restored_in_part_is_said_to_be_and_left_to_people(here: ObjectScene, kind: str) -> None:
    receiver = asked(here, TABLE)
    approve(here)
    here.fault(fault(kind, "POST", times=9, **({"status": 409} if kind == "status" else {})))
    done = here.run_to_the_end(receiver)
    assert (done.state, done.reason) == (State.FAILED, "publish_failed")
    (why,) = [step.detail["error"] for step in here.steps(done) if step.event == "operation_failed"]
    assert why.startswith("restored in part")
    assert written(here) == WRITES[TABLE][:2]


@pytest.mark.parametrize("seed", range(6))
def test_a_table_that_can_be_read_now_and_then_is_said_to_be_restored_in_part_too(tmp_path: Path, seed: int) -> None:
    """What one reading shows and the next one does not is nobody else's change."""
    with object_scene(tmp_path, seed=seed) as here:
        receiver = asked(here, TABLE)
        approve(here)
        while not here.writes():
            here.fault(fault("status", "POST", status=409))
            here.run(receiver, 2)
        read = {"method": "GET", "path_prefix": "/api/v2/flows/datatables"}
        here.fault({"kind": "throttle", "retry_after": 600.0, "probability": 0.4, "match": read})
        done = here.run_to_the_end(receiver)
        assert (done.state, done.reason) == (State.FAILED, "publish_failed")


def test_what_the_keeper_sees_right_before_the_write_is_not_overwritten(here: ObjectScene) -> None:
    """It is somebody else's change, that nobody has approved to take back."""
    kept = asked(here, SCHEDULE).tools["retail"].objects
    accused, target = here.asked_for().accused_version, here.asked_for().target_version
    here.change(SCHEDULE, fields={"description": "mine"})
    here.time.pass_(1.0)
    here.see(SCHEDULE)
    assert kept is not None
    with pytest.raises(Refused, match="changed since"):
        kept.restore(SCHEDULE, target, accused=accused, within_s=5.0)
    assert here.writes() == []


def test_nothing_is_written_once_the_permit_has_run_out(here: ObjectScene) -> None:
    asked(here, IVR)
    accused, target = here.asked_for().accused_version, here.asked_for().target_version
    slow = {"kind": "slow", "delay_s": 6.0, "match": {"method": "GET", "path_prefix": "/api/v2/architect/ivrs"}}
    here.fault(slow)
    with pytest.raises(Refused, match="permit had run out"):
        here.kept.restore(IVR, target, accused=accused, within_s=5.0)
    assert not here.writes()


def test_what_has_a_secret_that_nobody_kept_is_left_to_people(here: ObjectScene) -> None:
    request = {**CHANGES[ACTION]["fields"]["config"]["request"], "headers": {"X-Other": "hunter3"}}
    here.change(ACTION, fields={"config": {"request": request}})
    here.time.pass_(1.0)
    here.see(ACTION)
    here.time.pass_(960.0)
    here.accuse(ACTION)
    receiver = here.receiver()
    here.run(receiver, 10)
    approve(here)
    done = here.run_to_the_end(receiver)
    assert (done.state, done.reason, here.writes()) == (State.FAILED, "cannot_restore", [])
    (why,) = [step.detail["problem"] for step in here.steps(done) if step.event == "cannot_restore"]
    assert "config.request.headers" in why


def test_a_pause_is_obeyed_up_to_the_write(here: ObjectScene) -> None:
    receiver = asked(here, IVR)
    approve(here)
    with here.store.begin() as tx:
        controls.pause(tx, "retail", by="bob", reason="storm", now=here.time.now)
    done = here.run_to_the_end(receiver)
    assert (done.state, done.reason, here.writes()) == (State.FAILED, "refused_paused", [])


def test_nobody_is_asked_again_about_what_was_approved_and_cannot_be_confirmed_for_a_while(here: ObjectScene) -> None:
    """The loop knows the figures of a minute ago; those right before the write could not be read."""
    receiver = asked(here, TABLE)
    approve(here)
    analytics = {"method": "POST", "path_prefix": "/api/v2/analytics"}
    here.fault({"kind": "status", "status": 409, "times": 5, "match": analytics})
    done = here.run_to_the_end(receiver)
    assert [step.event for step in here.steps(done)].count("unread") >= 2
    assert ([one.id for one in here.rollbacks()], done.state) == ([done.id], State.SUCCEEDED)
    assert [one["incident_type"] for one in here.told()].count("APPROVAL_REQUESTED") == 1


def test_another_receiver_goes_on_after_a_crash_and_writes_nothing_twice(here: ObjectScene) -> None:
    asked(here, IVR)
    approve(here)
    here.fault(fault("drop_after"))
    first = here.receiver()
    for _ in range(20):
        first.tick()
        here.time.pass_(2.0)
        if here.writes():
            break
    here.time.pass_(60.0)
    done = here.run_to_the_end(here.receiver("receiver-2"))
    assert (done.state, len(here.writes())) == (State.SUCCEEDED, 1)


def test_a_queue_is_only_kept(here: ObjectScene) -> None:
    here.happen({"event": "change_object", "type": "queue", "id": QUEUE, "fields": {"skillEvaluationMethod": "ALL"}})
    first = here.live(QUEUE)
    here.time.pass_(1.0)
    here.see(QUEUE)
    assert here.live(QUEUE) != first
    here.accuse(QUEUE)
    here.run(here.receiver(), 10)
    assert here.verdicts() == ["ignored"]
