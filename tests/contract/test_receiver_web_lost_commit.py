"""The API while PostgreSQL's answers are lost: what is said is true, and what is sent again has one effect."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from receiver.metrics import ReceiverMetrics
from receiver.store import controls
from receiver.store.database import Store
from receiver.store.postgresql import Timeouts
from receiver.web.app import create_app
from tests.postgresql_wire import AtCommit, Wire
from tests.receiver_world import ORGS, TOKENS, settings_of

DELIVERY = {
    "version": "4",
    "alerts": [
        {
            "status": "firing",
            "fingerprint": "fp1",
            "startsAt": "2026-11-22T12:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "labels": {"org": "retail", "flow_id": "f1", "flow_version": "14.0", "signal": "error_exit"},
            "annotations": {},
        }
    ],
}
# What idle_in_transaction_session_timeout does after a while.
GIVE_UP = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE state = 'idle in transaction'"


@pytest.fixture
def wire(tcp_url: str) -> Iterator[Wire]:
    with Wire(tcp_url) as made:
        yield made


@pytest.fixture
def client(tmp_path: Path, wire: Wire) -> Iterator[FlaskClient]:
    with served(tmp_path, wire.url) as made:
        yield made


@contextmanager
def served(folder: Path, url: str) -> Iterator[FlaskClient]:
    settings = settings_of(folder, database_url=url)
    with closing(Store(url, timeouts=Timeouts(idle_s=60.0))) as store:
        yield create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ()).test_client()


def deliver(client: FlaskClient) -> tuple[int, dict[str, int]]:
    headers = {"Authorization": f"Bearer {TOKENS['alertmanager']}"}
    answer = client.post("/api/v1/alerts", data=json.dumps(DELIVERY), headers=headers)
    return answer.status_code, answer.get_json()


def pause(client: FlaskClient) -> tuple[int, dict[str, str]]:
    headers = {"Authorization": f"Bearer {TOKENS['operator']}"}
    answer = client.put("/api/v1/pause", json={"reason": "storm"}, headers=headers)
    return answer.status_code, answer.get_json()


@pytest.mark.parametrize("lost", [AtCommit.LOST, AtCommit.UNANSWERED])
def test_a_delivery_whose_commit_is_lost_is_stored_once_and_answered_202(
    client: FlaskClient, wire: Wire, lost: AtCommit
) -> None:
    wire.at_commit = lost
    assert deliver(client) == (202, {"stored": 1, "duplicate": 0})
    assert wire.cuts == 1
    assert deliver(client) == (202, {"stored": 0, "duplicate": 1})


def test_a_delivery_of_which_nobody_can_tell_is_503_and_taken_when_it_is_sent_again(
    client: FlaskClient, wire: Wire, tcp_url: str
) -> None:
    wire.at_commit = AtCommit.HELD
    assert deliver(client)[0] == 503
    wire.at_commit = None
    with closing(Store(tcp_url)) as store, store.begin() as tx:
        tx.execute(sa.text(GIVE_UP))
    assert deliver(client) == (202, {"stored": 1, "duplicate": 0})


@pytest.mark.parametrize(("lost", "status"), [(AtCommit.LOST, 200), (AtCommit.UNANSWERED, 200), (AtCommit.HELD, 503)])
def test_a_pause_is_answered_with_what_became_of_it(
    client: FlaskClient, wire: Wire, lost: AtCommit, status: int
) -> None:
    wire.at_commit = lost
    answered, body = pause(client)
    assert answered == status
    if status == 503:
        assert "look whether it was done" in body["detail"]


def open_window(client: FlaskClient) -> int:
    headers = {"Authorization": f"Bearer {TOKENS['operator']}", "Idempotency-Key": "k1"}
    window = {"org": "retail", "ends_at": "2199-01-01T00:00:00Z", "reason": "release 12"}
    return client.post("/api/v1/maintenance", json=window, headers=headers).status_code


def windows(url: str) -> int:
    with closing(Store(url)) as store, store.begin() as tx:
        return len(controls.list_windows(tx, now=0.0))


@pytest.mark.parametrize("lost", [AtCommit.LOST, AtCommit.UNANSWERED])
def test_an_order_with_a_key_whose_commit_is_lost_has_one_effect(
    client: FlaskClient, wire: Wire, tcp_url: str, lost: AtCommit
) -> None:
    wire.at_commit = lost
    assert open_window(client) == 201
    assert open_window(client) == 201
    assert windows(tcp_url) == 1


def test_an_order_with_a_key_of_which_nobody_can_tell_may_be_sent_again(
    client: FlaskClient, wire: Wire, tcp_url: str
) -> None:
    wire.at_commit = AtCommit.HELD
    assert open_window(client) == 503
    wire.at_commit = None
    with closing(Store(tcp_url)) as store, store.begin() as tx:
        tx.execute(sa.text(GIVE_UP))
    assert open_window(client) == 201
    assert open_window(client) == 201
    assert windows(tcp_url) == 1
