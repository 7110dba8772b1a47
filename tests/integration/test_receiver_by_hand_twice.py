"""A form that is clicked twice, or an order that is sent again while it is carried out: one rollback, one answer."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from receiver.desk import Desk
from receiver.metrics import ReceiverMetrics
from receiver.web import create_app
from tests.integration.ordering import all_rollbacks
from tests.integration.receiver_world import FLOW_ID, Scene, scene
from tests.receiver_world import ORGS, TOKENS

AUTHORIZATION = {"Authorization": f"Bearer {TOKENS['operator']}"}
Send = Callable[[FlaskClient], TestResponse]


def by_api(client: FlaskClient) -> TestResponse:
    body = {"org": "retail", "flow_id": FLOW_ID, "reason": "silence", "accused_version": "14.0"}
    return client.post("/api/v1/rollbacks", headers=AUTHORIZATION | {"Idempotency-Key": "k1"}, json=body)


def by_console(client: FlaskClient) -> TestResponse:
    fields = {"reason": "silence", "accused_version": "14.0", "idempotency_key": "k1"}
    return client.post(f"/console/flows/retail/{FLOW_ID}/roll-back", headers=AUTHORIZATION, data=fields)


class Turn:
    """A turn that is waited for; `meanwhile` is what happens until it comes, or does not."""

    def __init__(self, meanwhile: Callable[[], Any], *, comes: bool) -> None:
        self._meanwhile = meanwhile
        self._comes = comes

    def acquire(self, timeout: float) -> bool:
        self._meanwhile()
        return self._comes

    def release(self) -> None:
        assert self._comes


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def client_of(here: Scene, turn: Any) -> FlaskClient:
    desk = Desk(here.another_receiver("desk").tools["retail"], cast("Lock", turn))
    metrics = ReceiverMetrics(here.store, here.settings, ORGS)
    return create_app(here.store, here.settings, ORGS, metrics, lambda: (), {"retail": desk}).test_client()


@pytest.mark.parametrize("send", [by_api, by_console])
@pytest.mark.parametrize("comes", [False, True], ids=["no turn", "a turn, and another version is live"])
def test_who_waits_for_a_turn_gets_what_the_first_click_has_ordered(here: Scene, send: Send, comes: bool) -> None:
    first: list[TestResponse] = []

    def meanwhile() -> None:
        first.append(send(client_of(here, Lock())))
        if comes:
            here.run_to_the_end()

    second = send(client_of(here, Turn(meanwhile, comes=comes)))
    assert (second.status_code, second.location) == (first[0].status_code, first[0].location), second.text
    assert second.data == first[0].data
    assert len(all_rollbacks(here)) == 1


@pytest.mark.parametrize("send", [by_api, by_console])
def test_who_gets_no_turn_and_has_ordered_nothing_is_asked_to_come_again(here: Scene, send: Send) -> None:
    answer = send(client_of(here, Turn(lambda: None, comes=False)))
    assert answer.status_code == 503
    assert "ask again in a few seconds" in answer.text
    assert all_rollbacks(here) == []


def test_a_page_does_not_say_that_nothing_was_done_where_nobody_knows(here: Scene) -> None:
    text = by_console(client_of(here, Turn(lambda: None, comes=False))).text
    assert "It was not done." not in text
    assert "It is not known whether it was done." in text
    assert 'href="../../../../console/rollbacks"' in text
    assert f'href="../../../../console/flows/retail/{FLOW_ID}"' in text
