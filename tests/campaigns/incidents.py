"""What happens to flows in a campaign, and how Alertmanager tells of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from receiver.payload import parse

VARIANTS = 2  # of each alert: what distinguishes them is not part of an incident
LASTS_S = 60.0


class Kind(StrEnum):
    """What an incident is, and with that whether it has to be rolled back."""

    BAD = "bad"  # a bad version is live: exactly one publish
    FORGED = "forged"  # the accused flow is healthy
    OVER = "over"  # a bad version is live, but its alert had ended before it arrived
    HELD = "held"  # a bad version is live, and people keep the bridge's hands off it

    @property
    def has_bad_version(self) -> bool:
        return self is not Kind.FORGED


@dataclass(frozen=True)
class Incident:
    """Something about one version of one flow, from `began_at` on (Unix seconds)."""

    org: str
    flow_id: str
    version: str
    kind: Kind
    began_at: float

    def alert(self, variant: int, *, firing: bool) -> dict[str, Any]:
        """One of its alerts as Alertmanager delivers it.

        Variants have another fingerprint, as from a second Prometheus whose own label was not dropped, and have begun
        at another time, as an alert that flaps.
        """
        labels = {
            "alertname": "GenesysFlowFailing",
            "org": self.org,
            "flow_id": self.flow_id,
            "flow_version": self.version,
            "signal": "error_exit",
            "severity": "critical",
            "genesys_action": "rollback",
            "genesys_contract": "1",
        } | ({"replica": f"prometheus-{variant}"} if variant else {})
        starts_at = self.began_at + variant
        return {
            "status": "firing" if firing else "resolved",
            "labels": labels,
            "annotations": {"summary": f"{self.flow_id} fails", "live_since": f"{self.began_at:.3f}"},
            "startsAt": _rfc3339(starts_at),
            "endsAt": "0001-01-01T00:00:00Z" if firing else _rfc3339(starts_at + LASTS_S),
            "generatorURL": "http://prometheus/graph",
            "fingerprint": sha256(repr(sorted(labels.items())).encode()).hexdigest()[:16],
        }


def payload(alerts: Sequence[dict[str, Any]]) -> bytes:
    """One delivery, as Alertmanager writes it."""
    firing = any(alert["status"] == "firing" for alert in alerts)
    return json.dumps(
        {
            "receiver": "rollback-receiver",
            "status": "firing" if firing else "resolved",
            "alerts": list(alerts),
            "groupLabels": {},
            "commonLabels": {"genesys_action": "rollback"},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager:9093",
            "version": "4",
            "groupKey": '{}/{genesys_action="rollback"}:{}',
            "truncatedAlerts": 0,
        }
    ).encode()


def keys(body: bytes) -> set[tuple[str, float]]:
    """By what a receiver knows the alerts of a delivery: fingerprint and start."""
    return {(alert.fingerprint, alert.starts_at) for alert in parse(json.loads(body)).alerts}


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
