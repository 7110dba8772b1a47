"""`Idempotency-Key` over HTTP: an order that is sent again has one effect, and is answered as the first time."""

from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from werkzeug.test import TestResponse

from receiver.desk import Desk
from receiver.metrics import ReceiverMetrics
from receiver.store import controls, deployments, rollbacks
from receiver.store.rollbacks import State
from receiver.web import create_app
from tests.integration.ordering import ASKING, all_rollbacks
from tests.integration.receiver_world import FLOW_ID, Scene, scene
from tests.openapi_document import Document, held_to_its_document
from tests.receiver_world import ORGS, TOKENS, put_alert, put_rollback

WINDOW = {"org": "retail", "flow_ids": [FLOW_ID], "ends_at": "2199-01-01T00:00:00Z", "reason": "release 12"}
DEPLOYMENT = {"org": "retail", "commit": "abc", "flows": [{"flow_id": FLOW_ID, "source_digest": "a" * 64}]}
BY_HAND = {"org": "retail", "flow_id": FLOW_ID, "reason": "silence"}
# Alerts are known by themselves, the gate has no effect, and of a trial people want to see what comes back each time.
NOT_KEYED = {"/alerts", "/gate", "/notifications/test"}


class Calls:
    def __init__(self, here: Scene) -> None:
        self.here = here
        desk = Desk(here.another_receiver("desk").tools["retail"], Lock())
        metrics = ReceiverMetrics(here.store, here.settings, ORGS)
        self.app = create_app(here.store, here.settings, ORGS, metrics, lambda: (), {"retail": desk})
        held_to_its_document(self.app)

    def post(self, path: str, body: object, *, key: str | None = "k1", role: str = "operator") -> TestResponse:
        headers = {"Authorization": f"Bearer {TOKENS[role]}"} | ({} if key is None else {"Idempotency-Key": key})
        return self.app.test_client().post(f"/api/v1{path}", headers=headers, json=body)

    def windows(self) -> int:
        with self.here.store.begin() as tx:
            return len(controls.list_windows(tx, now=0.0))


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[Calls]:
    with scene(tmp_path, flows=ASKING) as here:
        yield Calls(here)


def prepared(calls: Calls) -> dict[str, tuple[str, Any]]:
    """Every order with a key, and its body."""
    now = calls.here.time.now
    with calls.here.store.begin() as tx:
        for number, name in enumerate(("approved", "denied"), 2):
            waits = {"state": State.AWAITING_APPROVAL, "started_at": None, "wrote": False, "deadline": 9e9}
            put_rollback(tx, put_alert(tx, flow_id=f"flow-{number}", now=now), name, now=now, **waits)
        confirmed = {"state": State.SUCCEEDED, "confirmed_at": now, "ended_at": now}
        put_rollback(tx, put_alert(tx, flow_id="flow-4", now=now), "undone", now=now, **confirmed)
    registered = calls.post("/deployments", DEPLOYMENT | {"commit": "other"}, key=None).get_json()
    return {
        "/rollbacks": ("/rollbacks", BY_HAND),
        "/rollbacks/{rollback_id}/approve": ("/rollbacks/approved/approve", {}),
        "/rollbacks/{rollback_id}/deny": ("/rollbacks/denied/deny", {"reason": "x"}),
        "/rollbacks/{rollback_id}/undo": ("/rollbacks/undone/undo", {"reason": "x"}),
        "/maintenance": ("/maintenance", WINDOW),
        "/deployments": ("/deployments", DEPLOYMENT),
        "/deployments/{deployment_id}/good": (f"/deployments/{registered['id']}/good", None),
    }


def test_every_order_is_answered_again_as_the_first_time(calls: Calls) -> None:
    orders = prepared(calls)
    for number, (path, body) in enumerate(orders.values()):
        first = calls.post(path, body, key=f"key-{number}")
        assert first.status_code in (200, 201), first.text
        assert "Idempotency-Replayed" not in first.headers
        again = calls.post(path, body, key=f"key-{number}")
        assert (again.status_code, again.data) == (first.status_code, first.data)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.content_type == "application/json"
    assert calls.windows() == 1
    with calls.here.store.begin() as tx:
        assert len(deployments.newest(tx, org=None, limit=9)) == 2
        assert len(rollbacks.undos_of(tx, "undone")) == 1
    assert len([one for one in all_rollbacks(calls.here) if one.is_by_hand]) == 1


def test_every_post_of_the_api_takes_a_key_but_those_that_need_none(calls: Calls) -> None:
    document = Document(calls.app.test_client().get("/openapi.json").get_json())
    posts = {path for method, path in document.calls() if method == "POST"}
    keyed = {
        path
        for path in posts
        if any(one["name"] == "Idempotency-Key" for one in document.content["paths"][path]["post"]["parameters"])
    }
    assert keyed == posts - NOT_KEYED
    assert keyed == set(prepared(calls))


def test_without_a_key_or_with_another_one_it_is_another_order(calls: Calls) -> None:
    for key in ("k1", "k2", None, None):
        assert calls.post("/maintenance", WINDOW, key=key).status_code == 201
    assert calls.windows() == 4


def test_another_token_has_keys_of_its_own(calls: Calls) -> None:
    window = WINDOW | {"ends_at": "2026-11-22T12:30:00Z", "starts_at": "2026-11-22T12:00:00Z"}
    operators, pipelines = (calls.post("/maintenance", window, role=role) for role in ("operator", "ci"))
    assert operators.status_code == pipelines.status_code
    assert "Idempotency-Replayed" not in pipelines.headers


@pytest.mark.parametrize(
    ("path", "body"),
    [("/maintenance", WINDOW | {"reason": "another"}), ("/deployments", DEPLOYMENT)],
    ids=["another body", "another call"],
)
def test_the_same_key_for_another_order_is_422_and_has_no_effect(calls: Calls, path: str, body: object) -> None:
    calls.post("/maintenance", WINDOW)
    answer = calls.post(path, body)
    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    assert "belongs to another order" in answer.get_json()["detail"]
    assert calls.windows() == 1
    with calls.here.store.begin() as tx:
        assert deployments.newest(tx, org=None, limit=9) == []


def test_of_a_rollback_by_hand_genesys_cloud_is_not_even_asked_again(calls: Calls) -> None:
    assert calls.post("/rollbacks", BY_HAND).status_code == 201
    calls.here.genesys.before_read = lambda: pytest.fail("asked again")
    assert calls.post("/rollbacks", BY_HAND).status_code == 201
    assert calls.post("/rollbacks", BY_HAND | {"reason": "another"}).status_code == 422


def test_what_was_refused_had_no_effect_and_is_decided_anew(calls: Calls) -> None:
    with calls.here.store.begin() as tx:
        controls.hold(tx, "retail", [FLOW_ID], owner="bob", reason="x", by="bob", now=calls.here.time.now)
    assert calls.post("/rollbacks", BY_HAND).status_code == 409
    with calls.here.store.begin() as tx:
        controls.release(tx, "retail", FLOW_ID, owner=None, by="bob", now=calls.here.time.now)
    assert calls.post("/rollbacks", BY_HAND).status_code == 201


@pytest.mark.parametrize(
    "key", ["", " ", "a b", "x" * 201, "é"], ids=["empty", "blank", "two words", "long", "not ASCII"]
)
def test_a_key_that_cannot_be_one_is_400(calls: Calls, key: str) -> None:
    answer = calls.post("/maintenance", WINDOW, key=key)
    assert answer.status_code == 400
    assert answer.get_json()["errors"][0]["parameter"] == "Idempotency-Key"
    assert calls.windows() == 0
