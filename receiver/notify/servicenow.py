"""ServiceNow: one incident per rollback, found again by its `correlation_id`, so that a repeat updates it.

Source: ServiceNow's Table API (`GET` and `POST /api/now/table/incident`, `PATCH /api/now/table/incident/{sys_id}`,
`sysparm_query`, `sysparm_fields`, `sysparm_limit`; the answer's `result`), and the fields of its table `incident`. What
else an instance asks of an incident, and by which state it calls it over, is the instance's: see the settings.
"""

from dataclasses import dataclass
from datetime import tzinfo
from http import HTTPStatus
from typing import Any

from receiver.notify.kinds import ENDED_WELL, NEEDS_PEOPLE, IncidentType, kind_of
from receiver.notify.settings import ServiceNow
from receiver.notify.sink import Event, Http, Refusal, shortened, taken
from receiver.notify.wording import Wording, worded
from receiver.outbound import Answer, Method, OutboundError

TABLE = "/api/now/table/incident"
SERVICE = "ServiceNow"
OURS = "Genesys Rollback Bridge"  # in `correlation_display`: by that our own incidents are known again
MAX_SHORT_CHARS = 160  # of short_description, as instances are shipped; a longer one is cut without a word
MAX_CORRELATION_CHARS = 100

_OPENS = NEEDS_PEOPLE | {IncidentType.AUTO_ROLLBACK_TRIGGERED, IncidentType.TEST}


@dataclass(frozen=True, slots=True)
class ServiceNowSink:
    """One instance. Each incident's events keep their order: the first opens it, the others are its work notes."""

    settings: ServiceNow
    http: Http
    zone: tzinfo

    @property
    def name(self) -> str:
        return self.settings.name

    def line(self, event: Event, event_id: str) -> str:
        """One for each incident: whoever does not take a change of one keeps nobody from the others."""
        return _key(event, event_id)

    def send(self, event: Event, event_id: str) -> str:
        """A repeat is one more work note in the same incident. What has ended well opens none."""
        kind, words = kind_of(event.get("incident_type")), worded(event, self.zone)
        if kind not in _OPENS | ENDED_WELL:
            return "nothing to say of such an event"
        key = _key(event, event_id)
        found = self._find(key)
        over = dict(self.settings.fields_when_over) if kind in ENDED_WELL or kind is IncidentType.TEST else {}
        if over:
            over["close_notes"] = words.text
        if found is not None:
            return self._update(found, {"work_notes": words.text} | over)
        if kind in ENDED_WELL:
            return "no incident to update"
        self._call("POST", TABLE, body=self._new(key, words) | over)
        return "incident created"

    def _update(self, sys_id: str, body: dict[str, Any]) -> str:
        """A 403 is about this incident (a closed one, a data policy), and would be the answer for ever: a Refusal."""
        answer = self.http.call(
            "PATCH", f"{self.settings.url.rstrip('/')}{TABLE}/{sys_id}", body=body, headers=self.settings.headers()
        )
        try:
            taken(SERVICE, answer, self.settings.password, self.settings.api_key)
        except OutboundError as problem:
            if answer.status == HTTPStatus.FORBIDDEN:
                raise Refusal(str(problem)) from None
            raise
        return "incident updated"

    def _find(self, key: str) -> str | None:
        """The `sys_id` of the open incident with this correlation id; the newest, should there be several.

        The bridge's own silence and a flow that is held back have the same id the next time: that is a new incident.
        """
        query = f"active=true^correlation_id={key}^ORDERBYDESCsys_created_on"
        params = {"sysparm_query": query, "sysparm_fields": "sys_id", "sysparm_limit": "1"}
        answer = self._call("GET", TABLE, params=params)
        try:
            rows = answer.body["result"]
            return str(rows[0]["sys_id"]) if rows else None
        except (TypeError, KeyError, IndexError):
            raise OutboundError(f"{SERVICE} answered a search with something else than a result") from None

    def _new(self, key: str, words: Wording) -> dict[str, Any]:
        return dict(self.settings.fields) | {
            "short_description": shortened(words.title, MAX_SHORT_CHARS),
            "description": words.text,
            "correlation_id": key,
            "correlation_display": OURS,
        }

    def _call(
        self, method: Method, path: str, *, params: dict[str, str] | None = None, body: dict[str, Any] | None = None
    ) -> Answer:
        url = f"{self.settings.url.rstrip('/')}{path}"
        answer = self.http.call(method, url, params=params, body=body, headers=self.settings.headers())
        return taken(SERVICE, answer, self.settings.password, self.settings.api_key)


def _key(event: Event, event_id: str) -> str:
    """What the incident is found by. `^` would end a condition of the query."""
    if event.get("rollback_id"):
        key = str(event["rollback_id"])
    elif event.get("incident_type") == IncidentType.TEST:
        key = f"test/{event_id}"
    else:
        names = [str(event.get(name) or "") for name in ("org", "flow_id", "accused_version_id")]
        key = "/".join(names) if all(names) else f"bridge/{event.get('incident_type')}"
    return shortened(key.replace("^", "_"), MAX_CORRELATION_CHARS)
