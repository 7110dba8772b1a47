"""The plots in which something else than a flow was changed: what is configured for them, and how they must end."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import httpx

from demo.stack import ORG, Stack
from demo.story import FLOW_ID
from demo.verdict import Failed

ACTION_ID = "custom_-_3b0d5a41-6f5e-4d0c-9a53-52c8c1a7e101"
IVR_ID = "1c6a5c0b-7a3f-4d0e-9c67-2f1f5e0b9a21"


def _policy(object_type: str, object_id: str) -> dict[str, Any]:
    return {"org": ORG, "type": object_type, "id": object_id, "mode": "approve", "owner": "integrations"}


OF_ACTION: Mapping[str, Any] = MappingProxyType(
    {
        "receiver": {"objects": [_policy("data_action", ACTION_ID)], "audit": True},
        "analytics": {"data_actions": [{"action_id": ACTION_ID, "flow_id": FLOW_ID}]},
        "watch": ("error_exit", "action_failure"),
    }
)
OF_IVR: Mapping[str, Any] = MappingProxyType({"receiver": {"objects": [_policy("ivr", IVR_ID)], "audit": True}})
"""What the files of the stack have beside the usual."""


def agree(stack: Stack) -> None:
    """A person looks at what would be written, and approves it."""
    for one in stack.api("GET", "rollbacks")["rollbacks"]:
        if one["state"] == "awaiting_approval":
            try:
                stack.api("POST", f"rollbacks/{one['id']}/approve", {"reason": "that is how it was"})
            except httpx.HTTPStatusError as problem:  # it may have ended since
                if problem.response.status_code != httpx.codes.CONFLICT:
                    raise


def restored(stack: Stack) -> str:
    """The last line of a demo with a restored object. Raises Failed, which says what went wrong."""
    writes = [one for one in stack.writes() if not one.get("publish")]
    if [one["status"] for one in writes] != [httpx.codes.OK]:
        answers = ", ".join(str(one["status"]) for one in writes)
        raise Failed(f"one write was to be sent and accepted; sent were {len(writes)} ({answers or 'none'})")
    if stack.publishes():
        raise Failed("a flow was published, and none was to be")
    (thing,) = stack.sim("GET", "state")["objects"]
    if thing["changed"]:
        raise Failed(f"{thing['type']} {thing['name']} is not as it was at first")
    rollback = next(one for one in stack.api("GET", "rollbacks")["rollbacks"] if one["flow_id"] == thing["id"])
    if rollback["state"] != "succeeded":
        raise Failed(f"it ended as {rollback['state']}: {rollback['reason']}")
    if not rollback["approved_by"]:
        raise Failed("nobody was asked")
    took_s = writes[0]["at"] - datetime.fromisoformat(rollback["approved_at"]).timestamp()
    kind = thing["type"].replace("_", " ")
    return f"demo: {kind} {thing['name']} restored, {took_s:.1f} s after a person had agreed"
