"""Maintenance holds the bridge back in two ways, each of which is enough: the inhibition and the receiver's windows.

A window that is opened while the alert is already on its way may be too late for
the inhibition, but never for the receiver.
"""

from datetime import UTC, datetime, timedelta

import pytest

from demo.breaks import Break
from demo.stack import ORG, Stack, World
from tests.acceptance.looking import (
    FLOW,
    FOLLOWS_WITHIN_S,
    Json,
    assert_held_back,
    assert_rolled_back_once,
    at_alertmanager,
    await_firing,
    await_pending,
    await_suppressed,
    await_told,
    decisions,
    deploy_bad_version,
    held_back_by,
    rollbackctl,
    until,
)
from tests.acceptance.stacks import StartStack

pytestmark = pytest.mark.acceptance

MAINTENANCE = "GenesysMaintenance"
HELD_BACK_S = 180.0  # simulated
A_MINUTE = 60.0  # simulated
LONG = timedelta(hours=1)


def test_in_a_maintenance_window_nothing_is_written_until_it_is_closed(start_stack: StartStack) -> None:
    stack = start_stack(World(scenario="calm"))
    window = rollbackctl(
        stack, "maintenance", "open", "--org", ORG, "--flow", FLOW, "--for", "1h", "--reason", "release 14"
    )
    deploy_bad_version(stack)
    await_firing(stack)
    assert_inhibited(stack)
    assert_held_back(stack, simulated_s=HELD_BACK_S)
    # What is inhibited is not sent: the receiver has found it in the list.
    (alert,) = stack.api("GET", "alerts")["alerts"]
    assert alert["source"] == "reconciliation"
    why = held_back_by(decisions(stack, "inhibited")[0])
    assert why == {"inhibited": MAINTENANCE, "maintenance": shown(window)}

    rollbackctl(stack, "maintenance", "close", window["id"])
    assert_rolled_back_once(stack)


def test_the_inhibition_alone_holds_back_if_it_comes_a_minute_before_the_alert(start_stack: StartStack) -> None:
    # The receiver has no window, and cannot see what Alertmanager suppresses: a webhook would be a rollback.
    stack = start_stack(World(scenario="calm", receiver={"alertmanagers": []}))
    deploy_bad_version(stack)
    await_pending(stack, left_s=A_MINUTE)
    begun = datetime.now(UTC)
    tell_of_maintenance(stack, begun, begun + LONG)
    await_firing(stack)
    assert_inhibited(stack)
    assert_held_back(stack, simulated_s=HELD_BACK_S)
    assert_inhibited(stack)
    assert stack.api("GET", "alerts")["alerts"] == []
    assert stack.api("GET", "decisions")["decisions"] == []

    tell_of_maintenance(stack, begun, datetime.now(UTC))
    assert_rolled_back_once(stack)
    guards = {guard["guard"]: guard["value"] for guard in decisions(stack, "roll_back")[-1]["guards"]}
    assert guards["inhibited"] == "off: no Alertmanager address is configured"
    assert guards["maintenance"] == "no window"


def test_the_window_alone_holds_back_where_the_inhibition_has_lost_the_race(start_stack: StartStack) -> None:
    # Without inhibit rules it loses every race.
    stack = start_stack(World(scenario="calm", broken=Break.INHIBIT))
    deploy_bad_version(stack)
    await_pending(stack, left_s=A_MINUTE)
    ends_at = (datetime.now(UTC) + LONG).isoformat()
    order = {"org": ORG, "flow_ids": [FLOW], "ends_at": ends_at, "reason": "release 14", "owner": "voice-team"}
    window = stack.api("POST", "maintenance", order)
    await_firing(stack)
    until(lambda: decisions(stack, "maintenance"), "the alert reaches the receiver", within_s=FOLLOWS_WITHIN_S)
    assert_held_back(stack, simulated_s=HELD_BACK_S)
    assert at_alertmanager(stack, MAINTENANCE), "everything is there for an inhibition but the rule"
    (failing,) = at_alertmanager(stack)
    assert failing["status"]["state"] == "active"
    (alert,) = stack.api("GET", "alerts")["alerts"]
    assert alert["source"] == "webhook"
    assert held_back_by(decisions(stack, "maintenance")[0]) == {"maintenance": shown(window)}
    await_told(stack, "ROLLBACK_SUPPRESSED")
    assert stack.sink.received[0]["reason"] == shown(window)

    stack.api("DELETE", f"maintenance/{window['id']}")
    assert_rolled_back_once(stack)


def assert_inhibited(stack: Stack) -> None:
    """The alert is at Alertmanager, and suppressed by the maintenance and nothing else."""
    suppressed = await_suppressed(stack, "inhibitedBy")
    (maintenance,) = at_alertmanager(stack, MAINTENANCE)
    assert suppressed["status"]["inhibitedBy"] == [maintenance["fingerprint"]]
    assert suppressed["status"]["silencedBy"] == []


def tell_of_maintenance(stack: Stack, begun: datetime, ends: datetime) -> None:
    """Send Alertmanager what a Prometheus sends that scrapes another receiver, which has the window."""
    labels = {"alertname": MAINTENANCE, "org": ORG, "flow_id": FLOW, "severity": "info"}
    alert = {"labels": labels, "startsAt": begun.isoformat(), "endsAt": ends.isoformat()}
    stack.alertmanager("POST", "alerts", [alert])


def shown(window: Json) -> str:
    """How a decision names a window: whose it is, until when, and why."""
    whose = window["owner"] or window["created_by"]
    until_when = datetime.fromisoformat(window["ends_at"]).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"maintenance window {window['id']} of {whose} until {until_when}: {window['reason']}"
