"""Flows that use a rolled-back common module are published once more, as they are, where that is configured."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from receiver import orders, remembered
from receiver.store import alerts, controls, quarantines, ways_in_vain
from receiver.store.rollbacks import BECAUSE_OF, Kind, Rollback, State
from receiver.strategy import Strategy
from simulator.scenario import Scenario
from tests.integration.receiver_world import alert_of
from tests.integration.simulated_scene import FLOW_ID, SimulatedScene, simulated_scene
from tests.integration.test_receiver_dependents import OTHERS, WITH_A_MODULE, asked_for

BY_NAME = sorted(OTHERS, key=lambda one: one.name)
FIRST, SECOND = BY_NAME
LIVE = {one.id: one.history()[-1].version for one in OTHERS}
MODULES = {"match": {"type": "commonmodule"}, "mode": "approve", "republish_dependents": True}
PUBLISH = {"method": "POST", "path_prefix": "/api/v2/flows/actions/publish"}

Arrange = Callable[[SimulatedScene], None]


def scene(folder: Path, *, others: str = "auto", scenario: Scenario = WITH_A_MODULE, **module: Any) -> Any:
    flows = [MODULES | module, {"match": "*", "mode": others}]
    return simulated_scene(folder, scenario=scenario, flows=flows)


def control(here: SimulatedScene, method: str, path: str, body: Any) -> None:
    answer = here.app.test_client().open(f"/sim/{path}", method=method, json=body)
    assert answer.status_code == 200, answer.text


def approve(here: SimulatedScene) -> Rollback:
    waiting = asked_for(here)
    with here.scene.store.begin() as tx:
        return orders.approve(tx, waiting, here.scene.settings, by="ann", reason="", now=here.time.now)


def run(here: SimulatedScene, seconds: float) -> None:
    until = here.time.now + seconds
    while here.time.now < until:
        here.receivers[0].tick()
        here.time.pass_(2.0)


def planned(here: SimulatedScene) -> None:
    """Until they wait for their turn."""
    approve(here)
    while not followers(here):
        here.receivers[0].tick()
        here.time.pass_(0.5)


def rolled_back(here: SimulatedScene, seconds: float = 120.0) -> Rollback:
    """The module's rollback, with the flows that followed it."""
    approve(here)
    run(here, seconds)
    return next(one for one in here.scene.rollbacks() if one.kind is Kind.ROLLBACK)


def followers(here: SimulatedScene) -> dict[str, Rollback]:
    """The newest of each flow."""
    found = [one for one in here.scene.rollbacks() if one.kind is Kind.DEPENDENT]
    return {one.object_id: one for one in sorted(found, key=lambda one: one.created_at)}


def uses(here: SimulatedScene) -> dict[str, str]:
    """Which version of the module each flow uses."""
    state = here.app.test_client().get("/sim/state").get_json()
    return {one["id"]: one["uses"][FLOW_ID] for one in state["flows"] if one["uses"]}


def published(here: SimulatedScene) -> list[tuple[str, str]]:
    sent = here.app.test_client().get("/sim/requests").get_json()
    return [(one["flow_id"], one["version"]) for one in sent if one.get("publish")]


def told(here: SimulatedScene) -> list[tuple[str, str]]:
    return [
        (one["incident_type"], one["flow_name"])
        for one in here.scene.told()
        if one["incident_type"].startswith("DEPENDENT")
    ]


def bound_to_the_bad_one(here: SimulatedScene) -> None:
    """Each flow is published while the bad version of its module is live."""
    for one in OTHERS:
        control(here, "POST", "events", {"event": "publish", "flow": one.id, "version": LIVE[one.id]})
    assert set(uses(here).values()) == {"14.0"}


def test_each_is_published_as_it_is_and_once_after_the_module_is_live(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        bound_to_the_bad_one(here)
        module = rolled_back(here)
        assert published(here) == [(FLOW_ID, "13.0"), *[(one.id, LIVE[one.id]) for one in BY_NAME]]
        assert uses(here) == {one.id: "13.0" for one in OTHERS}
        ends = {one.object_id: (one.state, one.reason) for one in followers(here).values()}
        assert ends == {one.id: (State.SUCCEEDED, "published once more") for one in OTHERS}
        assert all(one.facts[BECAUSE_OF] == module.id for one in followers(here).values())
        assert told(here) == [("DEPENDENT_PUBLISHED", one.name) for one in BY_NAME]


def test_nobody_else_is_told_of_a_trigger_or_held_or_quarantined(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        rolled_back(here)
        with here.scene.store.begin() as tx:
            assert [one.object_id for one in quarantines.newest(tx, org=None, limit=9)] == [FLOW_ID]
            assert not controls.list_holds(tx, "retail")
        assert [one["incident_type"] for one in here.scene.told()].count("AUTO_ROLLBACK_TRIGGERED") == 1


def test_where_it_is_not_configured_nothing_is_published(tmp_path: Path) -> None:
    with scene(tmp_path, republish_dependents=False) as here:
        rolled_back(here)
        assert (published(here), followers(here)) == ([(FLOW_ID, "13.0")], {})


def test_whoever_is_asked_reads_that_they_are_published(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        asked_for(here)
        (event,) = here.scene.told()
        assert (event["dependents_to_publish"], event["dependents_count"]) == (2, 2)


def test_an_undo_publishes_them_again(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        module = rolled_back(here)
        with here.scene.store.begin() as tx:
            orders.undo(tx, module, here.scene.settings, by="ann", reason="was right", now=here.time.now)
        run(here, 120)
        assert published(here)[3:] == [(FLOW_ID, "14.0"), *[(one.id, LIVE[one.id]) for one in BY_NAME]]
        assert set(uses(here).values()) == {"14.0"}
        assert {one.state for one in followers(here).values()} == {State.SUCCEEDED}


def test_who_waits_still_when_the_rollback_is_undone_is_published_for_the_undo_only(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        planned(here)
        module = next(one for one in here.scene.rollbacks() if one.kind is Kind.ROLLBACK)
        with here.scene.store.begin() as tx:
            orders.undo(tx, module, here.scene.settings, by="ann", reason="was right", now=here.time.now)
        run(here, 120)
        assert published(here) == [(FLOW_ID, "13.0"), (FLOW_ID, "14.0"), *[(one.id, LIVE[one.id]) for one in BY_NAME]]


def locked(here: SimulatedScene) -> None:
    control(here, "POST", "events", {"event": "lock", "flow": FIRST.id, "by": "bob"})


def held(here: SimulatedScene) -> None:
    with here.scene.store.begin() as tx:
        controls.hold(tx, "retail", [FIRST.id], owner="bob", reason="x", by="bob", now=here.time.now)


def deactivated(here: SimulatedScene) -> None:
    control(here, "POST", "events", {"event": "deactivate", "flow": FIRST.id})


@pytest.mark.parametrize(
    ("arrange", "reason"),
    [
        pytest.param(locked, "refused_locked_in_architect", id="locked"),
        pytest.param(held, "refused_held", id="held"),
        pytest.param(deactivated, "refused_inactive", id="deactivated"),
    ],
)
def test_one_that_may_not_be_published_is_told_and_the_others_are(
    tmp_path: Path, arrange: Arrange, reason: str
) -> None:
    with scene(tmp_path) as here:
        arrange(here)
        rolled_back(here)
        assert published(here) == [(FLOW_ID, "13.0"), (SECOND.id, LIVE[SECOND.id])]
        first = followers(here)[FIRST.id]
        assert (first.state, first.reason) == (State.FAILED, reason)
        assert told(here) == [("DEPENDENT_NOT_PUBLISHED", FIRST.name), ("DEPENDENT_PUBLISHED", SECOND.name)]


def test_of_a_flow_that_is_only_observed_nothing_is_written(tmp_path: Path) -> None:
    with scene(tmp_path, others="observe") as here:
        rolled_back(here)
        assert published(here) == [(FLOW_ID, "13.0")]
        assert {one.reason for one in followers(here).values()} == {"refused_observing"}


def test_one_that_somebody_has_published_meanwhile_is_left_alone(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        approve(here)
        control(here, "POST", "events", {"event": "publish", "flow": FIRST.id, "version": "99.0", "error_ratio": 0.0})
        run(here, 120)
        assert followers(here)[FIRST.id].state is State.SUPERSEDED
        assert told(here) == [("DEPENDENT_PUBLISHED", SECOND.name)]


@pytest.mark.parametrize("dates", ["moves", "stays"])
@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        pytest.param({"kind": "drop_after"}, 1, id="answer lost"),
        pytest.param({"kind": "status_after", "status": 502}, 1, id="502 after the effect"),
        pytest.param({"kind": "drop_before", "times": 1}, 2, id="publish lost"),
        pytest.param({"kind": "status", "status": 503, "times": 1}, 2, id="503 without effect"),
        pytest.param({"kind": "throttle", "retry_after": 20.0, "times": 1}, 2, id="429"),
    ],
)
def test_a_lost_answer_is_read_back_and_a_lost_publish_is_sent_once_more(
    tmp_path: Path, fault: dict[str, Any], sent: int, dates: str
) -> None:
    with scene(tmp_path) as here:
        control(here, "PUT", "switches", {"date_published": dates})
        bound_to_the_bad_one(here)
        planned(here)
        control(here, "PUT", "faults", [{"match": PUBLISH, **fault}])
        run(here, 900)
        assert followers(here)[FIRST.id].state is State.SUCCEEDED
        assert published(here).count((FIRST.id, LIVE[FIRST.id])) == sent
        assert uses(here)[FIRST.id] == "13.0"


@pytest.mark.parametrize("dates", ["moves", "stays"])
@pytest.mark.parametrize(
    ("kind", "reason"),
    [("publish_nothing", "no_effect"), ("publish_fails", "publish_failed"), ("publish_hangs", "publish_unfinished")],
)
def test_what_had_no_effect_is_told(tmp_path: Path, kind: str, reason: str, dates: str) -> None:
    with scene(tmp_path) as here:
        control(here, "PUT", "switches", {"date_published": dates})
        planned(here)
        control(here, "PUT", "faults", [{"match": PUBLISH, "kind": kind, "times": 1}])
        run(here, 900)
        first, second = (followers(here)[one.id] for one in BY_NAME)
        assert (first.state, first.reason, second.state) == (State.FAILED, reason, State.SUCCEEDED)


def test_where_a_republish_is_known_to_do_nothing_none_is_tried(tmp_path: Path) -> None:
    """Nothing would show whether the flow was published."""
    with scene(tmp_path) as here:
        planned(here)
        found = followers(here)[FIRST.id].facts[BECAUSE_OF]
        with here.scene.store.begin() as tx:
            ways_in_vain.put(tx, "retail", Strategy.REPUBLISH, rollback_id=found, reason="no_effect", now=here.time.now)
        run(here, 120)
        assert {one.reason for one in followers(here).values()} == {"cannot_publish_anew"}
        assert published(here) == [(FLOW_ID, "13.0")]


def test_whatever_is_planned_meanwhile_has_its_turn_before_them(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        planned(here)
        waiting = followers(here)[FIRST.id].id
        with here.scene.store.begin() as tx:
            (module,) = [one for one in alerts.open_alerts(tx, "retail") if one.object_id == FLOW_ID]

            def held_up(flow_id: str) -> str | None:
                about = replace(module, object_id=flow_id)
                return remembered.in_progress(tx, about, here.scene.settings, own=None, now=here.time.now)

            assert held_up("another flow") is None
            assert waiting in str(held_up(FIRST.id))


def test_nobody_takes_a_flow_that_was_published_for_one_that_was_made_live(tmp_path: Path) -> None:
    """So that it is rolled back like any other when it fails; and there is nothing to undo."""
    with scene(tmp_path) as here:
        rolled_back(here)
        here.scene.deliver(alert_of(FIRST.id, version=LIVE[FIRST.id]))
        run(here, 10)
        newest = next(one for one in reversed(here.scene.decisions()) if one.object_id == FIRST.id)
        holding_back = {one["guard"] for one in newest.guards if one["holds_back"]}
        assert not holding_back & {"restored_by_bridge", "already_rolled_back"}
        first = followers(here)[FIRST.id]
        with here.scene.store.begin() as tx, pytest.raises(orders.NotPossible, match="took nothing away"):
            orders.undo(tx, first, here.scene.settings, by="ann", reason="", now=here.time.now)
