"""Exactly one publish for each bad version, whatever else happens meanwhile."""

import time

import pytest

from demo.stack import Stack, World
from receiver.config import Timing
from tests.acceptance.looking import (
    ENDS_WITHIN_S,
    FLOW,
    FOLLOWS_WITHIN_S,
    GOOD,
    Json,
    assert_rolled_back_once,
    await_end,
    await_firing,
    await_pending,
    await_publish,
    decisions,
    deploy_bad_version,
    effects,
    held_back_by,
    is_firing,
    live_version,
    look_on,
    moment,
    rollbacks,
    the_rollback,
    until,
)
from tests.acceptance.stacks import StartStack

pytestmark = pytest.mark.acceptance

PUBLISH = {"method": "POST", "path_prefix": "/api/v2/flows/actions/publish"}
SUPPORT = "5f0a3a3e-8d3c-4a55-9a0e-2f3f7a1c6b02"  # of the scenario
SUPPORT_GOOD, SUPPORT_BAD = "7.0", "8.0"
AFTERWARDS_S = 180.0  # simulated


def test_a_second_flow_waits_for_the_end_of_the_lockout_and_is_then_rolled_back(start_stack: StartStack) -> None:
    stack = start_stack(World(scenario="calm"))
    deploy_bad_version(stack)
    await_pending(stack)
    # By another client: the same one within ten minutes would be one deployment.
    event = {"event": "publish", "flow": SUPPORT, "version": SUPPORT_BAD, "error_ratio": 0.45, "by": "archy-pipeline"}
    stack.sim("POST", "events", event)
    await_publish(stack)
    assert_rolled_back_once(stack)
    first = the_rollback(stack)
    over_at = moment(first["started_at"]) + stack.seconds(Timing().lockout_s)

    await_firing(stack, SUPPORT, SUPPORT_BAD)
    refused = until(lambda: decisions(stack, "lockout"), "the second is refused", within_s=FOLLOWS_WITHIN_S)[0]
    assert refused["flow_id"] == SUPPORT
    why = held_back_by(refused)
    assert set(why) == {"lockout"}
    left_s = int(why["lockout"].removesuffix(" s left"))
    assert moment(refused["at"]) + left_s == pytest.approx(over_at, abs=1.0)
    await_told_of_refusal(stack)

    def look() -> None:
        assert [sent["flow_id"] for sent in stack.publishes() if sent["at"] < over_at] == [FLOW]
        assert is_firing(stack, SUPPORT, SUPPORT_BAD) or time.time() > over_at

    look_on(look, for_s=over_at - time.time())
    second = await_confirmed(stack, SUPPORT)
    assert (second["accused_version"], second["target_version"]) == (SUPPORT_BAD, SUPPORT_GOOD)
    assert [(sent["flow_id"], sent["version"]) for sent in stack.publishes()] == [(FLOW, GOOD), (SUPPORT, SUPPORT_GOOD)]
    assert stack.publishes()[1]["at"] >= over_at
    assert (live_version(stack), live_version(stack, SUPPORT)) == (GOOD, SUPPORT_GOOD)
    assert len(rollbacks(stack)) == 2


def test_with_everything_killed_and_started_again_three_times_there_is_one_publish(start_stack: StartStack) -> None:
    stack = start_stack(World(scenario="calm"))
    # The receiver is killed before the answer, and the next one sees the effect only after a while.
    stack.sim("PUT", "faults", [{"kind": "slow", "delay_s": 80, "times": 1, "match": PUBLISH}])
    stack.sim("PUT", "settings", {"publish_time": 40.0, "effect_delay": 60.0})
    deploy_bad_version(stack)
    await_pending(stack)
    kill_and_start_again(stack)
    assert stack.publishes() == []

    await_publish(stack)
    publishing = the_rollback(stack)
    assert (publishing["state"], [permit["answer"] for permit in publishing["permits"]]) == ("publishing", [None])
    kill_and_start_again(stack)

    until(lambda: the_rollback(stack)["state"] == "verifying", "the publish is read back", within_s=ENDS_WITHIN_S)
    kill_and_start_again(stack)

    rollback = await_end(stack)
    assert (rollback["id"], rollback["state"]) == (publishing["id"], "succeeded")

    def look() -> None:
        assert len(stack.publishes()) == 1
        assert effects(stack) == [GOOD]
        assert live_version(stack) == GOOD

    look_on(look, for_s=stack.seconds(AFTERWARDS_S))
    assert len(rollbacks(stack)) == 1
    # At least once: what was delivered when the receiver was killed comes again, as the same event.
    told = {event["event_id"]: event["incident_type"] for event in stack.sink.received}
    assert list(told.values()) == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"]


def await_told_of_refusal(stack: Stack) -> None:
    def look() -> list[Json]:
        return [event for event in stack.sink.received if event["incident_type"] == "ROLLBACK_SUPPRESSED"]

    (event,) = until(look, "people hear of the refusal", within_s=FOLLOWS_WITHIN_S)
    assert (event["flow_id"], event["verdict"]) == (SUPPORT, "lockout")


def await_confirmed(stack: Stack, flow_id: str) -> Json:
    """The only rollback of a flow, once it is read back."""

    def look() -> list[Json]:
        return [one for one in rollbacks(stack) if one["flow_id"] == flow_id and one["confirmed_at"]]

    (rollback,) = until(look, "the rollback is read back", within_s=ENDS_WITHIN_S)
    return rollback


def kill_and_start_again(stack: Stack) -> None:
    """Exporter, receiver and Prometheus, all at once."""
    parts = ("receiver", "exporter", "prometheus")
    for name in parts:
        stack.processes[name].kill()
    for name in parts:
        stack.start(name)
