"""Organizations per token: by no call does a token of one see or change anything of another.

Nor does a token of one division anything of a flow of another one; what it may do is in `test_receiver_divisions`.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from genesys.audit import Change
from genesys.flows import Flow
from genesys.settings import SettingsError
from receiver.metrics import ReceiverMetrics
from receiver.policy import Verdict
from receiver.store import audit, changes, controls, deployments, divisions, objects, quarantines, watchdog
from receiver.store.database import Store
from receiver.store.deployments import Consent, Member, Registration
from receiver.store.rollbacks import State
from receiver.store.schema import metadata
from receiver.web import create_app
from tests.openapi_document import PREFIX, Document, held_to_its_document
from tests.receiver_world import ORGS, TOKENS, list_live, opened, put_alert, put_decision, put_rollback, settings_of

DIGEST = "0" * 64
ROLES = ["alertmanager", "viewer", "operator", "ci"]
HIDDEN = "hidden-flow"  # of retail; the reasons have it too
OWN = "own-flow"  # of retail, in the division Sales; the others are in Home, or nobody knows where

BANK, EVERYWHERE, SALES = "operator", "viewer", "ci"  # whose secret the tokens of this test have
SETTINGS = {
    "tokens": [
        {"name": "of-bank", "roles": ROLES, "organizations": ["bank"], "token_env": "OPERATOR"},
        {"name": "of-all", "roles": ROLES, "token_env": "VIEWER"},
        {
            "name": "of-sales",
            "roles": ["viewer", "operator", "ci"],
            "organizations": ["retail"],
            "divisions": ["Sales"],
            "token_env": "CI",
        },
    ],
    "objects": [{"org": "retail", "type": "ivr", "id": f"{HIDDEN}-route", "mode": "approve"}],
}


def a_flow(flow_id: str, *, division: str = "Home") -> Flow:
    """A live flow as Genesys Cloud lists it; the id of its division is the name with `id-` before it."""
    of_division = {"division_id": division and f"id-{division}", "division_name": division}
    when = {"live_version": "14.0", "live_published_at": 1.0, "published_by": "pipeline"}
    idle = {"active": True, "deleted": False, "locked_by": None, "operation": None}
    values: dict[str, Any] = {"id": flow_id, "name": flow_id, "type": "inboundcall", **of_division, **when, **idle}
    return Flow(**values)


class World:
    """An application, with something of retail in every table that a call shows."""

    def __init__(self, app: Flask, store: Store) -> None:
        self.store = store
        self._client = app.test_client()
        self.document = Document(self._client.get("/openapi.json").get_json())
        with store.begin() as tx:
            alert = put_alert(tx, flow_id=HIDDEN, now=time.time())
            put_decision(tx, alert, Verdict.PAUSED, now=time.time())
            waits = {"state": State.AWAITING_APPROVAL, "started_at": None, "wrote": False, "reason": "mode approve"}
            put_rollback(tx, alert, "waiting", now=time.time(), **waits)
            other = put_alert(tx, flow_id=f"{HIDDEN}-2", now=time.time())
            done = put_rollback(
                tx, other, "confirmed", now=time.time(), state=State.VERIFYING, confirmed_at=time.time()
            )
            quarantines.put(tx, done, now=time.time())
            list_live(tx, "14.0", now=time.time())
            listed = [a_flow(HIDDEN), a_flow(f"{HIDDEN}-2"), a_flow(OWN, division="Sales")]
            divisions.remember(tx, "retail", listed, now=time.time())
            controls.pause(tx, "retail", by="ann", reason="a storm", now=time.time())
            controls.hold(tx, "retail", [HIDDEN], owner="ann", reason=HIDDEN, by="ann", now=time.time())
            window = controls.open_window(
                tx,
                org="retail",
                flow_ids=(HIDDEN,),
                kind="maintenance",
                starts_at=time.time() - 60,
                ends_at=time.time() + 3600,
                reason=HIDDEN,
                owner="ann",
                created_by="of-bank",
                now=time.time(),
            )
            entry = Change("e1", time.time(), "Routing", "Update", "Queue", HIDDEN, HIDDEN, None, "ann", None, None)
            changes.put(tx, "retail", [entry], own_client_id="ours", now=time.time())
            route = objects.Key("retail", "ivr", f"{HIDDEN}-route")
            kept = {"name": HIDDEN, "content": {"name": HIDDEN}, "own_version": None, "flow_id": HIDDEN}
            for version in ("v1", "v2"):
                objects.note(tx, route, version=version, asked_at=time.time(), **kept)
            told = Registration("retail", (Member(HIDDEN, DIGEST, "14.0"),), "c0ffee", "ann", "", Consent.AUTO)
            made, _ = deployments.register(tx, told, by="ann", now=time.time(), repeat_s=600, resolve_s=3600)
            (quarantine,) = quarantines.newest(tx, org=None, limit=9)
        self.names = {"window_id": window.id, "deployment_id": made.id, "quarantine_id": quarantine.id}

    def call(self, token: str, call: "Call", **changes: Any) -> TestResponse:
        path = call.path.format(**self.names)
        headers = {"Authorization": f"Bearer {TOKENS[token]}"}
        more = {"query_string": call.query, "json": call.body} | changes
        return self._client.open(f"{PREFIX}{path}", method=call.method, headers=headers, **more)

    def tables(self) -> Mapping[str, list[Any]]:
        with self.store.begin() as tx:
            return {table.name: list(tx.execute(sa.select(table))) for table in metadata.sorted_tables}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    settings = settings_of(tmp_path, **SETTINGS)
    with opened(settings) as store:
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        yield World(held_to_its_document(app), store)


class Call(NamedTuple):
    """One call that is about retail; `refused`: what it is for a token of bank, and of a division of retail.

    `left_out`: to the latter it gives what there is of its own.
    """

    method: str
    path: str
    refused: int
    query: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = None
    works: bool = True  # for a token of every organization
    left_out: bool = False

    @property
    def route(self) -> tuple[str, str]:
        parts = {"waiting": "{rollback_id}", "confirmed": "{rollback_id}", "retail": "{org}", "flow-0": "{flow_id}"}
        parts |= {"ivr": "{object_type}", f"{HIDDEN}-route": "{object_id}"}
        return self.method, "/".join(parts.get(part, part) for part in self.path.split("/"))


def alert_of(org: str, fingerprint: str, status: str = "firing") -> dict[str, Any]:
    labels = {"org": org, "flow_id": HIDDEN, "flow_version": "14.0", "signal": "error_exit"}
    started = "2026-01-01T00:00:00Z"
    return {
        "status": status,
        "labels": labels | {"alertname": "GenesysFlowFailing"},
        "annotations": {},
        "startsAt": started,
        "endsAt": "2036-01-01T00:00:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
        "fingerprint": fingerprint,
    }


def delivery(*alerts: Mapping[str, Any]) -> dict[str, Any]:
    return {"version": "4", "status": "firing", "alerts": list(alerts)}


RETAIL = {"org": "retail"}
SAID = {"reason": "x"}
ENDS = {"ends_at": "2126-01-01T00:00:00Z"}
FLOWS = {"flows": [{"flow_id": "flow-9", "source_digest": DIGEST}]}
CALLS = [
    Call("POST", "/alerts", 403, body=delivery(alert_of("retail", "a"))),
    *(Call("GET", f"/{name}", 403, RETAIL, left_out=True) for name in ("alerts", "decisions", "rollbacks", "flows")),
    *(Call("GET", f"/{name}", 403, RETAIL, left_out=True) for name in ("deployments", "holds", "quarantines")),
    Call("GET", "/maintenance", 403, RETAIL, left_out=True),
    Call("GET", "/rollbacks/waiting", 404),
    Call("POST", "/rollbacks/waiting/approve", 404),
    Call("POST", "/rollbacks/waiting/deny", 404),
    Call("POST", "/rollbacks/confirmed/undo", 404, body=SAID),
    Call("POST", "/rollbacks", 403, body=RETAIL | SAID | {"flow_id": "flow-0"}, works=False),
    Call("GET", "/flows/retail/flow-0", 403),
    Call("GET", "/objects", 403, RETAIL),
    Call("GET", f"/objects/retail/ivr/{HIDDEN}-route", 403),
    Call("GET", f"/objects/retail/ivr/{HIDDEN}-route", 403, {"against": "v1"}),
    Call("GET", "/flows/retail/flow-0/explain", 403, works=False),
    Call("PUT", "/pause", 403, body=RETAIL | SAID),
    Call("PUT", "/pause", 403, body=SAID),
    Call("DELETE", "/pause", 403, RETAIL),
    Call("DELETE", "/pause", 403, works=False),
    Call("PUT", "/holds", 403, body=RETAIL | SAID | {"flow_ids": ["flow-0"]}),
    Call("DELETE", "/holds", 403, RETAIL | {"flow_id": HIDDEN}),
    Call("DELETE", "/quarantines/{quarantine_id}", 404),
    Call("POST", "/maintenance", 403, body=RETAIL | SAID | ENDS),
    Call("DELETE", "/maintenance/{window_id}", 404),
    Call("POST", "/deployments", 403, body=RETAIL | FLOWS | {"commit": "c0ffee"}),
    Call("POST", "/deployments/{deployment_id}/good", 404),
    Call("POST", "/notifications/test", 403),
    Call("POST", "/gate", 403, body=RETAIL | FLOWS, works=False),
]
LISTS = [
    "alerts",
    "decisions",
    "rollbacks",
    "flows",
    "objects",
    "deployments",
    "holds",
    "quarantines",
    "maintenance",
    "pause",
]


def test_no_call_of_the_api_is_left_out(world: World) -> None:
    lists = {("GET", f"/{name}") for name in (*LISTS, "audit", "changes")}
    assert {call.route for call in CALLS} | lists | {("GET", "/openapi.json")} == world.document.calls()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path} {call.body or call.query or ''}")
def test_a_token_of_another_organization_is_refused_and_changes_nothing(world: World, call: Call) -> None:
    before = world.tables()
    answer = world.call(BANK, call)
    assert answer.status_code == call.refused, answer.text
    assert HIDDEN not in answer.text.replace(str(call.query), "")
    assert world.tables() == before

    allowed = world.call(EVERYWHERE, call)
    assert allowed.status_code not in (401, 403), allowed.text
    assert (allowed.status_code < 300) is call.works, allowed.text


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path} {call.body or call.query or ''}")
def test_a_token_of_another_division_is_refused_and_changes_nothing(world: World, call: Call) -> None:
    before = world.tables()
    answer = world.call(SALES, call)
    assert answer.status_code == (200 if call.left_out else call.refused), answer.text
    asked = f"{call.path} {call.query} {call.body}"
    for foreign in (HIDDEN, "flow-0", "Main IVR"):
        assert foreign in asked or foreign not in answer.text
    assert world.tables() == before


@pytest.mark.parametrize("name", LISTS)
def test_a_list_leaves_out_what_is_of_other_divisions(world: World, name: str) -> None:
    shown = world.call(SALES, Call("GET", f"/{name}", 200))
    assert shown.status_code == 200, shown.text
    for foreign in (HIDDEN, "flow-0", "Main IVR"):
        assert foreign not in shown.text


def test_the_audit_is_not_read_by_divisions(world: World) -> None:
    answer = world.call(SALES, Call("GET", "/audit", 403))
    assert (answer.status_code, HIDDEN in answer.text) == (403, False)


@pytest.mark.parametrize("name", [*LISTS, "audit", "changes"])
def test_a_list_leaves_out_what_is_of_other_organizations(world: World, name: str) -> None:
    call = Call("GET", f"/{name}", 200)
    shown = world.call(BANK, call)
    assert shown.status_code == 200, shown.text
    assert "retail" not in shown.text
    assert HIDDEN not in shown.text
    assert "retail" in world.call(EVERYWHERE, call).text


@pytest.mark.parametrize("name", ["alerts", "decisions", "rollbacks", "deployments", "quarantines", "audit"])
def test_pages_of_one_organization_are_whole_however_much_there_is_of_others(world: World, name: str) -> None:
    """What is left out takes no place: a page is full as long as there is more."""
    with world.store.begin() as tx:
        for number in range(3):
            alert = put_alert(tx, org="bank", flow_id=f"flow-{number}", now=time.time() - number)
            put_decision(tx, alert, Verdict.PAUSED, now=time.time())
            done = put_rollback(
                tx, alert, f"bank-{number}", now=time.time(), state=State.VERIFYING, confirmed_at=time.time()
            )
            quarantines.put(tx, done, now=time.time())
            told = Registration("bank", (Member(f"flow-{number}", DIGEST, "14.0"),), "c", "", "", Consent.AUTO)
            deployments.register(tx, told, by="ann", now=time.time(), repeat_s=600, resolve_s=3600)
            put_alert(tx, flow_id=f"between-{number}", now=time.time())
    call = Call("GET", f"/{name}", 200)
    whole = world.call(BANK, call).get_json()[name]
    paged, after = [], {}
    while True:
        page = world.call(BANK, call, query_string={"limit": "1"} | after).get_json()
        paged += page[name]
        if page["next"] is None:
            break
        assert len(page[name]) == 1
        after = {"after": page["next"]}
    assert paged == whole
    assert len(whole) >= 3


def test_the_audit_shows_what_was_done_to_all_at_once_and_is_not_deceived_by_a_name_further_down(world: World) -> None:
    with world.store.begin() as tx:
        controls.pause(tx, "*", by="ann", reason='storm "org":"bank"', now=time.time())
        controls.pause(tx, "retail", by="ann", reason='"org":"bank"', now=time.time())
        controls.pause(tx, "bank", by="ann", reason="of bank", now=time.time())
        audit.record(tx, audit.Kind.STEP, {"org": "retail", "detail": {"org": "bank"}}, at=time.time())
    rows = world.call(BANK, Call("GET", "/audit", 200)).get_json()["audit"]
    assert [row["facts"]["org"] for row in rows] == ["bank", "*"]
    pauses = world.call(BANK, Call("GET", "/pause", 200)).get_json()["pauses"]
    assert [one["org"] for one in pauses] == ["*", "bank"]


def test_a_fingerprint_of_another_organization_closes_and_refreshes_nothing(world: World) -> None:
    """Whoever knows it could otherwise end the alert, under an organization of their own."""
    before = world.tables()
    for status in ("firing", "resolved"):
        sent = delivery(alert_of("bank", f"fp-retail-{HIDDEN}", status))
        assert world.call(BANK, Call("POST", "/alerts", 403, body=sent)).status_code == 403
    assert world.tables() == before
    mixed = delivery(alert_of("bank", "b"), alert_of("retail", "r"))
    assert world.call(BANK, Call("POST", "/alerts", 403, body=mixed)).status_code == 403
    assert world.tables() == before
    assert world.call(BANK, Call("POST", "/alerts", 202, body=delivery(alert_of("bank", "b")))).status_code == 202


def test_a_watchdog_of_another_organization_shows_nothing_of_its_data(world: World) -> None:
    watchdogs = [alert_of(org, org) for org in ("retail", "bank")]
    for one in watchdogs:
        one["labels"]["genesys_action"] = "watchdog"
    assert world.call(BANK, Call("POST", "/alerts", 202, body=delivery(*watchdogs))).status_code == 202
    with world.store.begin() as tx:
        assert watchdog.last_seen(tx, "retail") is None
        assert watchdog.last_seen(tx, "bank") is not None


def test_an_organization_that_does_not_exist_is_refused_like_one_of_others(world: World) -> None:
    answers = [world.call(BANK, Call("PUT", "/pause", 403, body=SAID | {"org": org})) for org in ("retail", "nowhere")]
    told = [answer.get_json()["detail"].replace("retail", "…").replace("nowhere", "…") for answer in answers]
    assert told == ["of-bank may not do this for the organization …; for these: bank"] * 2
    known = world.call(EVERYWHERE, Call("PUT", "/pause", 400, body=SAID | {"org": "nowhere"}))
    assert known.get_json()["detail"] == "#/org: is not configured; known: *, bank, retail"


def test_what_is_allowed_in_the_own_organization_works(world: World) -> None:
    own = {"org": "bank"}
    for call in (
        Call("PUT", "/pause", 200, body=SAID | own),
        Call("DELETE", "/pause", 204, own),
        Call("PUT", "/holds", 200, body=SAID | own),
        Call("POST", "/maintenance", 201, body=SAID | ENDS | own),
        Call("POST", "/gate", 409, body=FLOWS | own),
        Call("GET", "/flows", 200, own),
    ):
        assert world.call(BANK, call).status_code == call.refused, call


def test_an_answer_that_was_kept_is_not_given_to_whom_it_is_out_of_reach_now(tmp_path: Path) -> None:
    bearer = {"Authorization": f"Bearer {TOKENS['operator']}"}
    settings = settings_of(tmp_path, **SETTINGS)
    narrowed = settings.tokens[0].model_copy(update={"organizations": None})
    before = settings.model_copy(update={"tokens": (narrowed, *settings.tokens[1:])})
    with opened(settings) as store:
        apps = [
            create_app(store, one, ORGS, ReceiverMetrics(store, one, ORGS), lambda: ()) for one in (before, settings)
        ]
        names = World(apps[0], store).names
        for path in ("rollbacks/waiting/approve", f"deployments/{names['deployment_id']}/good"):
            headers = bearer | {"Idempotency-Key": path}
            answers = [app.test_client().post(f"{PREFIX}/{path}", headers=headers) for app in (apps[0], *apps)]
            assert [answer.status_code for answer in answers] == [200, 200, 404]
            assert answers[1].headers["Idempotency-Replayed"] == "true"


def test_organizations_of_a_token_are_named_or_left_out(tmp_path: Path) -> None:
    tokens = [SETTINGS["tokens"][1] | {"organizations": []}]
    with pytest.raises(SettingsError, match=r"tokens\[0\].organizations"):
        settings_of(tmp_path, tokens=tokens)
