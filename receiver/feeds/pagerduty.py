"""PagerDuty: the open incidents of some services.

Source: PagerDuty's REST API, "List incidents" (`GET /incidents`, `statuses[]`, `service_ids[]`, `urgencies[]`,
`since`, `sort_by`, `limit`; the answer's `incidents` with `id`, `incident_number`, `title`, `created_at` and
`html_url`, and `more`). Without `until` a range goes up to now.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from receiver.feeds.announcement import MAX_ANSWER_BYTES, Announcement, Http, Reading, instant, oldest_open, reading
from receiver.feeds.settings import PagerDuty
from receiver.outbound import OutboundError

_LIMIT = 100  # the most that one call gives


@dataclass(frozen=True, slots=True)
class PagerDutySource:
    """One account, as far as the services of the settings go."""

    settings: PagerDuty
    http: Http

    def read(self, since: float, until: float) -> Reading:  # noqa: ARG002 - what is open is open now
        earliest = datetime.fromtimestamp(oldest_open(since), UTC)
        answer = self.http.get_json(
            f"{self.settings.url.rstrip('/')}/incidents",
            {
                "statuses[]": ["triggered", "acknowledged"],
                "service_ids[]": list(self.settings.services),
                "urgencies[]": list(self.settings.urgencies),
                "since": earliest.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "sort_by": "created_at:desc",
                "limit": str(_LIMIT),
            },
            headers={
                "Accept": "application/json",
                "Authorization": f"Token token={self.settings.token.get_secret_value()}",
            },
            max_bytes=MAX_ANSWER_BYTES,
        )
        rows = answer.get("incidents") if isinstance(answer, Mapping) else None
        if not isinstance(rows, list):
            raise OutboundError("PagerDuty answered with something else than incidents")
        announced, problems = [], []
        for row in rows:
            try:
                announced.append(_announced(row))
            except (AttributeError, KeyError, TypeError, ValueError):
                problems.append("an incident cannot be read")
        if answer.get("more"):
            problems.append(f"more than {_LIMIT} incidents are open: narrow the feed")
        return reading(announced, problems)


def _announced(row: Mapping[str, Any]) -> Announcement:
    return Announcement(
        uid=str(row["id"]),
        starts_at=instant(row["created_at"]),
        ends_at=None,
        title=f"#{row['incident_number']} {row['title']}",
        url=str(row.get("html_url") or ""),
    )
