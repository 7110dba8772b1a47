"""What happens in a stack, as lines for a person: each with its time, its source, and what was seen there.

Nothing is told from memory of what should happen: every line comes from one of
the running programs, asked over HTTP.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from demo.stack import Stack

FLOW_ID = "ce677f29-f403-470c-adb0-8bfa6bf81d69"  # Main IVR, in every scenario
ALERT = "GenesysFlowFailing"
OBJECT_ALERT = "GenesysObjectFailing"


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `key` tells it from all others, so that it is told once. `at` in Unix seconds."""

    key: str
    at: float
    source: str
    text: str


class Story:
    """Asks every part of the stack what is new, and gives it in the order in which it happened."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._told: set[str] = set()
        self._watchers: tuple[Callable[[], Iterator[Line]], ...] = (
            self._simulator,
            self._prometheus,
            self._alertmanager,
            self._receiver,
            self._notifications,
        )

    def news(self) -> list[Line]:
        """What has not been told yet, oldest first; a part that does not answer is asked again next time."""
        found: list[Line] = []
        for watcher in self._watchers:
            try:
                found += [line for line in watcher() if line.key not in self._told]
            except httpx.HTTPError:
                continue
        self._told.update(line.key for line in found)
        return sorted(found, key=lambda line: line.at)

    def _simulator(self) -> Iterator[Line]:
        state = self._stack.sim("GET", "state")
        flow = next(flow for flow in state["flows"] if flow["id"] == FLOW_ID)
        first = min(flow["versions"], key=lambda label: flow["versions"][label])
        live = flow["live_version"]
        ratio = flow["versions"][live]
        if "began" not in self._told:
            yield Line(
                "began",
                state["now"],
                "simulator",
                f"{len(state['flows'])} flows take calls; {flow['name']} {live}: {flow['calls_per_min']:g} calls a "
                f"minute, {ratio:.0%} of them end in an error",
            )
        elif ratio > 10 * flow["versions"][first]:
            yield Line(
                f"deployed {live}",
                flow["live_since"],
                "simulator",
                f"{live} of {flow['name']} is published: {ratio:.0%} of its callers end in an error",
            )
        for thing in state["objects"]:
            if thing["changed"] or f"changed {thing['id']} True" in self._told:
                text = "is not as it was: its callers suffer" if thing["changed"] else "is as it was"
                name = f"{thing['type'].replace('_', ' ')} {thing['name']}"
                yield Line(f"changed {thing['id']} {thing['changed']}", state["now"], "simulator", f"{name} {text}")
        for request in self._stack.writes():
            query = f"?{request['query']}" if request["query"] else ""
            yield Line(
                f"write {request['seq']}",
                request["at"],
                "simulator",
                f"{request['method']} {request['path']}{query} -> HTTP {request['status'] or 'none'}",
            )

    def _prometheus(self) -> Iterator[Line]:
        live = f'on (flow_id, flow_version) genesys_flow_live_since_timestamp_seconds{{flow_id="{FLOW_ID}"}}'
        allowed = ""
        for sample in self._stack.prometheus(f'genesys_flow_threshold_ratio{{flow_id="{FLOW_ID}"}}'):
            allowed = f" (allowed {float(sample['value'][1]):.1%})"
        for sample in self._stack.prometheus(f'org_flow:genesys_flow_error_ratio{{window="5m"}} and {live}'):
            at, version, ratio = sample["value"][0], sample["metric"]["flow_version"], float(sample["value"][1])
            minute = int(at // self._stack.seconds(60))
            text = f"{version} is live: {ratio:.1%} errors in its newest five minutes{allowed}"
            yield Line(f"ratio {version} {minute}", at, "prometheus", text)
        for sample in self._stack.prometheus(f'ALERTS{{alertname=~"{ALERT}|{OBJECT_ALERT}"}}'):
            labels = sample["metric"]
            what = f"{labels['object_type']} {labels['object_id']}" if "object_type" in labels else ""
            about = what or f"version {labels['flow_version']}"
            yield Line(
                f"alert {about} {labels['alertstate']}",
                sample["value"][0],
                "prometheus",
                f"{labels['alertname']} for {about} is {labels['alertstate']}",
            )

    def _alertmanager(self) -> Iterator[Line]:
        for alert in self._stack.alerts():
            if alert["labels"]["alertname"] in (ALERT, OBJECT_ALERT):
                name = alert["labels"]["alertname"]
                state = alert["status"]["state"]
                receivers = ", ".join(receiver["name"] for receiver in alert["receivers"])
                yield Line(
                    f"alertmanager {alert['fingerprint']} {alert['startsAt']} {state}",
                    _seconds(alert["startsAt"]),
                    "alertmanager",
                    f"{name} is {state}, routed to {receivers}",
                )

    def _receiver(self) -> Iterator[Line]:
        for alert in self._stack.api("GET", "alerts")["alerts"]:
            about = " of ".join(word for word in (alert["flow_version"], alert["flow_id"]) if word)
            by = "webhook" if alert["source"] == "webhook" else "Alertmanager's list"
            text = f"{by}: alert about {about} stored"
            yield Line(f"stored {alert['id']}", _seconds(alert["received_at"]), "receiver", text)
        rolled_back: set[str] = set()
        for decision in reversed(self._stack.api("GET", "decisions")["decisions"]):
            yield from _decision_lines(decision, again=decision["rollback_id"] in rolled_back)
            rolled_back |= {decision["rollback_id"]} - {None}
        for rollback in self._stack.api("GET", "rollbacks")["rollbacks"]:
            for number, step in enumerate(self._stack.api("GET", f"rollbacks/{rollback['id']}")["steps"]):
                detail = ", ".join(f"{name} {value}" for name, value in step["detail"].items())
                way = f"{rollback['accused_version']} -> {rollback['target_version']}"
                yield Line(
                    f"step {rollback['id']} {number}",
                    _seconds(step["at"]),
                    "receiver",
                    f"rollback {way}: {step['event']} ({detail})",
                )

    def _notifications(self) -> Iterator[Line]:
        for at, told in self._stack.sink.received_at:
            counted = f"{told['errors']} errors of {told['volume']} in {told['window']}"
            yield Line(
                f"told {told['event_id']}",
                at,
                "notification",
                f"{told['incident_type']}: {told['flow_name']} {told['accused_version_id']}, {counted}; "
                f"{told['action_taken']}" + (f"; {told['reason']}" if told["reason"] else ""),
            )


def _decision_lines(decision: dict[str, Any], *, again: bool) -> Iterator[Line]:
    """The verdict; with every guard, its value and its limit, when it is the one that begins a rollback."""
    at, key = _seconds(decision["at"]), f"decision {decision['id']}"
    verdict, about = decision["verdict"], f"about {decision['flow_version'] or decision['flow_id']}"
    if again:
        yield Line(key, at, "receiver", f"decision {about}, anew on fresh facts before the write: {verdict}")
        return
    yield Line(key, at, "receiver", f"decision {about}: {verdict}")
    if decision["rollback_id"]:
        for number, guard in enumerate(decision["guards"]):
            text = f"  {guard['guard']:<20} {guard['value']}  [asked for: {guard['limit']}]"
            yield Line(f"{key} {number}", at, "receiver", text)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()
