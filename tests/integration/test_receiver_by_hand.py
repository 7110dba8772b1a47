"""A person rolls a flow back: the same guards, those that do not matter recorded, on the same rails, and once."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.test import TestResponse

from genesys.errors import Unavailable
from genesys.evidence import Signal
from receiver.ctl.cli import main
from receiver.desk import Desk
from receiver.metrics import ReceiverMetrics
from receiver.policy import BY_HAND_PASSES, UNDO_PASSES, Verdict
from receiver.store import alerts, audit, controls, flows, leases, rollbacks
from receiver.store.rollbacks import State
from receiver.web import create_app
from tests.integration.ordering import ASKING, all_rollbacks, events_of, in_quarantine, state_of, undo, waiting
from tests.integration.receiver_world import (
    ALERTMANAGER,
    FLOW_ID,
    TIMEOUT,
    FlowInGenesys,
    GenesysInMemory,
    Reaction,
    Scene,
    alert_of,
    fingerprint,
    open_window,
    scene,
)
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, listening

HEALTHY = {"14.0": 0.01}
REASON = "callers hear silence"


class People:
    """An operator at the API of a scene's receiver."""

    def __init__(self, here: Scene) -> None:
        self.here = here
        desk = Desk(here.another_receiver("desk").tools["retail"], Lock())
        metrics = ReceiverMetrics(here.store, here.settings, ORGS)
        self.app = create_app(here.store, here.settings, ORGS, metrics, lambda: (), {"retail": desk})
        held_to_its_document(self.app)

    def ask(self, **changes: Any) -> TestResponse:
        body = {"org": "retail", "flow_id": FLOW_ID, "reason": REASON} | changes
        headers = {"Authorization": f"Bearer {TOKENS['operator']}"}
        return self.app.test_client().post("/api/v1/rollbacks", headers=headers, json=body)

    def order(self, **changes: Any) -> Any:
        answer = self.ask(**changes)
        assert answer.status_code == 201, answer.text
        return answer.get_json()

    def refused(self, status: int = 409, **changes: Any) -> Any:
        answer = self.ask(**changes)
        assert answer.status_code == status, answer.text
        assert all_rollbacks(self.here) == [] or status == 409
        return answer.get_json()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def test_a_form_that_was_filled_in_wrongly_accuses_the_same_version_again(here: Scene) -> None:
    """Also when another one has gone live meanwhile, which may be the cure."""
    people = People(here)
    with here.store.begin() as tx:
        flows.claim(tx, "retail", now=time.time(), next_at=time.time())
        flows.replace(tx, "retail", here.genesys.flows(), now=time.time())
    sent = people.app.test_client().post(
        f"/console/flows/retail/{FLOW_ID}/roll-back",
        data={"reason": " ", "accused_version": "12.0", "signal": "error_exit"},
        headers={"Authorization": f"Bearer {TOKENS['operator']}"},
    )
    assert sent.status_code == 400
    assert 'name="accused_version" value="12.0"' in sent.text
    assert "Roll back from 12.0" in sent.text


def test_the_earlier_version_is_live_and_the_record_says_who_wanted_it(here: Scene) -> None:
    shown = People(here).order()
    assert (shown["state"], shown["kind"], shown["overrides"], shown["shadow"]) == ("planned", "rollback", [], False)
    assert (shown["accused_version"], shown["target_version"]) == ("14.0", "13.0")
    assert (shown["approved_by"], shown["attempt_id"]) == ("the-operator", shown["id"])
    assert shown["facts"]["ordered_because"] == REASON
    ended = here.run_to_the_end()

    assert (ended.id, ended.state) == (shown["id"], State.SUCCEEDED)
    assert here.published() == ["13.0"]
    assert events_of(here, ended) == ["planned", "permit", "accepted", "confirmed", "measured", "succeeded"]
    assert in_quarantine(here) == ["14.0"]
    assert here.told_types() == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"]
    assert [event["ordered_by"] for event in here.told()] == ["the-operator"] * 2
    with here.store.begin() as tx:
        (row,) = [row for row in audit.newest(tx, before=None, limit=99) if row.kind == "by_hand"]
    assert row.actor == "the-operator"
    assert REASON in row.facts


def test_what_nobody_has_sent_is_an_alert_that_never_fires(here: Scene) -> None:
    People(here).order()
    here.run_to_the_end()

    (alert,) = here.alerts()
    assert (alert.is_open, alert.source, alert.verdict) == (False, alerts.Source.PERSON, "resolved")
    (decided,) = here.decisions()
    guards = {one["guard"]: one for one in decided.guards}
    assert (guards["resolved"]["holds_back"], guards["resolved"]["overridden"]) == (True, True)
    assert (decided.verdict, decided.facts["overridden_by"]) == ("roll_back", "the-operator")


def test_an_open_alert_is_what_it_is_about_and_is_decided_about_by_itself(here: Scene) -> None:
    here.deliver()
    shown = People(here).order()
    here.receiver.tick()

    (alert,) = here.alerts()
    assert shown["alert_id"] == alert.id
    assert here.published() == ["13.0"]
    assert here.verdicts() == ["in_progress", "roll_back"], "the loop's, and the one about what people have ordered"
    assert alert.verdict == "in_progress"
    here.run_to_the_end()
    assert here.published() == ["13.0"]


def pause(here: Scene) -> None:
    with here.store.begin() as tx:
        controls.pause(tx, "retail", by="bob", reason="storm", now=here.time.now)


def hold(here: Scene) -> None:
    with here.store.begin() as tx:
        controls.hold(tx, "retail", [FLOW_ID], owner="bob", reason="x", by="bob", now=here.time.now)


def other_rollback(here: Scene) -> None:
    """Of another flow; its lockout is the organization's, and the budget of one is spent with it."""
    here.deliver(alert_of("flow-2"))
    here.run(60)
    assert here.published() == ["13.0"]


@pytest.mark.parametrize(
    ("stop", "verdict"),
    [
        pytest.param(pause, "paused", id="paused"),
        pytest.param(open_window, "maintenance", id="in a window"),
        pytest.param(other_rollback, "lockout", id="in a lockout"),
        pytest.param(other_rollback, "budget_spent", id="with a spent budget"),
    ],
)
def test_what_a_person_passes_is_recorded(tmp_path: Path, stop: Callable[[Scene], None], verdict: str) -> None:
    with scene(tmp_path, budget_per_org=1, common_cause_min_flows=9) as here:
        here.clouds["retail"] = GenesysInMemory(here.time, FlowInGenesys(), FlowInGenesys("flow-2"))
        here.receiver = here.another_receiver("receiver-1")
        stop(here)
        before = len(here.published())
        shown = People(here).order(override=["common_cause"])
        here.run(30)

        assert len(here.published()) == before + 1
        (decided,) = [one for one in here.decisions() if one.rollback_id == shown["id"]]
        guard = next(one for one in decided.guards if one["guard"] == verdict)
        assert (guard["holds_back"], guard["overridden"]) == (True, True)


def test_another_guard_that_holds_back_is_409_and_named_with_what_it_found(here: Scene) -> None:
    hold(here)
    shown = People(here).refused()

    assert [one["guard"] for one in shown["errors"]] == ["held"]
    assert shown["errors"][0]["detail"] == "the flow held for bob, set by bob: x; allowed: no hold on the flow"
    assert "can be overridden: held" in shown["detail"]
    assert all_rollbacks(here) == []
    assert here.alerts() == []


def test_named_it_is_overridden_and_recorded(here: Scene) -> None:
    hold(here)
    shown = People(here).order(override=["held", "held"])
    assert shown["overrides"] == ["held"]
    here.run(20)

    assert here.published() == ["13.0"]
    (decided,) = [one for one in here.decisions() if one.rollback_id == shown["id"]]
    assert [one["guard"] for one in decided.guards if one["overridden"]] == ["resolved", "held"]


def test_a_guard_that_begins_to_hold_back_before_the_write_still_does(here: Scene) -> None:
    shown = People(here).order()
    hold(here)
    here.run(20)

    assert here.published() == []
    (one,) = all_rollbacks(here)
    assert (one.id, one.state, one.reason) == (shown["id"], State.FAILED, "refused_held")
    assert here.told_types() == ["ROLLBACK_FAILED"], "who has ordered it hears of it"


def test_a_healthy_version_is_not_rolled_back_unless_not_confirmed_is_named(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        here.genesys.of().error_ratio = HEALTHY | {"13.0": 0.01}
        people = People(here)
        assert [one["guard"] for one in people.refused()["errors"]] == ["not_confirmed"]
        people.order(override=["not_confirmed"])
        here.run(20)
        assert here.published() == ["13.0"]


@pytest.mark.parametrize(("mode", "needed"), [("observe", "observing"), ("ignore", "ignored"), ("approve", None)])
def test_the_mode_is_a_guard_like_others_and_who_orders_it_has_approved_it(
    tmp_path: Path, mode: str, needed: str | None
) -> None:
    with scene(tmp_path, flows=[{"match": "*", "mode": mode}]) as here:
        people = People(here)
        overrides = ["observing"] if needed == "observing" else ["ignored", "observing"] if needed else []
        if needed is not None:
            assert needed in [one["guard"] for one in people.refused()["errors"]]
        shown = people.order(override=overrides)
        here.run(20)

        assert shown["shadow"] is False
        assert here.published() == ["13.0"]


def test_what_was_only_observed_is_in_nobodys_way(tmp_path: Path) -> None:
    with scene(tmp_path, flows=[{"match": "*", "mode": "observe"}]) as here:
        here.deliver()
        here.run(10)
        (observed,) = all_rollbacks(here)
        assert observed.state is State.OBSERVED
        shown = People(here).order(override=["observing"])
        assert shown["try"] == 1
        here.run(20)
        assert here.published() == ["13.0"]


def test_a_silence_holds_back_unless_it_is_named(tmp_path: Path) -> None:
    with scene(tmp_path, alertmanagers=[ALERTMANAGER]) as here:
        here.deliver()
        here.alertmanager.silenced = {fingerprint(): ["s1"]}
        people = People(here)
        assert [one["guard"] for one in people.refused()["errors"]] == ["silenced"]
        people.order(override=["silenced"])
        here.run(20)
        assert here.published() == ["13.0"]


@pytest.mark.parametrize(
    ("change", "guard"),
    [
        pytest.param(lambda flow: setattr(flow, "locked_by", "bob"), "locked_in_architect", id="locked"),
        pytest.param(lambda flow: setattr(flow, "active", False), "inactive", id="deactivated"),
        pytest.param(lambda flow: flow.timeline.__delitem__(slice(0, -1)), "no_eligible_target", id="no target"),
    ],
)
def test_what_is_not_possible_cannot_be_overridden(
    here: Scene, change: Callable[[FlowInGenesys], object], guard: str
) -> None:
    change(here.genesys.of())
    people = People(here)
    overrides = sorted(UNDO_PASSES)
    assert guard in [one["guard"] for one in people.refused(override=overrides)["errors"]]
    answer = people.ask(override=[guard])
    assert answer.status_code == 400
    assert "cannot be overridden" in answer.get_json()["detail"]
    assert all_rollbacks(here) == []


def test_the_guards_that_a_person_passes_are_some_of_those_that_can_be_overridden() -> None:
    assert BY_HAND_PASSES < UNDO_PASSES
    assert Verdict.IN_PROGRESS not in UNDO_PASSES


def test_only_the_version_that_was_meant_is_taken_away(here: Scene) -> None:
    people = People(here)
    assert people.refused(accused_version="13.0")["detail"] == "live is version 14.0, not 13.0"
    people.order(accused_version="14.0")
    here.genesys.make_live("15.0")
    here.run(20)

    assert here.published() == []
    (one,) = all_rollbacks(here)
    assert (one.state, one.reason) == (State.SUPERSEDED, "refused_superseded")


# Once, whatever happens


def test_the_second_order_is_409(here: Scene) -> None:
    people = People(here)
    first = people.order()
    assert f"rollback {first['id']} of this flow is planned" in people.refused()["detail"]
    here.run(20)
    assert "is verifying" in people.refused()["detail"]
    assert here.published() == ["13.0"]


def test_while_people_are_asked_it_is_to_be_approved(tmp_path: Path) -> None:
    with scene(tmp_path, flows=ASKING) as here:
        here.deliver()
        here.run(10)
        (waits,) = waiting(here)
        assert People(here).refused()["detail"].endswith(f"rollbackctl approve {waits.id}")


def test_a_lost_answer_is_read_back_and_nothing_is_sent_again(here: Scene) -> None:
    here.genesys.reactions = [Reaction(effect_after_s=1.0, raises=Unavailable("no answer", None), takes_s=TIMEOUT)]
    People(here).order()
    assert here.run_to_the_end().state is State.SUCCEEDED
    assert here.published() == ["13.0"]


def test_nothing_is_written_without_the_lease(here: Scene) -> None:
    People(here).order()
    with here.store.begin() as tx:
        lease = leases.take(tx, "org:retail", "somebody else", now=here.time.now, lease_s=600)
    assert lease is not None
    here.run(60)
    assert here.published() == []


def test_another_receiver_goes_on_after_a_crash(here: Scene) -> None:
    People(here).order()
    here.receiver = here.another_receiver("receiver-2")
    assert here.run_to_the_end().state is State.SUCCEEDED
    assert here.published() == ["13.0"]


def test_it_waits_for_a_rollback_of_another_flow(tmp_path: Path) -> None:
    with scene(tmp_path, common_cause_min_flows=9) as here:
        here.clouds["retail"] = GenesysInMemory(here.time, FlowInGenesys(), FlowInGenesys("flow-2"))
        here.receiver = here.another_receiver("receiver-1")
        here.genesys.reactions = [Reaction(effect_after_s=30.0)]
        here.deliver(alert_of("flow-2"))
        here.run(6)
        assert len(here.published()) == 1
        shown = People(here).order(override=["common_cause"])
        here.run(10)
        assert len(here.published()) == 1, "one at a time"
        here.run(60)
        assert len(here.published()) == 2
        with here.store.begin() as tx:
            found = rollbacks.get(tx, shown["id"])
        assert found is not None
        assert found.confirmed_at is not None


def test_it_starts_a_lockout_and_can_be_undone(here: Scene) -> None:
    People(here).order()
    here.run_to_the_end()
    with here.store.begin() as tx:
        assert rollbacks.last_start(tx, "retail", None, shadow=False) is not None
    ordered = undo(here)
    here.run(20)
    assert state_of(here, ordered)[0] is State.SUCCEEDED
    assert here.published() == ["13.0", "14.0"]


# What cannot be meant


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"org": "other"}, "#/org"),
        ({"flow_id": ""}, "#/flow_id"),
        ({"reason": " "}, "#/reason"),
        ({"signal": "sound"}, "#/signal"),
        ({"override": ["roll_back"]}, "#/override/0"),
        ({"override": "held"}, "#/override"),
        ({"by": "ann"}, "#/by"),
    ],
    ids=str,
)
def test_an_order_that_cannot_be_meant_is_400(here: Scene, changes: dict[str, Any], pointer: str) -> None:
    assert People(here).refused(400, **changes)["errors"][0]["pointer"] == pointer


def test_a_flow_that_does_not_exist_is_404(here: Scene) -> None:
    People(here).refused(404, flow_id="flow-99")


def test_by_another_signal_it_is_held_to_that_ones_evidence(here: Scene) -> None:
    shown = People(here).refused(signal=Signal.STUCK.value)
    assert "not_confirmed" in [one["guard"] for one in shown["errors"]]


def test_rollbackctl_begins_it(here: Scene) -> None:
    hold(here)
    with listening(People(here).app) as port:
        command = ["--url", f"http://127.0.0.1:{port}", "rollback", "start", "retail", FLOW_ID, "--reason", REASON]
        environ = {"ROLLBACKCTL_TOKEN": TOKENS["operator"]}
        refused = CliRunner().invoke(main, command, env=environ)
        begun = CliRunner().invoke(main, [*command, "--override", "held", "--version", "14.0"], env=environ)
    assert (refused.exit_code, begun.exit_code) == (1, 0), begun.output
    assert "can be overridden: held" in refused.output
    assert "14.0 -> 13.0" in begun.output
