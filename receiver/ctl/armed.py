"""In which share of the last week each flow was armed. Prometheus remembers it; the receiver knows only now.

Source: Prometheus' HTTP API, `GET /api/v1/query`: `data.result` is a vector of `metric` and `value` (time, text).
"""

from collections.abc import Mapping
from typing import Any

from receiver.outbound import Outbound, OutboundError

DAYS = 7
# As the dashboard *overview* asks. Every five minutes is enough for a share, and bounds what Prometheus has to read.
_STEPS = DAYS * 24 * 12
SHARE = f"max by (org, flow_id) (avg_over_time(genesys_rollback_armed[{DAYS}d:5m]))"
SEEN = f"max by (org, flow_id) (count_over_time(genesys_rollback_armed[{DAYS}d:5m])) / {_STEPS}"

Flow = tuple[str, str]
"""Organization and flow id."""


def shares(http: Outbound, url: str) -> dict[Flow, dict[str, float]]:
    """For each flow with mode auto `share`, the part of the looks at which it was armed, and `seen`, the part of the
    last seven days in which there was anything to look at; both in [0, 1]. Raises OutboundError.
    """
    base = url.rstrip("/")
    share, seen = _ask(http, base, SHARE), _ask(http, base, SEEN)
    # A look more than there are steps, where both ends of the range have one.
    return {flow: {"share": value, "seen": min(1.0, seen.get(flow, 0.0))} for flow, value in share.items()}


def _ask(http: Outbound, base: str, query: str) -> dict[Flow, float]:
    told = http.get_json(f"{base}/api/v1/query", {"query": query})
    try:
        return {_flow(one["metric"]): float(one["value"][1]) for one in told["data"]["result"]}
    except (KeyError, TypeError, ValueError, IndexError):
        raise OutboundError(f"{base} does not answer as Prometheus does; check --prometheus") from None


def _flow(labels: Mapping[str, Any]) -> Flow:
    return str(labels["org"]), str(labels["flow_id"])
