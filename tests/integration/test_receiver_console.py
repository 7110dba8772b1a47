"""The console over HTTP: who gets in, what of whom they see, what forms may do, what every page says of itself."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from receiver.metrics import ReceiverMetrics
from receiver.notify.events import Telling
from receiver.store import audit, controls, rollbacks
from receiver.store.database import Store
from receiver.store.rollbacks import State
from receiver.web import create_app
from receiver.web.console import PREFIX
from receiver.web.documented import ROLES
from tests.integration.test_receiver_people import PEOPLE, PROXY, ann
from tests.integration.test_receiver_reach import BANK, EVERYWHERE, HIDDEN, SETTINGS, World
from tests.receiver_world import ORGS, TOKENS, list_live, opened, put_alert, put_rollback, settings_of

FORM = "application/x-www-form-urlencoded"
NOW = 1_795_000_000.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    settings = settings_of(tmp_path, **SETTINGS)
    with opened(settings) as store:
        yield World(create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ()), store)


class Form(NamedTuple):
    """One form about retail: where it is sent, what is filled in, and what it is for an operator of bank."""

    path: str
    refused: int
    fields: dict[str, str]
    works: bool = True  # for a token of every organization

    @property
    def route(self) -> str:
        parts = {"waiting": "<rollback_id>", "confirmed": "<rollback_id>", "retail": "<org>", "flow-0": "<flow_id>"}
        named = "/".join(parts.get(part, part) for part in self.path.split("/"))
        return f"{PREFIX}{named}".replace("{", "<").replace("}", ">")


RETAIL, SAID = {"org": "retail"}, {"reason": "x"}
FORMS = [
    Form("/pause", 403, RETAIL | SAID),
    Form("/pause", 403, {"org": "*"} | SAID),
    Form("/resume", 403, RETAIL),
    Form("/resume", 403, {"org": "*"}, works=False),
    Form("/hold", 403, RETAIL | SAID | {"flow_ids": "flow-0"}),
    Form("/release", 403, RETAIL | {"flow_id": HIDDEN}),
    Form("/quarantines/{quarantine_id}/lift", 404, RETAIL | {"back_to": HIDDEN}),
    Form("/windows", 403, RETAIL | SAID | {"minutes": "60"}),
    Form("/windows/{window_id}/close", 404, {}),
    Form("/rollbacks/waiting/approve", 404, {}),
    Form("/rollbacks/waiting/deny", 404, SAID),
    Form("/rollbacks/confirmed/undo", 404, SAID),
    Form("/flows/retail/flow-0/roll-back", 403, SAID, works=False),  # nobody can be asked about it here
]
PAGES = ["", "/approvals", "/rollbacks", "/decisions", "/flows", "/objects", "/windows", "/windows?ended=true"]
RECORDS = {
    "/rollbacks/waiting": 404,
    "/rollbacks/confirmed": 404,
    "/decisions/1": 404,
    "/flows/retail/flow-0": 403,
    "/flows/retail/flow-0/explain": 403,
    f"/objects/retail/ivr/{HIDDEN}-route": 403,
    f"/objects/retail/ivr/{HIDDEN}-route?against=v1": 403,
    "/rollbacks?org=retail": 403,
    "/decisions?org=retail": 403,
    "/flows?org=retail": 403,
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[token]}"}


def client_of(world: World) -> FlaskClient:
    found: FlaskClient = world._client  # the world's own calls speak JSON
    return found


def send(world: World, form: Form, token: str, **changes: Any) -> TestResponse:
    path = PREFIX + form.path.format(**world.names)
    return client_of(world).post(path, headers=bearer(token), **({"data": form.fields} | changes))


def look(world: World, path: str, token: str | None = EVERYWHERE, **headers: str) -> TestResponse:
    known = {} if token is None else bearer(token)
    return client_of(world).get(PREFIX + path, headers=known | headers)


def routes(app: Flask) -> dict[tuple[str, str], tuple[str, ...]]:
    """Every route of the console but that of the style sheet, with the roles that it asks for."""
    return {
        (method, rule.rule): tuple(app.view_functions[rule.endpoint].__dict__.get(ROLES, ()))
        for rule in app.url_map.iter_rules()
        if (rule.rule == PREFIX or rule.rule.startswith(f"{PREFIX}/")) and rule.endpoint != "console.static"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


# Who gets in


def test_every_page_and_every_form_asks_for_a_role(world: World) -> None:
    found = routes(client_of(world).application)
    assert found.pop(("GET", f"{PREFIX}/")) == ()  # leads to the page without the slash
    assert {method for method, _ in found} == {"GET", "POST"}
    for (method, rule), roles in found.items():
        wanted = ("operator",) if method == "POST" else ("viewer", "operator")
        assert roles == wanted, rule


def test_no_page_and_no_form_is_left_out_here(world: World) -> None:
    found = routes(client_of(world).application)
    posts = {rule for method, rule in found if method == "POST"}
    assert {form.route for form in FORMS} == posts
    gets = {rule for method, rule in found if method == "GET"} - {f"{PREFIX}/"}
    asked = {path.partition("?")[0] for path in (*PAGES, *RECORDS)}
    matched = {
        str(client_of(world).application.url_map.bind("").match(PREFIX + path, return_rule=True)[0]) for path in asked
    }
    assert matched == gets


@pytest.mark.parametrize("path", [*PAGES, *RECORDS])
def test_whoever_is_not_known_sees_nothing_and_is_told_how_to_get_in(world: World, path: str) -> None:
    answer = look(world, path, None)
    assert answer.status_code == 401
    assert answer.content_type == "text/html; charset=utf-8"
    assert "Who are you?" in answer.text
    assert "rollbackctl" in answer.text
    assert HIDDEN not in answer.text
    assert "retail" not in answer.text.replace(path, "")


def test_a_form_of_somebody_unknown_or_of_a_mere_viewer_does_nothing(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with opened(settings) as store:
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        for headers, status in (({}, 401), (bearer("viewer"), 403), (bearer("ci"), 403), (bearer("alertmanager"), 403)):
            answer = app.test_client().post(f"{PREFIX}/pause", data={"org": "*", "reason": "x"}, headers=headers)
            assert answer.status_code == status
        with store.begin() as tx:
            assert controls.list_pauses(tx) == []


def test_a_browser_is_asked_for_a_password_on_a_line_of_its_own(tmp_path: Path) -> None:
    """Chromium takes a header line for one challenge: behind another one on the same line it would not see Basic."""
    settings = settings_of(tmp_path, **PEOPLE)
    with opened(settings) as store:
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        local = app.test_client().get(PREFIX, environ_base={"REMOTE_ADDR": "127.0.0.1"})
        lines = local.headers.getlist("WWW-Authenticate")
        assert [line.partition(" ")[0] for line in lines] == ["Bearer", "Basic"]
        far = app.test_client().get(PREFIX, environ_base={"REMOTE_ADDR": "192.0.2.1"})
        assert [line.partition(" ")[0] for line in far.headers.getlist("WWW-Authenticate")] == ["Bearer"]


def test_people_of_the_proxy_do_what_their_groups_may_and_the_audit_has_their_names(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, **PEOPLE)
    with opened(settings) as store:
        client = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ()).test_client()
        shown = client.get(PREFIX, headers=ann(), environ_base={"REMOTE_ADDR": PROXY})
        assert "You are <b>proxy:ann</b>" in shown.text
        for org, status in (("bank", 303), ("retail", 403)):
            fields = {"org": org, "reason": "x"}
            answer = client.post(f"{PREFIX}/pause", data=fields, headers=ann(), environ_base={"REMOTE_ADDR": PROXY})
            assert answer.status_code == status
        with store.begin() as tx:
            rows = [row for row in audit.newest(tx, before=None, limit=9) if row.kind == "pause"]
        assert [(row.actor, '"org":"bank"' in row.facts) for row in rows] == [("proxy:ann", True)]


# Whose what they see


@pytest.mark.parametrize("path", PAGES)
def test_a_page_leaves_out_what_is_of_other_organizations(world: World, path: str) -> None:
    shown = look(world, path, BANK)
    assert shown.status_code == 200
    assert HIDDEN not in shown.text
    assert "retail" not in shown.text
    assert "retail" in look(world, path).text


@pytest.mark.parametrize("path", RECORDS)
def test_a_record_of_another_organization_is_not_shown(world: World, path: str) -> None:
    refused = look(world, path, BANK)
    assert refused.status_code == RECORDS[path]
    assert HIDDEN not in refused.text
    assert look(world, path).status_code in (200, 404), path


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.path} {form.fields.get('org', '')}")
def test_a_form_about_another_organization_is_refused_and_changes_nothing(world: World, form: Form) -> None:
    before = world.tables()
    refused = send(world, form, BANK)
    assert refused.status_code == form.refused, refused.text
    assert "It was not done." in refused.text
    assert HIDDEN not in refused.text
    assert world.tables() == before

    allowed = send(world, form, EVERYWHERE)
    assert allowed.status_code not in (401, 403), allowed.text
    assert (allowed.status_code == 303) is form.works, allowed.text


def test_worries_about_the_receiver_are_told_in_full_only_to_who_may_see_every_organization(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, **SETTINGS)
    with opened(settings) as store:
        metrics = ReceiverMetrics(store, settings, ORGS)
        client = create_app(store, settings, ORGS, metrics, lambda: ["the worker of retail is silent"]).test_client()
        assert "the worker of retail is silent" in client.get(PREFIX, headers=bearer(EVERYWHERE)).text
        others = client.get(PREFIX, headers=bearer(BANK)).text
        assert "retail" not in others
        assert "/-/ready says why" in others


# What forms may do


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://rollback.example.org"}, 303),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
    ids=str,
)
def test_a_form_of_another_site_does_nothing(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    settings = settings_of(tmp_path, **PEOPLE)
    with opened(settings) as store:
        client = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ()).test_client()
        sent = {
            "data": {"org": "bank", "reason": "x"},
            "headers": ann() | headers,
            "environ_base": {"REMOTE_ADDR": PROXY},
        }
        assert client.post(f"{PREFIX}/pause", **sent).status_code == status
        with store.begin() as tx:
            assert len(controls.list_pauses(tx)) == (status == 303)


@pytest.mark.parametrize(
    "form", [one for one in FORMS if one.works], ids=lambda form: f"{form.path} {form.fields.get('org', '')}"
)
def test_a_form_that_is_sent_twice_has_one_effect_and_leads_to_the_same_page(world: World, form: Form) -> None:
    keyed = form._replace(fields=form.fields | {"idempotency_key": "k1"})
    first = send(world, keyed, EVERYWHERE)
    after = world.tables()
    again = send(world, keyed, EVERYWHERE)
    assert (again.status_code, again.location) == (303, first.location)
    assert world.tables() == after

    other = keyed._replace(
        fields=keyed.fields | {"back_to": "x"} if "/lift" in form.path else keyed.fields | {"reason": "y"}
    )
    if form.path not in ("/resume", "/release") and "/close" not in form.path:  # these have no other words
        reused = send(world, other, EVERYWHERE)
        assert reused.status_code == 422
        assert "Load its page anew" in reused.text
        assert world.tables() == after


def test_after_an_order_the_browser_is_sent_to_a_page_that_says_so(world: World) -> None:
    answer = send(world, FORMS[0], EVERYWHERE)
    assert (answer.status_code, answer.location) == (303, "../console?said=paused")
    assert "Paused. Nothing is published" in look(world, "?said=paused").text
    assert "<b>x" not in look(world, "?said=<b>x").text


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("/pause", {"org": "retail"}, "is missing"),
        ("/pause", {"org": "retail", "reason": "  "}, "is missing"),
        ("/pause", {"org": "nowhere", "reason": "x"}, "is not configured"),
        ("/pause", {"org": "retail", "reason": "x", "until": "x"}, "is unknown"),
        ("/pause", {"org": ["retail", "bank"], "reason": "x"}, "given once"),
        ("/windows", {"org": "retail", "reason": "x", "minutes": "soon"}, "valid integer"),
        ("/windows", {"org": "retail", "reason": "x", "minutes": "0"}, "greater than or equal to 1"),
        ("/windows", {"org": "retail", "reason": "x", "minutes": "60", "starts_at": "now"}, "must be a time in UTC"),
        (
            "/windows",
            {"org": "retail", "reason": "x", "minutes": "60", "starts_at": "2020-01-01T00:00"},
            "in the future",
        ),
        *[
            ("/windows", {"org": "retail", "reason": "x", "minutes": "60", **changes}, said)
            for changes, said in (
                ({"flow_ids": "f " * 1001}, "at most 1000"),
                ({"flow_ids": f"f {'g' * 201}"}, "flow_ids/1"),
                ({"flow_ids": "f\x00"}, "flow_ids/0"),
                ({"starts_at": "0001-01-01T00:00"}, "between the years"),
                ({"starts_at": "9998-12-31T23:59"}, "between the years"),
                ({"starts_at": "9999-12-31T23:59"}, "between the years"),
            )
        ],
        ("/hold", {"org": "retail", "reason": "x\x00", "flow_ids": "f"}, "reason"),
        ("/pause", {"org": "retail", "reason": "x", "idempotency_key": "a b"}, "printable ASCII"),
    ],
    ids=lambda one: str(one)[:80],
)
def test_what_is_filled_in_wrongly_is_said_and_nothing_is_done(world: World, path: str, fields: Any, said: str) -> None:
    before = world.tables()
    answer = send(world, Form(path, 400, {}), EVERYWHERE, data=fields)
    assert answer.status_code == 400, answer.text
    assert "It was not done." in answer.text
    assert said in answer.text
    assert world.tables() == before


class Filled(NamedTuple):
    """A form that is filled in wrongly, the heading of its page, and what of it stands in the page again."""

    path: str
    fields: dict[str, str]
    heading: str
    kept: tuple[str, ...]


LONG = "l" * 1001
OF_RETAIL = '<span class="org">retail</span>'


@pytest.mark.parametrize(
    "form",
    [
        Filled("/pause", {"org": "bank", "reason": LONG}, "<h1>Now", ("<option selected>bank", f'value="{LONG}"')),
        Filled("/pause", {"org": "bank"}, "<h1>Now", ("<option selected>bank",)),
        Filled("/hold", {"org": "retail", "reason": LONG}, "<h1>Flows", ("<option selected>retail", LONG)),
        Filled(
            "/hold", {"org": "retail", "flow_ids": "flow-0", "reason": LONG}, f"{OF_RETAIL}</h1>", (f'value="{LONG}"',)
        ),
        Filled(
            "/windows",
            {
                "org": "retail",
                "flow_ids": "f g",
                "kind": "incident",
                "minutes": "240",
                "starts_at": "2020-01-01T00:00",
                "reason": 'a "<b>',
            },
            "<h1>Windows",
            (
                "<option selected>retail",
                "<option selected>incident",
                '<option value="240" selected>',
                'value="f g"',
                'value="2020-01-01T00:00"',
                'value="a &#34;&lt;b&gt;"',
            ),
        ),
        Filled("/rollbacks/waiting/approve", {"reason": LONG}, OF_RETAIL, (f'-waiting" name="reason" value="{LONG}"',)),
        Filled(
            "/rollbacks/waiting/deny",
            {"reason": LONG},
            OF_RETAIL,
            (f'id="deny-waiting" name="reason" value="{LONG}"',),
        ),
        Filled(
            "/rollbacks/confirmed/undo",
            {"reason": LONG},
            OF_RETAIL,
            (f'id="undo-reason" name="reason" value="{LONG}"',),
        ),
    ],
    ids=lambda form: f"{form.path} {' '.join(form.fields)}",
)
def test_a_form_filled_in_wrongly_is_shown_again_with_what_was_filled_in(world: World, form: Filled) -> None:
    before = world.tables()
    answer = send(world, Form(form.path, 400, form.fields), EVERYWHERE)
    assert answer.status_code == 400
    assert "It was not done." in answer.text
    assert form.heading in answer.text
    for kept in form.kept:
        assert answer.text.count(kept) == 1, kept
    assert "data-still" in answer.text, "no script replaces what stands there"
    assert world.tables() == before


def test_only_the_form_that_was_sent_is_filled_in_again(world: World) -> None:
    text = send(world, Form("/rollbacks/waiting/deny", 400, {"reason": LONG}), EVERYWHERE).text
    assert text.count(LONG) == 1
    assert LONG not in look(world, "/rollbacks/waiting").text


def test_a_form_whose_page_is_not_there_is_answered_by_what_was_wrong_alone(world: World) -> None:
    answer = send(world, Form("/hold", 400, RETAIL | {"flow_ids": "gone", "reason": LONG}), EVERYWHERE)
    assert (answer.status_code, "It was not done." in answer.text) == (400, True)
    assert "What is going on now" in answer.text


@pytest.mark.parametrize("data", [b"\xff\xfe", b"&" * 200, b"{}"], ids=["not UTF-8", "too many fields", "JSON"])
def test_a_body_that_is_not_of_a_form_is_400(world: World, data: bytes) -> None:
    assert send(world, Form("/pause", 400, {}), EVERYWHERE, data=data, content_type=FORM).status_code == 400


def test_a_window_of_the_api_and_one_of_the_console_are_the_same(world: World) -> None:
    send(
        world,
        Form("/windows", 403, RETAIL | SAID | {"minutes": "90", "flow_ids": " a  b ", "kind": "incident"}),
        EVERYWHERE,
    )
    with world.store.begin() as tx:
        made = controls.list_windows(tx, now=0.0)[-1]
    assert (made.org, made.flow_ids, made.kind, made.reason, made.created_by) == (
        "retail",
        ("a", "b"),
        "incident",
        "x",
        "of-all",
    )
    assert made.ends_at - made.starts_at == pytest.approx(5400, abs=0.002)


# What is shown


def test_long_lists_come_in_pages(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with opened(settings) as store:
        with store.begin() as tx:
            for number in range(60):
                alert = put_alert(tx, flow_id=f"flow-{number}", now=NOW + number)
                put_rollback(tx, alert, f"id-{number:03}", now=NOW + number, state=State.SUCCEEDED)
        client = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ()).test_client()
        first = client.get(f"{PREFIX}/rollbacks", headers=bearer("viewer")).text
        assert first.count("<tr>") == 50 + 1
        assert "id-059" in first
        older = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
        second = client.get(f"/{older.removeprefix('../')}", headers=bearer("viewer")).text
        assert second.count("<tr>") == 10 + 1
        assert 'rel="next"' not in second


def test_of_a_window_for_many_flows_a_few_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with opened(settings) as store:
        with store.begin() as tx:
            list_live(tx, "14.0", now=NOW)
            for number in range(120):
                controls.open_window(
                    tx,
                    org="retail",
                    flow_ids=[f"flow-{flow}" for flow in range(1000)],
                    kind="maintenance",
                    starts_at=NOW - 60,
                    ends_at=NOW + number,
                    reason=f"release {number}",
                    owner="",
                    created_by="ann",
                    now=NOW - 60,
                )
        client = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ()).test_client()
        statements: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
            statements.append(statement)

        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        text = client.get(f"{PREFIX}/windows?ended=true", headers=bearer("viewer")).text
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert len(statements) < 10
    assert text.count("Main IVR, flow-1, ") == 100
    assert text.count("flow-19 and 980 more") == 100
    assert "flow-20" not in text
    assert "release 119" in text
    assert "release 19 " not in text
    assert "there were more" in text


def test_no_link_of_an_alert_is_a_script(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with opened(settings) as store:
        with store.begin() as tx:
            alert = put_alert(tx, now=NOW)
            put_rollback(tx, alert, "r1", now=NOW)
        client = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ()).test_client()
        forged = {
            "version": "4",
            "status": "firing",
            "alerts": [
                {
                    "status": "firing",
                    "labels": alert.labels,
                    "annotations": {"runbook_url": "javascript:alert(1)", "summary": "<script>"},
                    "startsAt": "2026-11-18T11:03:20Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "fingerprint": alert.fingerprint,
                }
            ],
        }
        client.post("/api/v1/alerts", json=forged, headers=bearer("alertmanager"))
        text = client.get(f"{PREFIX}/rollbacks/r1", headers=bearer("viewer")).text
        assert "javascript:" not in text
        assert "<script>" not in text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/no/such", 404),
        ("/rollbacks/none", 404),
        ("/decisions/99", 404),
        ("/decisions/x", 404),
        ("/rollbacks/%00", 404),
        ("?unknown=1", 400),
        ("/decisions?verdict=%00", 400),
        ("/decisions?verdict=guilty", 400),
        ("/decisions?verdict=", 200),
        ("/decisions?verdict=paused", 200),
        ("/decisions/99999999999999999999999", 404),
    ],
)
def test_what_is_not_there_is_a_page_too(world: World, path: str, status: int) -> None:
    answer = look(world, path)
    assert answer.status_code == status
    assert answer.content_type == "text/html; charset=utf-8"
    assert "<h1>" in answer.text


def test_without_its_database_the_console_says_so(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with closing(Store(f"sqlite:///{tmp_path / 'no-such-folder' / 'rollback.db'}")) as store:
        client = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ()).test_client()
        for answer in (
            client.get(PREFIX, headers=bearer("viewer")),
            client.post(f"{PREFIX}/pause", data={"org": "*", "reason": "x"}, headers=bearer("operator")),
        ):
            assert answer.status_code == 503
            assert "the database cannot be used now" in answer.text
            assert "It was not done." not in answer.text
            assert ("It is not known whether it was done." in answer.text) is (answer.request.method == "POST")
            assert answer.content_type == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", ["", "/flows", "/no/such"])
@pytest.mark.parametrize("token", [EVERYWHERE, None])
def test_a_page_loads_nothing_but_our_own_files_and_is_framed_by_nobody(
    world: World, path: str, token: str | None
) -> None:
    headers = look(world, path, token).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"


def test_the_style_sheet_and_the_script_are_files_of_the_package_and_need_no_role(world: World) -> None:
    for name, kind in (("console.css", "text/css"), ("console.js", "javascript"), ("icon.svg", "image/svg+xml")):
        with closing(look(world, f"/static/{name}", None)) as answer:
            assert answer.status_code == 200
            assert kind in answer.content_type
    assert look(world, "/static/../blueprint.py", None).status_code == 404


def test_pages_have_no_style_and_no_script_of_their_own(world: World) -> None:
    for path in PAGES:
        text = look(world, path).text
        assert " style=" not in text
        assert " onclick=" not in text
        assert text.count("<script") == 1
        assert "<style" not in text


# From elsewhere


def test_a_browser_at_the_root_is_led_to_the_console_and_nobody_else(world: World) -> None:
    browser = client_of(world).get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (browser.status_code, browser.location) == (303, "console")
    assert "rollbackctl" in client_of(world).get("/", headers={"Accept": "*/*"}).text
    slash = look(world, "/")
    assert (slash.status_code, slash.location) == (303, "../console")


BROWSER = {"Accept": "text/html,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("/api/v1/rollbacks/confirmed", "../../../console/rollbacks/confirmed"),
        ("/api/v1/rollbacks/confirmed/undo", "../../../../console/rollbacks/confirmed"),
        ("/api/v1/rollbacks/waiting/approve", "../../../../console/rollbacks/waiting"),
        ("/api/v1/rollbacks/waiting/deny", "../../../../console/rollbacks/waiting"),
    ],
)
def test_an_address_of_the_api_in_a_webhook_leads_a_browser_to_the_page(world: World, address: str, page: str) -> None:
    browser = client_of(world).get(address, headers=BROWSER)
    assert (browser.status_code, browser.location) == (303, page)
    program = client_of(world).get(address, headers=bearer(EVERYWHERE))
    assert program.status_code == (200 if address.endswith("/confirmed") else 405)


@pytest.mark.parametrize("address", ["/api/v1/gate", "/api/v1/pause"])
def test_no_other_address_of_the_api_leads_anywhere(world: World, address: str) -> None:
    assert client_of(world).get(address, headers=BROWSER).status_code in (401, 405)


def test_the_pages_that_notifications_link_to_are_there(world: World) -> None:
    telling = Telling([], "https://rollback.example.org/")
    for page in ((), ("rollbacks", "confirmed"), ("rollbacks", "waiting"), ("flows", "retail", "flow-0")):
        url = telling.console_url(*page)
        assert url is not None
        assert client_of(world).get(urlsplit(url).path, headers=bearer(EVERYWHERE)).status_code == 200
    assert (
        telling.console_url("flows", "retail", "a/b c") == "https://rollback.example.org/console/flows/retail/a%2Fb%20c"
    )
    assert Telling([], None).console_url() is None


@pytest.mark.parametrize(
    ("accept", "token", "status"),
    [
        (None, EVERYWHERE, 200),
        ("*/*", EVERYWHERE, 200),
        ("text/html,*/*;q=0.8", EVERYWHERE, 200),
        ("application/json, text/html;q=0.9", None, 401),
        ("application/json, text/plain, text/html", None, 401),
        ("text/html;q=0.5, */*", None, 401),
        ("text/html, application/json;q=0.9", None, 303),
    ],
)
def test_a_program_that_asks_for_a_record_gets_it_whatever_else_it_accepts(
    world: World, accept: str | None, token: str | None, status: int
) -> None:
    headers = ({} if accept is None else {"Accept": accept}) | ({} if token is None else bearer(token))
    answer = client_of(world).get("/api/v1/rollbacks/confirmed", headers=headers)
    assert answer.status_code == status
    assert status != 200 or answer.get_json()["id"] == "confirmed"


def test_the_console_is_not_in_the_document_of_the_api(world: World) -> None:
    assert not [path for _, path in world.document.calls() if "console" in path]


def test_an_undo_of_the_console_is_an_undo_of_the_api(world: World) -> None:
    answer = send(world, Form("/rollbacks/confirmed/undo", 404, SAID), EVERYWHERE)
    with world.store.begin() as tx:
        (undo,) = rollbacks.undos_of(tx, "confirmed")
    assert answer.location == f"../../../console/rollbacks/{undo.id}?said=undoing"
    assert undo.facts["ordered_by"] == "of-all"
