"""People by a trusted proxy's header or by Basic; what of it a foreign page could use; what every answer says."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from genesys.settings import SettingsError
from receiver.metrics import ReceiverMetrics
from receiver.store import audit
from receiver.store.database import Store
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, opened, settings_of

PROXY = "10.1.2.3"
LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
PEOPLE = {
    "external_url": "https://rollback.example.org",
    "proxy": {
        "addresses": ["10.1.2.0/24", "fd00::/8"],
        "user_header": "X-Forwarded-User",
        "groups_header": "X-Forwarded-Groups",
        "groups": [
            {"group": "noc", "roles": ["viewer"]},
            {"group": "bank-voice", "roles": ["operator"], "organizations": ["bank"]},
        ],
    },
    "people": [{"name": "eve", "roles": ["viewer", "operator"], "password_env": "CI"}],
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(settings_of(tmp_path, **PEOPLE)) as made:
        yield made


@pytest.fixture
def client(store: Store, tmp_path: Path) -> FlaskClient:
    settings = settings_of(tmp_path, **PEOPLE)
    app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
    return held_to_its_document(app).test_client()


def ann(groups: str = "noc, bank-voice", **more: str) -> dict[str, str]:
    return {"X-Forwarded-User": "ann", "X-Forwarded-Groups": groups} | {k.replace("_", "-"): v for k, v in more.items()}


def look(client: FlaskClient, peer: str, headers: Mapping[str, str], path: str = "alerts", **more: Any) -> TestResponse:
    return client.get(f"/api/v1/{path}", headers=headers, environ_base={"REMOTE_ADDR": peer}, **more)


def pause(client: FlaskClient, headers: Mapping[str, str], peer: str = PROXY, **more: Any) -> TestResponse:
    body = {"org": "bank", "reason": "x"}
    return client.put("/api/v1/pause", json=body, headers=headers, environ_base={"REMOTE_ADDR": peer}, **more)


# The proxy's header


@pytest.mark.parametrize("peer", [PROXY, "::ffff:10.1.2.3", "fd00::7"])
def test_whom_the_proxy_names_has_the_roles_of_each_group_where_the_group_has_them(
    client: FlaskClient, store: Store, peer: str
) -> None:
    assert look(client, peer, ann()).status_code == 200
    assert look(client, peer, ann("bank-voice"), "alerts?org=retail").status_code == 403  # an operator of bank
    assert look(client, peer, ann(), "alerts?org=retail").status_code == 200  # as a viewer
    assert pause(client, ann(), peer).status_code == 200
    assert pause(client, ann("noc"), peer).status_code == 403
    body = {"org": "retail", "reason": "x"}
    answer = client.put("/api/v1/pause", json=body, headers=ann(), environ_base={"REMOTE_ADDR": peer})
    assert answer.status_code == 403
    with store.begin() as tx:
        assert ("proxy:ann", "pause") in [(row.actor, row.kind) for row in audit.newest(tx, before=None, limit=9)]


@pytest.mark.parametrize("peer", ["10.1.3.3", "127.0.0.1", "::1", "", "unix"])
def test_from_any_other_address_the_header_is_nothing_and_the_log_says_so_once(
    client: FlaskClient, peer: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert [look(client, peer, ann(X_Forwarded_For=PROXY)).status_code for _ in range(3)] == [401] * 3
    assert [record.getMessage().split()[0] for record in caplog.records] == ["identity_header_ignored"]


@pytest.mark.parametrize("name", ["", " ", "ann,eve", "a" * 201])
def test_a_name_that_is_none_is_nobody(client: FlaskClient, name: str) -> None:
    assert look(client, PROXY, ann() | {"X-Forwarded-User": name}).status_code == 401


@pytest.mark.parametrize("groups", ["", "nocturnal", "NOC", "no,c", "bank-voice2"])
def test_without_a_known_group_there_is_no_role(client: FlaskClient, groups: str) -> None:
    assert look(client, PROXY, ann(groups)).status_code == 403


def test_a_token_says_who_calls_whatever_else_is_said(client: FlaskClient) -> None:
    viewer = {"Authorization": f"Bearer {TOKENS['viewer']}"}
    assert pause(client, ann() | viewer).status_code == 403
    assert look(client, PROXY, ann() | {"Authorization": "Bearer no"}).status_code == 401


def test_names_are_utf_8(client: FlaskClient, store: Store) -> None:
    def as_sent(text: str) -> str:
        return text.encode().decode("latin-1")  # as WSGI has it

    assert pause(client, ann() | {"X-Forwarded-User": as_sent("Łukasz Müller")}).status_code == 200
    assert look(client, PROXY, ann() | {"X-Forwarded-User": "J\xfcrgen"}).status_code == 401
    with store.begin() as tx:
        assert "proxy:Łukasz Müller" in {row.actor for row in audit.newest(tx, before=None, limit=9)}


# Basic


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_basic_works_on_loopback(client: FlaskClient, peer: str, store: Store) -> None:
    assert look(client, peer, {}, auth=("eve", TOKENS["ci"])).status_code == 200
    assert pause(client, {}, peer, auth=("eve", TOKENS["ci"])).status_code == 200
    with store.begin() as tx:
        assert "basic:eve" in {row.actor for row in audit.newest(tx, before=None, limit=9)}
    basics: list[dict[str, Any]] = [{"headers": {"Authorization": "Basic /w=="}}]
    basics += [{"headers": {}, "auth": one} for one in (("eve", "no"), ("eve", ""), ("", ""), ("ann", TOKENS["ci"]))]
    for wrong in basics:
        answer = look(client, peer, **wrong)
        assert answer.status_code == 401
        assert "Basic realm" in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("peer", [PROXY, "192.0.2.1", "", "::ffff:192.0.2.1"])
def test_basic_is_nothing_from_elsewhere(client: FlaskClient, peer: str) -> None:
    answer = look(client, peer, {}, auth=("eve", TOKENS["ci"]))
    assert answer.status_code == 401
    assert "Basic realm" not in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "Via"])
def test_basic_is_nothing_through_a_proxy_on_the_same_host(client: FlaskClient, header: str) -> None:
    assert look(client, "127.0.0.1", {header: "192.0.2.1"}, auth=("eve", TOKENS["ci"])).status_code == 401


# Pages of others


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://rollback.example.org"}, 403),
        ({"Origin": "https://rollback.example.org"}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "https://rollback.example.org.evil.example"}, 403),
        ({"Origin": "http://rollback.example.org"}, 403),
        ({"Origin": "null"}, 403),
    ],
    ids=str,
)
def test_a_change_that_a_foreign_page_asks_for_is_not_made(
    client: FlaskClient, store: Store, headers: dict[str, str], status: int
) -> None:
    assert pause(client, ann() | headers).status_code == status
    assert pause(client, headers, "127.0.0.1", auth=("eve", TOKENS["ci"])).status_code == status
    with store.begin() as tx:
        made = [row.kind for row in audit.newest(tx, before=None, limit=9)].count("pause")
    assert made == (2 if status == 200 else 0)


def test_a_token_is_sent_by_no_browser_by_itself(client: FlaskClient) -> None:
    bearer = {"Authorization": f"Bearer {TOKENS['operator']}", "Sec-Fetch-Site": "cross-site"}
    assert pause(client, bearer).status_code == 200


# What every answer says


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/api/v1/alerts", "/openapi.json", "/no/such/page"])
def test_every_answer_has_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert "Strict-Transport-Security" not in headers  # only with tls


# The configuration


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"addresses": []}, r"proxy.addresses"),
        ({"addresses": ["10.0.0.1/8"]}, r"proxy.addresses\[0\]"),
        ({"user_header": "X User"}, r"proxy.user_header"),
        ({"groups": []}, r"proxy.groups"),
        ({"groups": [{"group": "a,b", "roles": ["viewer"]}]}, r"proxy.groups\[0\].group: must be without commas"),
    ],
    ids=str,
)
def test_a_proxy_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings_of(tmp_path, **(PEOPLE | {"proxy": PEOPLE["proxy"] | change}))  # type: ignore[operator]


def test_a_token_cannot_have_the_name_of_a_person(tmp_path: Path) -> None:
    token = {"name": "proxy:ann", "roles": ["alertmanager"], "token_env": "CI"}
    with pytest.raises(SettingsError, match=r"tokens\[0\].name: must not begin with proxy:"):
        settings_of(tmp_path, tokens=[token])
