"""What each scenario is to show: what people do in it, and how it must end.

A plot ends with a rollback that is counted in the simulator, or with nothing
written and the proof of what held the bridge back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from demo.objects import OF_ACTION, OF_IVR, agree, restored
from demo.stack import ORG, Stack
from demo.story import ALERT, FLOW_ID, OBJECT_ALERT
from demo.verdict import decided, never_fired, rolled_back, suppressed

_LONG = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Plot:
    """`prepare` runs once all is up. `proof` gives the last line, `why_not` what held back; either may raise Failed."""

    scenario: str
    prepare: Callable[[Stack], None] | None = None
    why_not: Callable[[Stack], str] | None = None  # None: it must be rolled back
    world: Mapping[str, Any] = field(default_factory=dict)  # what the stack's files have beside the usual
    meanwhile: Callable[[Stack], None] | None = None  # what people do, again and again
    alert: str = ALERT
    proof: Callable[[Stack], str] = rolled_back
    receivers: int = 1
    watch_s: float = 14 * 60.0  # simulated seconds; a bad deploy of these scenarios fires in eight and a half minutes


def _open_window(stack: Stack) -> None:
    ends_at = (datetime.now(UTC) + _LONG).isoformat()
    stack.api("POST", "maintenance", {"org": ORG, "flow_ids": [FLOW_ID], "ends_at": ends_at, "reason": "release 14"})


def _silence(stack: Stack) -> None:
    now = datetime.now(UTC)
    matcher = {"name": "flow_id", "value": FLOW_ID, "isRegex": False, "isEqual": True}
    stack.alertmanager(
        "POST",
        "silences",
        {
            "matchers": [matcher],
            "startsAt": now.isoformat(),
            "endsAt": (now + _LONG).isoformat(),
            "createdBy": "on-call",
            "comment": "we are on it",
        },
    )


def _forge_alert(stack: Stack) -> None:
    """What somebody with a stolen token could send: a well-formed alert for a new version that is healthy."""
    labels = {
        "alertname": ALERT,
        "org": ORG,
        "flow_id": FLOW_ID,
        "flow_version": "14.0",
        "signal": "error_exit",
        "severity": "critical",
        "genesys_action": "rollback",
        "genesys_contract": "1",
    }
    alert = {"status": "firing", "labels": labels, "startsAt": datetime.now(UTC).isoformat()}
    stack.deliver({"version": "4", "alerts": [alert]})


def _look_back(stack: Stack) -> None:
    """For a while nobody sees what the other has published: reading before writing cannot tell them apart."""
    stack.sim("PUT", "faults", [{"kind": "stale_reads", "age_s": 100}])


PLOTS: Mapping[str, Plot] = MappingProxyType(
    {
        "bad-deploy": Plot("bad-deploy"),
        "data-action": Plot("data-action", world=OF_ACTION, meanwhile=agree, alert=OBJECT_ALERT, proof=restored),
        "ivr": Plot("ivr", world=OF_IVR, meanwhile=agree, alert=OBJECT_ALERT, proof=restored),
        "two-receivers": Plot("bad-deploy", _look_back, receivers=2),
        "rate-limited": Plot("rate-limited"),
        "platform-outage": Plot("platform-outage"),
        "low-traffic": Plot("low-traffic", why_not=never_fired, watch_s=25 * 60.0),
        "flapping": Plot("flapping", why_not=never_fired),
        "burst": Plot("burst", why_not=never_fired),
        "maintenance": Plot("maintenance", _open_window, lambda stack: suppressed(stack, "inhibitedBy")),
        "silenced": Plot("silenced", _silence, lambda stack: suppressed(stack, "silencedBy")),
        "backend-outage": Plot("backend-outage", why_not=lambda stack: decided(stack, "established", "common_cause")),
        "forged-alert": Plot("burst", _forge_alert, lambda stack: decided(stack, "not_confirmed"), watch_s=240.0),
    }
)
