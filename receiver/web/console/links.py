"""Where people find more: addresses within the console, and those of Prometheus, Grafana and the runbook. Pure."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from receiver.config import Links

_RANGE = "2h"  # around now: what the graph shows at first


class Link(NamedTuple):
    """What it is called, and where it leads."""

    text: str
    url: str


def relative(here: str, there: str) -> str:
    """From one path of the receiver to another, so that it holds below whatever path a proxy has put it."""
    return "../" * (here.count("/") - 1) + there.lstrip("/")


def elsewhere(links: Links, org: str, flow_id: str, annotations: Mapping[str, str] | None = None) -> list[Link]:
    """The graph, the dashboard and the runbook, as far as they are configured or told by an alert.

    What an alert says is believed only if it is an address of the web: it may come from anybody with that token.
    """
    found = []
    told = annotations or {}
    if links.prometheus is not None:
        selector = f"org={_quoted(org)},flow_id={_quoted(flow_id)}"
        query = {"g0.expr": f"org_flow:genesys_flow_error_ratio{{{selector}}}", "g0.tab": "0", "g0.range_input": _RANGE}
        found.append(Link("Prometheus", f"{links.prometheus.rstrip('/')}/graph?{urlencode(query)}"))
    dashboard = told.get("dashboard_url", "")
    if is_web(dashboard):
        found.append(Link("Dashboard", dashboard))
    elif links.grafana is not None:
        query = {"var-org": org, "var-flow_id": flow_id}
        found.append(Link("Dashboard", f"{links.grafana.rstrip('/')}/d/genesys-flow?{urlencode(query)}"))
    runbook = told.get("runbook_url", "")
    if is_web(runbook):
        found.append(Link("Runbook", runbook))
    return found


def is_web(url: str) -> bool:
    """Whether it may be linked: nothing but http and https, so that no link is a script."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _quoted(value: str) -> str:
    """A string of PromQL."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
