"""Did the demo show what it claims? Counted in the simulator's request log, not in what the bridge says of itself."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from demo.stack import Stack
from demo.story import ALERT, FLOW_ID

ACCUSED, TARGET = "14.0", "13.0"  # in every scenario with a bad deploy


class Failed(Exception):
    """The demo did not show what it was to show."""


def rolled_back(stack: Stack) -> str:
    """The last line of a demo with a rollback. Raises Failed, which says what went wrong."""
    publishes = stack.publishes()
    accepted = [one for one in publishes if one["status"] == 200]
    limited = [one for one in publishes if one["status"] == 429]
    if len(accepted) != 1 or len(publishes) != 1 + len(limited):
        answers = ", ".join(str(one["status"]) for one in publishes)
        raise Failed(f"one publish was to be sent and accepted; sent were {len(publishes)} ({answers or 'none'})")
    flow_id, version, effect_at = accepted[0]["flow_id"], accepted[0]["version"], accepted[0].get("effect_at")
    if (flow_id, version) != (FLOW_ID, TARGET):
        raise Failed(f"{version} of flow {flow_id} was published instead of {TARGET} of {FLOW_ID}")
    flow = _flow(stack)
    if flow["shown_version"] != TARGET or effect_at is None:
        raise Failed(f"{flow['shown_version']} is live, not {TARGET}")
    rollback = stack.api("GET", "rollbacks")["rollbacks"][0]
    if rollback["state"] != "succeeded":
        raise Failed(f"the rollback ended as {rollback['state']}: {rollback['reason']}")
    fired_at = min(
        datetime.fromisoformat(alert["starts_at"]).timestamp() for alert in stack.api("GET", "alerts")["alerts"]
    )
    return (
        f"demo: flow {flow['name']} rolled back from {ACCUSED} to {TARGET}, "
        f"{effect_at - fired_at:.1f} s after the alert fired"
    )


def left_alone(stack: Stack, why_not: Callable[[Stack], str]) -> str:
    """The last line of a demo in which nothing may be written. Raises Failed if something was, or without a reason."""
    publishes = stack.publishes()
    if publishes:
        raise Failed(f"nothing was to be published; sent were {', '.join(one['version'] for one in publishes)}")
    return f"demo: nothing was rolled back, as it should be: {why_not(stack)}"


def never_fired(stack: Stack) -> str:
    """The rules did not accuse anybody, although there were errors."""
    fired = stack.prometheus(f'count_over_time(ALERTS{{alertname="{ALERT}",alertstate="firing"}}[1h])')
    if fired or stack.api("GET", "alerts")["alerts"]:
        raise Failed(f"{ALERT} fired, and was not to")
    ratios = stack.prometheus(
        f'max_over_time(org_flow:genesys_flow_error_ratio{{flow_id="{FLOW_ID}",window="1m"}}[1h])'
    )
    highest = max((float(sample["value"][1]) for sample in ratios), default=0.0)
    if not highest:
        raise Failed("there were no errors at all: nothing was shown")
    return f"{highest:.0%} errors in the worst minute, but neither beyond chance nor lasting, so no alert fired"


def suppressed(stack: Stack, by: str) -> str:
    """The alert fires, and Alertmanager suppresses it."""
    if not stack.prometheus(f'ALERTS{{alertname="{ALERT}",alertstate="firing",flow_id="{FLOW_ID}"}}'):
        raise Failed(f"{ALERT} does not fire: nothing was held back")
    for alert in stack.alerts():
        if alert["labels"]["alertname"] == ALERT and alert["status"][by]:
            how = {"silencedBy": "silenced", "inhibitedBy": "inhibited by the maintenance window"}[by]
            return f"{ALERT} fires and is {how}"
    raise Failed(f"{ALERT} fires, and Alertmanager does not suppress it")


def decided(stack: Stack, *verdicts: str) -> str:
    """Alerts reached the receiver, and it refused for one of these reasons."""
    newest: dict[str, dict[str, Any]] = {}
    for decision in reversed(stack.api("GET", "decisions")["decisions"]):
        if decision["verdict"] in verdicts:
            newest[decision["flow_id"]] = decision
    if not newest:
        raise Failed(f"no alert was refused as {' or '.join(verdicts)}")
    found = next(iter(newest.values()))
    guard = next(guard for guard in found["guards"] if guard["guard"] == found["verdict"])
    return f"{len(newest)} alert(s) refused, {found['verdict']}: {guard['value']}"


def _flow(stack: Stack) -> dict[str, Any]:
    flow: dict[str, Any] = next(flow for flow in stack.sim("GET", "state")["flows"] if flow["id"] == FLOW_ID)
    return flow
