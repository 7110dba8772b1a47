"""Rollbacks that a person has to approve: asked for once, decided anew when granted, and over when nobody comes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genesys.errors import Unavailable
from receiver import orders
from receiver.orders import NotPossible
from receiver.policy import MAX_TRIES
from receiver.store import audit, controls, rollbacks
from receiver.store.rollbacks import State
from tests.integration.ordering import (
    ASKING,
    all_rollbacks,
    approve,
    deny,
    events_of,
    in_quarantine,
    state_of,
    waiting,
)
from tests.integration.receiver_world import (
    BAD_PUBLISH_AT,
    DAY_S,
    TIMEOUT,
    FlowInGenesys,
    GenesysInMemory,
    Reaction,
    Scene,
    alert_of,
    scene,
)

SHORT_LIVED = [(BAD_PUBLISH_AT - 6 * 3600, "13.0"), (BAD_PUBLISH_AT, "14.0")]  # 13.0 has not earned it


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path, flows=ASKING, external_url="https://bridge.example.org/") as made:
        yield made


def populate(here: Scene, *flows: FlowInGenesys) -> GenesysInMemory:
    """These flows instead of the one."""
    here.clouds["retail"] = GenesysInMemory(here.time, *flows)
    here.receiver = here.another_receiver("receiver-1")
    return here.genesys


def asked(here: Scene) -> None:
    """The alert has come, and people are asked."""
    here.deliver()
    here.run(10)
    assert len(waiting(here)) == 1


def test_people_are_asked_and_nothing_is_published_until_they_agree(here: Scene) -> None:
    asked(here)
    here.run(600, step_s=20)

    (rollback,) = all_rollbacks(here)
    assert (rollback.state, rollback.reason, rollback.target_version) == (
        State.AWAITING_APPROVAL,
        "mode approve",
        "13.0",
    )
    assert here.published() == []
    assert here.verdicts() == ["awaiting_approval"]
    (event,) = here.told()
    url = f"https://bridge.example.org/api/v1/rollbacks/{rollback.id}"
    assert {name: event[name] for name in ("incident_type", "verdict", "reason", "action_taken")} == {
        "incident_type": "APPROVAL_REQUESTED",
        "verdict": "awaiting_approval",
        "reason": "mode approve",
        "action_taken": "NONE",
    }
    assert (event["explain_url"], event["approve_url"], event["deny_url"]) == (url, f"{url}/approve", f"{url}/deny")
    assert event["console_url"] == f"https://bridge.example.org/console/rollbacks/{rollback.id}"
    assert "undo_url" not in event


def test_while_it_waits_other_flows_are_rolled_back(tmp_path: Path) -> None:
    with scene(tmp_path, flows=[{"match": {"type": "workflow"}, "mode": "auto"}, *ASKING]) as here:
        cloud = populate(here, FlowInGenesys(), FlowInGenesys("flow-2", type="workflow"))
        asked(here)
        here.deliver(alert_of("flow-2"))
        here.run(20)

        assert [flow_id for _, flow_id, _ in cloud.published] == ["flow-2"]
        assert len(waiting(here)) == 1


def test_an_approved_rollback_goes_its_way_and_bears_the_name(here: Scene) -> None:
    asked(here)
    here.time.pass_(1200)
    approved = approve(here, by="ann", reason="seen it")
    assert (approved.state, approved.reason, approved.approved_by) == (State.PLANNED, "", "ann")
    assert approved.deadline == here.time.now + here.settings.timing.rollback_deadline_s

    ended = here.run_to_the_end()
    assert (ended.id, ended.state) == (approved.id, State.SUCCEEDED)
    assert here.published() == ["13.0"]
    assert here.told_types() == ["APPROVAL_REQUESTED", "AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"]
    assert here.told()[-1]["undo_url"].endswith(f"/{ended.id}/undo")
    assert events_of(here, ended)[:3] == ["approval_requested", "approved", "permit"]
    assert in_quarantine(here) == ["14.0"]
    decided = next(one for one in here.decisions() if one.verdict == "roll_back")
    assert decided.guards[-1]["value"] == "approved by ann"


def test_a_target_that_has_not_earned_it_is_asked_for_also_in_mode_auto(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        populate(here, FlowInGenesys(timeline=list(SHORT_LIVED)))
        asked(here)
        (rollback,) = waiting(here)
        assert (rollback.target_version, rollback.reason) == ("13.0", "no version earned it, 13.0 may be approved")

        approve(here)
        assert here.run_to_the_end().state is State.SUCCEEDED
        assert here.published() == ["13.0"]


def test_a_target_that_has_not_earned_it_is_none_in_mode_observe(tmp_path: Path) -> None:
    with scene(tmp_path, flows=[{"match": "*", "mode": "observe"}]) as here:
        populate(here, FlowInGenesys(timeline=list(SHORT_LIVED)))
        here.deliver()
        here.run(10)

        assert here.rollbacks() == []
        assert here.verdicts() == ["no_eligible_target"]


@pytest.mark.parametrize("kind", ["bot", "digitalbot", "voicesurvey", "commonmodule"])
def test_types_that_are_not_proved_are_asked_for_in_mode_auto(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path) as here:
        populate(here, FlowInGenesys(type=kind))
        asked(here)

        (rollback,) = waiting(here)
        assert rollback.reason == f"mode approve (flows of type {kind} are not rolled back automatically)"


@pytest.mark.parametrize(
    ("kind", "state"), [("bot", State.SUCCEEDED), ("commonmodule", State.FAILED)], ids=["a bot", "a common module"]
)
def test_a_bot_may_train_for_a_quarter_of_an_hour(tmp_path: Path, kind: str, state: State) -> None:
    with scene(tmp_path) as here:
        populate(here, FlowInGenesys(type=kind))
        here.genesys.reactions = [Reaction(effect_after_s=800.0)]
        asked(here)
        approve(here)
        ended = here.run_to_the_end(within_s=8000, step_s=20)

        assert ended.state is state
        assert len(here.published()) == 1


def test_a_bots_lost_publish_is_proved_lost_before_its_deadline_and_sent_again(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        populate(here, FlowInGenesys(type="bot"))
        here.genesys.reactions = [Reaction(raises=TIMEOUT, effect_after_s=None), Reaction(effect_after_s=300.0)]
        asked(here)
        approve(here)

        assert here.run_to_the_end(within_s=8000, step_s=20).state is State.SUCCEEDED
        (first, second) = here.genesys.published
        assert second[0] - first[0] > here.settings.timing.bot_publish_deadline_s


# When it is granted everything is decided anew


def pause(here: Scene) -> None:
    with here.store.begin() as tx:
        controls.pause(tx, "retail", by="bob", reason="storm", now=here.time.now)


def resume(here: Scene) -> None:
    with here.store.begin() as tx:
        controls.resume(tx, "retail", by="bob", now=here.time.now)


def make_healthy(here: Scene) -> None:
    here.genesys.of().error_ratio = {}


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        pytest.param(pause, "refused_paused", id="paused"),
        pytest.param(make_healthy, "refused_not_confirmed", id="it is healthy again"),
    ],
)
def test_what_holds_back_when_it_is_granted_ends_it_and_people_hear_why(here: Scene, stop: Any, reason: str) -> None:
    asked(here)
    stop(here)
    here.run(120)
    approved = approve(here)
    here.run(10)

    assert state_of(here, approved) == (State.FAILED, reason)
    assert here.published() == []
    assert here.told()[-1]["incident_type"] == "ROLLBACK_FAILED"


def test_after_a_refusal_the_open_alert_asks_again(here: Scene) -> None:
    asked(here)
    pause(here)
    first = approve(here)
    here.run(10)
    resume(here)
    here.run(10)

    (second,) = waiting(here)
    assert (second.id != first.id, second.try_number) == (True, 2)
    assert here.told_types().count("APPROVAL_REQUESTED") == 2


def test_an_approval_is_for_one_target(here: Scene) -> None:
    asked(here)
    here.genesys.of().timeline = [one for one in here.genesys.of().timeline if one[1] != "13.0"]  # somebody deletes it
    approved = approve(here)
    here.run(10)

    assert state_of(here, approved) == (State.FAILED, "target_changed")
    assert here.published() == []
    assert "ROLLBACK_FAILED" in here.told_types()
    (second,) = waiting(here)
    assert second.target_version == "12.0"


def test_a_lockout_is_waited_for_and_others_are_not_kept_waiting_by_it(here: Scene) -> None:
    cloud = populate(here, FlowInGenesys(), FlowInGenesys("flow-2", published_by="somebody else"))
    here.deliver(alert_of(), alert_of("flow-2"))
    here.run(10)
    first, second = sorted(waiting(here), key=lambda one: one.object_id)
    for one in (first, second):
        here.store.transact(orders.approve, one, here.settings, by="ann", reason="", now=here.time.now)
        here.time.pass_(1)
    here.run(120, step_s=5)
    assert [flow_id for _, flow_id, _ in cloud.published] == ["flow-1"]
    assert events_of(here, second)[-1] == "waits"

    here.run(here.settings.timing.lockout_s, step_s=10)
    (one_at, *_), (other_at, *_) = cloud.published
    assert other_at - one_at >= here.settings.timing.lockout_s
    assert [flow_id for _, flow_id, _ in cloud.published] == ["flow-1", "flow-2"]


def test_with_one_lease_over_all_organizations_the_one_approved_later_waits_for_the_other(tmp_path: Path) -> None:
    with scene(tmp_path, orgs=("retail", "bank"), flows=ASKING, lease_scope="all") as here:
        here.genesys.reactions = [Reaction(effect_after_s=60.0)]
        here.deliver(alert_of(), alert_of(org="bank"))
        here.run(10)
        first, second = sorted(waiting(here), key=lambda one: one.org, reverse=True)
        for one in (first, second):
            here.store.transact(orders.approve, one, here.settings, by="ann", reason="", now=here.time.now)
            here.time.pass_(1)
        for org in ("bank", "retail", "bank"):
            here.receiver.tick(org)
        assert [len(here.clouds[org].published) for org in ("retail", "bank")] == [1, 0]
        assert events_of(here, second)[-1] == "waits"

        here.run(120, step_s=5)
        assert [len(here.clouds[org].published) for org in ("retail", "bank")] == [1, 1]


def test_what_waits_in_an_organization_that_is_not_configured_any_more_expires_too(tmp_path: Path) -> None:
    with scene(tmp_path, orgs=("retail", "bank"), flows=ASKING) as here:
        here.deliver(alert_of(org="bank"))
        here.run(10)
        (rollback,) = waiting(here)
        del here.clouds["bank"]
        here.receiver = here.another_receiver("receiver-2")
        here.run(here.settings.timing.approval_s + here.settings.timing.lease_s + 120, step_s=60)

        assert state_of(here, rollback) == (State.FAILED, "approval_expired")


# Denied


def test_a_denied_rollback_ends_in_silence_and_is_not_asked_for_again_while_the_alert_is_open(here: Scene) -> None:
    asked(here)
    denied = deny(here, by="bob", reason="it is the back end")
    here.run(3 * here.settings.timing.approval_s, step_s=60)

    assert state_of(here, denied) == (State.FAILED, "denied")
    assert len(here.rollbacks()) == 1
    assert here.told_types() == ["APPROVAL_REQUESTED"]
    assert here.published() == []
    assert here.verdicts() == ["awaiting_approval"]
    assert in_quarantine(here) == []


def test_a_denial_holds_for_every_alert_that_was_there(here: Scene) -> None:
    here.deliver(alert_of(), alert_of(labels={"replica": "b"}))
    here.run(10)
    deny(here)
    here.run(600, step_s=60)

    assert len(here.rollbacks()) == 1


def test_a_denial_holds_when_the_target_has_earned_it_since(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        flow = FlowInGenesys(timeline=list(SHORT_LIVED))
        populate(here, flow)
        asked(here)
        deny(here)
        flow.timeline[0] = (BAD_PUBLISH_AT - 10 * DAY_S, "13.0")  # its day is found out after all
        here.receiver = here.another_receiver("receiver-2")
        here.run(120, step_s=20)
        assert here.published() == []

        here.deliver(alert_of(firing=False))
        here.run(4)
        fires_anew(here)
        here.run(4)
        assert here.published() == ["13.0"]


def test_a_denial_ends_with_the_alert(here: Scene) -> None:
    asked(here)
    deny(here)
    here.deliver(alert_of(firing=False))
    here.run(20)
    fires_anew(here)
    here.run(20)

    assert len(waiting(here)) == 1
    assert here.told_types() == ["APPROVAL_REQUESTED", "APPROVAL_REQUESTED"]


def fires_anew(here: Scene) -> None:
    here.deliver(replace(alert_of(), starts_at=here.time.now))


# Nobody comes, or there is nothing to approve any more


def test_without_an_answer_it_expires_and_people_are_asked_three_times_at_most(here: Scene) -> None:
    asked(here)
    (first,) = waiting(here)
    here.run(here.settings.timing.approval_s + 60, step_s=30)
    assert state_of(here, first) == (State.FAILED, "approval_expired")
    assert here.told_types()[:2] == ["APPROVAL_REQUESTED", "ROLLBACK_FAILED"]

    here.run(4 * here.settings.timing.approval_s, step_s=60)
    assert here.told_types().count("APPROVAL_REQUESTED") == MAX_TRIES
    assert here.verdicts()[-1] == "already_rolled_back"
    assert waiting(here) == []


@pytest.mark.parametrize(
    ("change", "end"),
    [
        pytest.param(
            lambda here: here.deliver(alert_of(firing=False)),
            (State.FAILED, "refused_resolved"),
            id="the alert is over",
        ),
        pytest.param(
            lambda here: here.genesys.make_live("15.0"),
            (State.SUPERSEDED, "another version was published meanwhile"),
            id="another version is live",
        ),
        pytest.param(
            lambda here: setattr(here.genesys.of(), "active", False),
            (State.FAILED, "refused_inactive"),
            id="the flow was deactivated",
        ),
        pytest.param(
            lambda here: setattr(here.genesys.of(), "deleted", True),
            (State.FAILED, "refused_inactive"),
            id="the flow was deleted",
        ),
    ],
)
def test_where_there_is_nothing_to_approve_any_more_it_ends(here: Scene, change: Any, end: tuple[State, str]) -> None:
    asked(here)
    (rollback,) = waiting(here)
    change(here)
    here.run(120)

    assert state_of(here, rollback) == end
    assert "ROLLBACK_FAILED" not in here.told_types()
    with pytest.raises(NotPossible, match="does not wait for approval"):
        here.store.transact(
            orders.approve, all_rollbacks(here)[0], here.settings, by="ann", reason="", now=here.time.now
        )


def test_a_flow_that_cannot_be_read_keeps_it_waiting_until_it_expires(here: Scene) -> None:
    asked(here)
    (rollback,) = waiting(here)
    here.genesys.down = Unavailable("no answer")
    here.run(600, step_s=20)
    assert state_of(here, rollback)[0] is State.AWAITING_APPROVAL

    here.run(here.settings.timing.approval_s, step_s=30)
    assert state_of(here, rollback) == (State.FAILED, "approval_expired")


# Orders


def test_the_second_of_two_people_is_told_that_it_is_too_late(here: Scene) -> None:
    asked(here)
    (before,) = waiting(here)
    approve(here, by="ann")

    with pytest.raises(NotPossible, match="it does not wait for approval: it is planned, approved by ann"):
        here.store.transact(orders.approve, all_rollbacks(here)[0], here.settings, by="bob", reason="", now=0.0)
    with pytest.raises(NotPossible, match="somebody else has decided about it at the same moment"):
        here.store.transact(orders.approve, before, here.settings, by="bob", reason="", now=here.time.now)


def test_after_its_time_it_can_neither_be_approved_nor_denied(here: Scene) -> None:
    asked(here)
    here.time.pass_(here.settings.timing.approval_s)

    with pytest.raises(NotPossible, match="its approval was asked for until "):
        approve(here)
    with pytest.raises(NotPossible, match="its approval was asked for until "):
        deny(here)


def test_both_are_in_the_audit_by_name(here: Scene) -> None:
    asked(here)
    approve(here, by="ann", reason="seen it")
    with here.store.begin() as tx:
        found = [(row.actor, row.kind) for row in audit.newest(tx, before=None, limit=3)]

    assert ("ann", "approved") in found


def test_asking_starts_no_lockout_and_spends_no_budget(here: Scene) -> None:
    asked(here)
    deny(here)
    with here.store.begin() as tx:
        assert rollbacks.last_start(tx, "retail", None, shadow=False) is None
        assert rollbacks.started_since(tx, "retail", None, since=here.time.now - DAY_S, shadow=False) == []
