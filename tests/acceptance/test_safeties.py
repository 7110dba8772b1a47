"""Whatever people have stopped stays stopped although the alert fires; and the same world without it is rolled back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from demo.stack import ORG, Stack, World
from tests.acceptance.looking import (
    FLOW,
    FOLLOWS_WITHIN_S,
    Json,
    assert_held_back,
    assert_rolled_back_once,
    at_alertmanager,
    await_firing,
    await_told,
    decisions,
    deploy_bad_version,
    rollbackctl,
    told,
    until,
)
from tests.acceptance.stacks import StartStack

pytestmark = pytest.mark.acceptance

BEFORE_THE_DEPLOY = World(scenario="calm")
HELD_BACK_S = 180.0  # simulated


def test_in_a_maintenance_window_nothing_is_written_until_it_is_closed(start_stack: StartStack) -> None:
    stack = start_stack(BEFORE_THE_DEPLOY)
    window = rollbackctl(
        stack, "maintenance", "open", "--org", ORG, "--flow", FLOW, "--for", "1h", "--reason", "release 14"
    )
    deploy_bad_version(stack)
    await_firing(stack)
    suppressed = _await_suppressed(stack, "inhibitedBy")
    (maintenance,) = at_alertmanager(stack, "GenesysMaintenance")
    assert suppressed["status"]["inhibitedBy"] == [maintenance["fingerprint"]]
    assert_held_back(stack, simulated_s=HELD_BACK_S)
    assert decisions(stack, "inhibited")  # what is inhibited is not sent: the receiver has found it in the list

    rollbackctl(stack, "maintenance", "close", window["id"])
    assert_rolled_back_once(stack)


def test_while_paused_the_refusal_is_explained_and_nothing_is_written_until_it_is_resumed(
    start_stack: StartStack,
) -> None:
    stack = start_stack(BEFORE_THE_DEPLOY)
    stack.api("PUT", "pause", {"reason": "major incident 4711"})
    deploy_bad_version(stack)
    await_firing(stack)
    until(lambda: decisions(stack, "paused"), "the alert reaches the receiver", within_s=FOLLOWS_WITHIN_S)
    assert_held_back(stack, simulated_s=HELD_BACK_S)
    newest = decisions(stack, "paused")[0]
    (holding_back,) = [guard for guard in newest["guards"] if guard["holds_back"]]
    assert holding_back["guard"] == "paused"
    assert holding_back["value"] == "everything paused by operator: major incident 4711"
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
    suppressed = _await_suppressed(stack, "silencedBy")
    assert suppressed["status"]["silencedBy"] == [silence_id]
    assert_held_back(stack, simulated_s=HELD_BACK_S)
    (alert,) = stack.api("GET", "alerts")["alerts"]
    assert alert["source"] == "reconciliation"  # what is silenced is not sent
    (silenced,) = [guard for guard in decisions(stack, "silenced")[0]["guards"] if guard["holds_back"]]
    assert silenced["value"].startswith(f"silence {silence_id} by voice-team until ")

    _alertmanager(stack, "DELETE", f"silence/{silence_id}")
    assert_rolled_back_once(stack)


def _await_suppressed(stack: Stack, by: str) -> Json:
    """The alert at Alertmanager, once it is suppressed."""

    def look() -> list[Json]:
        return [alert for alert in at_alertmanager(stack) if alert["status"][by]]

    (alert,) = until(look, f"the alert is suppressed at Alertmanager: {by}", within_s=FOLLOWS_WITHIN_S)
    assert alert["status"]["state"] == "suppressed"
    return alert


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
    created = _alertmanager(stack, "POST", "silences", silence)
    return str(created["silenceID"])


def _alertmanager(stack: Stack, method: str, path: str, body: object = None) -> Any:
    answer = httpx.request(method, f"{stack.urls['alertmanager']}/api/v2/{path}", json=body, timeout=10)
    answer.raise_for_status()
    return answer.json() if answer.content else None
