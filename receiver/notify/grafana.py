"""Grafana: what was done as a region over the dashboards, from the start of a rollback to its end.

Source: Grafana's documentation of the Annotations HTTP API: `POST /api/annotations` with `time`, `timeEnd`
(milliseconds), `tags`, `text` (required), `dashboardUID`, `panelId`; `GET /api/annotations` with `tags`.
"""

from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from receiver.notify.kinds import STORY, IncidentType, kind_of
from receiver.notify.settings import Grafana
from receiver.notify.sink import Event, Http, given, taken
from receiver.notify.wording import moment_of, worded
from receiver.outbound import Method

PATH = "/api/annotations"
SERVICE = "Grafana"
TAG = "genesys-rollback"

# A region is drawn when it is over; what only begins, waits or was refused is no time that a dashboard could show.
_DRAWN = frozenset(
    {
        IncidentType.ROLLBACK_SUCCEEDED,
        IncidentType.ROLLBACK_FAILED,
        IncidentType.ROLLBACK_INEFFECTIVE,
        IncidentType.ROLLBACK_UNVERIFIED,
        IncidentType.UNDO_SUCCEEDED,
        IncidentType.UNDO_FAILED,
        IncidentType.DEPENDENT_PUBLISHED,
        IncidentType.DEPENDENT_NOT_PUBLISHED,
        IncidentType.WOULD_HAVE_ROLLED_BACK,
        IncidentType.TEST,
    }
)


@dataclass(frozen=True, slots=True)
class GrafanaSink:
    """One Grafana. Each annotation stands for itself, so events may overtake each other."""

    settings: Grafana
    http: Http
    zone: tzinfo

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def line(self) -> None:
        return None

    def send(self, event: Event, event_id: str) -> str:
        """Looks first whether the annotation is there already: Grafana would draw the same one twice."""
        kind = kind_of(event.get("incident_type"))
        if kind not in _DRAWN:
            return "nothing to draw for such an event"
        own = f"event:{event_id}"
        if self._is_there(own):
            return "annotation was there"
        words, story = worded(event, self.zone), event.get(STORY) or {}
        end = moment_of(story, "ended_at") or moment_of(event, "timestamp")
        start = moment_of(story, "started_at") or end
        about = [f"{name}:{event[name]}" for name in ("org", "flow_id") if event.get(name)]
        body = {
            "dashboardUID": self.settings.dashboard_uid,
            "panelId": self.settings.panel_id,
            "time": None if start is None else round(start.timestamp() * 1000),
            "timeEnd": None if end is None else round(end.timestamp() * 1000),
            "tags": [TAG, str(event["incident_type"]), *about, own, *self.settings.tags],
            "text": words.text,
        }
        self._call("POST", body=given(body))
        return "annotation added"

    def _is_there(self, tag: str) -> bool:
        """Grafana filters only organization annotations by tag: within a dashboard we look ourselves."""
        where = {"tags": tag} if self.settings.dashboard_uid is None else {"dashboardUID": self.settings.dashboard_uid}
        found = self._call("GET", params=where)
        rows = found if isinstance(found, list) else []
        return any(isinstance(row, dict) and tag in (row.get("tags") or ()) for row in rows)

    def _call(self, method: Method, *, params: dict[str, str] | None = None, body: dict[str, Any] | None = None) -> Any:
        url = f"{self.settings.url.rstrip('/')}{PATH}"
        headers = {"Authorization": f"Bearer {self.settings.token.get_secret_value()}"}
        answer = self.http.call(method, url, params=params, body=body, headers=headers)
        return taken(SERVICE, answer, self.settings.token).body
