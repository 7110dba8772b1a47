"""Cues, and the faults around a publish: who does what while, before and after a request is handled."""

import base64
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from simulator.app import create_app
from simulator.scenario import load
from simulator.simulation import Simulation
from simulator.vocabulary import Settings

START = 1_795_320_000.0
MAIN = "ce677f29-f403-470c-adb0-8bfa6bf81d69"
FLOW = f"/api/v2/flows/{MAIN}"
PUBLISH = f"/api/v2/flows/actions/publish?flow={MAIN}&version=12.0"
PUBLISHES = {"method": "POST", "path_prefix": "/api/v2/flows/actions/publish"}
READS = {"method": "GET", "path_prefix": FLOW}
NEWER = {"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.0}


class Cloud:
    """A Genesys Cloud in which a publish takes effect at once, time-lapsed twice; and a client that has a token."""

    def __init__(self) -> None:
        self.now = START
        self.slept: list[float] = []
        at_once = Settings(publish_time=0, effect_delay=0)
        scenario = load("calm").model_copy(update={"settings": at_once})
        simulation = Simulation(scenario, factor=2.0, seed=1, clock=lambda: self.now)
        app = create_app(simulation, scenario_name="calm", sleep=self.slept.append)
        application = app.wsgi_app
        self.dropped = False

        def watched(environ: Any, start_response: Any) -> Any:
            answer = application(environ, start_response)
            self.dropped = "simulator.dropped" in environ
            return answer

        app.wsgi_app = watched  # type: ignore[method-assign]
        self.http: FlaskClient = app.test_client()
        basic = base64.b64encode(b"simulator:simulator").decode()
        token = self.http.post(
            "/oauth/token", data={"grant_type": "client_credentials"}, headers={"Authorization": f"Basic {basic}"}
        )
        self.headers = {"Authorization": f"Bearer {token.get_json()['access_token']}"}

    def put(self, path: str, *words: dict[str, Any]) -> TestResponse:
        return self.http.put(f"/sim/{path}", json=list(words))

    def publish(self) -> TestResponse:
        return self.http.post(PUBLISH, headers=self.headers)

    def shown(self) -> str:
        version: str = self.http.get(FLOW, headers=self.headers).get_json()["publishedVersion"]["id"]
        return version

    def flow(self) -> dict[str, Any]:
        return next(flow for flow in self.http.get("/sim/state").get_json()["flows"] if flow["id"] == MAIN)

    def log(self) -> dict[str, Any]:
        """The newest request about the flow that is not a read."""
        sent = self.http.get("/sim/requests").get_json()
        return next(one for one in reversed(sent) if one["method"] == "POST")


@pytest.mark.parametrize(("when", "live"), [("before", "12.0"), ("after", "14.0")])
def test_a_cue_lets_an_event_happen_right_before_or_right_after_the_request(when: str, live: str) -> None:
    cloud = Cloud()
    cloud.put("cues", {"match": PUBLISHES, "when": when, "do": NEWER})
    assert cloud.shown() == "13.0"
    assert cloud.publish().status_code == 200
    assert cloud.flow()["live_version"] == live


def test_a_cue_before_a_request_bears_on_that_request() -> None:
    cloud = Cloud()
    faults = {"event": "faults", "faults": [{"kind": "status", "status": 503, "times": 1}]}
    cloud.put("cues", {"match": PUBLISHES, "when": "before", "do": faults})
    assert cloud.publish().status_code == 503
    cloud.put("cues", {"match": PUBLISHES, "when": "before", "do": {"event": "expire_tokens"}})
    assert cloud.publish().status_code == 401


def test_a_cue_after_a_request_happens_also_where_nobody_gets_an_answer() -> None:
    cloud = Cloud()
    cloud.put("faults", {"kind": "drop_before", "match": PUBLISHES})
    cloud.put("cues", {"match": PUBLISHES, "when": "after", "do": NEWER})
    cloud.publish()
    assert cloud.dropped
    assert cloud.flow()["live_version"] == "14.0"


def test_a_cue_lets_some_requests_pass_and_is_used_up() -> None:
    cloud = Cloud()
    lock = {"event": "lock", "flow": MAIN}
    told = cloud.put("cues", {"match": READS, "when": "after", "skip": 1, "times": 2, "do": lock}).get_json()["cues"]
    assert [(cue["skip"], cue["times"]) for cue in told] == [(1, 2)]
    locked = []
    for _ in range(4):
        cloud.shown()
        locked.append(cloud.flow()["locked_by"] is not None)
        cloud.http.post("/sim/events", json={"event": "unlock", "flow": MAIN})
    assert locked == [False, True, True, False]
    assert cloud.http.get("/sim/state").get_json()["cues"] == []


def test_a_delayed_cue_happens_that_many_simulated_seconds_later_in_its_turn() -> None:
    cloud = Cloud()
    cloud.put(
        "cues",
        {"match": PUBLISHES, "when": "after", "delay_s": 20, "do": NEWER},
        {"match": PUBLISHES, "when": "after", "delay_s": 10, "do": {"event": "lock", "flow": MAIN}},
    )
    cloud.publish()
    seen = []
    for seconds in (4.9, 0.2, 4.8, 0.2):
        cloud.now += seconds
        seen.append((cloud.flow()["live_version"], cloud.flow()["locked_by"] is not None))
    assert seen == [("12.0", False), ("12.0", True), ("12.0", True), ("14.0", True)]


def test_what_a_cue_cannot_do_does_not_break_the_request() -> None:
    cloud = Cloud()
    gone = {"event": "delete_version", "flow": MAIN, "version": "13.0"}
    cloud.put("cues", {"match": PUBLISHES, "when": "before", "do": gone})
    assert cloud.publish().status_code == 200
    assert "13.0" in cloud.flow()["versions"], "the live version cannot be deleted"


@pytest.mark.parametrize(
    ("cue", "told"),
    [
        pytest.param({"when": "before", "do": NEWER}, "match", id="a cue for everything"),
        pytest.param({"match": {}, "when": "during", "do": NEWER}, "when", id="an unknown moment"),
        pytest.param({"match": {}, "when": "after", "do": {"event": "explode"}}, "do", id="an unknown event"),
        pytest.param({"match": {}, "when": "after", "do": NEWER, "times": 0}, "times", id="never"),
    ],
)
def test_a_wrong_cue_is_refused(cue: dict[str, Any], told: str) -> None:
    refused = Cloud().put("cues", cue)
    assert refused.status_code == 400
    assert told in refused.get_json()["message"]


def test_a_status_after_the_effect_is_an_error_that_did_it() -> None:
    cloud = Cloud()
    cloud.put("faults", {"kind": "status_after", "status": 502, "match": PUBLISHES, "times": 1})
    answer = cloud.publish()
    assert (answer.status_code, answer.get_json()["code"]) == (502, "simulated.fault")
    assert cloud.flow()["live_version"] == "12.0"
    assert (cloud.log()["status"], cloud.log()["effect_at"]) == (502, START)


def test_a_request_that_hangs_waits_and_does_nothing() -> None:
    cloud = Cloud()
    cloud.put("faults", {"kind": "hang", "delay_s": 30, "match": PUBLISHES, "times": 1})
    cloud.publish()
    assert (cloud.dropped, cloud.slept) == (True, [15.0])
    assert cloud.flow()["live_version"] == "13.0"
    assert "status" in cloud.log()
    assert cloud.log()["status"] is None


def test_a_publish_that_is_carried_out_late_shows_no_trace_until_then() -> None:
    cloud = Cloud()
    cloud.put("faults", {"kind": "publish_late", "delay_s": 60, "match": PUBLISHES, "times": 1})
    cloud.publish()
    assert cloud.dropped
    cloud.now += 29
    assert (cloud.flow()["live_version"], cloud.flow()["publishing"]) == ("13.0", None)
    assert "effect_at" not in cloud.log()
    cloud.now += 2
    assert cloud.flow()["live_version"] == "12.0"
    assert cloud.log()["effect_at"] == START + 30


def test_a_late_publish_that_is_refused_by_then_has_no_effect() -> None:
    cloud = Cloud()
    cloud.put("faults", {"kind": "publish_late", "delay_s": 60, "match": PUBLISHES, "times": 1})
    cloud.publish()
    cloud.http.post("/sim/events", json={"event": "lock", "flow": MAIN})
    cloud.now += 31
    assert cloud.flow()["live_version"] == "13.0"
    assert "effect_at" not in cloud.log()


def test_frozen_reads_show_what_was_when_the_fault_was_set_and_nothing_of_that_moment() -> None:
    cloud = Cloud()
    cloud.put("faults", {"kind": "frozen_reads", "for_s": 120})
    cloud.publish()
    assert cloud.flow()["live_version"] == "12.0"
    cloud.now += 59
    frozen = cloud.http.get(FLOW, headers=cloud.headers).get_json()
    assert (frozen["publishedVersion"]["id"], "currentOperation" in frozen) == ("13.0", False)
    cloud.now += 1
    assert cloud.shown() == "12.0"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"kind": "hang"}, "kind hang needs delay_s"),
        ({"kind": "status_after"}, "kind status_after needs status"),
        ({"kind": "slow", "delay_s": 3, "as_date": True}, "as_date belongs to kind throttle, not to slow"),
        (
            {"kind": "drop_after", "delay_s": 3},
            "delay_s belongs to kind slow or hang or publish_late or upload_late, not to drop_after",
        ),
    ],
)
def test_a_fault_needs_its_own_words_and_no_other(fault: dict[str, Any], told: str) -> None:
    refused = Cloud().put("faults", fault)
    assert refused.status_code == 400
    assert told in refused.get_json()["message"]
