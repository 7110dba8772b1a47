"""A calendar, ServiceNow's tables, PagerDuty's incidents and a status page, as their documentation has them.

Each rejects what the real one would, and gives what it would: other times to who asks for display values, only so many
rows, only what is open. Written from the documentation, not from our sources.
"""

import operator
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

from werkzeug.wrappers import Request, Response

from tests.integration.sink_services import Wrong, answer, check

Json = dict[str, Any]


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp(at: float) -> str:
    """As iCalendar writes a moment in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")


@dataclass
class Service:
    """What all have: a status that they answer instead, if one is set, and where they redirect to."""

    status: int = 0
    location: str = ""
    body: str | None = None  # answered instead of what they know
    requests: list[str] = field(default_factory=list)

    @Request.application
    def app(self, request: Request) -> Response:
        self.requests.append(request.full_path)
        if self.location:
            return Response(status=302, headers={"Location": self.location})
        if self.status:
            return answer(self.status, {"message": "not now"})
        if self.body is not None:
            return Response(self.body, mimetype="application/json")
        try:
            return self.answer(request)
        except Wrong as wrong:
            return answer(HTTPStatus.BAD_REQUEST, {"error": {"message": str(wrong)}})

    def answer(self, request: Request) -> Response:
        raise NotImplementedError


@dataclass
class CalendarService(Service):
    """A document, for whoever knows its address and the password."""

    user: str = "rollback:secret-of-the-user"
    events: dict[str, str] = field(default_factory=dict)  # properties separated by "|", by uid

    def answer(self, request: Request) -> Response:
        if request.path != "/secret/basic.ics":
            return answer(404, {})
        if request.headers.get("Authorization") != f"Basic {b64encode(self.user.encode()).decode()}":
            return answer(401, {})
        lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//example//test//EN"]
        for uid, properties in self.events.items():
            lines += ["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z", *properties.split("|"), "END:VEVENT"]
        return Response("\r\n".join([*lines, "END:VCALENDAR", ""]), mimetype="text/calendar")

    def put(self, uid: str, starts_at: float, ends_at: float, title: str = "trunks") -> None:
        self.events[uid] = f"SUMMARY:{title}|DTSTART:{stamp(starts_at)}|DTEND:{stamp(ends_at)}"


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "IN": lambda value, among: value in among.split(","),
    "=": operator.eq,
}


BY_NEWEST = "ORDERBYDESC"


@dataclass
class TableService(Service):
    """ServiceNow's Table API, to read two tables. Its user lives in Berlin."""

    user: str = "rollback:secret-of-the-user"
    cut_off: Json = field(default_factory=dict)  # what stands beside the result of a search that ran for too long
    tables: dict[str, list[Json]] = field(default_factory=lambda: {"change_request": [], "incident": []})
    FIELDS = frozenset(
        {
            "sys_id",
            "number",
            "short_description",
            "start_date",
            "end_date",
            "opened_at",
            "state",
            "active",
            "priority",
            "correlation_display",
        }
    )

    def answer(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Basic {b64encode(self.user.encode()).decode()}":
            return answer(401, {"error": {"message": "User Not Authenticated"}})
        table = self.tables.get(request.path.removeprefix("/api/now/table/"))
        if request.method != "GET" or table is None:
            return answer(400, {"error": {"message": "Invalid table"}})
        known = {f"sysparm_{name}" for name in ("query", "fields", "limit", "display_value", "exclude_reference_link")}
        check(request.args.keys() <= known, "unknown parameter")
        terms = request.args["sysparm_query"].split("^")
        order = [term.removeprefix(BY_NEWEST) for term in terms if term.startswith(BY_NEWEST)]
        rows = [row for row in table if all(_holds(row, term) for term in terms if not term.startswith(BY_NEWEST))]
        for name in order:
            check(name in self.FIELDS, "unknown order")
            rows = sorted(rows, key=operator.itemgetter(name), reverse=True)
        wanted = request.args["sysparm_fields"].split(",")
        check(set(wanted) <= self.FIELDS, "unknown field")
        shown = request.args.get("sysparm_display_value") != "false"
        found = [{name: _value(row.get(name, ""), shown=shown) for name in wanted} for row in rows]
        return answer(200, {"result": found[: int(request.args.get("sysparm_limit", 10000))]} | self.cut_off)

    def change(self, number: str, starts_at: float, ends_at: float, **more: Any) -> Json:
        """A scheduled one."""
        row = {"start_date": _stored(starts_at), "end_date": _stored(ends_at), "state": "-2"}
        return self._put("change_request", number, row | more)

    def incident(self, number: str, opened_at: float, **more: Any) -> Json:
        """An open one."""
        return self._put(
            "incident", number, {"opened_at": _stored(opened_at), "active": "true", "priority": "1"} | more
        )

    def _put(self, table: str, number: str, row: Json) -> Json:
        made = {"sys_id": f"id-of-{number}", "number": number, "short_description": "new trunks"} | row
        self.tables[table].append(made)
        return made


def _holds(row: Json, term: str) -> bool:
    name, sign, value = next((term.partition(sign) for sign in OPERATORS if sign in term), ("", "", ""))
    check(name in TableService.FIELDS, f"cannot be understood: {term}")
    found = row.get(name, "")
    return bool(found) and bool(OPERATORS[sign](found, value))


def _stored(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _value(value: str, *, shown: bool) -> str:
    """What is shown to people is in their own time zone."""
    try:
        moment = datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError:
        return value
    return f"{moment.astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d %H:%M:%S}" if shown else value


@dataclass
class IncidentService(Service):
    """PagerDuty's REST API, to list incidents."""

    token: str = "token-of-the-api"
    incidents: list[Json] = field(default_factory=list)
    KNOWN = frozenset({"statuses[]", "service_ids[]", "urgencies[]", "limit", "offset", "total", "since", "sort_by"})

    def answer(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Token token={self.token}":
            return answer(401, {"error": {"message": "Access denied", "code": 2006}})
        check(request.path == "/incidents" and request.method == "GET", "no such path")
        check("application/" in request.headers.get("Accept", ""), "Accept")
        check(request.args.keys() <= self.KNOWN, "unknown parameter")
        limit = int(request.args.get("limit", 25))
        check(1 <= limit <= 100, "limit")
        statuses = request.args.getlist("statuses[]")
        check(set(statuses) <= {"triggered", "acknowledged", "resolved"}, "statuses")
        services, urgencies = request.args.getlist("service_ids[]"), request.args.getlist("urgencies[]")
        found = [
            row
            for row in self.incidents
            if (not statuses or row["status"] in statuses)
            and (not services or row["service"]["id"] in services)
            and (not urgencies or row["urgency"] in urgencies)
            and row["created_at"] >= request.args.get("since", "")
        ]
        order = request.args.get("sort_by", "created_at:asc")
        check(order in ("created_at:asc", "created_at:desc"), "sort_by")
        found.sort(key=operator.itemgetter("created_at"), reverse=order.endswith(":desc"))
        page = {"incidents": found[:limit], "limit": limit, "offset": 0, "total": None, "more": len(found) > limit}
        return answer(200, page)

    def put(self, name: str, created_at: float, **more: Any) -> Json:
        row = {
            "id": name,
            "type": "incident",
            "incident_number": len(self.incidents) + 1,
            "title": "trunks down",
            "status": "triggered",
            "urgency": "high",
            "created_at": rfc3339(created_at),
            "html_url": f"https://example.pagerduty.test/incidents/{name}",
            "service": {"id": "PTRUNKS", "type": "service_reference", "summary": "Trunks"},
        }
        self.incidents.append(row | more)
        return self.incidents[-1]


@dataclass
class StatusService(Service):
    """An Atlassian Statuspage."""

    incidents: list[Json] = field(default_factory=list)

    def answer(self, request: Request) -> Response:
        if request.path != "/api/v2/incidents/unresolved.json":
            return answer(404, {})
        check(not request.args, "unknown parameter")
        unresolved = [row for row in self.incidents if row["status"] in ("investigating", "identified", "monitoring")]
        return answer(200, {"page": {"id": "p", "name": "Status"}, "incidents": unresolved})

    def put(self, name: str, started_at: float, *components: str, **more: Any) -> Json:
        row = {
            "id": name,
            "name": "Voice is impaired",
            "status": "investigating",
            "impact": "major",
            "created_at": rfc3339(started_at + 300),
            "started_at": rfc3339(started_at),
            "shortlink": f"https://stspg.example/{name}",
            "components": [{"id": f"id-of-{one}", "name": one, "status": "partial_outage"} for one in components],
        }
        self.incidents.append(row | more)
        return self.incidents[-1]
