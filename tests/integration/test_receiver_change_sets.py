"""Flows that were published together are one attempt: one lease, one lockout, one notification, each its own end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genesys.errors import Refused
from receiver import orders
from receiver.store import controls, deployments, leases, rollbacks
from receiver.store.deployments import Companion, Consent, Member, Registration
from receiver.store.rollbacks import LEASED, Rollback, State
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

FLOWS = ("flow-1", "flow-2", "flow-3")
GOOD = "13.0"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        populate(made)
        yield made


def flow(flow_id: str, *, by: str = "pipeline", at: float = BAD_PUBLISH_AT, **changes: Any) -> FlowInGenesys:
    """Good for ten days, and bad since `at`."""
    timeline = [(BAD_PUBLISH_AT - 30 * DAY_S, "12.0"), (BAD_PUBLISH_AT - 10 * DAY_S, GOOD), (at, "14.0")]
    return FlowInGenesys(flow_id, timeline=timeline, published_by=by, **changes)


def populate(here: Scene, *flows: FlowInGenesys) -> GenesysInMemory:
    here.clouds["retail"] = GenesysInMemory(here.time, *(flows or [flow(one) for one in FLOWS]))
    here.receiver = here.another_receiver("receiver-1")
    return here.genesys


def accuse(here: Scene, *flow_ids: str) -> None:
    alerts = [alert_of(flow_id) for flow_id in flow_ids]
    here.alertmanager.list(*here.alertmanager.firing.values(), *alerts)
    here.deliver(*alerts)


def by_flow(here: Scene) -> dict[str, Rollback]:
    return {one.object_id: one for one in here.rollbacks()}


def publishes(here: Scene) -> list[tuple[str, str]]:
    return [(flow_id, version) for _, flow_id, version in here.genesys.published]


def triggers(here: Scene) -> list[dict[str, Any]]:
    return [event for event in here.told() if event["incident_type"] == "AUTO_ROLLBACK_TRIGGERED"]


def test_the_accused_flows_of_a_change_set_are_one_attempt_within_one_lockout(here: Scene) -> None:
    accuse(here, "flow-1", "flow-2")
    here.run(120)
    assert sorted(publishes(here)) == [("flow-1", GOOD), ("flow-2", GOOD)]
    found = by_flow(here)
    assert found["flow-1"].attempt_id == found["flow-2"].attempt_id
    assert here.time.now - min(one.created_at for one in found.values()) < here.settings.timing.lockout_s


def test_a_member_that_is_not_accused_is_left_alone(here: Scene) -> None:
    accuse(here, "flow-1", "flow-2")
    here.run(2000, step_s=10)
    assert "flow-3" not in by_flow(here)
    assert here.genesys.of("flow-3").live == "14.0"


def test_its_publishes_are_sent_one_after_another_each_read_back_before_the_next(here: Scene) -> None:
    here.genesys.reactions = [Reaction(effect_after_s=60.0)] * 3
    accuse(here, *FLOWS)
    here.run(400)
    sent = [at for at, _, _ in here.genesys.published]
    assert len(sent) == 3
    confirmed = sorted(one.confirmed_at or 0.0 for one in here.rollbacks())
    assert all(earlier <= later for earlier, later in zip(confirmed[:2], sent[1:], strict=True))


def test_every_member_is_decided_about_right_before_its_own_publish(here: Scene) -> None:
    """A pause between the first and the second keeps the second from being written."""
    here.genesys.reactions = [Reaction(effect_after_s=30.0)]
    accuse(here, "flow-1", "flow-2")
    here.run(4)
    assert len(publishes(here)) == 1
    with here.store.begin() as tx:
        controls.pause(tx, "retail", by="ann", reason="wait", now=here.time.now)
    here.run(300)
    assert len(publishes(here)) == 1
    refused = next(one for one in here.rollbacks() if one.state is State.FAILED)
    assert refused.reason == "refused_paused"


def test_people_hear_once_of_the_flows_that_are_planned_together(here: Scene) -> None:
    accuse(here, *FLOWS)
    here.run_to_the_end()
    (told,) = triggers(here)
    assert sorted(one["flow_id"] for one in told["members"]) == sorted(FLOWS)
    assert told["attempt_state"] == "running"
    ends = [event for event in here.told() if event["incident_type"] == "ROLLBACK_SUCCEEDED"]
    assert len(ends) == 3
    assert {event["attempt_id"] for event in ends} == {told["attempt_id"]}
    assert ends[-1]["attempt_state"] == "succeeded"


def test_a_flow_that_is_accused_later_joins_and_is_told_of_by_itself(here: Scene) -> None:
    accuse(here, "flow-1")
    here.run(300, step_s=5)
    accuse(here, "flow-2")
    here.run(60)
    assert publishes(here) == [("flow-1", GOOD), ("flow-2", GOOD)]
    assert len({one.attempt_id for one in here.rollbacks()}) == 1
    assert [event["flow_id"] for event in triggers(here)] == ["flow-1", "flow-2"]


def test_after_the_lockout_it_is_an_attempt_of_its_own(here: Scene) -> None:
    accuse(here, "flow-1")
    here.run(here.settings.timing.lockout_s + 60, step_s=10)
    accuse(here, "flow-2")
    here.run(60)
    assert len({one.attempt_id for one in here.rollbacks()}) == 2


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(flow("flow-2", by="ann"), id="published by somebody else"),
        pytest.param(flow("flow-2", at=BAD_PUBLISH_AT - 700), id="published ten minutes before"),
    ],
)
def test_a_flow_of_another_change_set_waits_for_the_lockout(here: Scene, other: FlowInGenesys) -> None:
    populate(here, flow("flow-1"), other)
    accuse(here, "flow-1", "flow-2")
    here.run(here.settings.timing.lockout_s - 60, step_s=10)
    assert len(publishes(here)) == 1
    here.run(120, step_s=10)
    assert len(publishes(here)) == 2
    assert len({one.attempt_id for one in here.rollbacks()}) == 2


def test_a_new_version_of_the_same_flow_is_no_part_of_the_attempt(here: Scene) -> None:
    """Whoever publishes over the bridge's version within the lockout finds the lockout in force."""
    accuse(here, "flow-1")
    here.run(60)
    here.genesys.of("flow-1").error_ratio["15.0"] = 0.5
    here.genesys.make_live("15.0", "flow-1")
    here.run(400, step_s=10)
    fresh = alert_of("flow-1", version="15.0")
    here.alertmanager.list(fresh)
    here.deliver(fresh)
    here.run(200, step_s=10)
    assert publishes(here) == [("flow-1", GOOD)]
    assert "lockout" in here.verdicts()


def test_a_part_that_fails_is_seen_at_a_glance(here: Scene) -> None:
    here.genesys.reactions = [Reaction(), Reaction(raises=Refused("flow.invalid", 400), effect_after_s=None)]
    accuse(here, "flow-1", "flow-2")
    here.run(here.settings.timing.lockout_s - 60, step_s=5)
    states = sorted(one.state.value for one in here.rollbacks())
    assert states == ["failed", "succeeded"]
    last = [event for event in here.told() if "attempt_state" in event][-1]
    assert (last["attempt_state"], len(last["members"])) == ("partial", 2)


def test_an_attempt_counts_once_against_the_budget_of_the_organization(tmp_path: Path) -> None:
    with scene(tmp_path, budget_per_org=1) as here:
        populate(here)
        accuse(here, *FLOWS)
        here.run_to_the_end()
        assert len(publishes(here)) == 3


def test_the_next_change_set_is_the_second_one_of_the_budget_not_the_fourth(tmp_path: Path) -> None:
    with scene(tmp_path, budget_per_org=2, common_cause_min_flows=9) as here:
        populate(here, *(flow(one) for one in FLOWS), flow("flow-4", by="ann"))
        accuse(here, *FLOWS)
        here.run_to_the_end()
        accuse(here, "flow-4")
        here.run(here.settings.timing.lockout_s, step_s=10)
        assert ("flow-4", GOOD) in publishes(here)


def test_one_lease_is_held_until_the_last_of_them_is_confirmed(here: Scene) -> None:
    here.genesys.reactions = [Reaction(effect_after_s=20.0)] * 3
    accuse(here, *FLOWS)
    here.run(6)
    while any(one.state in LEASED for one in here.rollbacks()):
        with here.store.begin() as tx:
            assert leases.held(tx, now=here.time.now) == {"org:retail"}
        here.run(2)
    with here.store.begin() as tx:
        assert not leases.held(tx, now=here.time.now)


def test_another_receiver_goes_on_with_an_attempt_whose_first_one_died(here: Scene) -> None:
    """The first publish is ambiguous, and its receiver is gone; nothing of the second flow is sent before it shows."""
    here.genesys.reactions = [Reaction(raises=TIMEOUT, effect_after_s=20.0, takes_s=10.0)]
    accuse(here, "flow-1", "flow-2")
    here.run(4)
    here.receiver = here.another_receiver("receiver-2")
    here.time.pass_(here.settings.timing.lease_s + 1)
    here.run_to_the_end()
    assert sorted(publishes(here)) == [("flow-1", GOOD), ("flow-2", GOOD)]
    assert {one.state for one in here.rollbacks()} == {State.SUCCEEDED}


def test_observing_arms_a_shadow_attempt_in_the_same_way(tmp_path: Path) -> None:
    with scene(tmp_path, flows=[{"match": "*", "mode": "observe"}]) as here:
        populate(here)
        accuse(here, *FLOWS)
        here.run(60)
        found = here.rollbacks()
        assert len(found) == 3
        assert len({one.attempt_id for one in found}) == 1
        with here.store.begin() as tx:
            assert rollbacks.first_of_attempts(tx, "retail", since=0.0, shadow=False) == []


# Registered by a pipeline ---------------------------------------------------------------------------------------------


def register(
    here: Scene, *flow_ids: str, rollback: Consent = Consent.AUTO, objects: tuple[Companion, ...] = ()
) -> None:
    told = Registration(
        "retail", tuple(Member(one, "0" * 64, "14.0") for one in flow_ids), "a1b2c3", "cx", "", rollback, objects
    )
    with here.store.begin() as tx:
        deployments.register(tx, told, by="pipeline", now=here.time.now, repeat_s=600.0, resolve_s=600.0)


def test_a_registered_deployment_is_one_attempt_whoever_published_its_flows_when(here: Scene) -> None:
    populate(here, flow("flow-1"), flow("flow-2", by="ann", at=BAD_PUBLISH_AT - 700), flow("flow-3"))
    register(here, "flow-1", "flow-2")
    accuse(here, *FLOWS)
    here.run(300, step_s=5)
    assert sorted(publishes(here)) == [("flow-1", GOOD), ("flow-2", GOOD)]
    assert "lockout" in here.verdicts()  # flow-3 was not registered with them
    (told, *_) = triggers(here)
    assert (told["commit"], told["deployed_by"]) == ("a1b2c3", "cx")


def test_what_is_registered_after_the_first_was_rolled_back_belongs_to_it_all_the_same(here: Scene) -> None:
    populate(here, flow("flow-1"), flow("flow-2", by="ann"))
    accuse(here, "flow-1")
    here.run(60)
    register(here, "flow-1", "flow-2")
    accuse(here, "flow-2")
    here.run(60)
    assert len({one.attempt_id for one in here.rollbacks()}) == 1


def test_a_deployment_that_is_never_to_be_rolled_back_is_held(here: Scene) -> None:
    register(here, "flow-1", rollback=Consent.NEVER)
    accuse(here, "flow-1", "flow-2")
    here.run(300, step_s=5)
    assert publishes(here) == [("flow-2", GOOD)]
    held = next(decision for decision in here.decisions() if decision.object_id == "flow-1")
    assert held.verdict == "held"
    (guard,) = [one for one in held.guards if one["guard"] == "held"]
    assert "commit a1b2c3" in guard["value"]
    assert [event["verdict"] for event in here.told() if event["flow_id"] == "flow-1"] == ["held"]


def test_flows_of_one_registered_deployment_are_no_common_cause(here: Scene) -> None:
    """Three of four flows fail; published by three people they are three deployments, and nothing is done."""
    people = {"flow-1": "ann", "flow-2": "bob", "flow-3": "eve"}
    healthy = FlowInGenesys("flow-4", timeline=[(BAD_PUBLISH_AT - 10 * DAY_S, "7.0")], error_ratio={})
    populate(here, *(flow(one, by=by) for one, by in people.items()), healthy)
    accuse(here, *FLOWS)
    here.run(30)
    assert publishes(here) == []
    assert set(here.verdicts()) == {"common_cause"}
    register(here, *FLOWS)
    here.run(120)
    assert len(publishes(here)) == 3


def test_a_deployment_that_asks_waits_for_a_person_where_the_mode_is_auto(
    here: Scene,
) -> None:
    register(here, "flow-1", rollback=Consent.ASK)
    accuse(here, "flow-1")
    here.run(60)
    (waiting,) = here.rollbacks()
    assert (waiting.state, publishes(here)) == (State.AWAITING_APPROVAL, [])
    assert "commit a1b2c3" in waiting.reason
    with here.store.begin() as tx:
        orders.approve(tx, waiting, here.settings, by="ann", reason="", now=here.time.now)
    here.run(60)
    assert publishes(here) == [("flow-1", GOOD)]


TABLES = tuple(Companion("data_table", f"t-{number}", "0" * 64) for number in range(5))


def test_a_deployment_of_a_data_table_besides_waits_for_a_person_where_the_mode_is_auto(here: Scene) -> None:
    register(here, "flow-1", objects=TABLES)
    accuse(here, "flow-1")
    here.run(60)
    (waiting,) = here.rollbacks()
    assert (waiting.state, publishes(here)) == (State.AWAITING_APPROVAL, [])
    assert "data_table t-0, data_table t-1, data_table t-2 and 2 more too" in waiting.reason
    with here.store.begin() as tx:
        orders.approve(tx, waiting, here.settings, by="ann", reason="", now=here.time.now)
    here.run(60)
    assert publishes(here) == [("flow-1", GOOD)]


def test_where_it_is_said_the_flow_alone_is_rolled_back(tmp_path: Path) -> None:
    with scene(tmp_path, coupled="act") as here:
        populate(here)
        register(here, "flow-1", objects=TABLES)
        accuse(here, "flow-1")
        here.run(60)
        assert publishes(here) == [("flow-1", GOOD)]


def test_flows_that_wait_for_approval_are_one_attempt_and_each_is_approved_by_itself(tmp_path: Path) -> None:
    with scene(tmp_path, flows=[{"match": "*", "mode": "approve"}]) as here:
        populate(here)
        accuse(here, *FLOWS)
        here.run(30)
        found = by_flow(here)
        assert len({one.attempt_id for one in found.values()}) == 1
        with here.store.begin() as tx:
            for one in FLOWS[:2]:
                orders.approve(tx, found[one], here.settings, by="ann", reason="", now=here.time.now)
        here.run(120)
        assert sorted(publishes(here)) == [("flow-1", GOOD), ("flow-2", GOOD)]
        assert by_flow(here)["flow-3"].state is State.AWAITING_APPROVAL
