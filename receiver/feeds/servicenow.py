"""ServiceNow: change requests with their planned times, and open incidents.

Source: ServiceNow's Table API (`GET /api/now/table/{table}`, `sysparm_query`, `sysparm_fields`, `sysparm_limit`,
`sysparm_display_value=false`: values as stored, times in UTC as `2024-01-01 12:00:00`; the answer's `result`), and the
fields `number`, `short_description`, `start_date`, `end_date` and `opened_at` of its tables. In which time zone an
instance reads the times of a query is not documented: so it is asked for a day more on each side. A search that ran for
too long may be answered with a part of its `result`, and `error` and `status: failure` beside it: users report so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from receiver.feeds.announcement import (
    MAX_ANNOUNCED,
    MAX_ANSWER_BYTES,
    Announcement,
    Http,
    Reading,
    oldest_open,
    reading,
)
from receiver.feeds.settings import DAY_S, ServiceNow
from receiver.notify.servicenow import OURS, SERVICE
from receiver.outbound import OutboundError

_FORMAT = "%Y-%m-%d %H:%M:%S"
_FIELDS = {
    "change_request": "sys_id,number,short_description,start_date,end_date",
    "incident": "sys_id,number,short_description,opened_at,correlation_display",
}


@dataclass(frozen=True, slots=True)
class ServiceNowSource:
    """One query of one instance. The bridge's own incidents are left out: its failure must not hold it back."""

    settings: ServiceNow
    http: Http

    def read(self, since: float, until: float) -> Reading:
        base = self.settings.url.rstrip("/")
        params = {
            "sysparm_query": self._query(since, until),
            "sysparm_fields": _FIELDS[self.settings.table],
            "sysparm_limit": str(MAX_ANNOUNCED + 1),
            "sysparm_display_value": "false",
            "sysparm_exclude_reference_link": "true",
        }
        answer = self.http.get_json(
            f"{base}/api/now/table/{self.settings.table}",
            params,
            headers=self.settings.headers(),
            max_bytes=MAX_ANSWER_BYTES,
        )
        rows = answer.get("result") if isinstance(answer, Mapping) else None
        if not isinstance(rows, list):
            raise OutboundError(f"{SERVICE} answered a search with something else than a result")
        if answer.get("error") or answer.get("status") == "failure":
            raise OutboundError(f"{SERVICE} answered a search with a part of its result: {_said(answer.get('error'))}")
        announced, problems = [], []
        for row in rows:
            try:
                if row.get("correlation_display") != OURS:
                    announced.append(self._announced(row, base))
            except (AttributeError, KeyError, TypeError, ValueError):
                number = row.get("number") if isinstance(row, Mapping) else None
                problems.append(f"{number or 'a record'} has no times that can be read")
        return reading(announced, problems)

    def _query(self, since: float, until: float) -> str:
        if self.settings.table == "incident":
            return f"{self.settings.query}^opened_at>={_stored(oldest_open(since) - DAY_S)}^ORDERBYDESCopened_at"
        return f"{self.settings.query}^end_date>={_stored(since - DAY_S)}^start_date<={_stored(until + DAY_S)}"

    def _announced(self, row: Mapping[str, Any], base: str) -> Announcement:
        is_change = self.settings.table == "change_request"
        return Announcement(
            uid=_text(row["sys_id"]),
            starts_at=_instant(row["start_date" if is_change else "opened_at"]),
            ends_at=_instant(row["end_date"]) if is_change else None,
            title=f"{row['number']} {row['short_description']}".strip(),
            url=f"{base}/{self.settings.table}.do?sys_id={row['sys_id']}",
        )


def _said(error: object) -> str:
    return str(error.get("message") or "no reason") if isinstance(error, Mapping) else "no reason"


def _stored(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime(_FORMAT)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be text")
    return value


def _instant(value: str) -> float:
    return datetime.strptime(value, _FORMAT).replace(tzinfo=UTC).timestamp()
