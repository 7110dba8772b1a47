"""Status pages by Atlassian Statuspage: their unresolved incidents.

Source: the API page that every such status page has (`GET /api/v2/incidents/unresolved.json`; `incidents` with `id`,
`name`, `status`, `impact`, `created_at`, `started_at`, `shortlink` and the affected `components`). That Genesys Cloud's
own page is one is what public programs that read it rely on; nobody here has seen it answer. Whether its incidents name
their components is not known: one that names none counts whatever `components` says, for nobody can tell that it is not
meant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receiver.feeds.announcement import MAX_ANSWER_BYTES, Announcement, Http, Reading, instant, reading
from receiver.feeds.settings import StatusPage
from receiver.outbound import OutboundError

_OVER = ("resolved", "postmortem", "completed")


@dataclass(frozen=True, slots=True)
class StatusPageSource:
    """One page, as far as impact and components of the settings go."""

    settings: StatusPage
    http: Http

    def read(self, since: float, until: float) -> Reading:  # noqa: ARG002 - what is unresolved is so now
        url = f"{self.settings.url.rstrip('/')}/api/v2/incidents/unresolved.json"
        answer = self.http.get_json(url, headers={"Accept": "application/json"}, max_bytes=MAX_ANSWER_BYTES)
        rows = answer.get("incidents") if isinstance(answer, Mapping) else None
        if not isinstance(rows, list):
            raise OutboundError("the status page answered with something else than incidents")
        announced, problems = [], []
        for row in rows:
            try:
                if self._is_wanted(row):
                    announced.append(_announced(row))
            except (AttributeError, KeyError, TypeError, ValueError):
                problems.append("an incident cannot be read")
        return reading(announced, problems)

    def _is_wanted(self, row: Mapping[str, Any]) -> bool:
        if row["status"] in _OVER or row["impact"] not in self.settings.impacts:
            return False
        affected = {component[name] for component in row.get("components") or () for name in ("id", "name")}
        return not self.settings.components or not affected or bool(affected & set(self.settings.components))


def _announced(row: Mapping[str, Any]) -> Announcement:
    return Announcement(
        uid=str(row["id"]),
        starts_at=instant(row.get("started_at") or row["created_at"]),
        ends_at=None,
        title=f"{row['name']} ({row['impact']})",
        url=str(row.get("shortlink") or ""),
    )
