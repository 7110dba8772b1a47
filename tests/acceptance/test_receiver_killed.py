"""The receiver is killed with a publish under way, and the next one finds out what became of it."""

import pytest

from demo.stack import Stack, World
from tests.acceptance.looking import (
    GOOD,
    Json,
    await_end,
    await_no_lease,
    await_publish,
    await_told,
    effects,
    live_version,
    moment,
    the_rollback,
)
from tests.acceptance.stacks import StartStack

pytestmark = pytest.mark.acceptance

PUBLISH = {"method": "POST", "path_prefix": "/api/v2/flows/actions/publish"}
CALL_TIMEOUT_S = 10.0  # `timeout_s` of organizations.yml: real seconds, in time-lapse too
PUBLISH_DEADLINE_S = 180.0  # `publish_deadline_s` of receiver.yml: simulated


def test_a_publish_that_took_effect_is_not_sent_again_by_the_next_receiver(start_stack: StartStack) -> None:
    stack = start_stack(World())
    stack.sim("PUT", "faults", [{"kind": "slow", "delay_s": 80, "times": 1, "match": PUBLISH}])
    await_publish(stack)
    before = the_rollback(stack)
    assert (before["state"], [permit["answer"] for permit in before["permits"]]) == ("publishing", [None])
    _kill_and_restart_receiver(stack)

    rollback = await_end(stack)
    assert rollback["id"] == before["id"]
    assert rollback["state"] == "succeeded"
    assert effects(stack) == [GOOD]
    assert len(stack.publishes()) == 1
    assert live_version(stack) == GOOD
    await_no_lease(stack)
    await_told(stack, "AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED", in_order=False)


def test_a_publish_without_effect_is_sent_again_when_nobody_can_send_the_first_any_more(
    start_stack: StartStack,
) -> None:
    stack = start_stack(World())
    stack.sim("PUT", "faults", [{"kind": "drop_before", "times": 1, "match": PUBLISH}])
    await_publish(stack)
    before = the_rollback(stack)
    assert before["state"] == "publishing"
    _kill_and_restart_receiver(stack)

    rollback = await_end(stack)
    assert rollback["id"] == before["id"]
    assert rollback["state"] == "succeeded"
    assert effects(stack) == [GOOD]
    _, second = stack.publishes()
    assert second["at"] >= _nobody_sends_after(stack, rollback)
    await_no_lease(stack)
    await_told(stack, "AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED", in_order=False)


def _kill_and_restart_receiver(stack: Stack) -> None:
    stack.processes["receiver"].kill()
    stack.start("receiver")


def _nobody_sends_after(stack: Stack, rollback: Json) -> float:
    """When the first permit has run out, its call has timed out, and its publish has had all the time it may take."""
    valid_until = moment(rollback["permits"][0]["valid_until"])
    return valid_until + CALL_TIMEOUT_S + stack.seconds(PUBLISH_DEADLINE_S)
