"""`/deployments` and `/gate` over HTTP, and what a pipeline may do with windows."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from receiver.metrics import ReceiverMetrics
from receiver.store import controls, flows, quarantines
from receiver.store.database import Store
from receiver.store.rollbacks import State
from receiver.store.schema import outbox
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, opened, put_alert, put_rollback, settings_of

NOW = time.time()
DIGEST, OTHER = "a" * 64, "b" * 64
ORDER: dict[str, Any] = {
    "org": "retail",
    "flows": [{"flow_id": "flow-1", "source_digest": DIGEST, "version": "14.0"}],
    "commit": "c0ffee",
    "actor": "ann",
    "url": "https://ci.example.org/1",
    "rollback": "ask",
    "objects": [{"object_type": "data_table", "object_id": "t-1", "source_digest": DIGEST}],
}
OBJECT: dict[str, Any] = ORDER["objects"][0]
QUESTION: dict[str, Any] = {"org": "retail", "flows": [{"flow_id": "flow-1", "source_digest": DIGEST}]}


class Pipeline:
    """A pipeline's calls to the application, in-process."""

    def __init__(self, client: FlaskClient, store: Store) -> None:
        self.store = store
        self._client = client

    def call(self, method: str, path: str, *, role: str = "ci", **arguments: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {TOKENS[role]}"}
        return self._client.open(f"/api/v1{path}", method=method, headers=headers, **arguments)

    def register(self, **changes: Any) -> Any:
        answer = self.call("POST", "/deployments", json=ORDER | changes)
        assert answer.status_code in (200, 201), answer.text
        return answer.get_json()

    def gate(self) -> TestResponse:
        return self.call("POST", "/gate", json=QUESTION)

    def roll_back(self, version: str = "14.0", state: State = State.SUCCEEDED) -> str:
        """Roll a version back; gives the id of its quarantine."""
        with self.store.begin() as tx:
            alert = put_alert(tx, now=NOW)
            ended_at = NOW if state is State.SUCCEEDED else None
            done = put_rollback(
                tx, alert, f"r-{version}", now=NOW, accused_version=version, state=state, ended_at=ended_at
            )
            quarantines.put(tx, done, now=NOW)
            return quarantines.in_force(tx, "retail", "flow-1")[0].id

    def told(self) -> list[Mapping[str, Any]]:
        with self.store.begin() as tx:
            return list(tx.scalars(sa.select(outbox.c.payload).order_by(outbox.c.id)))


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    settings = settings_of(tmp_path, webhooks=[{"name": "pager", "url": "http://127.0.0.1:9/"}])
    with opened(settings) as store:
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        held_to_its_document(app)
        yield Pipeline(app.test_client(), store)


def refusal(answer: TestResponse, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    return answer.get_json()


# Deployments


def test_a_deployment_is_registered_once_and_found_again(pipeline: Pipeline) -> None:
    first = pipeline.call("POST", "/deployments", json=ORDER)
    again = pipeline.call("POST", "/deployments", json=ORDER)
    made = first.get_json()
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.get_json() == made
    assert {name: made[name] for name in made if name not in ("id", "registered_at")} == ORDER | {
        "in_part": False,
        "registered_by": "the-ci",
        "good_at": None,
        "good_by": None,
    }
    other = pipeline.register(flows=[{"flow_id": "flow-2", "source_digest": DIGEST}])
    assert other["flows"][0]["version"] is None

    def listed(query: str) -> list[str]:
        found = pipeline.call("GET", f"/deployments{query}", role="viewer").get_json()["deployments"]
        return [one["id"] for one in found]

    assert listed("") == listed("?org=retail") == [other["id"], made["id"]]
    assert listed("?flow_id=flow-1") == [made["id"]]
    assert listed("?limit=1") == [other["id"]]
    assert listed("?org=bank") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"org": "other"}, "is not configured", id="an unknown organization"),
        pytest.param({"flows": []}, "flows", id="no flows"),
        pytest.param({"flows": [{"flow_id": "f", "source_digest": "A" * 64}]}, "source_digest", id="upper case"),
        pytest.param({"flows": [{"flow_id": "f", "source_digest": "a" * 63}]}, "source_digest", id="63 digits"),
        pytest.param({"flows": [{"flow_id": "f", "source_digest": "a" * 64 + "\n"}]}, "source_digest", id="a line end"),
        pytest.param({"flows": [{"flow_id": "", "source_digest": DIGEST}]}, "flow_id", id="no flow id"),
        pytest.param({"flows": [{"flow_id": "f", "source_digest": DIGEST}] * 2}, "given twice", id="a flow twice"),
        pytest.param({"flows": [{"flow_id": "f\u0000", "source_digest": DIGEST}]}, "flow_id", id="a NUL"),
        pytest.param({"commit": ""}, "commit", id="no commit"),
        pytest.param({"rollback": "maybe"}, "rollback", id="an unknown consent"),
        pytest.param({"sha": "1"}, "is unknown", id="an unknown key"),
        pytest.param({"objects": [OBJECT, OBJECT]}, "data_table t-1 is given twice", id="an object twice"),
        pytest.param({"objects": [OBJECT | {"object_type": "flow"}]}, "belongs among flows", id="a flow as an object"),
        pytest.param({"objects": [OBJECT | {"object_type": "Data Table"}]}, "object_type", id="no name of a type"),
        pytest.param({"objects": [OBJECT | {"source_digest": "1"}]}, "source_digest", id="no digest of an object"),
    ],
)
def test_what_is_no_deployment_is_400_and_says_where(pipeline: Pipeline, changes: Mapping[str, Any], said: str) -> None:
    document = refusal(pipeline.call("POST", "/deployments", json=ORDER | dict(changes)), 400)
    assert said in document["detail"]
    assert pipeline.call("GET", "/deployments").get_json() == {"deployments": [], "next": None}


def test_a_deployment_is_called_good_once_and_for_all(pipeline: Pipeline) -> None:
    made = pipeline.register()
    marked = pipeline.call("POST", f"/deployments/{made['id']}/good")
    again = pipeline.call("POST", f"/deployments/{made['id']}/good", role="operator")
    assert (marked.status_code, again.status_code) == (200, 200)
    assert marked.get_json()["good_by"] == again.get_json()["good_by"] == "the-ci"
    for unknown in ("no-such", "%00"):
        refusal(pipeline.call("POST", f"/deployments/{unknown}/good"), 404)


def test_flows_are_listed_at_once_where_the_version_is_not_told(pipeline: Pipeline) -> None:
    with pipeline.store.begin() as tx:
        flows.claim(tx, "retail", now=NOW, next_at=NOW + 600)
    pipeline.register()
    with pipeline.store.begin() as tx:
        listing = flows.listing(tx, "retail")
        assert listing is not None
        assert listing.due_at == NOW + 600
    pipeline.register(flows=[{"flow_id": "flow-2", "source_digest": DIGEST}])
    with pipeline.store.begin() as tx:
        listing = flows.listing(tx, "retail")
        assert listing is not None
        assert listing.due_at <= time.time()


def test_people_are_told_once_when_what_was_rolled_back_is_registered_under_another_label(pipeline: Pipeline) -> None:
    pipeline.register()
    pipeline.roll_back()
    assert pipeline.told() == []
    for _ in range(2):
        pipeline.register(flows=[{"flow_id": "flow-1", "source_digest": DIGEST, "version": "15.0"}])
    (told,) = pipeline.told()
    assert (told["incident_type"], told["accused_version_id"]) == ("KNOWN_BAD_DEPLOYED", "15.0")
    assert "source digest of 14.0" in told["reason"]


# The gate


def test_what_nobody_knows_may_be_published(pipeline: Pipeline) -> None:
    answer = pipeline.gate()
    assert (answer.status_code, answer.get_json()) == (200, {"allowed": True})


def test_what_was_rolled_back_may_not_until_its_quarantine_is_lifted(pipeline: Pipeline) -> None:
    pipeline.register()
    quarantine = pipeline.roll_back()
    (error,) = refusal(pipeline.gate(), 409)["errors"]
    assert (error["flow_id"], error["reason"], error["pointer"]) == ("flow-1", "quarantined", "#/flows/0")
    assert "version 14.0" in error["detail"]
    assert "r-14.0" in error["detail"]
    assert f"rollbackctl quarantine lift {quarantine}" in error["detail"]

    mended = QUESTION | {"flows": [{"flow_id": "flow-1", "source_digest": OTHER}]}
    assert pipeline.call("POST", "/gate", json=mended).status_code == 200
    elsewhere = QUESTION | {"flows": [{"flow_id": "flow-2", "source_digest": DIGEST}]}
    assert pipeline.call("POST", "/gate", json=elsewhere).status_code == 200

    pipeline.call("DELETE", f"/quarantines/{quarantine}", role="operator")
    assert pipeline.gate().status_code == 200


def test_whoever_has_stopped_the_bridge_has_stopped_the_pipeline(pipeline: Pipeline) -> None:
    with pipeline.store.begin() as tx:
        controls.hold(tx, "retail", ["flow-1"], owner="team", reason="debugging", by="ann", now=NOW)
        controls.hold(tx, "retail", ["flow-2"], owner="team", reason="another", by="ann", now=NOW)
        controls.pause(tx, "*", by="bob", reason="storm", now=NOW)
        controls.pause(tx, "bank", by="bob", reason="storm", now=NOW)
    errors = refusal(pipeline.gate(), 409)["errors"]
    assert [error["reason"] for error in errors] == ["held", "paused"]
    assert "set by ann: debugging" in errors[0]["detail"]
    assert "everything paused by bob" in errors[1]["detail"]


def test_nobody_publishes_while_the_flow_is_rolled_back(pipeline: Pipeline) -> None:
    pipeline.roll_back("13.0", State.CONFIRMING)
    (error,) = refusal(pipeline.gate(), 409)["errors"]
    assert error["reason"] == "rollback_under_way"
    elsewhere = QUESTION | {"flows": [{"flow_id": "flow-2", "source_digest": DIGEST}]}
    assert pipeline.call("POST", "/gate", json=elsewhere).status_code == 200


def test_neither_a_lockout_nor_a_window_stops_a_pipeline(pipeline: Pipeline) -> None:
    pipeline.roll_back("13.0")  # just now: its lockout lasts
    for kind in ("maintenance", "incident"):
        window = {"org": "retail", "kind": kind, "ends_at": _in(1), "reason": "release"}
        assert pipeline.call("POST", "/maintenance", role="operator", json=window).status_code == 201
    assert pipeline.gate().status_code == 200


@pytest.mark.parametrize(
    ("question", "said"),
    [
        pytest.param(QUESTION | {"org": "other"}, "is not configured", id="an unknown organization"),
        pytest.param(QUESTION | {"flows": []}, "flows", id="no flows"),
        pytest.param(QUESTION | {"commit": "x"}, "is unknown", id="an unknown key"),
        pytest.param(QUESTION | {"flows": QUESTION["flows"] * 2}, "given twice", id="a flow twice"),
    ],
)
def test_what_is_no_question_is_400(pipeline: Pipeline, question: Mapping[str, Any], said: str) -> None:
    assert said in refusal(pipeline.call("POST", "/gate", json=question), 400)["detail"]


def test_without_the_database_nobody_can_tell(pipeline: Pipeline) -> None:
    with pipeline.store.begin() as tx:
        tx.execute(sa.text("DROP TABLE quarantines"))
    refusal(pipeline.gate(), 503)


# Windows


def _in(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


def test_a_pipeline_opens_windows_for_flows_that_it_names_and_closes_its_own(pipeline: Pipeline) -> None:
    order = {"org": "retail", "flow_ids": ["flow-1"], "ends_at": _in(1.9), "reason": "release"}
    opened_by_ci = pipeline.call("POST", "/maintenance", json=order)
    assert opened_by_ci.status_code == 201
    assert pipeline.call("GET", "/maintenance").get_json()["windows"][0]["created_by"] == "the-ci"
    assert pipeline.call("DELETE", f"/maintenance/{opened_by_ci.get_json()['id']}").status_code == 204

    by_operator = pipeline.call("POST", "/maintenance", role="operator", json=order).get_json()["id"]
    refusal(pipeline.call("DELETE", f"/maintenance/{by_operator}"), 403)
    assert pipeline.call("DELETE", f"/maintenance/{by_operator}", role="operator").status_code == 204


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        pytest.param({"ends_at": _in(1)}, "#/flow_ids", id="for every flow"),
        pytest.param({"flow_ids": ["flow-1"], "ends_at": _in(2.5)}, "#/ends_at", id="for more than two hours"),
        pytest.param(
            {"flow_ids": ["flow-1"], "starts_at": _in(1), "ends_at": _in(3.5)}, "#/ends_at", id="later, for as long"
        ),
    ],
)
def test_a_pipeline_stops_no_more_than_its_deployment_needs(
    pipeline: Pipeline, order: Mapping[str, Any], pointer: str
) -> None:
    whole = {"org": "retail", "reason": "release"} | dict(order)
    (error,) = refusal(pipeline.call("POST", "/maintenance", json=whole), 400)["errors"]
    assert error["pointer"] == pointer
    assert pipeline.call("POST", "/maintenance", role="operator", json=whole).status_code == 201
