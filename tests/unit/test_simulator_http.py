"""The simulator's HTTP: Genesys Cloud's API behind its gate, and the control API."""

import base64
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from simulator.analytics import iso, read_time
from simulator.app import create_app
from simulator.scenario import Access, Client, load
from simulator.simulation import Simulation

START = 1_795_320_000.0
MAIN = "ce677f29-f403-470c-adb0-8bfa6bf81d69"
PUBLISH = f"/api/v2/flows/actions/publish?flow={MAIN}&version=12.0"
AGGREGATES = "/api/v2/analytics/flows/aggregates/query"
QUERY = {"interval": "2026-11-21T00:00:00Z/2026-11-22T00:00:00Z", "groupBy": ["flowId"], "metrics": ["nFlow"]}


class Cloud:
    """The application with an injected clock, and a client that has a token."""

    def __init__(self, scenario: str = "calm", factor: float = 1.0, **access: Any) -> None:
        self.now = START
        self.slept: list[float] = []
        known = load(scenario)
        few = tuple(flow.model_copy(update={"calls_per_min": 2.0}) for flow in known.flows)  # to be quick
        known = known.model_copy(update={"access": Access(**access), "flows": few})
        simulation = Simulation(known, factor=factor, seed=1, clock=lambda: self.now)
        app = create_app(simulation, scenario_name=scenario, sleep=self.slept.append)
        self.dropped: list[bool] = []
        app.wsgi_app = self._watched(app.wsgi_app)  # type: ignore[assignment, method-assign]
        self.http: FlaskClient = app.test_client()
        self.headers = {"Authorization": f"Bearer {self.token().get_json()['access_token']}"}

    def _watched(self, application: WSGIApplication) -> WSGIApplication:
        """Notes of each request whether the server would drop its connection."""

        def watched(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            answer = application(environ, start_response)
            self.dropped.append("simulator.dropped" in environ)
            return answer

        return watched

    def token(
        self, client: str = "simulator", secret: str = "simulator", grant: str = "client_credentials"
    ) -> TestResponse:
        basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
        return self.http.post("/oauth/token", data={"grant_type": grant}, headers={"Authorization": f"Basic {basic}"})

    def get(self, path: str) -> TestResponse:
        return self.http.get(path, headers=self.headers)

    def post(self, path: str, json: object = None) -> TestResponse:
        return self.http.post(path, headers=self.headers, json=json)

    def switch(self, **switches: object) -> None:
        assert self.http.put("/sim/switches", json=switches).status_code == 200

    def log(self) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = self.http.get("/sim/requests").get_json()
        return requests

    def flow(self) -> dict[str, Any]:
        return next(flow for flow in self.http.get("/sim/state").get_json()["flows"] if flow["id"] == MAIN)


def test_a_token_lasts_as_long_as_it_says() -> None:
    cloud = Cloud(expires_in=600)
    assert cloud.token().get_json()["expires_in"] == 600
    cloud.now += 599
    assert cloud.get("/api/v2/flows").status_code == 200
    cloud.now += 1
    refused = cloud.get("/api/v2/flows")
    assert (refused.status_code, refused.get_json()["code"]) == (401, "bad.credentials")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        pytest.param({"secret": "wrong"}, "invalid_client", id="wrong secret"),
        pytest.param({"client": "nobody"}, "invalid_client", id="unknown client"),
        pytest.param({"grant": "password"}, "unsupported_grant_type", id="another grant"),
    ],
)
def test_a_token_is_refused_with_400(given: dict[str, str], error: str) -> None:
    refused = Cloud().token(**given)
    assert (refused.status_code, refused.get_json()["error"]) == (400, error)


def test_the_token_endpoint_limits_too() -> None:
    cloud = Cloud(tokens_per_min=2)
    assert [cloud.token().status_code for _ in range(2)] == [200, 400]
    refused = cloud.token().get_json()
    assert (refused["error"], refused["description"]) == ("invalid_request", "rate limit exceeded")
    cloud.now += 60
    assert cloud.token().status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v2/flows/nothing", 404),
        (f"/api/v2/flows/{MAIN}/versions/99.0", 404),
        ("/api/v2/nothing", 404),
        (PUBLISH, 405),
    ],
)
def test_an_error_has_the_documented_body_and_headers(path: str, status: int) -> None:
    cloud = Cloud()
    answer = cloud.get(path)
    body = answer.get_json()
    assert (answer.status_code, body["status"]) == (status, status)
    assert {"message", "code", "contextId", "details", "errors"} <= set(body)
    assert body["contextId"] == answer.headers["ININ-Correlation-Id"]
    assert "inin-ratelimit-count" in answer.headers


def test_the_limit_counts_down_and_answers_429_until_the_minute_is_over() -> None:
    cloud = Cloud(requests_per_min=3)
    answers = [cloud.get("/api/v2/flows") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["inin-ratelimit-count"] for answer in answers] == ["1", "2", "3", "4"]
    assert answers[-1].headers["inin-ratelimit-allowed"] == "3"
    assert answers[-1].headers["Retry-After"] == "60"
    assert answers[-1].get_json()["message"] == "Rate limit exceeded the maximum. Retry the request in [60] seconds"
    cloud.now += 60
    assert cloud.get("/api/v2/flows").status_code == 200


def test_a_lapsed_run_is_allowed_as_much_per_simulated_minute() -> None:
    assert Cloud(factor=10).get("/api/v2/flows").headers["inin-ratelimit-allowed"] == "3000"


def test_a_read_only_client_cannot_publish() -> None:
    cloud = Cloud(clients=(Client(id="simulator", secret="simulator", name="reader", read_only=True),))
    assert cloud.get("/api/v2/flows").status_code == 200
    assert cloud.post(PUBLISH).status_code == 403
    assert cloud.flow()["publishing"] is None


def test_flows_come_in_pages() -> None:
    cloud = Cloud()
    first = cloud.get("/api/v2/flows?pageSize=2").get_json()
    assert (first["total"], first["pageCount"], len(first["entities"])) == (3, 2, 2)
    second = cloud.get(first["nextUri"]).get_json()
    assert (second["pageNumber"], len(second["entities"])) == (2, 1)
    assert "nextUri" not in second
    assert cloud.get("/api/v2/flows?pageNumber=0").status_code == 400


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("type=inboundcall&type=WORKFLOW", 3),
        ("type=WORKFLOW", 0),
        ("publishedAfter=2026-11-15T00:00:00Z", 1),
        ("publishedBefore=2026-11-15T00:00:00Z", 2),
        ("divisionId=another", 0),
    ],
)
def test_flows_are_filtered(query: str, found: int) -> None:
    assert Cloud().get(f"/api/v2/flows?{query}").get_json()["total"] == found


def test_a_deleted_flow_is_listed_only_on_demand() -> None:
    cloud = Cloud()
    cloud.http.post("/sim/events", json={"event": "delete_flow", "flow": MAIN})
    assert cloud.get("/api/v2/flows").get_json()["total"] == 2
    assert cloud.get("/api/v2/flows?deleted=true").get_json()["total"] == 3
    assert cloud.get(f"/api/v2/flows/{MAIN}").get_json()["deleted"] is True
    assert cloud.post(PUBLISH).status_code == 410


def test_the_log_tells_each_request_as_it_arrived() -> None:
    cloud = Cloud()
    cloud.get("/api/v2/flows?pageSize=2")
    cloud.post(PUBLISH)
    token, flows, publish = cloud.log()
    assert token == {"seq": 1, "at": START, "method": "POST", "path": "/oauth/token", "query": "", "status": 200}
    assert (flows["query"], flows["status"]) == ("pageSize=2", 200)
    assert (publish["flow_id"], publish["version"], publish["status"]) == (MAIN, "12.0", 200)
    assert [request["seq"] for request in (token, flows, publish) if "publish" in request] == [3]
    assert publish["effect_at"] == START + 4
    assert cloud.http.get("/sim/state").get_json()["request_count"] == 3


def test_a_refused_publish_is_logged_without_effect() -> None:
    cloud = Cloud()
    cloud.http.post("/sim/events", json={"event": "lock", "flow": MAIN})
    assert cloud.post(PUBLISH).status_code == 409
    assert cloud.log()[-1]["status"] == 409
    assert "effect_at" not in cloud.log()[-1]


def test_the_timeline_happens_by_itself() -> None:
    cloud = Cloud("bad-deploy", factor=10)
    cloud.now += 5.9
    assert cloud.flow()["live_version"] == "13.0"
    cloud.now += 0.2
    flow = cloud.flow()
    assert (flow["live_version"], flow["live_since"]) == ("14.0", START + 6)
    assert flow["versions"]["14.0"] == 0.45


def put_faults(cloud: Cloud, *faults: dict[str, Any]) -> None:
    assert cloud.http.put("/sim/faults", json=list(faults)).status_code == 200


def test_a_throttle_fault_has_no_effect_and_ends_after_its_times() -> None:
    cloud = Cloud(factor=10)
    match = {"method": "POST", "path_prefix": "/api/v2/flows/actions/publish"}
    put_faults(cloud, {"kind": "throttle", "match": match, "retry_after": 42, "times": 2})
    for _ in range(2):
        answer = cloud.post(PUBLISH)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
        assert cloud.flow()["publishing"] is None
    assert cloud.get("/api/v2/flows").status_code == 200
    assert cloud.post(PUBLISH).status_code == 200


def test_a_throttle_fault_can_name_a_date_by_the_clock_that_the_answer_tells() -> None:
    cloud = Cloud()
    cloud.now += 0.4
    put_faults(cloud, {"kind": "throttle", "retry_after": 42, "as_date": True})
    headers = cloud.get("/api/v2/flows").headers
    sent_at, again_at = (parsedate_to_datetime(headers[name]).timestamp() for name in ("Date", "Retry-After"))
    assert sent_at == int(cloud.now)
    assert again_at - sent_at == 43  # never too early, whatever part of a second has passed


def test_a_status_fault_ends_after_its_time() -> None:
    cloud = Cloud(factor=10)
    put_faults(cloud, {"kind": "status", "status": 503, "for_s": 60})
    assert cloud.get("/api/v2/flows").status_code == 503
    cloud.now += 5.9
    assert cloud.post(PUBLISH).status_code == 503
    cloud.now += 0.1
    assert cloud.get("/api/v2/flows").status_code == 200


def test_a_probable_fault_meets_some_requests() -> None:
    cloud = Cloud()
    put_faults(cloud, {"kind": "status", "status": 500, "probability": 0.3})
    met = sum(cloud.get("/api/v2/flows").status_code == 500 for _ in range(200))
    assert 30 < met < 90


def test_a_slow_answer_comes_after_the_effect() -> None:
    cloud = Cloud(factor=10)
    put_faults(cloud, {"kind": "slow", "delay_s": 30})
    assert cloud.post(PUBLISH).status_code == 200
    assert cloud.slept == [3.0]
    assert cloud.flow()["publishing"] == "12.0"


@pytest.mark.parametrize(("kind", "publishing"), [("drop_before", None), ("down", None), ("drop_after", "12.0")])
def test_a_dropped_connection_comes_before_or_after_the_effect(kind: str, publishing: str | None) -> None:
    cloud = Cloud()
    put_faults(cloud, {"kind": kind, "times": 1})
    cloud.post(PUBLISH)
    assert cloud.dropped[-1]
    assert cloud.flow()["publishing"] == publishing
    logged = cloud.log()[-1]
    assert (logged["path"], logged["status"]) == ("/api/v2/flows/actions/publish", None)
    assert ("effect_at" in logged) == (publishing is not None)
    cloud.get("/api/v2/flows")
    assert not cloud.dropped[-1]


def test_silent_analytics_answer_with_nothing() -> None:
    cloud = Cloud()
    assert cloud.post(AGGREGATES, QUERY).get_json()["results"]
    put_faults(cloud, {"kind": "silent_analytics"})
    answer = cloud.post(AGGREGATES, QUERY)
    assert (answer.status_code, answer.get_json()) == (200, {})
    assert cloud.get("/api/v2/flows").get_json()["total"] == 3


def test_lagging_analytics_do_not_know_the_newest_minutes() -> None:
    cloud = Cloud(factor=10)

    def newest() -> float:
        start, end = (iso(round((cloud.now + offset) * 1000)) for offset in (-360, 0))
        body = {"interval": f"{start}/{end}", "granularity": "PT6S", "metrics": ["nConversations"]}
        found = cloud.post("/api/v2/analytics/conversations/aggregates/query", body).get_json()["results"]
        return cloud.now - max(
            read_time(row["interval"].split("/")[1], "interval") for result in found for row in result["data"]
        )

    assert newest() < 30
    put_faults(cloud, {"kind": "analytics_lag", "lag_s": 1200, "for_s": 600})
    assert 115 < newest() < 160
    cloud.now += 60
    assert newest() < 30


def test_a_truncated_answer_is_half_an_answer() -> None:
    cloud = Cloud()
    whole = cloud.get("/api/v2/flows").get_data()
    put_faults(cloud, {"kind": "truncated", "times": 1})
    half = cloud.get("/api/v2/flows")
    assert (half.status_code, half.get_data()) == (200, whole[: len(whole) // 2])
    assert half.headers["Content-Length"] == str(len(whole) // 2)
    assert cloud.get("/api/v2/flows").get_data() == whole


def test_stale_reads_show_flows_and_versions_as_they_were() -> None:
    cloud = Cloud()
    cloud.now += 100
    cloud.http.post("/sim/events", json={"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.4})
    cloud.now += 10
    put_faults(cloud, {"kind": "stale_reads", "age_s": 30, "for_s": 60})

    def shown() -> tuple[str, int]:
        published = cloud.get(f"/api/v2/flows/{MAIN}").get_json()["publishedVersion"]["id"]
        listed = cloud.get("/api/v2/flows").get_json()["entities"][0]["publishedVersion"]["id"]
        assert published == listed
        return published, cloud.get(f"/api/v2/flows/{MAIN}/versions/14.0").status_code

    assert shown() == ("13.0", 404)
    assert cloud.post(PUBLISH).status_code == 200
    assert cloud.post(AGGREGATES, QUERY).get_json()["results"]
    cloud.now += 59
    assert "currentOperation" in cloud.get(f"/api/v2/flows/{MAIN}").get_json()
    cloud.now += 1
    assert shown() == ("12.0", 200)


@pytest.mark.parametrize(
    ("kind", "operation"), [("publish_nothing", None), ("publish_fails", "FAILURE"), ("publish_hangs", "STARTED")]
)
def test_a_publish_that_is_answered_may_have_no_effect(kind: str, operation: str | None) -> None:
    cloud = Cloud()
    put_faults(cloud, {"kind": kind, "times": 1})
    assert cloud.get(f"/api/v2/flows/{MAIN}").get_json()["publishedVersion"]["id"] == "13.0"
    answered = cloud.post(PUBLISH)
    assert (answered.status_code, answered.get_json()["actionStatus"]) == (200, "STARTED")
    assert cloud.log()[-1]["publish"] is True
    assert "effect_at" not in cloud.log()[-1]
    cloud.now += 600
    flow = cloud.get(f"/api/v2/flows/{MAIN}").get_json()
    assert flow["publishedVersion"]["id"] == "13.0"
    assert flow.get("currentOperation", {}).get("actionStatus") == operation
    assert cloud.http.get("/sim/state").get_json()["faults"] == []


@pytest.mark.parametrize(
    ("position", "status", "live"), [("works", 200, "12.0"), ("refused", 400, "13.0"), ("nothing", 200, "13.0")]
)
def test_a_republish_does_what_the_switch_says(position: str, status: int, live: str) -> None:
    cloud = Cloud()
    cloud.switch(republish=position)
    assert cloud.post(PUBLISH).status_code == status
    assert ("effect_at" in cloud.log()[-1]) == (position == "works")
    cloud.now += 60
    assert cloud.flow()["live_version"] == live


@pytest.mark.parametrize(
    ("position", "status", "found"), [("works", 200, 1), ("ignored", 200, 3), ("refused", 400, None)]
)
def test_published_after_does_what_the_switch_says(position: str, status: int, found: int | None) -> None:
    cloud = Cloud()
    cloud.switch(published_after=position)
    answer = cloud.get("/api/v2/flows?publishedAfter=2026-11-15T00:00:00Z")
    assert (answer.status_code, answer.get_json().get("total")) == (status, found)
    assert cloud.get("/api/v2/flows").get_json()["total"] == 3


def test_a_flow_whose_date_stays_is_not_published_after_its_republish() -> None:
    cloud = Cloud()
    cloud.switch(date_published="stays")
    cloud.post(PUBLISH)
    cloud.now += 60
    assert cloud.flow()["shown_version"] == "12.0"
    assert cloud.get("/api/v2/flows?publishedAfter=2026-11-22T00:00:00Z").get_json()["total"] == 0


def test_switches_change_one_by_one_while_it_runs() -> None:
    cloud = Cloud()
    cloud.switch(extra_group_keys=False)
    cloud.switch(n_flow_exit_reason=True)
    told = cloud.http.get("/sim/switches").get_json()
    assert (told["extra_group_keys"], told["n_flow_exit_reason"], told["republish"]) == (False, True, "works")
    assert cloud.http.get("/sim/state").get_json()["switches"] == told


def test_faults_are_cleared() -> None:
    cloud = Cloud()
    put_faults(cloud, {"kind": "status", "status": 500})
    cloud.http.delete("/sim/faults")
    assert cloud.get("/api/v2/flows").status_code == 200


def test_settings_change_one_by_one_while_it_runs() -> None:
    cloud = Cloud()
    answer = cloud.http.put("/sim/settings", json={"publish_time": 9})
    assert (answer.get_json()["publish_time"], answer.get_json()["effect_delay"]) == (9, 3)
    cloud.post(PUBLISH)
    assert cloud.log()[-1]["effect_at"] == START + 9


def test_expired_tokens_are_refused_and_new_ones_work() -> None:
    cloud = Cloud()
    cloud.http.post("/sim/events", json={"event": "expire_tokens"})
    assert cloud.get("/api/v2/flows").status_code == 401
    assert cloud.token().status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        pytest.param("PUT", "/sim/settings", {"effect": 1}, "effect", id="unknown setting"),
        pytest.param("PUT", "/sim/faults", [{"kind": "status"}], "needs status", id="a status fault without status"),
        pytest.param(
            "PUT", "/sim/faults", [{"kind": "slow", "delay_s": 1, "status": 500}], "status", id="foreign word"
        ),
        pytest.param("PUT", "/sim/faults", [{"kind": "down", "match": {"method": "GET"}}], "down", id="partly down"),
        pytest.param("PUT", "/sim/faults", {"kind": "down"}, "document", id="not a list"),
        pytest.param("PUT", "/sim/faults", [{"kind": "stale_reads"}], "needs age_s", id="stale without an age"),
        pytest.param("PUT", "/sim/switches", {"republish": "maybe"}, "republish", id="unknown position"),
        pytest.param("PUT", "/sim/switches", {"n_flow_exit_reason": "true"}, "boolean", id="a text for true"),
        pytest.param("POST", "/sim/events", {"event": "explode"}, "publish", id="unknown event"),
        pytest.param("POST", "/sim/events", {"event": "lock", "flow": "x"}, "not found", id="unknown flow"),
        pytest.param("POST", "/sim/events", {"event": "unlock", "flow": MAIN, "by": "me"}, "by", id="unknown key"),
        pytest.param("POST", "/sim/nothing", {}, "not found", id="unknown path"),
    ],
)
def test_the_control_api_refuses_what_it_does_not_know(method: str, path: str, body: object, told: str) -> None:
    cloud = Cloud()
    before = cloud.http.get("/sim/state").get_json()
    refused = cloud.http.open(path, method=method, json=body)
    assert refused.status_code in (400, 404)
    assert told in refused.get_json()["message"]
    assert cloud.http.get("/sim/state").get_json() == before


def test_control_requests_are_not_in_the_log() -> None:
    cloud = Cloud()
    cloud.http.get("/sim/state")
    assert [request["path"] for request in cloud.log()] == ["/oauth/token"]


# What versions contain


def content(cloud: Cloud, version: str) -> Any:
    return cloud.get(f"/api/v2/flows/{MAIN}/versions/{version}/configuration").get_json()


def publish_by_others(cloud: Cloud, version: str, **more: Any) -> None:
    event = {"event": "publish", "flow": MAIN, "version": version, "error_ratio": 0.5, **more}
    assert cloud.http.post("/sim/events", json=event).status_code == 200


def test_a_version_has_its_own_content_unless_it_is_given_that_of_another() -> None:
    cloud = Cloud()
    publish_by_others(cloud, "14.0")
    publish_by_others(cloud, "15.0", content="14.0")
    assert content(cloud, "14.0") != content(cloud, "13.0")
    assert content(cloud, "15.0") == content(cloud, "14.0")


def test_a_content_that_carries_its_label_is_like_no_other() -> None:
    cloud = Cloud()
    publish_by_others(cloud, "14.0", content="13.0")
    cloud.http.put("/sim/switches", json={"configuration": "labelled"})
    assert content(cloud, "14.0") != content(cloud, "13.0")


@pytest.mark.parametrize(("position", "status"), [("refused", 403), ("absent", 404)])
def test_the_content_may_be_kept_from_us(position: str, status: int) -> None:
    cloud = Cloud()
    cloud.http.put("/sim/switches", json={"configuration": position})
    assert cloud.get(f"/api/v2/flows/{MAIN}/versions/13.0/configuration").status_code == status
    assert cloud.get(f"/api/v2/flows/{MAIN}/versions/13.0").status_code == 200
