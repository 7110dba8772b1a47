"""PagerDuty, ServiceNow and Grafana as their public documentation has them: each rejects what the real one would.

Written from the documentation, not from our sinks: unknown and missing fields, wrong values, and what is too long.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar

from werkzeug.wrappers import Request, Response

KEY = "0123456789abcdef0123456789abcdef"  # an integration key has 32 characters
Json = dict[str, Any]


def answer(status: int, document: Any = None) -> Response:
    return Response(json.dumps(document), status, mimetype="application/json")


class Wrong(Exception):
    """What the service says of a document that it does not take."""


def check(condition: object, said: str) -> None:
    if not condition:
        raise Wrong(said)


def only(document: Mapping[str, Any], known: set[str], required: set[str], where: str) -> None:
    check(isinstance(document, dict), f"{where} is not an object")
    check(document.keys() <= known, f"{where} has unknown fields: {sorted(document.keys() - known)}")
    check(required <= document.keys(), f"{where} misses {sorted(required - document.keys())}")
    check(all(document[name] not in (None, "") for name in required), f"{where} has empty required fields")


def a_text(value: object, limit: int, where: str) -> None:
    check(isinstance(value, str) and 0 < len(value) <= limit, f"{where} is no text of {limit} characters at most")


@dataclass
class PagerDutyService:
    """Events API v2; `alerts` by dedup_key, `pages` in the order in which people were woken."""

    status: int = 202
    change_status: int = 202
    alerts: dict[str, str] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    requests: int = 0

    @Request.application
    def app(self, request: Request) -> Response:
        self.requests += 1
        if self.status != HTTPStatus.ACCEPTED:
            return answer(self.status, {"status": "throttle exceeded", "message": "later"})
        try:
            check(request.method == "POST" and request.content_type == "application/json", "not a JSON POST")
            check(request.content_length is not None and request.content_length <= 512 * 1024, "over 512 KB")
            document = json.loads(request.get_data())
            check(document.get("routing_key") == KEY, "'routing_key' is invalid")
            if request.path == "/v2/change/enqueue" and self.change_status != HTTPStatus.ACCEPTED:
                return answer(self.change_status, {"status": "error", "message": "no changes here"})
            if request.path == "/v2/change/enqueue":
                self._change(document)
                return answer(202, {"status": "success", "message": "Change event processed"})
            check(request.path == "/v2/enqueue", "no such path")
            self._alert(document)
        except Wrong as wrong:
            said = {"status": "invalid event", "message": "Event object is invalid", "errors": [str(wrong)]}
            return answer(400, said)
        self.events.append(document)
        return answer(202, {"status": "success", "message": "Event processed", "dedup_key": document["dedup_key"]})

    def _alert(self, document: Json) -> None:
        known = {"routing_key", "event_action", "dedup_key", "payload", "client", "client_url", "links", "images"}
        only(document, known, {"routing_key", "event_action"}, "event")
        check(document["event_action"] in ("trigger", "acknowledge", "resolve"), "event_action")
        if document["event_action"] != "trigger":
            check("dedup_key" in document, "dedup_key is required")
        a_text(document.get("dedup_key", "x"), 255, "dedup_key")
        key = document["dedup_key"]
        if document["event_action"] == "resolve":
            if key in self.alerts:
                self.alerts[key] = "resolved"
            return
        check("payload" in document, "payload is required")
        _payload(document["payload"], {"severity", "component", "group", "class"}, {"severity", "source"})
        check(document["payload"]["severity"] in ("critical", "error", "warning", "info"), "severity")
        _links(document.get("links", []))
        if self.alerts.get(key) != "triggered":
            self.pages.append(key)
        self.alerts[key] = "triggered"

    def _change(self, document: Json) -> None:
        only(document, {"routing_key", "payload", "links"}, {"routing_key", "payload"}, "change")
        _payload(document["payload"], set(), set())
        _links(document.get("links", []))
        self.changes.append(document["payload"]["summary"])


def _payload(payload: Json, more: set[str], required: set[str]) -> None:
    known = {"summary", "source", "timestamp", "custom_details"} | more
    only(payload, known, {"summary"} | required, "payload")
    a_text(payload["summary"], 1024, "summary")
    if "timestamp" in payload:
        datetime.fromisoformat(payload["timestamp"])
    check(isinstance(payload.get("custom_details", {}), dict), "custom_details")


def _links(links: Any) -> None:
    for link in links:
        only(link, {"href", "text"}, {"href"}, "link")
        check(link["href"].startswith(("http://", "https://")), "href")


@dataclass
class ServiceNowService:
    """The Table API over the table `incident`, for one user."""

    user: str = "rollback:secret-of-the-user"
    status: int = 0
    update_status: int = 0  # of changes to an incident
    incidents: list[Json] = field(default_factory=list)
    FIELDS = frozenset(
        {
            "short_description",
            "description",
            "correlation_id",
            "correlation_display",
            "work_notes",
            "urgency",
            "impact",
            "assignment_group",
            "state",
            "close_code",
            "close_notes",
        }
    )
    LENGTHS: ClassVar = {
        "short_description": 160,
        "correlation_id": 100,
        "correlation_display": 100,
        "description": 4000,
    }

    @Request.application
    def app(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Basic {b64encode(self.user.encode()).decode()}":
            return answer(401, {"error": {"message": "User Not Authenticated", "detail": "Required to provide Auth"}})
        if self.status:
            return answer(self.status, {"error": {"message": "Transaction cancelled", "detail": "quota"}})
        if self.update_status and request.method == "PATCH":
            return answer(self.update_status, {"error": {"message": "Operation Failed", "detail": "data policy"}})
        try:
            return self._answer(request)
        except Wrong as wrong:
            return answer(400, {"error": {"message": "Invalid", "detail": str(wrong)}, "status": "failure"})

    def _answer(self, request: Request) -> Response:
        path = "/api/now/table/incident"
        if request.method == "GET" and request.path == path:
            check(request.args.keys() <= {"sysparm_query", "sysparm_fields", "sysparm_limit"}, "unknown parameter")
            *conditions, order = request.args["sysparm_query"].split("^")
            check(order == "ORDERBYDESCsys_created_on", "order")
            asked = dict(condition.split("=", 1) for condition in conditions)
            check(asked.keys() <= self.FIELDS | {"active"}, "unknown field")
            found = [one for one in reversed(self.incidents) if asked.items() <= one.items()]
            wanted = request.args["sysparm_fields"].split(",")
            rows = [{key: one[key] for key in wanted} for one in found[: int(request.args["sysparm_limit"])]]
            return answer(200, {"result": rows})
        document = json.loads(request.get_data())
        only(document, set(self.FIELDS), set(), "incident")
        for name, value in document.items():
            a_text(value, self.LENGTHS.get(name, 4000), name)
        if document.get("state") == "6":
            check({"close_code", "close_notes"} <= document.keys(), "Resolution code and notes are mandatory")
        if request.method == "POST" and request.path == path:
            check("short_description" in document, "short_description is mandatory")
            made = document | {"sys_id": f"{len(self.incidents):032x}", "notes": [], "active": "true"}
            self.incidents.append(made)
            return answer(201, {"result": made})
        row = next((one for one in self.incidents if request.path == f"{path}/{one['sys_id']}"), None)
        if request.method != "PATCH" or row is None:
            return answer(404, {"error": {"message": "No Record found"}})
        row["notes"].append(document.pop("work_notes", None))
        row.update(document)
        return answer(200, {"result": row})


@dataclass
class GrafanaService:
    """The annotations API, for one service account."""

    token: str = "token-of-grafana"
    annotations: list[Json] = field(default_factory=list)

    @Request.application
    def app(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return answer(401, {"message": "Invalid API key"})
        if request.path != "/api/annotations":
            return answer(404, {"message": "Not found"})
        if request.method == "GET":
            tags = set(request.args.getlist("tags"))
            uid = request.args.get("dashboardUID")
            rows = [one for one in self.annotations if one.get("dashboardUID") == uid and tags <= set(one["tags"])]
            return answer(200, rows)
        try:
            document = json.loads(request.get_data())
            known = {"dashboardUID", "panelId", "time", "timeEnd", "tags", "text"}
            only(document, known, {"text"}, "annotation")
            for name in ("time", "timeEnd", "panelId"):
                check(type(document.get(name, 1)) is int, f"{name} is no whole number")
            check(document.get("timeEnd", 2**62) >= document.get("time", 0), "timeEnd is before time")
            check(document.get("time", 10**12) >= 10**11, "time is not in milliseconds")
            check(all(isinstance(tag, str) for tag in document.get("tags", [])), "tags")
        except Wrong as wrong:
            return answer(400, {"message": str(wrong)})
        self.annotations.append({"tags": []} | document)
        return answer(200, {"message": "Annotation added", "id": len(self.annotations)})
