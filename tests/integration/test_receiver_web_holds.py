"""`/holds` and `/quarantines` over HTTP: what people take out of the bridge's hands, and give back."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from receiver.metrics import ReceiverMetrics
from receiver.store import controls, quarantines
from receiver.store.database import Store
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, opened, put_alert, put_rollback, settings_of

NOW = time.time()


class Calls:
    """An operator's calls to the application, in-process."""

    def __init__(self, client: FlaskClient, store: Store) -> None:
        self.store = store
        self._client = client

    def call(self, method: str, path: str, **arguments: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {TOKENS['operator']}"}
        return self._client.open(f"/api/v1{path}", method=method, headers=headers, **arguments)

    def get(self, path: str) -> Any:
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def hold(self, **order: Any) -> Any:
        answer = self.call("PUT", "/holds", json={"org": "retail", "reason": "debugging"} | order)
        assert answer.status_code == 200, answer.text
        return answer.get_json()["holds"]


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[Calls]:
    settings = settings_of(tmp_path)
    with opened(settings) as store:
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        held_to_its_document(app)
        yield Calls(app.test_client(), store)


def refusal(answer: TestResponse, status: int) -> Mapping[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    document: Mapping[str, Any] = answer.get_json()
    return document


def test_flows_are_held_listed_and_released(calls: Calls) -> None:
    one, other = calls.hold(flow_ids=["flow-1", "flow-2"], owner="team-voice")
    assert {name: one[name] for name in one if name != "held_at"} == {
        "org": "retail",
        "flow_id": "flow-1",
        "owner": "team-voice",
        "reason": "debugging",
        "held_by": "the-operator",
    }
    assert calls.get("/holds") == calls.get("/holds?org=retail") == {"holds": [one, other]}
    assert calls.get("/holds?org=bank") == {"holds": []}

    assert calls.call("DELETE", "/holds?org=retail&flow_id=flow-1").status_code == 204
    assert calls.get("/holds") == {"holds": [other]}


def test_without_flows_every_flow_is_held_and_without_owner_it_is_the_callers_hold(calls: Calls) -> None:
    (every,) = calls.hold()
    assert (every["flow_id"], every["owner"]) == (None, "the-operator")

    assert calls.call("DELETE", "/holds?org=retail").status_code == 204
    assert calls.get("/holds") == {"holds": []}


def test_the_same_hold_again_replaces_it(calls: Calls) -> None:
    calls.hold(flow_ids=["flow-1"])
    calls.hold(flow_ids=["flow-1"], reason="still debugging")

    assert [hold["reason"] for hold in calls.get("/holds")["holds"]] == ["still debugging"]


def test_the_bridges_hold_is_released_by_its_owner_and_another_stays(calls: Calls) -> None:
    calls.hold(flow_ids=["flow-1"])
    with calls.store.begin() as tx:
        controls.hold(tx, "retail", ["flow-1"], owner=controls.BRIDGE, reason="ineffective", by="r1", now=NOW)

    assert calls.call("DELETE", "/holds?org=retail&flow_id=flow-1&owner=bridge").status_code == 204
    assert [hold["owner"] for hold in calls.get("/holds")["holds"]] == ["the-operator"]


def test_releasing_what_is_not_held_says_what_is(calls: Calls) -> None:
    calls.hold(flow_ids=["flow-1"])
    answer = calls.call("DELETE", "/holds?org=retail")
    assert refusal(answer, 404)["detail"] == "there is no such hold; held in retail: flow-1 (the-operator)"


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        pytest.param({"org": "retial"}, "#/org", id="an unknown organization"),
        pytest.param({"org": "*"}, "#/org", id="every organization: that is a pause"),
        pytest.param({"flow_ids": []}, "#/flow_ids", id="no flow at all"),
        pytest.param({"flow_ids": [""]}, "#/flow_ids/0", id="a flow without an id"),
        pytest.param({"flow_ids": "flow-1"}, "#/flow_ids", id="no list"),
        pytest.param({"reason": " "}, "#/reason", id="no reason"),
        pytest.param({"owner": ""}, "#/owner", id="nobody"),
        pytest.param({"flow": "flow-1"}, "#/flow", id="an unknown key"),
    ],
)
def test_a_hold_that_says_too_little_or_too_much_is_400(calls: Calls, order: dict[str, Any], pointer: str) -> None:
    answer = calls.call("PUT", "/holds", json={"org": "retail", "reason": "x"} | order)
    assert [fault["pointer"] for fault in refusal(answer, 400)["errors"]] == [pointer]
    assert calls.get("/holds") == {"holds": []}


@pytest.mark.parametrize("path", ["/holds", "/holds?org=retial", "/holds?org=retail&flow_id="])
def test_a_release_that_cannot_be_meant_is_400(calls: Calls, path: str) -> None:
    refusal(calls.call("DELETE", path), 400)


def test_a_quarantine_is_listed_lifted_and_kept_with_who_lifted_it(calls: Calls) -> None:
    with calls.store.begin() as tx:
        quarantines.put(tx, put_rollback(tx, put_alert(tx, now=NOW), "r1", now=NOW), now=NOW)
    (made,) = calls.get("/quarantines?org=retail&flow_id=flow-1")["quarantines"]
    assert (made["flow_id"], made["version"], made["rollback_id"], made["lifted_at"]) == ("flow-1", "14.0", "r1", None)

    assert calls.call("DELETE", f"/quarantines/{made['id']}").status_code == 204
    assert calls.get("/quarantines") == {"quarantines": [], "next": None}
    (kept,) = calls.get("/quarantines?lifted=true")["quarantines"]
    assert kept["lifted_by"] == "the-operator"
    refusal(calls.call("DELETE", f"/quarantines/{made['id']}"), 404)


@pytest.mark.parametrize("name", ["unknown", "%00", "a%2Fb"])
def test_lifting_a_quarantine_that_does_not_exist_is_404(calls: Calls, name: str) -> None:
    refusal(calls.call("DELETE", f"/quarantines/{name}"), 404)
