"""The loop from an open alert to a verified rollback, and everything that holds it back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genesys.errors import NotAllowed, Unavailable
from genesys.flows import Operation
from receiver.policy import Verdict
from receiver.situation import Mode
from receiver.store import controls
from receiver.store.rollbacks import State
from tests.integration.receiver_world import (
    ALERTMANAGER,
    BAD_PUBLISH_AT,
    FIRST_LOOK_AT,
    FLOW_ID,
    FlowInGenesys,
    GenesysInMemory,
    Scene,
    alert_of,
    fingerprint,
    scene,
)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Scene]:
    """A scene with an Alertmanager that can be asked."""
    with scene(tmp_path, alertmanagers=[ALERTMANAGER]) as made:
        yield made


def window(here: Scene, *, starts_in_s: float = -60, lasts_s: float = 600, flow_ids: tuple[str, ...] = ()) -> None:
    starts_at = here.time.now + starts_in_s
    with here.store.begin() as tx:
        controls.open_window(
            tx,
            org="retail",
            flow_ids=flow_ids,
            kind="maintenance",
            starts_at=starts_at,
            ends_at=starts_at + lasts_s,
            reason="new prompts",
            owner="team-voice",
            created_by="ann",
            now=here.time.now,
        )


def pause(here: Scene, org: str = "retail") -> None:
    with here.store.begin() as tx:
        controls.pause(tx, org, by="ann", reason="storm", now=here.time.now)


# From the alert to the verified rollback


def test_a_failing_version_is_rolled_back_once_and_its_target_is_measured(here: Scene) -> None:
    here.deliver()
    rollback = here.run_to_the_end()

    assert here.published() == ["13.0"]
    assert (rollback.state, rollback.reason) == (State.SUCCEEDED, "0 errors of 20 ended conversations")
    assert (rollback.accused_version, rollback.target_version) == ("14.0", "13.0")
    assert rollback.facts["verification"] == {"errors": 0, "ended": 20, "threshold_ratio": 0.05}


def test_every_step_of_the_story_is_recorded_in_its_order(here: Scene) -> None:
    here.deliver()
    here.run_to_the_end()

    story = [(step.event, step.state) for step in here.steps()]
    assert story == [
        ("planned", "planned"),
        ("permit", "publishing"),
        ("accepted", "confirming"),
        ("confirmed", "verifying"),
        ("measured", "verifying"),
        ("succeeded", "succeeded"),
    ]
    assert here.steps()[1].detail == {"number": 1, "strategy": "republish", "target": "13.0"}


def test_people_hear_of_the_start_and_of_the_end(here: Scene) -> None:
    here.deliver()
    here.run_to_the_end()

    assert here.told_types() == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"]
    triggered, succeeded = here.told()
    assert (triggered["action_taken"], succeeded["action_taken"]) == (
        "SWITCHING_TO_VERSION_13.0",
        "SWITCHED_TO_VERSION_13.0",
    )
    assert triggered["error_rate_breach"] == 0.5
    assert triggered["threshold_breach"] == 0.05
    assert (triggered["flow_id"], triggered["owner"], triggered["signal"]) == (FLOW_ID, "team-voice", "error_exit")


def test_the_trigger_is_written_before_the_publish_is_sent(here: Scene) -> None:
    seen: list[tuple[list[str], State, list[str | None]]] = []
    here.genesys.before_publish = lambda: seen.append(
        (here.told_types(), here.the_rollback().state, [permit.answer for permit in here.permits()])
    )
    here.deliver()
    here.receiver.tick()

    assert seen == [(["AUTO_ROLLBACK_TRIGGERED"], State.PUBLISHING, [None])]


def test_the_record_of_the_decision_shows_each_guard_with_value_and_limit(here: Scene) -> None:
    here.deliver()
    here.receiver.tick()

    planned, permitted = here.decisions()
    for decision in (planned, permitted):
        assert [guard["guard"] for guard in decision.guards] == [
            verdict.value for verdict in Verdict if verdict is not Verdict.ROLL_BACK
        ]
        assert all(guard["value"] and guard["limit"] and not guard["holds_back"] for guard in decision.guards)
        assert decision.rollback_id == here.the_rollback().id
    shown = {guard["guard"]: guard["value"] for guard in planned.guards}
    assert shown["superseded"] == "live version 14.0"
    assert "75 errors of 150 in 15m (50.0%; threshold 5.0%" in shown["not_confirmed"]
    assert shown["no_eligible_target"] == "13.0"


def test_nothing_follows_a_rollback_in_the_next_hour(here: Scene) -> None:
    here.deliver()
    here.run_to_the_end()
    here.run(3600, step_s=20)

    assert here.published() == ["13.0"]
    assert len(here.rollbacks()) == 1
    assert here.told_types() == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"]


def test_the_same_alert_delivered_many_times_is_one_rollback(here: Scene) -> None:
    for _ in range(40):
        here.deliver(alert_of(), alert_of())
        here.receiver.tick()
        here.time.pass_(10)

    assert here.published() == ["13.0"]
    assert len(here.rollbacks()) == 1


def test_a_target_that_fails_too_is_ineffective_and_the_bridge_does_not_walk_further_back(here: Scene) -> None:
    here.genesys.before_publish = lambda: here.genesys.of().error_ratio.update({"13.0": 0.5})
    here.deliver()
    rollback = here.run_to_the_end()
    assert rollback.state is State.INEFFECTIVE

    here.deliver(alert_of(firing=False), alert_of(version="13.0"))
    here.run(2000, step_s=20)

    assert here.published() == ["13.0"]
    assert here.verdicts()[-1] == "held"
    assert "restored_by_bridge" in (here.alerts()[0].holding_back or "")
    assert here.told_types() == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_INEFFECTIVE", "ROLLBACK_SUPPRESSED"]


def test_with_genesys_silent_after_the_publish_the_rollback_ends_unverified(here: Scene) -> None:
    here.genesys.of().silent_from = FIRST_LOOK_AT
    here.deliver()
    rollback = here.run_to_the_end()

    assert (rollback.state, rollback.reason) == (State.UNVERIFIED, "0 conversations have ended, 20 are asked for")
    assert rollback.confirmed_at is not None
    assert rollback.ended_at is not None
    assert rollback.ended_at - rollback.confirmed_at >= here.settings.timing.verify_deadline_s
    assert here.told_types()[-1] == "ROLLBACK_UNVERIFIED"


def test_with_genesys_unreachable_after_the_publish_the_rollback_ends_unverified(here: Scene) -> None:
    here.deliver()
    here.run(6)
    assert here.the_rollback().state is State.VERIFYING
    here.genesys.down = Unavailable("no answer", 503)
    rollback = here.run_to_the_end(step_s=20)

    assert (rollback.state, rollback.reason) == (State.UNVERIFIED, "unread: no answer (HTTP 503)")


def test_a_resolved_alert_is_closed_with_a_decision(here: Scene) -> None:
    here.genesys.of().error_ratio.clear()
    here.deliver()
    here.receiver.tick()
    here.deliver(alert_of(firing=False))
    here.run(10)

    assert here.verdicts() == ["not_confirmed", "resolved"]
    assert [alert.is_open for alert in here.alerts()] == [False]


# What holds it back


def refuses(here: Scene, verdict: Verdict, *, for_s: float = 60, told: bool = True) -> None:
    """The verdict is recorded, nothing is written, and people hear of it if they should."""
    here.run(for_s, step_s=5)
    assert here.verdicts()[-1] == verdict.value
    assert here.published() == []
    assert here.rollbacks() == []
    suppressed = [event["verdict"] for event in here.told() if event["incident_type"] == "ROLLBACK_SUPPRESSED"]
    assert suppressed == ([verdict.value] if told else [])


def deactivated(here: Scene) -> None:
    here.genesys.of().active = False


def deleted(here: Scene) -> None:
    here.genesys.of().deleted = True


def locked(here: Scene) -> None:
    here.genesys.of().locked_by = "bob"


def an_operation_is_under_way(here: Scene) -> None:
    here.genesys.of().operation = Operation("op-x", complete=False, action="SAVE")


def healthy(here: Scene) -> None:
    here.genesys.of().error_ratio.clear()


def everything_is_paused(here: Scene) -> None:
    pause(here, controls.EVERY_ORG)


def a_window_for_the_flow(here: Scene) -> None:
    window(here, flow_ids=("other", FLOW_ID))


def there_is_no_earlier_version(here: Scene) -> None:
    here.genesys.of().timeline[:] = [(BAD_PUBLISH_AT, "14.0")]


@pytest.mark.parametrize(
    ("arrange", "verdict"),
    [
        pytest.param(pause, Verdict.PAUSED, id="the organization is paused"),
        pytest.param(everything_is_paused, Verdict.PAUSED, id="everything is paused"),
        pytest.param(window, Verdict.MAINTENANCE, id="a maintenance window of the organization"),
        pytest.param(a_window_for_the_flow, Verdict.MAINTENANCE, id="a maintenance window of the flow"),
        pytest.param(deactivated, Verdict.INACTIVE, id="the flow is deactivated"),
        pytest.param(deleted, Verdict.INACTIVE, id="the flow is deleted"),
        pytest.param(locked, Verdict.LOCKED_IN_ARCHITECT, id="somebody has it open in Architect"),
        pytest.param(an_operation_is_under_way, Verdict.LOCKED_IN_ARCHITECT, id="an operation is under way"),
        pytest.param(healthy, Verdict.NOT_CONFIRMED, id="a forged alert for a healthy flow"),
        pytest.param(there_is_no_earlier_version, Verdict.NO_ELIGIBLE_TARGET, id="there is no earlier version"),
    ],
)
def test_a_rollback_is_refused_and_people_hear_why(
    here: Scene, arrange: Callable[[Scene], None], verdict: Verdict
) -> None:
    arrange(here)
    here.deliver()
    refuses(here, verdict)


def test_the_same_world_without_the_pause_is_rolled_back(here: Scene) -> None:
    pause(here)
    here.deliver()
    refuses(here, Verdict.PAUSED)
    with here.store.begin() as tx:
        controls.resume(tx, "retail", by="ann", now=here.time.now)

    here.run(4)
    assert here.published() == ["13.0"]


def test_a_window_over_other_flows_or_another_time_holds_nothing_back(here: Scene) -> None:
    window(here, flow_ids=("another-flow",))
    window(here, starts_in_s=-600, lasts_s=600)  # ends now
    window(here, starts_in_s=3600)
    here.deliver()
    here.receiver.tick()

    assert here.published() == ["13.0"]


def test_the_end_of_a_window_is_seen_by_the_next_round(here: Scene) -> None:
    window(here, starts_in_s=0, lasts_s=120)
    here.deliver()
    refuses(here, Verdict.MAINTENANCE, for_s=120)
    here.receiver.tick()

    assert here.published() == ["13.0"]


def test_a_version_that_is_no_longer_live_is_not_accused(here: Scene) -> None:
    here.genesys.make_live("15.0")
    here.deliver()
    refuses(here, Verdict.SUPERSEDED, told=False)


def test_a_flow_that_cannot_be_read_is_refused_and_people_hear_of_it(here: Scene) -> None:
    here.genesys.down = NotAllowed("missing permission", 403)
    here.deliver()
    refuses(here, Verdict.IGNORED)
    assert here.told()[-1]["reason"].startswith("unknown: ")


def test_an_alert_for_a_flow_that_does_not_exist_is_refused_and_people_hear_of_it(here: Scene) -> None:
    here.deliver(alert_of("no-such-flow"))
    here.run(60, step_s=5)
    assert here.published() == []
    assert here.told_types() == ["ROLLBACK_SUPPRESSED"]


def test_mode_ignore_writes_nothing_and_tells_nobody(tmp_path: Path) -> None:
    with scene(tmp_path, flows=[{"match": "*", "mode": "ignore"}]) as here:
        here.deliver()
        refuses(here, Verdict.IGNORED, told=False)


# Alertmanager


def test_a_silence_holds_back_until_it_is_over(watched: Scene) -> None:
    watched.alertmanager.silenced[fingerprint()] = ["s1"]
    watched.deliver()
    refuses(watched, Verdict.SILENCED, told=False)
    guard = next(guard for guard in watched.decisions()[-1].guards if guard["guard"] == "silenced")
    assert guard["value"] == "silence s1 by ann until 2026-11-23T10:00:00Z"

    watched.alertmanager.silenced.clear()
    watched.receiver.tick()
    assert watched.published() == ["13.0"]


def test_an_inhibition_holds_back_and_is_named(watched: Scene) -> None:
    watched.alertmanager.inhibited[fingerprint()] = ["fp-maintenance"]
    watched.deliver()
    refuses(watched, Verdict.INHIBITED, told=False)
    guard = next(guard for guard in watched.decisions()[-1].guards if guard["guard"] == "inhibited")
    assert guard["value"] == "GenesysMaintenance"


def test_an_alertmanager_that_was_never_reached_refuses_and_people_hear_of_it(watched: Scene) -> None:
    watched.alertmanager.down = True
    watched.deliver()
    refuses(watched, Verdict.SILENCED)


def test_an_unreachable_alertmanager_is_believed_for_its_maximal_age_and_no_longer(watched: Scene) -> None:
    pause(watched)
    watched.deliver()
    watched.receiver.tick()
    watched.alertmanager.down = True
    with watched.store.begin() as tx:
        controls.resume(tx, "retail", by="ann", now=watched.time.now)
    watched.time.pass_(watched.settings.timing.alertmanager_max_age_s + 1)
    watched.receiver.tick()
    assert watched.published() == []
    assert watched.verdicts()[-1] == "silenced"

    watched.alertmanager.down = False
    watched.receiver.tick()
    assert watched.published() == ["13.0"]


def test_a_silence_that_is_set_between_the_plan_and_the_write_is_obeyed(watched: Scene) -> None:
    def silence_what_is_planned() -> None:
        if watched.rollbacks():
            watched.alertmanager.silenced[fingerprint()] = ["s1"]

    watched.alertmanager.before_answer = silence_what_is_planned
    watched.deliver()
    watched.receiver.tick()

    assert watched.published() == []
    assert watched.verdicts() == ["roll_back", "silenced"]
    assert (watched.the_rollback().state, watched.the_rollback().reason) == (State.FAILED, "refused_silenced")


def test_a_pause_that_is_pressed_between_the_plan_and_the_write_is_obeyed_and_people_hear_of_it(here: Scene) -> None:
    here.genesys.before_read = lambda: pause(here) if here.rollbacks() else None
    here.deliver()
    here.receiver.tick()

    assert here.published() == []
    assert (here.the_rollback().state, here.the_rollback().reason) == (State.FAILED, "refused_paused")
    assert [event["verdict"] for event in here.told()] == ["paused"]


# Lockout and memory


def two_flows(here: Scene) -> GenesysInMemory:
    here.clouds["retail"] = GenesysInMemory(
        here.time, FlowInGenesys(), FlowInGenesys("flow-2", published_by="somebody else")
    )
    here.receiver = here.another_receiver("receiver-1")
    return here.genesys


def test_a_second_flow_waits_for_the_lockout_and_is_rolled_back_after_it(here: Scene) -> None:
    cloud = two_flows(here)
    here.deliver(alert_of(), alert_of("flow-2"))
    here.run(here.settings.timing.lockout_s - 30, step_s=10)
    assert [flow_id for _, flow_id, _ in cloud.published] == [FLOW_ID]
    assert "lockout" in here.verdicts()

    here.run(60, step_s=5)
    assert [flow_id for _, flow_id, _ in cloud.published] == [FLOW_ID, "flow-2"]
    (first_at, *_), (second_at, *_) = cloud.published
    assert second_at - first_at >= here.settings.timing.lockout_s


def test_with_a_lockout_per_flow_the_second_flow_waits_for_the_first_to_be_confirmed_only(tmp_path: Path) -> None:
    with scene(tmp_path, lockout_scope="flow") as here:
        cloud = two_flows(here)
        here.deliver(alert_of(), alert_of("flow-2"))
        here.receiver.tick()
        assert len(cloud.published) == 1
        assert "in_progress" in here.verdicts()

        here.run(20)
        assert [flow_id for _, flow_id, _ in cloud.published] == [FLOW_ID, "flow-2"]


def test_a_version_that_was_rolled_back_and_comes_back_is_left_to_people(here: Scene) -> None:
    here.deliver()
    here.run_to_the_end()
    here.genesys.make_live("14.0")
    here.run(1800, step_s=20)

    assert here.published() == ["13.0"]
    assert here.verdicts()[-1] == "already_rolled_back"
    assert here.told()[-1]["verdict"] == "already_rolled_back"


# Mode observe


@pytest.fixture
def observing(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path, flows=[{"match": "*", "mode": "observe"}]) as made:
        yield made


def test_observing_shows_what_would_have_been_done_and_writes_nothing(observing: Scene) -> None:
    observing.deliver()
    observing.run(120)

    rollback = observing.the_rollback()
    assert (rollback.state, rollback.shadow, rollback.target_version) == (State.OBSERVED, True, "13.0")
    assert observing.published() == []
    assert observing.told_types() == ["WOULD_HAVE_ROLLED_BACK"]
    assert observing.verdicts()[0] == "observing"


def test_observing_has_a_lockout_of_its_own(observing: Scene) -> None:
    two_flows(observing)
    observing.deliver(alert_of(), alert_of("flow-2"))
    observing.receiver.tick()

    assert sorted(observing.verdicts()) == ["lockout", "observing"]


def test_what_was_observed_does_not_block_what_is_real(observing: Scene) -> None:
    observing.deliver()
    observing.receiver.tick()
    observing.settings = observing.settings.model_copy(
        update={"flows": tuple(policy.model_copy(update={"mode": Mode.AUTO}) for policy in observing.settings.flows)}
    )
    observing.receiver = observing.another_receiver("receiver-2")
    observing.receiver.tick()

    assert observing.published() == ["13.0"]


def test_a_bot_is_asked_for_whatever_the_configuration_says(here: Scene) -> None:
    here.genesys.of().type = "digitalbot"
    here.deliver()
    here.run(60)

    assert here.published() == []
    assert here.told_types() == ["APPROVAL_REQUESTED"]


# Alerts that are not for us


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"genesys_contract": "2"}, id="a newer contract"),
        pytest.param({"genesys_contract": ""}, id="no contract"),
        pytest.param({"genesys_action": "page"}, id="an alert that only pages"),
        pytest.param({"flow_version": ""}, id="no version"),
        pytest.param({"signal": ""}, id="no signal"),
        pytest.param({"signal": "too_polite"}, id="an unknown signal"),
        pytest.param({"org": "unheard-of"}, id="an organization that is not configured"),
        pytest.param({"org": ""}, id="no organization"),
        pytest.param({"flow_id": ""}, id="no flow"),
    ],
)
def test_an_alert_that_is_not_understood_is_recorded_by_exactly_one_worker(
    tmp_path: Path, labels: dict[str, str]
) -> None:
    with scene(tmp_path, orgs=("retail", "bank")) as here:
        here.deliver(alert_of(labels=labels))
        here.run(20)

        assert here.verdicts() == ["unknown_contract"]
        assert here.published() == []
        assert here.told_types() == ["ROLLBACK_SUPPRESSED"]
