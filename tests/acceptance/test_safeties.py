"""Whatever people have stopped stays stopped although the alert fires; and the same world without it is rolled back."""

from datetime import UTC, datetime, timedelta

import pytest

from demo.stack import Stack, World
from tests.acceptance.looking import (
    FLOW,
    FOLLOWS_WITHIN_S,
    assert_held_back,
    assert_rolled_back_once,
    await_firing,
    await_suppressed,
    await_told,
    decisions,
    deploy_bad_version,
    held_back_by,
    told,
    until,
)
from tests.acceptance.stacks import StartStack

pytestmark = pytest.mark.acceptance

BEFORE_THE_DEPLOY = World(scenario="calm")
HELD_BACK_S = 180.0  # simulated


def test_while_paused_the_refusal_is_explained_and_nothing_is_written_until_it_is_resumed(
    start_stack: StartStack,
) -> None:
    stack = start_stack(BEFORE_THE_DEPLOY)
    stack.api("PUT", "pause", {"reason": "major incident 4711"})
    deploy_bad_version(stack)
    await_firing(stack)
    until(lambda: decisions(stack, "paused"), "the alert reaches the receiver", within_s=FOLLOWS_WITHIN_S)
    assert_held_back(stack, simulated_s=HELD_BACK_S)
    why = held_back_by(decisions(stack, "paused")[0])
    assert why == {"paused": "everything paused by operator: major incident 4711"}
    await_told(stack, "ROLLBACK_SUPPRESSED")
    assert stack.sink.received[0]["verdict"] == "paused"

    stack.api("DELETE", "pause")
    assert_rolled_back_once(stack)
    assert "AUTO_ROLLBACK_TRIGGERED" in told(stack)


def test_behind_a_silence_nothing_is_written_until_it_expires(start_stack: StartStack) -> None:
    stack = start_stack(BEFORE_THE_DEPLOY)
    silence_id = _silence(stack)
    deploy_bad_version(stack)
    await_firing(stack)
    suppressed = await_suppressed(stack, "silencedBy")
    assert suppressed["status"]["silencedBy"] == [silence_id]
    assert_held_back(stack, simulated_s=HELD_BACK_S)
    (alert,) = stack.api("GET", "alerts")["alerts"]
    assert alert["source"] == "reconciliation"  # what is silenced is not sent
    why = held_back_by(decisions(stack, "silenced")[0])
    assert set(why) == {"silenced"}
    assert why["silenced"].startswith(f"silence {silence_id} by voice-team until ")

    stack.alertmanager("DELETE", f"silence/{silence_id}")
    assert_rolled_back_once(stack)


def _silence(stack: Stack) -> str:
    now = datetime.now(UTC)
    matcher = {"name": "flow_id", "value": FLOW, "isRegex": False, "isEqual": True}
    silence = {
        "matchers": [matcher],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "voice-team",
        "comment": "we are on it",
    }
    created = stack.alertmanager("POST", "silences", silence)
    return str(created["silenceID"])
