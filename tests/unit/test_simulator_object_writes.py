"""The simulator's writes of configuration objects: what each does, and every refusal."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from simulator.analytics import iso
from simulator.app import create_app
from simulator.scenario import Access, Client, Scenario, load
from simulator.simulation import Simulation
from simulator.vocabulary import ObjectSpec

START = 1_795_320_000.0
OBJECTS = (
    {"type": "data_action", "id": "look-up", "name": "Look up", "fields": {"category": "CRM", "config": {"a": 1}}},
    {"type": "ivr", "id": "main", "name": "Main", "fields": {"dnis": ["+1"]}},
    {"type": "schedule", "id": "weekdays", "name": "Weekdays", "fields": {"rrule": "FREQ=WEEKLY"}},
    {"type": "schedule", "id": "numbered", "name": "Numbered", "fields": {"rrule": "FREQ=WEEKLY", "version": 3}},
    {"type": "schedule_group", "id": "office", "name": "Office", "fields": {"timeZone": "Europe/Paris"}},
    {"type": "schedule_group", "id": "numbered", "name": "Numbered", "fields": {"timeZone": "UTC", "version": 3}},
    {"type": "queue", "id": "sales", "name": "Sales"},
    {"type": "data_table", "id": "days", "name": "Days", "rows": ({"key": "a", "closed": True},)},
)
ACTION, IVR, ROWS = "integrations/actions/look-up", "architect/ivrs/main", "flows/datatables/days/rows"

Ask = tuple[str, str, dict[str, Any] | None]
WRITES: dict[str, Ask] = {
    "data action": ("PATCH", ACTION, {"name": "Other", "version": 1}),
    "ivr": ("PUT", IVR, {"name": "Other", "dnis": ["+2"], "version": 1}),
    "schedule": ("PUT", "architect/schedules/weekdays", {"name": "Other", "rrule": "FREQ=DAILY"}),
    "schedule group": ("PUT", "architect/schedulegroups/office", {"name": "Other", "timeZone": "UTC"}),
    "new row": ("POST", ROWS, {"key": "b", "closed": True}),
    "other row": ("PUT", f"{ROWS}/a", {"key": "a", "closed": False}),
    "deleted row": ("DELETE", f"{ROWS}/a", None),
}
PERMISSIONS = {
    "data action": "integrations:action:edit",
    "ivr": "routing:callRoute:edit",
    "schedule": "routing:schedule:edit",
    "schedule group": "routing:scheduleGroup:edit",
    "new row": "architect:datatableRow:add",
    "other row": "architect:datatableRow:edit",
    "deleted row": "architect:datatableRow:delete",
}
each_write = pytest.mark.parametrize("name", WRITES)


class Cloud:
    """The application with an injected clock, some objects, and a client that has a token."""

    def __init__(self, **client: Any) -> None:
        self.slept: list[float] = []
        self.now = START
        one = Client(id="writer", secret="s", name="The writer", **client)
        objects = tuple(ObjectSpec.model_validate(spec) for spec in OBJECTS)
        known: Scenario = load("calm").model_copy(update={"access": Access(clients=(one,)), "objects": objects})
        simulation = Simulation(known, factor=1.0, seed=1, clock=lambda: self.now)
        app = create_app(simulation, scenario_name="calm", sleep=self.slept.append)
        self.http: FlaskClient = app.test_client()
        answer = self.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=("writer", "s"))
        self.headers = {"Authorization": f"Bearer {answer.get_json()['access_token']}"}

    def ask(self, method: str, path: str, body: object = None) -> TestResponse:
        return self.http.open(f"/api/v2/{path}", method=method, headers=self.headers, json=body)

    def do(self, name: str) -> TestResponse:
        return self.ask(*WRITES[name])

    def set(self, **fault: object) -> None:
        assert self.http.put("/sim/faults", json=[fault]).status_code == 200

    def state(self) -> list[Any]:
        paths = (f"{ACTION}?includeConfig=true", IVR, "architect/schedules/weekdays", "architect/schedulegroups/office")
        return [self.ask("GET", path).get_json() for path in (*paths, f"{ROWS}?showbrief=false")]

    def writes(self) -> list[tuple[str, int | None]]:
        asked = self.http.get("/sim/requests").get_json()
        return [(one["method"], one["status"]) for one in asked if one.get("object_write")]

    def audited(self) -> list[dict[str, Any]]:
        self.now += 60
        found: list[dict[str, Any]] = []
        for service in ("Architect", "Integrations", "Routing"):
            query = {"interval": f"{iso(round(START * 1000))}/{iso(round(self.now * 1000))}", "serviceName": service}
            found += self.ask("POST", "audits/query/realtime", query).get_json()["entities"]
        return found


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@each_write
def test_a_write_is_done_told_in_the_log_and_audited_as_the_clients(cloud: Cloud, name: str) -> None:
    before = cloud.state()
    answer = cloud.do(name)
    assert answer.status_code == (204 if name == "deleted row" else 200)
    assert cloud.state() != before
    assert cloud.writes() == [(WRITES[name][0], answer.status_code)]
    (told,) = cloud.audited()
    assert (told["action"], told["status"], "user" in told) == ("Update", "SUCCESS", False)
    assert told["client"]["id"] == "writer"


@each_write
def test_a_write_needs_a_token_and_the_permission(cloud: Cloud, name: str) -> None:
    for unwelcome in (Cloud(read_only=True), Cloud(lacks=(PERMISSIONS[name],))):
        before = unwelcome.state()
        assert unwelcome.do(name).status_code == 403
        assert (unwelcome.state(), unwelcome.audited()) == (before, [])
    method, path, body = WRITES[name]
    assert cloud.http.open(f"/api/v2/{path}", method=method, json=body).status_code == 401


@each_write
def test_an_object_that_was_deleted_is_not_found(cloud: Cloud, name: str) -> None:
    kinds = (("data_action", "look-up"), ("ivr", "main"), ("schedule", "weekdays"), ("schedule_group", "office"))
    for kind, one in (*kinds, ("data_table", "days")):
        event = {"event": "delete_object", "type": kind, "id": one}
        assert cloud.http.post("/sim/events", json=event).status_code == 200
    assert cloud.do(name).status_code == 404


@each_write
@pytest.mark.parametrize(
    ("fault", "status", "is_done"),
    [
        pytest.param({"kind": "throttle", "retry_after": 3}, 429, False, id="429"),
        pytest.param({"kind": "status", "status": 503}, 503, False, id="5xx"),
        pytest.param({"kind": "status_after", "status": 503}, 503, True, id="5xx after the effect"),
        pytest.param({"kind": "drop_before"}, None, False, id="dropped before the effect"),
        pytest.param({"kind": "drop_after"}, None, True, id="dropped after the effect"),
        pytest.param({"kind": "slow", "delay_s": 5}, 200, True, id="slow"),
        pytest.param({"kind": "truncated"}, 200, True, id="truncated"),
        pytest.param({"kind": "object_nothing"}, 200, False, id="answered, not done"),
    ],
)
def test_a_write_meets_the_faults_of_a_publish(
    cloud: Cloud, name: str, fault: dict[str, Any], status: int | None, is_done: bool
) -> None:
    before = cloud.state()
    cloud.set(**fault, times=1)
    answer = cloud.do(name)
    expected = 204 if (status, name) == (200, "deleted row") else status
    assert cloud.writes() == [(WRITES[name][0], expected)]
    assert (cloud.state() != before) == is_done
    assert len(cloud.audited()) == is_done
    assert cloud.slept == ([5] if fault["kind"] == "slow" else [])
    if fault["kind"] == "truncated" and expected == 200:
        assert answer.get_json(silent=True) is None


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("PATCH", ACTION, {"name": "Other", "version": 7}, 409, id="action: another version"),
        pytest.param("PATCH", ACTION, {"name": "Other"}, 409, id="action: no version"),
        pytest.param("PATCH", ACTION, {"contract": {}, "version": 1}, 400, id="action: not of UpdateActionInput"),
        pytest.param("PUT", IVR, {"name": "Other", "version": 7}, 409, id="ivr: another version"),
        pytest.param("PUT", IVR, {"dnis": [], "version": 1}, 400, id="ivr: no name"),
        pytest.param("PUT", IVR, [], 400, id="ivr: no object"),
        pytest.param("PUT", "architect/schedules/weekdays", {"rrule": "x"}, 400, id="schedule: no name"),
        pytest.param(
            "PUT", "architect/schedules/numbered", {"name": "x", "version": 7}, 409, id="schedule: another version"
        ),
        pytest.param(
            "PUT", "architect/schedulegroups/numbered", {"name": "x", "version": 7}, 409, id="group: another version"
        ),
        pytest.param("POST", ROWS, {"key": "a"}, 409, id="the row is there"),
        pytest.param("POST", ROWS, {"closed": True}, 400, id="a row without key"),
        pytest.param("PUT", f"{ROWS}/x", {"key": "x"}, 404, id="no such row"),
        pytest.param("DELETE", f"{ROWS}/x", None, 404, id="no row to delete"),
        pytest.param("PUT", "routing/queues/sales", {"name": "Sales"}, 405, id="a queue is only read"),
    ],
)
def test_a_write_that_does_not_fit_is_refused_and_changes_nothing(
    cloud: Cloud, method: str, path: str, body: object, status: int
) -> None:
    before = cloud.state()
    answer = cloud.ask(method, path, body)
    assert answer.status_code == status
    assert {"status", "code", "message"} <= answer.get_json().keys()
    assert (cloud.state(), cloud.audited()) == (before, [])


@pytest.mark.parametrize("path", ["architect/schedules/numbered", "architect/schedulegroups/numbered"])
@pytest.mark.parametrize("given", [{"version": 3}, {}], ids=["the current version", "no version"])
def test_the_version_of_a_schedule_counts_up_and_may_be_left_out(
    cloud: Cloud, path: str, given: dict[str, int]
) -> None:
    assert cloud.ask("PUT", path, {"name": "Numbered", **given}).get_json()["version"] == 4
    assert cloud.ask("GET", path).get_json()["version"] == 4
