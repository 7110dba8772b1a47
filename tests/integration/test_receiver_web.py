"""The receiver's HTTP side with a real store: every call, every role, every refusal."""

import http.client
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import TestResponse

from receiver.metrics import Outcome, ReceiverMetrics
from receiver.policy import Verdict
from receiver.store import controls, rollbacks, watchdog
from receiver.store.database import Store
from receiver.store.rollbacks import Answer
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, listening, opened, put_alert, put_decision, put_rollback, settings_of

MAX_BODY_BYTES = 20_000
NOW = time.time()


@dataclass
class Receiver:
    """The application with its store; calls are made in-process."""

    app: Flask
    store: Store
    worker_problems: list[str] = field(default_factory=list)

    def call(self, method: str, path: str, *, role: str | None = None, **arguments: Any) -> TestResponse:
        headers = {} if role is None else {"Authorization": f"Bearer {TOKENS[role]}"}
        return self.app.test_client().open(path, method=method, headers=headers, **arguments)

    def get(self, path: str, role: str = "viewer") -> Any:
        answer = self.call("GET", f"/api/v1{path}", role=role)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def deliver(self, body: object) -> TestResponse:
        return self.call("POST", "/api/v1/alerts", role="alertmanager", json=body)

    def received(self) -> dict[str, float]:
        """The counter of what was received, by outcome."""
        families = text_string_to_metric_families(self.call("GET", "/metrics").text)
        family = next(family for family in families if family.name == "genesys_rollback_alerts_received")
        return {sample.labels["outcome"]: sample.value for sample in family.samples if sample.value}


def receiver_of(folder: Path, store: Store) -> Receiver:
    known = settings_of(folder, max_body_bytes=MAX_BODY_BYTES)
    problems: list[str] = []
    app = create_app(store, known, ORGS, ReceiverMetrics(store, known, ORGS), lambda: problems)
    held_to_its_document(app)
    return Receiver(app, store, problems)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with opened(settings_of(tmp_path)) as store:
        yield receiver_of(tmp_path, store)


@pytest.fixture
def without_database(tmp_path: Path) -> Iterator[Receiver]:
    with closing(Store(f"sqlite:///{tmp_path / 'no-such-folder' / 'rollback.db'}")) as store:
        yield receiver_of(tmp_path, store)


def alert(fingerprint: str = "f1", status: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"org": "retail", "flow_id": "flow-1", "flow_version": "14.0", "signal": "error_exit"} | labels,
        "annotations": {"summary": "Main IVR fails"},
        "startsAt": "2024-01-01T12:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": fingerprint,
    }


def payload(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "status": "firing", "alerts": list(alerts)}


def problem(answer: TestResponse, status: int) -> Any:
    """The problem that a refusal is; RFC 9457."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    body = answer.get_json()
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    assert "Traceback" not in answer.text
    return body


# What Alertmanager sees


def test_alerts_are_stored_and_repeated_ones_are_known(receiver: Receiver) -> None:
    first = receiver.deliver(payload(alert("f1"), alert("f2")))
    assert (first.status_code, first.get_json()) == (202, {"stored": 2, "duplicate": 0})
    again = receiver.deliver(payload(alert("f1"), alert("f3")))
    assert (again.status_code, again.get_json()) == (202, {"stored": 1, "duplicate": 1})

    assert [found["fingerprint"] for found in receiver.get("/alerts")["alerts"]] == ["f3", "f2", "f1"]
    assert receiver.received() == {"stored": 3, "duplicate": 1}


def test_what_will_be_refused_is_stored_too(receiver: Receiver) -> None:
    assert receiver.deliver(payload(alert(org="unknown"), alert("f2", genesys_contract="9"))).status_code == 202
    assert receiver.received() == {"stored": 2}


def test_a_delivery_without_alerts_is_fine(receiver: Receiver) -> None:
    assert receiver.deliver(payload()).get_json() == {"stored": 0, "duplicate": 0}


def test_the_content_type_is_not_looked_at(receiver: Receiver) -> None:
    body = json.dumps(payload(alert()))
    answer = receiver.call("POST", "/api/v1/alerts", role="alertmanager", data=body, content_type="text/plain")
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe{",
        b'{"version": "4", "alerts": [NaN]}',
        b"[" * 9_000,
        b'{"version": "4", "alerts": [{"status": "\\ud800"}]}',
        json.dumps(payload(alert()) | {"version": "3"}).encode(),
        json.dumps(payload({"status": "firing"})).encode(),
    ],
    ids=["empty", "words", "not UTF-8", "NaN", "very deep", "half a surrogate", "another version", "no labels"],
)
def test_a_malformed_delivery_is_400_so_that_it_is_not_sent_again(receiver: Receiver, body: bytes) -> None:
    problem(receiver.call("POST", "/api/v1/alerts", role="alertmanager", data=body), 400)
    assert receiver.received() == {"malformed": 1}


def test_a_malformed_delivery_leaves_who_and_why_in_the_log(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.deliver({"version": "3"})
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("delivery_rejected outcome=malformed sender=127.0.0.1 detail=")
    assert "version" in line


def test_alerts_that_alertmanager_left_out_are_a_warning(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.deliver(payload(alert()) | {"truncatedAlerts": 7})
    assert "alerts_left_out count=7" in caplog.text


def test_a_body_that_is_too_large_is_413(receiver: Receiver) -> None:
    body = problem(receiver.deliver(payload(alert(filler="x" * MAX_BODY_BYTES))), 413)
    assert "max_body_bytes" in body["detail"]
    assert receiver.received() == {"too_large": 1}


def test_a_chunked_body_that_is_too_large_is_413_although_no_length_was_named(receiver: Receiver) -> None:
    with listening(receiver.app) as port, closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        chunks = iter([b"x" * 1000] * (MAX_BODY_BYTES // 1000 + 2))
        headers = {"Authorization": f"Bearer {TOKENS['alertmanager']}", "Transfer-Encoding": "chunked"}
        client.request("POST", "/api/v1/alerts", body=chunks, headers=headers, encode_chunked=True)
        assert client.getresponse().status == 413
    assert receiver.received() == {"too_large": 1}


def test_a_chunked_body_is_stored(receiver: Receiver) -> None:
    with listening(receiver.app) as port, closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        chunks = iter([json.dumps(payload(alert())).encode()])
        headers = {"Authorization": f"Bearer {TOKENS['alertmanager']}", "Transfer-Encoding": "chunked"}
        client.request("POST", "/api/v1/alerts", body=chunks, headers=headers, encode_chunked=True)
        assert client.getresponse().status == 202


def test_what_cannot_be_stored_is_503_so_that_it_is_sent_again(without_database: Receiver) -> None:
    problem(without_database.deliver(payload(alert())), 503)
    assert without_database.received() == {"not_stored": 1}


def test_the_unexpected_is_a_bare_500_in_the_answer_and_once_in_the_log(
    recorded: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(tmp_path / "rollback.db")) as file, file:
        file.execute("UPDATE decisions SET guards = 'no JSON'")
    body = problem(recorded.call("GET", "/api/v1/decisions", role="viewer"), 500)
    assert "JSON" not in body["detail"]
    (record,) = caplog.records
    assert record.getMessage() == "request_failed method=GET path='/api/v1/decisions' cure=\"please report this\""
    assert record.exc_info is not None


def test_every_outcome_of_a_delivery_is_counted(receiver: Receiver, without_database: Receiver) -> None:
    receiver.deliver(payload(alert(), alert(), alert("w", genesys_action="watchdog")))
    receiver.deliver({})
    receiver.call("POST", "/api/v1/alerts")
    receiver.call("POST", "/api/v1/alerts", role="viewer")
    receiver.call("POST", "/api/v1/alerts", role="alertmanager", data="x" * (MAX_BODY_BYTES + 1))
    without_database.deliver(payload(alert()))
    counted = {
        "stored": 1.0,
        "duplicate": 1.0,
        "watchdog": 1.0,
        "malformed": 1.0,
        "unauthorized": 2.0,
        "too_large": 1.0,
    }
    assert receiver.received() == counted
    assert without_database.received() == {"not_stored": 1.0}
    assert {*counted, "not_stored", "reconciled"} == {outcome.value for outcome in Outcome}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_is_sent_is_never_an_error_of_ours(receiver: Receiver, body: bytes) -> None:
    answer = receiver.call("POST", "/api/v1/alerts", role="alertmanager", data=body)
    assert answer.status_code in (202, 400)


def test_of_the_watchdog_only_its_time_is_kept(receiver: Receiver) -> None:
    answer = receiver.deliver(payload(alert(genesys_action="watchdog")))
    assert (answer.status_code, answer.get_json()) == (202, {"stored": 0, "duplicate": 0})
    assert receiver.get("/alerts")["alerts"] == []
    with receiver.store.begin() as tx:
        seen_at = watchdog.last_seen(tx)
    assert seen_at == pytest.approx(time.time(), abs=30)


def test_the_watchdog_of_an_organization_shows_that_its_data_advance_and_that_alerts_arrive(receiver: Receiver) -> None:
    retail, stranger = (alert(name, genesys_action="watchdog", org=name) for name in ("retail", "nobody's"))
    over = alert("over", status="resolved", genesys_action="watchdog", org="bank")
    assert receiver.deliver(payload(retail, stranger, over)).status_code == 202
    with receiver.store.begin() as tx:
        seen = {org: watchdog.last_seen(tx, org) for org in ("", "retail", "bank", "nobody's")}
    assert [org for org, at in seen.items() if at is not None] == ["", "retail"]


def test_a_watchdog_that_is_resolved_shows_nothing(receiver: Receiver) -> None:
    receiver.deliver(payload(alert(status="resolved", genesys_action="watchdog")))
    with receiver.store.begin() as tx:
        assert watchdog.last_seen(tx) is None


# Who may do what

CALLS: dict[tuple[str, str], set[str]] = {
    ("POST", "/alerts"): {"alertmanager"},
    ("GET", "/alerts"): {"viewer", "operator"},
    ("GET", "/decisions"): {"viewer", "operator"},
    ("GET", "/changes"): {"viewer", "operator"},
    ("GET", "/rollbacks"): {"viewer", "operator"},
    ("GET", "/rollbacks/r1"): {"viewer", "operator"},
    ("POST", "/rollbacks"): {"operator"},
    ("POST", "/rollbacks/r1/approve"): {"operator"},
    ("POST", "/rollbacks/r1/deny"): {"operator"},
    ("POST", "/rollbacks/r1/undo"): {"operator"},
    ("GET", "/flows"): {"viewer", "operator"},
    ("GET", "/flows/retail/f1"): {"viewer", "operator"},
    ("GET", "/flows/retail/f1/explain"): {"viewer", "operator"},
    ("GET", "/objects"): {"viewer", "operator"},
    ("GET", "/objects/retail/ivr/o1"): {"viewer", "operator"},
    ("GET", "/pause"): {"viewer", "operator"},
    ("PUT", "/pause"): {"operator"},
    ("DELETE", "/pause"): {"operator"},
    ("GET", "/maintenance"): {"viewer", "operator", "ci"},
    ("POST", "/maintenance"): {"operator", "ci"},
    ("DELETE", "/maintenance/w1"): {"operator", "ci"},
    ("GET", "/holds"): {"viewer", "operator"},
    ("PUT", "/holds"): {"operator"},
    ("DELETE", "/holds"): {"operator"},
    ("GET", "/quarantines"): {"viewer", "operator"},
    ("DELETE", "/quarantines/q1"): {"operator"},
    ("GET", "/audit"): {"viewer", "operator"},
    ("GET", "/deployments"): {"viewer", "operator", "ci"},
    ("POST", "/deployments"): {"operator", "ci"},
    ("POST", "/deployments/d1/good"): {"operator", "ci"},
    ("POST", "/notifications/test"): {"operator"},
    ("POST", "/gate"): {"viewer", "operator", "ci"},
}


def test_the_table_of_roles_names_every_call_of_the_api(receiver: Receiver) -> None:
    rules = {
        (
            method,
            rule.rule.removeprefix("/api/v1")
            .replace("<rollback_id>", "r1")
            .replace("<window_id>", "w1")
            .replace("<quarantine_id>", "q1")
            .replace("<deployment_id>", "d1")
            .replace("<org>/<flow_id>", "retail/f1")
            .replace("<org>/<object_type>/<object_id>", "retail/ivr/o1"),
        )
        for rule in receiver.app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert rules == {*CALLS, ("GET", "/openapi.json")}  # which is for anybody


@pytest.mark.parametrize("role", [*TOKENS, None], ids=str)
@pytest.mark.parametrize(("method", "path"), CALLS, ids=" ".join)
def test_a_call_is_for_the_roles_of_the_table(receiver: Receiver, method: str, path: str, role: str | None) -> None:
    answer = receiver.call(method, f"/api/v1{path}", role=role)
    if role is None:
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="genesys-rollback-bridge"'
    elif role not in CALLS[method, path]:
        problem(answer, 403)
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    else:
        assert answer.status_code in (200, 202, 204, 400, 404), answer.text


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer unknown",
        f"Basic {TOKENS['viewer']}",
        TOKENS["viewer"],
        f"Bearer {TOKENS['viewer']} {TOKENS['viewer']}",
        f"Bearer {TOKENS['viewer']}, Bearer x",
        f"Bearer {TOKENS['viewer'][:-1]}",
        f"Bearer {TOKENS['viewer']}x",
        "Bearer tök",
    ],
)
def test_anything_but_one_known_bearer_token_is_401(receiver: Receiver, header: str) -> None:
    answer = receiver.app.test_client().get("/api/v1/alerts", headers={"Authorization": header})
    problem(answer, 401)
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_the_scheme_is_read_without_regard_to_case(receiver: Receiver) -> None:
    headers = {"Authorization": f"bearer {TOKENS['viewer']}"}
    assert receiver.app.test_client().get("/api/v1/alerts", headers=headers).status_code == 200


def test_no_token_stands_in_a_log_line_or_an_answer(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    said = [receiver.call(method, f"/api/v1{path}", role=role).text for method, path in CALLS for role in TOKENS]
    assert not [token for token in TOKENS.values() if token in "".join([*said, caplog.text])]


# What people read


@pytest.fixture
def recorded(receiver: Receiver) -> Receiver:
    """One alert that was rolled back, and one that the pause holds back."""
    with receiver.store.begin() as tx:
        failing = put_alert(tx, now=NOW)
        rollback = put_rollback(tx, failing, "rollback-1", now=NOW)
        put_decision(tx, failing, Verdict.ROLL_BACK, now=NOW, rollback_id=rollback.id)
        rollbacks.add_step(tx, rollback, "permit", at=NOW, detail={"number": 1})
        permit = rollbacks.issue_permit(tx, rollback, now=NOW, permit_s=5, strategy="republish")
        rollbacks.answer_permit(tx, permit, Answer.ACCEPTED, "operation-1")
        paused = put_alert(tx, org="bank", flow_id="flow-2", now=NOW)
        put_decision(tx, paused, Verdict.PAUSED, now=NOW)
    receiver.deliver(payload(alert("over"), alert("over", status="resolved")))
    return receiver


def shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("query", "flows"),
    [
        ("", [("retail", False), ("bank", True), ("retail", True)]),
        ("?open=true", [("bank", True), ("retail", True)]),
        ("?org=bank", [("bank", True)]),
        ("?org=retail&open=true", [("retail", True)]),
        ("?limit=1", [("retail", False)]),
        ("?org=other", []),
    ],
)
def test_alerts_are_listed_newest_first(recorded: Receiver, query: str, flows: list[tuple[str, bool]]) -> None:
    found = recorded.get(f"/alerts{query}")["alerts"]
    assert [(alert["org"], alert["open"]) for alert in found] == flows


def test_an_alert_shows_what_is_known_about_it(recorded: Receiver) -> None:
    (found,) = recorded.get("/alerts?org=bank")["alerts"]
    assert found == {
        "id": found["id"],
        "fingerprint": "fp-bank-flow-2",
        "org": "bank",
        "flow_id": "flow-2",
        "flow_version": "14.0",
        "signal": "error_exit",
        "open": True,
        "source": "webhook",
        "starts_at": shown(NOW - 180),
        "received_at": shown(NOW),
        "refreshed_at": shown(NOW),
        "closed_at": None,
        "closed_by": None,
        "verdict": "paused",
        "holding_back": ["paused"],
        "labels": {"org": "bank", "flow_id": "flow-2", "flow_version": "14.0", "signal": "error_exit"},
        "annotations": {"summary": "flow-2 fails"},
    }


@pytest.mark.parametrize(
    ("query", "verdicts"),
    [
        ("", ["paused", "roll_back"]),
        ("?org=retail", ["roll_back"]),
        ("?flow_id=flow-2", ["paused"]),
        ("?verdict=paused", ["paused"]),
        ("?verdict=lockout", []),
        ("?limit=1", ["paused"]),
    ],
)
def test_decisions_are_listed_newest_first(recorded: Receiver, query: str, verdicts: list[str]) -> None:
    found = recorded.get(f"/decisions{query}")["decisions"]
    assert [decision["verdict"] for decision in found] == verdicts


def test_a_decision_shows_every_guard_with_value_and_limit(recorded: Receiver) -> None:
    (found,) = recorded.get("/decisions?verdict=paused")["decisions"]
    assert found == {
        "id": found["id"],
        "at": shown(NOW),
        "alert_id": found["alert_id"],
        "rollback_id": None,
        "org": "bank",
        "flow_id": "flow-2",
        "flow_version": "14.0",
        "verdict": "paused",
        "guards": [
            {
                "guard": "paused",
                "holds_back": True,
                "value": "what was found",
                "limit": "what is allowed",
                "unknown": False,
                "overridden": False,
            }
        ],
        "facts": {"errors": 9},
        "receiver": "r1",
    }


def test_rollbacks_are_listed_and_one_is_told_with_its_steps_and_permits(recorded: Receiver) -> None:
    (listed,) = recorded.get("/rollbacks?org=retail&flow_id=flow-1&limit=5")["rollbacks"]
    assert recorded.get("/rollbacks?org=bank") == {"rollbacks": [], "next": None}
    assert listed == {
        "id": "rollback-1",
        "alert_id": listed["alert_id"],
        "org": "retail",
        "flow_id": "flow-1",
        "accused_version": "14.0",
        "target_version": "13.0",
        "threshold_ratio": 0.05,
        "live_since": shown(NOW - 900),
        "try": 1,
        "shadow": False,
        "kind": "rollback",
        "attempt_id": "rollback-1",
        "undoes": None,
        "state": "publishing",
        "reason": "",
        "created_at": shown(NOW),
        "deadline": shown(NOW + 900),
        "not_before": shown(NOW),
        "strategy": "republish",
        "ways_back": ["republish"],
        "overrides": None,
        "approved_by": None,
        "approved_at": None,
        "started_at": shown(NOW),
        "confirmed_at": None,
        "ended_at": None,
        "facts": {"flow_name": "Main IVR"},
    }
    member = {
        "rollback_id": "rollback-1",
        "flow_id": "flow-1",
        "flow_name": "Main IVR",
        "accused_version_id": "14.0",
        "target_version_id": "13.0",
        "state": "publishing",
        "reason": "",
    }
    assert recorded.get("/rollbacks/rollback-1") == listed | {
        "attempt_state": "running",
        "members": [member],
        "steps": [{"at": shown(NOW), "state": "publishing", "event": "permit", "detail": {"number": 1}}],
        "permits": [
            {
                "number": 1,
                "strategy": "republish",
                "target_version": "13.0",
                "issued_at": shown(NOW),
                "valid_until": shown(NOW + 5),
                "answer": "accepted",
                "operation_id": "operation-1",
            }
        ],
    }


@pytest.mark.parametrize("name", ["other", "%00", "ä"])
def test_a_rollback_that_does_not_exist_is_404(recorded: Receiver, name: str) -> None:
    problem(recorded.call("GET", f"/api/v1/rollbacks/{name}", role="viewer"), 404)


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/alerts?nonsense=1", "nonsense"),
        ("/alerts?open=maybe", "open"),
        ("/alerts?limit=0", "limit"),
        ("/alerts?limit=1001", "limit"),
        ("/alerts?limit=many", "limit"),
        ("/alerts?org=a&org=b", "org"),
        ("/alerts?org=%00", "org"),
        ("/decisions?verdict=guilty", "verdict"),
        ("/rollbacks?state=failed", "state"),
        ("/rollbacks/rollback-1?limit=1", "limit"),
        ("/pause?org=retail", "org"),
        ("/maintenance?limit=1", "limit"),
    ],
)
def test_a_query_parameter_that_means_nothing_is_400(recorded: Receiver, path: str, parameter: str) -> None:
    body = problem(recorded.call("GET", f"/api/v1{path}", role="viewer"), 400)
    assert [error["parameter"] for error in body["errors"]] == [parameter]
    assert parameter in body["detail"]


def test_an_unknown_verdict_is_answered_with_those_there_are(recorded: Receiver) -> None:
    body = problem(recorded.call("GET", "/api/v1/decisions?verdict=guilty", role="viewer"), 400)
    assert "roll_back" in body["detail"]


# What people set


def pause(receiver: Receiver, **order: Any) -> TestResponse:
    return receiver.call("PUT", "/api/v1/pause", role="operator", json=order)


def test_a_pause_of_all_is_made_replaced_and_ended(receiver: Receiver) -> None:
    made = pause(receiver, reason="incident")
    assert made.status_code == 200
    assert (made.get_json()["org"], made.get_json()["paused_by"]) == ("*", "the-operator")
    assert datetime.fromisoformat(made.get_json()["paused_at"]).timestamp() == pytest.approx(time.time(), abs=60)
    pause(receiver, reason="still the incident")
    assert [found["reason"] for found in receiver.get("/pause")["pauses"]] == ["still the incident"]

    assert receiver.call("DELETE", "/api/v1/pause", role="operator").status_code == 204
    assert receiver.get("/pause") == {"pauses": []}


def test_a_pause_of_one_organization_is_its_own(receiver: Receiver) -> None:
    pause(receiver, reason="all")
    pause(receiver, org="bank", reason="bank")
    assert receiver.call("DELETE", "/api/v1/pause?org=bank", role="operator").status_code == 204
    assert [found["org"] for found in receiver.get("/pause")["pauses"]] == ["*"]


def test_ending_a_pause_that_is_not_there_says_which_are(receiver: Receiver) -> None:
    pause(receiver, reason="all")
    body = problem(receiver.call("DELETE", "/api/v1/pause?org=bank", role="operator"), 404)
    assert body["detail"] == "bank is not paused; paused: *"


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        ({}, "#/reason"),
        ({"reason": ""}, "#/reason"),
        ({"reason": "   "}, "#/reason"),
        ({"reason": 7}, "#/reason"),
        ({"reason": "a\0b"}, "#/reason"),
        ({"reason": "x" * 1001}, "#/reason"),
        ({"reason": "x", "org": "unknown"}, "#/org"),
        ({"reason": "x", "org": None}, "#/org"),
        ({"reason": "x", "until": "tomorrow"}, "#/until"),
        ([], "#"),
    ],
    ids=repr,
)
def test_a_pause_that_says_too_little_or_too_much_is_400(receiver: Receiver, order: object, pointer: str) -> None:
    body = problem(receiver.call("PUT", "/api/v1/pause", role="operator", json=order), 400)
    assert [error["pointer"] for error in body["errors"]] == [pointer]


def test_an_unknown_organization_is_answered_with_the_known_ones(receiver: Receiver) -> None:
    assert "bank, retail" in problem(pause(receiver, org="retial", reason="x"), 400)["detail"]
    body = problem(receiver.call("DELETE", "/api/v1/pause?org=retial", role="operator"), 400)
    assert body["errors"][0]["parameter"] == "org"


def rfc3339(ahead: timedelta) -> str:
    return (datetime.now(UTC) + ahead).isoformat()


def window(**changes: Any) -> dict[str, Any]:
    return {"org": "retail", "ends_at": rfc3339(timedelta(hours=2)), "reason": "release"} | changes


def open_window(receiver: Receiver, **changes: Any) -> TestResponse:
    return receiver.call("POST", "/api/v1/maintenance", role="operator", json=window(**changes))


def test_a_window_is_opened_listed_and_closed(receiver: Receiver) -> None:
    opening = open_window(receiver, flow_ids=["flow-1", "flow-2", "flow-1"], kind="incident", owner="team-voice")
    assert opening.status_code == 201
    made = opening.get_json()
    assert made == {
        "id": made["id"],
        "org": "retail",
        "flow_ids": ["flow-1", "flow-2"],
        "kind": "incident",
        "state": "active",
        "starts_at": made["created_at"],
        "ends_at": made["ends_at"],
        "reason": "release",
        "owner": "team-voice",
        "created_by": "the-operator",
        "created_at": made["created_at"],
        "closed_at": None,
        "closed_by": None,
        "feed": None,
        "url": None,
    }
    assert receiver.get("/maintenance") == {"windows": [made], "feeds": []}
    assert receiver.get("/maintenance?org=bank") == {"windows": [], "feeds": []}

    assert receiver.call("DELETE", f"/api/v1/maintenance/{made['id']}", role="operator").status_code == 204
    assert receiver.get("/maintenance") == {"windows": [], "feeds": []}
    (ended,) = receiver.get("/maintenance?ended=true")["windows"]
    assert (ended["state"], ended["closed_at"] is None, ended["closed_by"]) == ("ended", False, "the-operator")
    problem(receiver.call("DELETE", f"/api/v1/maintenance/{made['id']}", role="operator"), 404)


def test_a_window_without_flows_is_for_all_of_them(receiver: Receiver) -> None:
    assert open_window(receiver).get_json()["flow_ids"] is None
    with receiver.store.begin() as tx:
        (stored,) = controls.active_windows(tx, now=time.time() + 1)
    assert stored.covers("any")


def test_a_window_can_begin_later_and_its_times_keep_their_moment_in_utc(receiver: Receiver) -> None:
    made = open_window(receiver, starts_at="2094-01-01T13:00:00.5+01:00", ends_at="2094-01-01t13:00:00z").get_json()
    assert made["state"] == "scheduled"
    assert (made["starts_at"], made["ends_at"]) == ("2094-01-01T12:00:00.500Z", "2094-01-01T13:00:00.000Z")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"org": "unknown"}, "#/org"),
        ({"org": "*"}, "#/org"),
        ({"flow_ids": []}, "#/flow_ids"),
        ({"flow_ids": "flow-1"}, "#/flow_ids"),
        ({"flow_ids": [""]}, "#/flow_ids/0"),
        ({"kind": "holiday"}, "#/kind"),
        ({"reason": ""}, "#/reason"),
        ({"owner": 3}, "#/owner"),
        ({"ends_at": None}, "#/ends_at"),
        ({"ends_at": "2094-01-01T12:00:00"}, "#/ends_at"),
        ({"ends_at": "2094-01-01"}, "#/ends_at"),
        ({"ends_at": "2094-02-30T12:00:00Z"}, "#/ends_at"),
        ({"ends_at": 3913056000}, "#/ends_at"),
        ({"ends_at": "9999-12-31T23:59:59Z"}, "#/ends_at"),
        ({"ends_at": "2024-01-01T12:00:00Z", "starts_at": "2023-01-01T12:00:00Z"}, "#/ends_at"),
        ({"starts_at": "2094-01-01T12:00:00Z", "ends_at": "2094-01-01T12:00:00Z"}, "#/ends_at"),
        ({"starts_at": "2024-01-01T12:00:00"}, "#/starts_at"),
        ({"created_by": "somebody else"}, "#/created_by"),
    ],
    ids=repr,
)
def test_a_window_that_cannot_be_meant_is_400(receiver: Receiver, changes: dict[str, Any], pointer: str) -> None:
    body = problem(open_window(receiver, **changes), 400)
    assert [error["pointer"] for error in body["errors"]] == [pointer]
    assert receiver.get("/maintenance?ended=true") == {"windows": [], "feeds": []}


def test_every_fault_of_a_body_is_named_at_once(receiver: Receiver) -> None:
    body = problem(receiver.call("POST", "/api/v1/maintenance", role="operator", json={"kind": "x", "y": 1}), 400)
    assert {error["pointer"] for error in body["errors"]} == {"#/org", "#/kind", "#/ends_at", "#/reason", "#/y"}
    assert body["detail"].count(";") >= 4


def test_a_body_that_is_no_json_is_400(receiver: Receiver) -> None:
    problem(receiver.call("PUT", "/api/v1/pause", role="operator", data="reason=x"), 400)


@pytest.mark.parametrize("name", ["other", "%00"])
def test_closing_a_window_that_does_not_exist_is_404(receiver: Receiver, name: str) -> None:
    problem(receiver.call("DELETE", f"/api/v1/maintenance/{name}", role="operator"), 404)


# The rest of the house


@pytest.mark.parametrize("path", ["/nothing", "/api/v1", "/api/v1/nothing", "/api/v1/alerts/", "//api/v1/alerts"])
def test_an_unknown_path_is_404(receiver: Receiver, path: str) -> None:
    problem(receiver.app.test_client().get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/alerts", {"GET", "HEAD", "POST"}),
        ("PATCH", "/api/v1/pause", {"GET", "HEAD", "PUT", "DELETE"}),
        ("OPTIONS", "/api/v1/rollbacks", {"GET", "HEAD", "POST"}),
        ("POST", "/metrics", {"GET", "HEAD"}),
    ],
)
def test_an_unknown_method_is_405_and_names_the_known_ones(
    receiver: Receiver, method: str, path: str, allowed: set[str]
) -> None:
    answer = receiver.call(method, path, role="operator")
    problem(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) == allowed


# With bodies of their own, or refused before: here nobody can be asked about a flow.
APART = {("POST", "/alerts"), ("POST", "/rollbacks"), ("GET", "/flows/retail/f1/explain")}


@pytest.mark.parametrize(("method", "path"), sorted(CALLS.keys() - APART), ids=" ".join)
def test_without_the_database_every_call_is_503_or_refused_before(
    without_database: Receiver, method: str, path: str
) -> None:
    order = {"PUT": {"org": "retail", "reason": "x"}, "POST": window()}.get(method)
    if path.startswith("/rollbacks/"):
        order = {"reason": "x"} if method == "POST" else None
    if path in ("/deployments", "/gate") and method == "POST":
        named = {"org": "retail", "flows": [{"flow_id": "flow-1", "source_digest": "0" * 64}]}
        order = named if path == "/gate" else named | {"commit": "a1b2c3"}
    if path == "/notifications/test":
        order = {}
    asked = {"org": "retail"} if (method, path) == ("DELETE", "/holds") else None
    answer = without_database.call(method, f"/api/v1{path}", role="operator", json=order, query_string=asked)
    assert "no-such-folder" not in problem(answer, 503)["detail"]


def test_the_process_is_healthy_and_the_index_leads_on(without_database: Receiver) -> None:
    assert without_database.call("GET", "/-/healthy").status_code == 200
    index = without_database.call("GET", "/").text
    assert all(link in index for link in ("/metrics", "/-/healthy", "/-/ready"))


def test_ready_is_the_database_and_the_worker(receiver: Receiver) -> None:
    assert receiver.call("GET", "/-/ready").status_code == 200
    receiver.worker_problems.append("the worker of retail has been silent for 200 s")
    body = problem(receiver.call("GET", "/-/ready"), 503)
    assert body["detail"] == "the worker of retail has been silent for 200 s"


def test_without_the_database_it_is_not_ready_and_still_gives_metrics(without_database: Receiver) -> None:
    without_database.worker_problems.append("no round yet")
    assert (
        problem(without_database.call("GET", "/-/ready"), 503)["detail"] == "the database cannot be used; no round yet"
    )
    assert "genesys_rollback_store_up 0.0" in without_database.call("GET", "/metrics").text


def test_metrics_need_no_token_and_are_prometheus_text(receiver: Receiver) -> None:
    answer = receiver.call("GET", "/metrics")
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert "genesys_rollback_store_up 1.0" in answer.text


def test_no_answer_is_kept_by_a_proxy(receiver: Receiver) -> None:
    for path in ("/", "/metrics", "/-/ready", "/nothing"):
        assert receiver.call("GET", path).headers["Cache-Control"] == "no-store"


def test_202_means_that_the_row_is_in_the_file(receiver: Receiver, tmp_path: Path) -> None:
    assert receiver.deliver(payload(alert())).status_code == 202
    with closing(sqlite3.connect(tmp_path / "rollback.db")) as file:
        assert file.execute("SELECT fingerprint FROM alerts").fetchall() == [("f1",)]
