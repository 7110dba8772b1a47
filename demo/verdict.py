"""Did the demo show what it claims? Counted in the simulator's request log, not in what the bridge says of itself."""

from datetime import datetime

from demo.stack import Stack
from demo.story import FLOW_ID

ACCUSED, TARGET = "14.0", "13.0"  # in every scenario with a bad deploy


class Failed(Exception):
    """The demo did not show what it was to show."""


def check(stack: Stack) -> str:
    """The last line of a demo that went well. Raises Failed, which says what went wrong."""
    accepted = [one for one in stack.publishes() if one["status"] == 200]
    if len(accepted) != 1:
        raise Failed(f"{len(accepted)} publishes were accepted, one was to be")
    flow_id, version, effect_at = accepted[0]["flow_id"], accepted[0]["version"], accepted[0]["effect_at"]
    if (flow_id, version) != (FLOW_ID, TARGET):
        raise Failed(f"{version} of flow {flow_id} was published instead of {TARGET} of {FLOW_ID}")
    flow = next(flow for flow in stack.sim("GET", "state")["flows"] if flow["id"] == FLOW_ID)
    if flow["shown_version"] != TARGET:
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
