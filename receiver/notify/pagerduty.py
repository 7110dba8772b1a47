"""PagerDuty, Events API v2: one page per incident, resolved when it has ended well, and a change for what was done.

Source of the fields, lengths and answers: PagerDuty's developer documentation, "Send an Alert Event", "Send a Change
Event" and "Events API v2 Overview" (202 taken; 400 never; 429 and 5xx again).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from receiver.notify.kinds import ENDED_WELL, NEEDS_PEOPLE, IncidentType, kind_of
from receiver.notify.settings import PagerDuty
from receiver.notify.sink import Event, Http, given, shortened, taken
from receiver.notify.wording import Wording, worded
from receiver.outbound import OutboundError

ALERT, CHANGE = "/v2/enqueue", "/v2/change/enqueue"
CLIENT = "Genesys Rollback Bridge"
MAX_SUMMARY_CHARS = 1024
MAX_KEY_CHARS = 255

_SEVERITIES = {
    IncidentType.ROLLBACK_FAILED: "critical",
    IncidentType.ROLLBACK_INEFFECTIVE: "critical",
    IncidentType.ALERT_PATH_SILENT: "critical",
    IncidentType.AUTO_ROLLBACK_TRIGGERED: "warning",
    IncidentType.KNOWN_BAD_DEPLOYED: "warning",
    IncidentType.TEST: "info",
}
_DETAILS = (
    "incident_type",
    "org",
    "flow_id",
    "owner",
    "errors",
    "volume",
    "window",
    "error_rate_breach",
    "threshold_breach",
    "accused_version_id",
    "target_version_id",
    "verdict",
    "reason",
    "published_by",
    "commit",
    "deployed_by",
    "rollback_id",
    "audit_head",
)

Request = tuple[str, dict[str, Any]]
"""The path and the document of one call."""


@dataclass(frozen=True, slots=True)
class PagerDutySink:
    """One integration. An end that overtakes its beginning would leave a page that nobody resolves."""

    settings: PagerDuty
    http: Http
    zone: tzinfo

    @property
    def name(self) -> str:
        return self.settings.name

    def line(self, event: Event, event_id: str) -> str:  # noqa: ARG002
        """One for all: the end of a rollback resolves the page of what was held back before it too."""
        return ""

    def send(self, event: Event, event_id: str) -> str:
        """A repeat adds to the same alert, and is one more line among the changes."""
        key = self.settings.routing_key
        done = []
        for path, body in self._requests(event, event_id):
            document = {"routing_key": key.get_secret_value()} | body
            try:
                answer = self.http.call("POST", f"{self.settings.url.rstrip('/')}{path}", body=document)
                taken("PagerDuty", answer, key)
            except OutboundError as problem:
                if path != CHANGE:
                    raise
                done.append(f"change not taken ({problem})")  # pages nobody, and keeps no page waiting
            else:
                done.append(body.get("event_action", "change"))
        return ", ".join(done) or "nothing to say of such an event"

    def _requests(self, event: Event, event_id: str) -> Iterator[Request]:
        kind, words = kind_of(event.get("incident_type")), worded(event, self.zone)
        if kind is IncidentType.TEST:
            key = f"test/{event_id}"
            yield ALERT, _trigger(event, words, key, kind)
            yield ALERT, _resolve(key)
        elif kind in ENDED_WELL:
            for key in _keys(event):
                yield ALERT, _resolve(key)
            yield CHANGE, _change(event, words)
        elif kind in NEEDS_PEOPLE or (self.settings.page_at_start and kind is IncidentType.AUTO_ROLLBACK_TRIGGERED):
            yield ALERT, _trigger(event, words, _keys(event)[0], kind)


def _keys(event: Event) -> list[str]:
    """The alert's key first: the rollback's id; then that of what was told before there was a rollback.

    Without a flow it is about the bridge itself.
    """
    names = [event.get(name) for name in ("org", "flow_id", "accused_version_id")]
    about = "/".join(str(name) for name in names) if all(names) else f"bridge/{event.get('incident_type')}"
    return [shortened(str(key), MAX_KEY_CHARS) for key in (event.get("rollback_id"), about) if key]


def _trigger(event: Event, words: Wording, key: str, kind: IncidentType | None) -> dict[str, Any]:
    severity = "error" if kind is None else _SEVERITIES.get(kind, "error")
    return given(
        {
            "event_action": "trigger",
            "dedup_key": key,
            "client": CLIENT,
            "client_url": event.get("console_url"),
            "links": _links(event) or None,
            "payload": _payload(event, words)
            | given(
                {
                    "severity": severity,
                    "component": event.get("flow_name"),
                    "group": event.get("division"),
                    "class": event.get("signal"),
                }
            ),
        }
    )


def _resolve(key: str) -> dict[str, Any]:
    return {"event_action": "resolve", "dedup_key": key}


def _change(event: Event, words: Wording) -> dict[str, Any]:
    return given({"payload": _payload(event, words), "links": _links(event) or None})


def _payload(event: Event, words: Wording) -> dict[str, Any]:
    """What alerts and changes have in common."""
    source = "/".join(str(event[name]) for name in ("org", "flow_id") if event.get(name))
    return given(
        {
            "summary": shortened(words.text, MAX_SUMMARY_CHARS),
            "source": source or "genesys-rollback-bridge",
            "timestamp": event.get("timestamp"),
            "custom_details": given({name: event.get(name) for name in _DETAILS}),
        }
    )


def _links(event: Event) -> list[dict[str, str]]:
    url = event.get("console_url")
    return [] if not url else [{"href": str(url), "text": "On the console: what happened, and what can be done"}]
