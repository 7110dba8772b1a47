"""Approve, deny and undo over HTTP: what is answered, and what is refused why."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from receiver.metrics import ReceiverMetrics
from receiver.store import audit, quarantines, rollbacks
from receiver.store.database import Store
from receiver.store.rollbacks import State
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, opened, put_alert, put_rollback, settings_of

ORDERS = ("approve", "deny", "undo")


class Calls:
    """An operator's calls to the application, in-process, with a rollback that waits and one that is confirmed."""

    def __init__(self, client: FlaskClient, store: Store) -> None:
        self.store = store
        self._client = client
        self.now = time.time()
        with store.begin() as tx:
            alert = put_alert(tx, now=self.now)
            other = put_alert(tx, flow_id="flow-2", now=self.now)
            waits = {"state": State.AWAITING_APPROVAL, "started_at": None, "wrote": False, "reason": "mode approve"}
            put_rollback(tx, alert, "waiting", now=self.now, **waits)
            done = put_rollback(
                tx,
                other,
                "confirmed",
                now=self.now,
                state=State.VERIFYING,
                confirmed_at=self.now,
                facts={"signal": "x"},
            )
            quarantines.put(tx, done, now=self.now)

    def order(self, rollback_id: str, order: str, **arguments: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {TOKENS['operator']}"}
        return self._client.post(f"/api/v1/rollbacks/{rollback_id}/{order}", headers=headers, **arguments)


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


@pytest.mark.parametrize("arguments", [{}, {"json": {}}, {"json": {"reason": "seen it"}}], ids=str)
def test_an_approval_plans_the_rollback(calls: Calls, arguments: dict[str, Any]) -> None:
    answer = calls.order("waiting", "approve", **arguments)
    assert answer.status_code == 200, answer.text
    shown = answer.get_json()

    assert (shown["id"], shown["state"], shown["approved_by"]) == ("waiting", "planned", "the-operator")
    assert shown["approved_at"] >= shown["created_at"]
    with calls.store.begin() as tx:
        (step,) = rollbacks.steps_of(tx, "waiting")
        (row, *_) = [row for row in audit.newest(tx, before=None, limit=5) if row.kind == "approved"]
    said = arguments.get("json", {})
    assert (step.event, step.detail) == ("approved", {"by": "the-operator"} | said)
    assert row.actor == "the-operator"


def test_a_denial_ends_it(calls: Calls) -> None:
    shown = calls.order("waiting", "deny", json={"reason": "the back end"}).get_json()

    assert (shown["state"], shown["reason"]) == ("failed", "denied")
    assert shown["ended_at"]
    assert (shown["facts"]["denied_by"], shown["facts"]["denied_because"]) == ("the-operator", "the back end")
    with calls.store.begin() as tx:
        assert ("the-operator", "denied") in [(row.actor, row.kind) for row in audit.newest(tx, before=None, limit=5)]


def test_an_undo_is_a_rollback_of_its_own(calls: Calls) -> None:
    answer = calls.order("confirmed", "undo", json={"reason": "14.0 was right"})
    assert answer.status_code == 201, answer.text
    shown = answer.get_json()

    assert (shown["kind"], shown["undoes"], shown["state"]) == ("undo", "confirmed", "planned")
    assert (shown["accused_version"], shown["target_version"]) == ("13.0", "14.0")
    assert shown["facts"] == {"signal": "x", "ordered_by": "the-operator", "ordered_because": "14.0 was right"}
    with calls.store.begin() as tx:
        assert ("the-operator", "undo") in [(row.actor, row.kind) for row in audit.newest(tx, before=None, limit=5)]
        assert [one.version for one in quarantines.newest(tx, org=None, limit=9)] == ["14.0"]  # until it is live


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["other", "%00", "ä"])
def test_a_rollback_that_does_not_exist_is_404(calls: Calls, order: str, name: str) -> None:
    refusal(calls.order(name, order, json={"reason": "x"}), 404)


@pytest.mark.parametrize(
    ("rollback_id", "order", "why"),
    [
        ("confirmed", "approve", "it does not wait for approval: it is verifying"),
        ("confirmed", "deny", "it does not wait for approval: it is verifying"),
        ("waiting", "undo", "it has not made version 13.0 live: it is awaiting_approval"),
    ],
)
def test_what_is_not_possible_is_409_and_says_why(calls: Calls, rollback_id: str, order: str, why: str) -> None:
    assert refusal(calls.order(rollback_id, order, json={"reason": "x"}), 409)["detail"] == why


@pytest.mark.parametrize(("first", "second"), [("approve", "deny"), ("deny", "approve"), ("approve", "approve")])
def test_the_second_answer_is_409(calls: Calls, first: str, second: str) -> None:
    assert calls.order("waiting", first).status_code == 200
    refusal(calls.order("waiting", second), 409)


def test_the_second_undo_is_409(calls: Calls) -> None:
    assert calls.order("confirmed", "undo", json={"reason": "x"}).status_code == 201
    refusal(calls.order("confirmed", "undo", json={"reason": "x"}), 409)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"reason": 7}, "#/reason"),
        ({"reason": "x" * 1001}, "#/reason"),
        ({"reason": "a\x00b"}, "#/reason"),
        ({"reason": "x", "by": "ann"}, "#/by"),
        ([], "#"),
    ],
    ids=str,
)
def test_an_order_that_cannot_be_meant_is_400_and_changes_nothing(
    calls: Calls, order: str, body: object, pointer: str
) -> None:
    answer = refusal(calls.order("waiting", order, json=body), 400)

    assert answer["errors"][0]["pointer"] == pointer
    with calls.store.begin() as tx:
        waiting = rollbacks.get(tx, "waiting")
    assert waiting is not None
    assert waiting.state is State.AWAITING_APPROVAL


@pytest.mark.parametrize("body", [b"", b"{}", b'{"reason": " "}'])
def test_an_undo_needs_a_reason(calls: Calls, body: bytes) -> None:
    refusal(calls.order("confirmed", "undo", data=body), 400)


@pytest.mark.parametrize("order", ORDERS)
def test_a_query_parameter_is_400(calls: Calls, order: str) -> None:
    refusal(calls.order("waiting", f"{order}?force=1", json={"reason": "x"}), 400)
