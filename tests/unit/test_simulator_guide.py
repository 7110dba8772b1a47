"""The simulator's dialect `guide`: measures, versions and deployments, word for word as the guide has them."""

import base64
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from simulator.app import create_app
from simulator.scenario import Access, Client, load
from simulator.simulation import Simulation
from simulator.vocabulary import Settings

START = 1_795_320_000.0
MAIN = "ce677f29-f403-470c-adb0-8bfa6bf81d69"
SUPPORT = "5f0a3a3e-8d3c-4a55-9a0e-2f3f7a1c6b02"
MEASURES = "/api/v2/analytics/measures/conversations"
VERSIONS = f"/api/v2/architect/flows/{MAIN}/versions"
DEPLOYMENT = f"/api/v2/architect/deployments/{MAIN}/versions/12.0"
ACTIVATION = {"version": {"id": "12.0", "description": "rollback"}, "status": "active"}
ERRORS, DURATION = "conversation.errors.total", "conversation.duration.total"
ORG = {"type": "org", "id": "all"}


class Cloud:
    """An organization without latency, ten minutes old, and a client that has a token."""

    def __init__(self, *, read_only: bool = False) -> None:
        self.now = START
        at_once = Settings(analytics_latency=0, analytics_jitter=0, analytics_late_ratio=0)
        clients = (Client(id="simulator", secret="simulator", name="bridge", read_only=read_only),)
        scenario = load("calm").model_copy(update={"settings": at_once, "access": Access(clients=clients)})
        simulation = Simulation(scenario, factor=1.0, seed=1, clock=lambda: self.now)
        app = create_app(simulation, scenario_name="calm", sleep=lambda _: None)
        self.http: FlaskClient = app.test_client()
        basic = base64.b64encode(b"simulator:simulator").decode()
        token = self.http.post(
            "/oauth/token", data={"grant_type": "client_credentials"}, headers={"Authorization": f"Basic {basic}"}
        )
        self.headers = {"Authorization": f"Bearer {token.get_json()['access_token']}"}
        self.now += 600

    def control(self, method: str, path: str, body: object) -> None:
        assert self.http.open(f"/sim/{path}", method=method, json=body).status_code == 200

    def ask(self, body: object) -> TestResponse:
        return self.http.get(MEASURES, headers=self.headers, json=body)

    def measure(self, metric: str, entity: dict[str, str] = ORG, start_s: float = 0, end_s: float = 600) -> int:
        values = self.ask(question(metric, entity, start_s, end_s)).get_json()["data"][0]["values"]
        assert isinstance(values[metric], int)
        return int(values[metric])

    def versions(self) -> dict[str, str]:
        entities = self.http.get(VERSIONS, headers=self.headers).get_json()["entities"]
        assert all(set(entity) == {"id", "status"} for entity in entities)
        return {entity["id"]: entity["status"] for entity in entities}

    def deploy(self, body: object = ACTIVATION, path: str = DEPLOYMENT) -> TestResponse:
        return self.http.patch(path, headers=self.headers, json=body)

    def last_request(self) -> dict[str, Any]:
        logged: dict[str, Any] = self.http.get("/sim/requests").get_json()[-1]
        return logged

    def conversations(self, entity: dict[str, str]) -> int:
        return self.measure(DURATION, entity) // 60


def question(
    metric: str = ERRORS, entity: dict[str, str] = ORG, start_s: float = 0, end_s: float = 600
) -> dict[str, Any]:
    interval = {"start": round((START + start_s) * 1000), "end": round((START + end_s) * 1000)}
    return {"interval": interval, "metric": metric, "entity": entity}


def flow(flow_id: str) -> dict[str, str]:
    return {"type": "flow", "id": flow_id}


def test_a_sixtieth_of_the_duration_is_the_number_of_conversations() -> None:
    cloud = Cloud()
    duration = cloud.measure(DURATION, flow(MAIN))
    assert duration % 60 == 0
    assert duration / 60 == pytest.approx(300, rel=0.25)
    assert cloud.conversations(flow(SUPPORT)) == pytest.approx(200, rel=0.25)


def test_errors_of_a_flow_are_its_own() -> None:
    cloud = Cloud()
    cloud.control("POST", "events", {"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.5})
    cloud.now += 600
    failing, healthy = (
        cloud.measure(ERRORS, flow(one), 600, 1200) / (cloud.measure(DURATION, flow(one), 600, 1200) / 60)
        for one in (MAIN, SUPPORT)
    )
    assert failing == pytest.approx(0.5, abs=0.1)
    assert healthy < 0.06


def test_the_organization_is_the_sum_of_its_flows_and_has_errors_outside_of_them() -> None:
    cloud = Cloud()
    ids = [one["id"] for one in cloud.http.get("/sim/state").get_json()["flows"]]
    assert cloud.conversations(ORG) == sum(cloud.conversations(flow(one)) for one in ids)
    day = (-2 * 86400, -86400)
    of_flows = sum(cloud.measure(ERRORS, flow(one), *day) for one in ids)
    outside = cloud.measure(ERRORS, ORG, *day) - of_flows
    assert outside == pytest.approx(0.002 * cloud.measure(DURATION, ORG, *day) / 60, rel=0.3)


def test_intervals_side_by_side_make_the_whole() -> None:
    cloud = Cloud()
    parts = [cloud.measure(DURATION, flow(MAIN), start, start + 60) for start in range(0, 600, 60)]
    assert sum(parts) == cloud.measure(DURATION, flow(MAIN)) > 0


def test_nothing_happened_is_zero() -> None:
    cloud = Cloud()
    assert cloud.ask(question(start_s=900, end_s=960)).get_json() == {"data": [{"values": {ERRORS: 0}}]}
    cloud.control("PUT", "faults", [{"kind": "silent_analytics"}])
    assert cloud.measure(DURATION) == 0


def test_lagging_measures_do_not_know_the_newest_minutes() -> None:
    cloud = Cloud()
    before = cloud.measure(DURATION, end_s=300)
    cloud.control("PUT", "faults", [{"kind": "analytics_lag", "lag_s": 300}])
    assert cloud.measure(DURATION, end_s=600) == before


@pytest.mark.parametrize("metric", [ERRORS, DURATION])
def test_an_answer_has_one_metric_or_both(metric: str) -> None:
    cloud = Cloud()
    (one,) = cloud.ask(question(metric)).get_json()["data"]
    assert set(one["values"]) == {metric}
    cloud.control("PUT", "switches", {"guide_metrics": "both"})
    (both,) = cloud.ask(question(metric)).get_json()["data"]
    assert set(both["values"]) == {ERRORS, DURATION}
    assert both["values"][metric] == one["values"][metric]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"interval": "2026-11-22/2026-11-23"}, "interval", id="a platform interval"),
        pytest.param({"interval": {"start": 2, "end": 1}}, "end must be after start", id="ends first"),
        pytest.param({"interval": {"start": 1.5, "end": 3}}, "interval.start", id="half a millisecond"),
        pytest.param({"metric": "nError"}, "metric", id="a platform metric"),
        pytest.param({"entity": {"type": "queue", "id": "x"}}, "entity.type", id="unknown entity"),
        pytest.param({"entity": {"type": "org", "id": "mine"}}, "the id of the org is all", id="another organization"),
        pytest.param({"granularity": "PT1M"}, "granularity: Extra", id="unknown key"),
    ],
)
def test_a_wrong_question_is_refused_with_a_reason(change: dict[str, Any], told: str) -> None:
    refused = Cloud().ask(question() | change)
    assert refused.status_code == 400
    assert told in refused.get_json()["message"]


def test_a_question_without_a_body_is_refused() -> None:
    cloud = Cloud()
    assert cloud.http.get(MEASURES, headers=cloud.headers).status_code == 400


def test_an_unknown_flow_is_not_found() -> None:
    cloud = Cloud()
    assert cloud.ask(question(entity=flow("nothing"))).status_code == 404
    assert cloud.http.get("/api/v2/architect/flows/nothing/versions", headers=cloud.headers).status_code == 404
    assert cloud.deploy(path=DEPLOYMENT.replace(MAIN, "nothing")).status_code == 404


def test_the_live_version_is_active_and_the_others_are_published() -> None:
    cloud = Cloud()
    assert cloud.versions() == {"13.0": "active", "12.0": "published"}
    cloud.control("POST", "events", {"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.5})
    cloud.now += 10
    assert cloud.versions() == {"14.0": "active", "13.0": "published", "12.0": "published"}
    cloud.control("PUT", "faults", [{"kind": "stale_reads", "age_s": 60}])
    assert cloud.versions() == {"13.0": "active", "12.0": "published"}


def test_versions_have_dates_only_if_the_switch_says_so() -> None:
    cloud = Cloud()
    cloud.control("PUT", "switches", {"guide_dates": True})
    live, before = cloud.http.get(VERSIONS, headers=cloud.headers).get_json()["entities"]
    assert "datePublishedEnd" not in live
    assert before["datePublishedEnd"] == live["datePublished"] > before["datePublished"]


def test_versions_come_in_pages() -> None:
    cloud = Cloud()
    page = cloud.http.get(f"{VERSIONS}?pageSize=1&pageNumber=2", headers=cloud.headers).get_json()
    assert (page["entities"], page["pageCount"]) == ([{"id": "12.0", "status": "published"}], 2)


def test_a_deployment_makes_a_version_live_in_its_time_and_is_counted_as_a_publish() -> None:
    cloud = Cloud()
    asked_at = cloud.now
    operation = cloud.deploy().get_json()
    assert (operation["complete"], operation["actionName"]) == (False, "PUBLISH")
    logged = cloud.last_request()
    assert (logged["method"], logged["path"], logged["publish"]) == ("PATCH", DEPLOYMENT, True)
    assert (logged["flow_id"], logged["version"], logged["effect_at"]) == (MAIN, "12.0", asked_at + 4)
    assert cloud.versions()["13.0"] == "active"
    cloud.now += 7
    assert cloud.versions() == {"13.0": "published", "12.0": "active"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"status": "inactive"}, "status", id="another status"),
        pytest.param({"version": {"id": "13.0", "description": ""}}, "not the version 12.0", id="another version"),
        pytest.param({"version": {"id": "12.0"}}, "version.description", id="no description"),
        pytest.param({"reason": "x"}, "reason: Extra", id="unknown key"),
    ],
)
def test_a_wrong_deployment_is_refused_and_has_no_effect(change: dict[str, Any], told: str) -> None:
    cloud = Cloud()
    refused = cloud.deploy(ACTIVATION | change)
    assert refused.status_code == 400
    assert told in refused.get_json()["message"]
    logged = cloud.last_request()
    assert (logged["publish"], logged["status"]) == (True, 400)
    assert "effect_at" not in logged


def test_a_deployment_is_refused_as_a_publish_is() -> None:
    assert Cloud(read_only=True).deploy().status_code == 403
    cloud = Cloud()
    cloud.control("POST", "events", {"event": "lock", "flow": MAIN})
    assert cloud.deploy().status_code == 409


@pytest.mark.parametrize(("position", "status"), [("refused", 400), ("nothing", 200)])
def test_the_switch_for_a_republish_holds_for_a_deployment(position: str, status: int) -> None:
    cloud = Cloud()
    cloud.control("PUT", "switches", {"republish": position})
    assert cloud.deploy().status_code == status
    cloud.now += 60
    assert cloud.versions()["13.0"] == "active"


def test_publish_faults_meet_deployments() -> None:
    cloud = Cloud()
    cloud.control("PUT", "faults", [{"kind": "publish_nothing"}])
    assert cloud.deploy().status_code == 200
    cloud.now += 60
    assert cloud.versions()["13.0"] == "active"
    assert "effect_at" not in cloud.last_request()
