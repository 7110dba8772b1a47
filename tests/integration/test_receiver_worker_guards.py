"""Holds, quarantines, probation, common causes and budgets, over the whole loop; each with its positive control."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genesys.errors import Unavailable
from receiver.store import controls, quarantines
from receiver.store.controls import BRIDGE, EVERY_FLOW
from receiver.store.rollbacks import State
from tests.integration.receiver_world import (
    ALERTMANAGER,
    BAD_PUBLISH_AT,
    DAY_S,
    FIRST_LOOK_AT,
    FLOW_ID,
    FlowInGenesys,
    GenesysInMemory,
    Reaction,
    Scene,
    alert_of,
    fingerprint,
    scene,
)
from tests.receiver_world import put_rollback


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def hold(here: Scene, flow_id: str = FLOW_ID) -> None:
    with here.store.begin() as tx:
        controls.hold(tx, "retail", [flow_id], owner="team-voice", reason="debugging", by="ann", now=here.time.now)


def release(here: Scene, flow_id: str = FLOW_ID) -> None:
    with here.store.begin() as tx:
        assert controls.release(tx, "retail", flow_id, by="ann", now=here.time.now) > 0


def holds(here: Scene) -> list[tuple[str, str, str]]:
    with here.store.begin() as tx:
        return [(one.flow_id, one.owner, one.reason) for one in controls.list_holds(tx)]


def in_quarantine(here: Scene) -> list[str]:
    with here.store.begin() as tx:
        return [one.version for one in quarantines.newest(tx, org=None, limit=9)]


def lift(here: Scene) -> None:
    with here.store.begin() as tx:
        (only,) = quarantines.newest(tx, org=None, limit=9)
        assert quarantines.lift(tx, only.id, by="ann", now=here.time.now)


def guard(here: Scene, name: str) -> str:
    """What the newest decision found."""
    return next(one["value"] for one in here.decisions()[-1].guards if one["guard"] == name)


def suppressed(here: Scene) -> list[str]:
    return [event["verdict"] for event in here.told() if event["incident_type"] == "ROLLBACK_SUPPRESSED"]


def populate(here: Scene, *flows: FlowInGenesys) -> GenesysInMemory:
    """These flows instead of the one."""
    here.clouds["retail"] = GenesysInMemory(here.time, *flows)
    here.receiver = here.another_receiver("receiver-1")
    return here.genesys


def settled(flow_id: str) -> FlowInGenesys:
    """A flow whose version has served for days."""
    return FlowInGenesys(flow_id, timeline=[(BAD_PUBLISH_AT - 10 * DAY_S, "7.0")], error_ratio={})


def publish_another_bad_version(here: Scene, version: str = "15.0") -> None:
    here.genesys.of().error_ratio[version] = 0.5
    here.genesys.make_live(version)
    here.time.pass_(961)
    here.deliver(alert_of(version=version))


# Holds


@pytest.mark.parametrize("flow_id", [FLOW_ID, EVERY_FLOW])
def test_a_held_flow_is_not_touched_until_it_is_released(here: Scene, flow_id: str) -> None:
    hold(here, flow_id)
    here.deliver()
    here.run(60)
    assert (here.published(), here.verdicts(), suppressed(here)) == ([], ["held"], ["held"])
    assert guard(here, "held").endswith("held for team-voice, set by ann: debugging")

    release(here, flow_id)
    here.run(4)
    assert here.published() == ["13.0"]


def test_a_hold_on_another_flow_holds_nothing_back(here: Scene) -> None:
    hold(here, "another")
    here.deliver()
    here.receiver.tick()

    assert here.published() == ["13.0"]


def test_a_hold_that_is_placed_between_the_plan_and_the_write_is_obeyed(here: Scene) -> None:
    here.genesys.before_read = lambda: hold(here) if here.rollbacks() else None
    here.deliver()
    here.receiver.tick()

    assert here.published() == []
    assert (here.the_rollback().state, here.the_rollback().reason) == (State.FAILED, "refused_held")


def test_after_an_ineffective_rollback_the_bridge_holds_the_flow_and_a_person_releases_it(here: Scene) -> None:
    here.genesys.before_publish = lambda: here.genesys.of().error_ratio.update({"13.0": 0.5})
    here.deliver()
    rollback = here.run_to_the_end()
    assert holds(here) == [(FLOW_ID, BRIDGE, f"rollback {rollback.id} was ineffective: version 13.0 fails too")]

    publish_another_bad_version(here)
    here.run(60)
    assert here.verdicts()[-1] == "held"
    assert here.published() == ["13.0"]

    release(here)
    here.run(10)
    assert "held" not in (here.alerts()[0].holding_back or "")


def test_after_a_rollback_that_could_not_be_verified_the_bridge_holds_the_flow(here: Scene) -> None:
    here.genesys.of().silent_from = FIRST_LOOK_AT
    here.deliver()
    rollback = here.run_to_the_end()
    assert rollback.state is State.UNVERIFIED
    ((flow_id, owner, reason),) = holds(here)
    assert (flow_id, owner) == (FLOW_ID, BRIDGE)
    assert reason == f"rollback {rollback.id} could not be verified: nobody knows whether version 13.0 helps"


def test_one_failure_after_a_write_holds_nothing_and_a_second_one_within_a_day_does(here: Scene) -> None:
    here.genesys.reactions = [Reaction(operation_fails=True)] * 2
    here.deliver()
    assert here.run_to_the_end().state is State.FAILED
    assert holds(here) == []

    publish_another_bad_version(here)
    assert here.run_to_the_end().state is State.FAILED
    ((flow_id, owner, reason),) = holds(here)
    assert (flow_id, owner) == (FLOW_ID, BRIDGE)
    assert reason.startswith("2 rollbacks failed after their write: ")


# Quarantine


def test_a_version_that_was_rolled_back_is_left_to_people_until_its_quarantine_is_lifted(here: Scene) -> None:
    here.deliver()
    here.run(6)
    assert here.the_rollback().state is State.VERIFYING
    assert in_quarantine(here) == ["14.0"], "from its confirmation on, not only from its end"
    here.run_to_the_end()
    here.genesys.make_live("14.0")
    here.run(1800, step_s=20)
    assert here.published() == ["13.0"]
    assert here.verdicts()[-1] == "already_rolled_back"

    lift(here)
    here.run(6)
    assert here.published() == ["13.0", "13.0"]
    assert [one.try_number for one in here.rollbacks()] == [2, 1]
    assert in_quarantine(here) == ["14.0"], "once more"


def test_a_publish_that_failed_may_be_repeated_once_its_quarantine_is_lifted(here: Scene) -> None:
    here.genesys.reactions = [Reaction(operation_fails=True)]
    here.deliver()
    assert here.run_to_the_end().state is State.FAILED
    here.run(1000, step_s=20)
    assert here.published() == ["13.0"]

    lift(here)
    here.run(6)
    assert here.published() == ["13.0", "13.0"]


def test_what_was_provably_not_written_is_not_quarantined(here: Scene) -> None:
    hold(here)
    here.deliver()
    here.run(60)
    assert in_quarantine(here) == []


def test_a_version_in_quarantine_is_no_target_until_it_is_lifted(here: Scene) -> None:
    here.deliver()
    (alert,) = here.alerts()
    with here.store.begin() as tx:  # 13.0 was rolled back long ago, by mistake
        rollback = put_rollback(
            tx,
            alert,
            "r0",
            now=BAD_PUBLISH_AT - 20 * DAY_S,
            accused_version="13.0",
            target_version="12.0",
            state=State.SUCCEEDED,
            ended_at=BAD_PUBLISH_AT,
        )
        quarantines.put(tx, rollback, now=BAD_PUBLISH_AT)
    here.run(4)
    assert here.published() == []
    assert "13.0: the bridge rolled it back before" in guard(here, "no_eligible_target")

    lift(here)
    here.run(4)
    assert here.published() == ["13.0"]


# Probation


def outage(here: Scene, *flow_ids: str, since_s: float = 900.0) -> None:
    """A back end fails, and with it these flows, whatever their version."""
    cloud = here.genesys
    begins = here.time.now - since_s
    for flow_id in flow_ids:
        flow = cloud.of(flow_id)
        flow.fails_from = begins


def test_an_outage_of_a_back_end_takes_no_established_version_back(here: Scene) -> None:
    populate(here, settled(FLOW_ID))
    outage(here, FLOW_ID)
    here.deliver(alert_of(version="7.0"))
    here.run(60)

    assert here.published() == []
    assert here.verdicts() == ["established"]
    assert guard(here, "established").startswith("left probation with 0 errors of ")
    assert suppressed(here) == ["established"]


def test_a_final_refusal_is_not_decided_anew_and_costs_no_calls(here: Scene) -> None:
    populate(here, settled(FLOW_ID))
    outage(here, FLOW_ID)
    here.deliver(alert_of(version="7.0"))
    here.run(6)
    seen = len(here.decisions())

    def read() -> None:
        raise AssertionError("nothing is to be read any more")

    here.genesys.before_read = read
    here.run(600, step_s=20)
    here.genesys.before_read = lambda: None
    here.deliver(alert_of(version="7.0", firing=False))
    here.run(4)

    assert [one.verdict for one in here.decisions()[seen:]] == ["resolved"]


# Common cause


def test_while_two_established_flows_fail_as_well_a_new_version_is_not_taken_back(here: Scene) -> None:
    populate(here, FlowInGenesys(), settled("sales"), settled("support"), *map(settled, "abcdefgh"))
    outage(here, "sales", "support")
    here.deliver()
    here.run(60)
    assert (here.published(), here.verdicts()) == ([], ["common_cause"])
    assert "2 established flows fail" in guard(here, "common_cause")
    assert suppressed(here) == ["common_cause"]

    for flow_id in ("sales", "support"):
        here.genesys.of(flow_id).fails_from = None
    here.run(300)
    assert here.published() == ["13.0"]


def test_one_established_flow_that_fails_as_well_is_no_common_cause(here: Scene) -> None:
    populate(here, FlowInGenesys(), settled("sales"), *map(settled, "abcdefgh"))
    outage(here, "sales")
    here.deliver()
    here.receiver.tick()

    assert here.published() == ["13.0"]


def another_deployment(flow_id: str) -> FlowInGenesys:
    return FlowInGenesys(flow_id, published_by=f"pipeline of {flow_id}")


def test_when_a_share_of_independent_deployments_fails_at_once_none_is_taken_back(here: Scene) -> None:
    populate(here, FlowInGenesys(), another_deployment("sales"), settled("support"), settled("orders"))
    here.deliver()
    here.run(60)

    assert here.published() == []
    assert here.verdicts() == ["common_cause"]


def test_a_change_set_of_one_pipeline_is_one_deployment_and_is_taken_back(here: Scene) -> None:
    populate(here, FlowInGenesys(), FlowInGenesys("sales"), settled("support"), settled("orders"))
    here.deliver()
    here.receiver.tick()

    assert here.published() == ["13.0"]


def test_with_the_list_of_flows_unreadable_the_common_cause_is_unknown_and_people_hear_of_it(here: Scene) -> None:
    here.genesys.listing_fails = Unavailable("no answer", 503)
    here.deliver()
    here.run(60)
    assert here.published() == []
    assert here.verdicts()[-1] == "common_cause"
    assert guard(here, "common_cause") == "unknown: no answer (HTTP 503)"
    assert suppressed(here) == ["common_cause"]

    here.genesys.listing_fails = None
    here.run(20)
    assert here.published() == ["13.0"]


# Budget


def test_a_flow_whose_budget_is_spent_waits_until_a_rollback_is_old_enough(tmp_path: Path) -> None:
    with scene(tmp_path, budget_per_flow=1, timing={"budget_s": 7200.0}) as here:
        here.deliver()
        here.run_to_the_end()
        (first_at, *_), *_ = here.genesys.published
        publish_another_bad_version(here)
        here.run(600, step_s=20)
        assert here.published() == ["13.0"]
        assert here.verdicts()[-1] == "budget_spent"
        assert guard(here, "budget_spent") == "1 rollbacks of the flow and 1 of the organization"
        assert "budget_spent" in suppressed(here)

        here.run(first_at + 7200 - here.time.now + 30, step_s=20)
        assert here.published() == ["13.0", "13.0"]


def test_without_the_limit_the_second_rollback_follows(here: Scene) -> None:
    here.deliver()
    here.run_to_the_end()
    publish_another_bad_version(here)
    here.run(600, step_s=20)

    assert here.published() == ["13.0", "13.0"]


def test_the_budget_of_an_organization_is_over_all_its_flows(tmp_path: Path) -> None:
    with scene(tmp_path, budget_per_org=1) as here:
        populate(here, FlowInGenesys(), FlowInGenesys("flow-2", published_by="somebody else"))
        here.deliver(alert_of(), alert_of("flow-2"))
        here.run(1200, step_s=10)

        assert len(here.published()) == 1
        assert here.verdicts()[-1] == "budget_spent"


# Never a write

STOPS = ("paused", "held", "silenced", "window", "lockout")


def stop(here: Scene, name: str) -> None:
    if name == "silenced":
        here.alertmanager.silenced[fingerprint()] = ["s1"]
        return
    now, alert = here.time.now, here.alerts()[0]
    with here.store.begin() as tx:
        if name == "paused":
            controls.pause(tx, "retail", by="ann", reason="storm", now=now)
        elif name == "held":
            controls.hold(tx, "retail", [FLOW_ID], owner="ann", reason="x", by="ann", now=now)
        elif name == "window":
            controls.open_window(
                tx,
                org="retail",
                flow_ids=(),
                kind="incident",
                starts_at=now,
                ends_at=now + DAY_S,
                reason="x",
                owner="ann",
                created_by="ann",
                now=now,
            )
        else:
            put_rollback(tx, alert, "r0", now=now, object_id="elsewhere", state=State.SUCCEEDED, ended_at=now)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stops=st.sets(st.sampled_from(STOPS), min_size=1),
    reads_before=st.integers(0, 4),
    rounds=st.integers(1, 6),
    step_s=st.sampled_from([2.0, 10.0, 61.0]),
)
def test_paused_held_silenced_in_a_window_or_locked_out_it_never_writes(
    stops: set[str], reads_before: int, rounds: int, step_s: float
) -> None:
    """Whenever it is said during the five reads of the first round; a lockout lasts longer than the test."""
    with TemporaryDirectory() as folder, scene(Path(folder), alertmanagers=[ALERTMANAGER]) as here:
        here.deliver()
        reads = count()

        def read() -> None:
            if next(reads) == reads_before:
                for name in sorted(stops):
                    stop(here, name)

        here.genesys.before_read = read
        for _ in range(rounds):
            here.receiver.tick()
            here.time.pass_(step_s)

        assert here.published() == []
