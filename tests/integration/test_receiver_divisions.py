"""People and tokens that are limited to divisions: what of their flows they see and order, and nothing besides.

That they are refused everywhere else is tried call by call in `test_receiver_reach`, and here form by form.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from genesys.settings import SettingsError
from receiver.metrics import ReceiverMetrics
from receiver.policy import Verdict
from receiver.store import alerts, audit, controls, deployments, divisions, flows, quarantines, rollbacks, schema
from receiver.store.controls import EVERY_FLOW, WindowKind
from receiver.store.database import Store, Transaction
from receiver.store.deployments import Companion, Consent, Member, Registration
from receiver.store.rollbacks import State
from receiver.web import create_app
from receiver.web.concealed import ABOUT_OTHERS, CONCEALED
from receiver.web.console import PREFIX
from tests.integration.receiver_world import FLOW_ID, FlowInGenesys, scene
from tests.integration.test_receiver_by_hand import People
from tests.integration.test_receiver_console import client_of, look
from tests.integration.test_receiver_people import PROXY
from tests.integration.test_receiver_reach import (
    DIGEST,
    EVERYWHERE,
    HIDDEN,
    LISTS,
    OWN,
    SAID,
    SALES,
    SETTINGS,
    Call,
    World,
    a_flow,
)
from tests.integration.test_receiver_worker_guards import outage, populate, settled
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, opened, put_alert, put_decision, put_rollback, settings_of

RETAIL = {"org": "retail"}
FOREIGN = (HIDDEN, "flow-0")


@contextmanager
def two_divisions(folder: Path) -> Iterator[World]:
    """An application with things of a flow that is theirs, of others, and of both."""
    settings = settings_of(folder, **SETTINGS)
    with opened(settings) as store:
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        made = World(held_to_its_document(app), store)
        store.transact(add_own, made.names)
        yield made


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with two_divisions(tmp_path) as made:
        yield made


def add_own(tx: Transaction, names: dict[str, str]) -> None:
    """The same things of the own flow, and some that are of both."""
    now = time.time()
    alert = put_alert(tx, flow_id=OWN, now=now)
    put_decision(tx, alert, Verdict.PAUSED, now=now)
    waits = {"state": State.AWAITING_APPROVAL, "started_at": None, "wrote": False, "reason": "mode approve"}
    put_rollback(tx, alert, "own-waiting", now=now, facts={"flow_name": OWN}, attempt_id="waiting", **waits)
    done = put_rollback(
        tx, alert, "own-done", now=now, try_number=2, state=State.VERIFYING, confirmed_at=now, facts={"flow_name": OWN}
    )
    quarantines.put(tx, done, now=now)
    controls.hold(tx, "retail", [OWN], owner="ann", reason="ours", by="ann", now=now)
    controls.hold(tx, "retail", [EVERY_FLOW], owner="eve", reason="for all", by="eve", now=now)
    names["mixed_window"] = open_window(tx, HIDDEN, OWN)
    names["own_window"] = open_window(tx, OWN)
    names["window_for_all"] = open_window(tx)
    names["mixed_deployment"] = register(tx, HIDDEN, OWN)
    names["own_deployment"] = register(tx, OWN)
    names["own_quarantine"] = next(one.id for one in quarantines.in_force(tx, "retail", OWN))


def open_window(
    tx: Transaction, *flow_ids: str, reason: str = "a release", ends_in_s: float = 3600.0, by: str = "of-all"
) -> str:
    now = time.time()
    kind = WindowKind.MAINTENANCE.value
    said = {"reason": reason, "owner": "ann", "created_by": by, "kind": kind}
    times = {"starts_at": now - 7200, "ends_at": now + ends_in_s, "now": now - 7200}
    return controls.open_window(tx, org="retail", flow_ids=flow_ids, **said, **times).id  # type: ignore[arg-type]


def register(tx: Transaction, *flow_ids: str) -> str:
    members = tuple(Member(flow_id, DIGEST, "14.0") for flow_id in flow_ids)
    table = Companion("data_table", "hidden-table" if HIDDEN in flow_ids else "t-1", DIGEST)
    told = Registration("retail", members, f"commit of {len(members)}", "ann", "", Consent.AUTO, (table,))
    return deployments.register(tx, told, by="ann", now=time.time(), repeat_s=600, resolve_s=3600)[0].id


def get(world: World, path: str, token: str = SALES, **query: str) -> Any:
    answer = world.call(token, Call("GET", path, 200, query))
    assert answer.status_code == 200, answer.text
    return answer.get_json()


# What is theirs


@pytest.mark.parametrize("name", [name for name in LISTS if name not in ("flows", "objects", "pause")])
@pytest.mark.parametrize("query", [{}, RETAIL], ids=["everywhere", "of the organization"])
def test_a_list_has_what_is_theirs_and_nothing_besides(world: World, name: str, query: dict[str, str]) -> None:
    shown = world.call(SALES, Call("GET", f"/{name}", 200, query)).text
    assert OWN in shown
    for foreign in FOREIGN:
        assert foreign not in shown
    assert HIDDEN in world.call(EVERYWHERE, Call("GET", f"/{name}", 200)).text


def test_objects_are_of_no_division(world: World) -> None:
    assert get(world, "/objects") == {"objects": []}
    assert "receiver.yml names no objects" in look(world, "/objects", SALES).text


def test_the_flows_are_those_of_the_division(world: World) -> None:
    with world.store.begin() as tx:
        flows.replace(tx, "retail", [a_flow("flow-0"), a_flow(OWN, division="Sales")], now=time.time())
    assert [one["flow_id"] for one in get(world, "/flows")["flows"]] == [OWN]
    assert get(world, f"/flows/retail/{OWN}")["division"] == "Sales"
    assert OWN in look(world, f"/flows/retail/{OWN}", SALES).text
    found = look(world, "/flows?find=flow", SALES).text
    assert OWN in found
    assert "flow-0" not in found


@pytest.mark.parametrize("name", ["alerts", "decisions", "rollbacks", "deployments", "quarantines"])
def test_a_page_is_full_as_long_as_there_is_more_of_theirs(world: World, name: str) -> None:
    with world.store.begin() as tx:
        listed = [a_flow(f"{OWN}-{number}", division="Sales") for number in range(3)]
        divisions.remember(tx, "retail", listed, now=time.time())
        for number, flow in enumerate(listed):
            for flow_id in (flow.id, f"never-listed-{number}"):
                alert = put_alert(tx, flow_id=flow_id, now=time.time() - number)
                put_decision(tx, alert, Verdict.PAUSED, now=time.time())
                done = put_rollback(tx, alert, f"of-{flow_id}", now=time.time(), state=State.VERIFYING)
                quarantines.put(tx, done, now=time.time())
                register(tx, flow_id)
    whole = get(world, f"/{name}")[name]
    paged: list[Any] = []
    after: dict[str, str] = {}
    while True:
        page = get(world, f"/{name}", limit="1", **after)
        paged += page[name]
        if page["next"] is None:
            break
        assert len(page[name]) == 1
        after = {"after": page["next"]}
    assert paged == whole
    assert len(whole) >= 4
    assert "never-listed" not in str(whole)


ORDERS = [
    (Call("POST", "/rollbacks/own-waiting/approve", 200), "approved"),
    (Call("POST", "/rollbacks/own-waiting/deny", 200), "denied"),
    (Call("POST", "/rollbacks/own-done/undo", 201, body=SAID), "undo"),
    (Call("PUT", "/holds", 200, body=RETAIL | SAID | {"flow_ids": [OWN]}), "hold"),
    (Call("DELETE", "/holds", 204, RETAIL | {"flow_id": OWN}), "release"),
    (Call("DELETE", "/quarantines/{own_quarantine}", 204), "quarantine_lifted"),
    (
        Call("POST", "/maintenance", 201, body=RETAIL | SAID | {"flow_ids": [OWN], "ends_at": "2126-01-01T00:00:00Z"}),
        "window_opened",
    ),
    (Call("DELETE", "/maintenance/{own_window}", 204), "window_closed"),
    (
        Call(
            "POST",
            "/deployments",
            201,
            body=RETAIL | {"flows": [{"flow_id": OWN, "source_digest": "1" * 64}], "commit": "c"},
        ),
        "deployment_registered",
    ),
    (Call("POST", "/deployments/{own_deployment}/good", 200), "deployment_good"),
]


@pytest.mark.parametrize(("call", "kind"), ORDERS, ids=[f"{call.method} {call.path}" for call, _ in ORDERS])
def test_an_order_about_their_flow_is_done_and_the_audit_has_their_name(world: World, call: Call, kind: str) -> None:
    answer = world.call(SALES, call)
    assert answer.status_code == call.refused, answer.text
    with world.store.begin() as tx:
        rows = [(row.actor, row.kind) for row in audit.newest(tx, before=None, limit=2)]
    assert ("of-sales", kind) in rows


def test_the_gate_answers_about_their_flows_only(world: World) -> None:
    asked = [{"flow_id": flow_id, "source_digest": DIGEST} for flow_id in (OWN, HIDDEN)]
    answers = [
        world.call(SALES, Call("POST", "/gate", 0, body=RETAIL | {"flows": flows})) for flows in (asked[:1], asked)
    ]
    assert [answer.status_code for answer in answers] == [409, 403]
    assert "ours" in answers[0].text


def test_what_is_for_every_flow_is_shown_to_them_and_left_to_others(world: World) -> None:
    assert [one["org"] for one in get(world, "/pause")["pauses"]] == ["retail"]
    assert {one["reason"] for one in get(world, "/holds")["holds"]} == {"ours", "for all"}
    windows = {one["id"]: one["flow_ids"] for one in get(world, "/maintenance")["windows"]}
    assert windows[world.names["window_for_all"]] is None
    with world.store.begin() as tx:
        controls.pause(tx, "*", by="ann", reason="a storm", now=time.time())
    assert [one["org"] for one in get(world, "/pause")["pauses"]] == ["*", "retail"]
    for call in (
        Call("DELETE", "/maintenance/{window_for_all}", 403),
        Call("DELETE", "/holds", 403, RETAIL),
        Call("PUT", "/holds", 403, body=RETAIL | SAID),
        Call("PUT", "/holds", 403, body=RETAIL | SAID | {"flow_ids": [EVERY_FLOW]}),
        Call("PUT", "/holds", 403, body=RETAIL | SAID | {"flow_ids": [OWN, HIDDEN]}),
        Call("PUT", "/pause", 403, body=RETAIL | SAID),
        Call("DELETE", "/pause", 403, RETAIL),
        Call("POST", "/maintenance", 403, body=RETAIL | SAID | {"ends_at": "2126-01-01T00:00:00Z"}),
    ):
        before = world.tables()
        assert world.call(SALES, call).status_code == call.refused, call
        assert world.tables() == before


# What is of several divisions


def test_of_a_window_and_a_deployment_they_see_their_flows_and_do_not_end_what_is_of_others(world: World) -> None:
    windows = {one["id"]: one["flow_ids"] for one in get(world, "/maintenance")["windows"]}
    assert windows[world.names["mixed_window"]] == [OWN]
    assert world.names["window_id"] not in windows
    shown = {one["id"]: one for one in get(world, "/deployments")["deployments"]}
    mixed, own = (shown[world.names[name]] for name in ("mixed_deployment", "own_deployment"))
    assert [[flow["flow_id"] for flow in one["flows"]] for one in (mixed, own)] == [[OWN], [OWN]]
    assert (mixed["in_part"], own["in_part"]) == (True, False)
    assert (mixed["objects"], [one["object_id"] for one in own["objects"]]) == ([], ["t-1"])
    assert world.names["deployment_id"] not in shown
    assert get(world, "/deployments", flow_id=HIDDEN)["deployments"] == [], "nor by the name of another flow of it"
    for call in (
        Call("DELETE", "/maintenance/{mixed_window}", 403),
        Call("POST", "/deployments/{mixed_deployment}/good", 403),
    ):
        before = world.tables()
        answer = world.call(SALES, call)
        assert (answer.status_code, HIDDEN in answer.text) == (403, False)
        assert world.tables() == before
        assert world.call(EVERYWHERE, call).status_code < 300


def test_a_deployment_is_not_registered_with_a_flow_of_others_beside_their_own(world: World) -> None:
    asked = [{"flow_id": flow_id, "source_digest": DIGEST} for flow_id in (OWN, HIDDEN)]
    call = Call("POST", "/deployments", 403, body=RETAIL | {"flows": asked, "commit": "c0ffee"})
    before = world.tables()
    assert world.call(SALES, call).status_code == 403
    assert world.tables() == before


def test_of_an_attempt_over_several_divisions_each_rollback_is_theirs_who_may_see_its_flow(world: World) -> None:
    story = get(world, "/rollbacks/own-waiting")
    assert [one["rollback_id"] for one in story["members"]] == ["own-waiting"]
    assert story["attempt_state"] == "running"
    everything = get(world, "/rollbacks/own-waiting", EVERYWHERE)
    assert {one["rollback_id"] for one in everything["members"]} == {"own-waiting", "waiting"}
    page = look(world, "/rollbacks/own-waiting", SALES).text
    assert HIDDEN not in page
    assert world.call(SALES, Call("POST", "/rollbacks/own-waiting/approve", 200)).status_code == 200
    with world.store.begin() as tx:
        other = rollbacks.get(tx, "waiting")
    assert other is not None
    assert other.state is State.AWAITING_APPROVAL


def test_a_window_that_they_have_opened_when_they_reached_all_of_its_flows_is_not_theirs_to_close(world: World) -> None:
    with world.store.begin() as tx:
        made = [open_window(tx, *flow_ids, by="of-sales") for flow_ids in ((HIDDEN, OWN), (), (OWN,))]
    closed = [world.call(SALES, Call("DELETE", f"/maintenance/{one}", 0)).status_code for one in made]
    assert closed == [403, 403, 204]


# What a record of theirs tells of other flows


CHANGED = {
    "changes": [
        {
            "at": "2026-11-27T10:00:00Z",
            "action": "Publish",
            "object_type": "flow",
            "object_id": HIDDEN,
            "object_name": HIDDEN,
            "version": "3.0",
            "by": "bob",
            "application": None,
            "why": "calls pass through it",
        }
    ]
}


def tell_of_others(tx: Transaction) -> None:
    """A decision about the own flow, and a rollback of it that waits, in which other flows are named."""
    now = time.time()
    alert = next(one for one in alerts.open_alerts(tx, "retail") if one.object_id == OWN)
    put_decision(tx, alert, Verdict.COMMON_CAUSE, now=now, rollback_id="own-done")
    for name in ("common_cause", "in_progress", "inhibited"):
        guard = {"guard": name, "holds_back": True, "value": f"{HIDDEN} as well", "limit": "x", "unknown": False}
        row = tx.execute(
            schema.decisions.insert().values(
                alert_id=alert.id,
                rollback_id="own-done",
                org="retail",
                object_type="flow",
                object_id=OWN,
                version="14.0",
                at=now,
                verdict=name,
                guards=[guard],
                facts=CHANGED,
                receiver="r1",
            )
        )
        assert row.rowcount == 1
    done = rollbacks.get(tx, "own-done")
    assert done is not None
    rollbacks.add_step(tx, done, "waits", at=now, detail={"in_progress": f"{HIDDEN} of retail", "lockout": "9 s left"})
    rollbacks.change(tx, done, facts=done.facts | CHANGED)


def test_what_a_record_tells_of_other_flows_is_for_who_may_see_the_organization(world: World) -> None:
    world.store.transact(tell_of_others)
    number = get(world, "/decisions")["decisions"][0]["id"]
    for path in ("/decisions", "/rollbacks/own-done"):
        assert HIDDEN in world.call(EVERYWHERE, Call("GET", path, 200)).text
        assert '"changes"' in world.call(EVERYWHERE, Call("GET", path, 200)).text
        shown = world.call(SALES, Call("GET", path, 200)).text
        assert HIDDEN not in shown
        assert '"changes"' not in shown
        assert CONCEALED in shown
    for path in ("", f"/decisions/{number}", "/rollbacks/own-done"):
        assert HIDDEN in look(world, path).text
        assert HIDDEN not in look(world, path, SALES).text
        assert CONCEALED in look(world, path, SALES).text
    assert "9 s left" in look(world, "/rollbacks/own-done", SALES).text


# What nobody who is limited knows


def test_a_foreign_flow_one_without_a_division_and_one_that_nobody_knows_are_refused_alike(world: World) -> None:
    with world.store.begin() as tx:
        divisions.remember(tx, "retail", [a_flow("in-none", division="")], now=time.time())
        put_alert(tx, flow_id="in-none", now=time.time())
        put_alert(tx, flow_id="never-listed", now=time.time())
    told = set()
    for flow_id in (HIDDEN, "in-none", "never-listed", "no-such-flow", "flow-0"):
        for call in (
            Call("GET", f"/flows/retail/{flow_id}", 403),
            Call("GET", f"/flows/retail/{flow_id}/explain", 403),
            Call("PUT", "/holds", 403, body=RETAIL | SAID | {"flow_ids": [flow_id]}),
            Call("POST", "/rollbacks", 403, body=RETAIL | SAID | {"flow_id": flow_id}),
        ):
            answer = world.call(SALES, call)
            assert answer.status_code == 403, answer.text
            told.add(answer.get_json()["detail"].replace(flow_id, "…"))
        for path in (f"/flows/retail/{flow_id}", f"/flows/retail/{flow_id}/explain"):
            assert look(world, path, SALES).status_code == 403
    assert told == {
        "of-sales may not do this for the flow … of retail; only for flows that were listed in these divisions: Sales"
    }
    assert {one["flow_id"] for one in get(world, "/alerts")["alerts"]} == {OWN}


def test_a_hold_that_is_not_there_is_not_answered_with_those_of_others(world: World) -> None:
    call = Call("DELETE", "/holds", 404, RETAIL | {"flow_id": OWN, "owner": "nobody"})
    answer = world.call(SALES, call)
    assert (answer.status_code, HIDDEN in answer.text) == (404, False)
    assert HIDDEN in world.call(EVERYWHERE, call).text


def test_a_record_that_is_not_theirs_is_answered_like_one_that_does_not_exist(world: World) -> None:
    for path, name in (("/rollbacks/{}", "confirmed"), ("/rollbacks/{}/undo", "confirmed")):
        method, body = ("POST", SAID) if "undo" in path else ("GET", None)
        told = [
            world.call(SALES, Call(method, path.format(one), 404, body=body)).get_json()["detail"].replace(one, "…")
            for one in (name, "no-such-one")
        ]
        assert told[0] == told[1]


# When a flow moves, or is listed no more


def test_a_flow_that_moves_takes_its_records_along_and_one_that_is_deleted_keeps_its_division(world: World) -> None:
    with world.store.begin() as tx:
        flows.replace(tx, "retail", [a_flow("flow-0")], now=time.time())  # the own flow was deleted
    assert get(world, "/rollbacks/own-done")["flow_id"] == OWN
    assert world.call(SALES, Call("GET", f"/flows/retail/{OWN}", 404)).status_code == 404
    with world.store.begin() as tx:
        flows.replace(tx, "retail", [a_flow(OWN), a_flow(HIDDEN, division="Sales")], now=time.time())
    assert world.call(SALES, Call("GET", "/rollbacks/own-done", 404)).status_code == 404
    assert world.call(SALES, Call("GET", f"/flows/retail/{OWN}", 403)).status_code == 403
    assert get(world, "/rollbacks/waiting")["flow_id"] == HIDDEN


@pytest.mark.parametrize(("call", "status"), [(call, call.refused) for call, _ in ORDERS if call.method == "POST"])
def test_an_answer_that_was_kept_is_not_given_once_the_flow_has_moved(world: World, call: Call, status: int) -> None:
    key = {"Authorization": f"Bearer {TOKENS[SALES]}", "Idempotency-Key": "k"}

    def send_again() -> TestResponse:
        path = f"/api/v1{call.path.format(**world.names)}"
        return client_of(world).post(path, json=call.body, headers=key)

    assert [send_again().status_code for _ in range(2)] == [status] * 2
    with world.store.begin() as tx:
        flows.replace(tx, "retail", [a_flow(OWN)], now=time.time())
    refused = send_again()
    assert refused.status_code in (403, 404)
    assert "Idempotency-Replayed" not in refused.headers


# Who is limited, and how


PEOPLE: Mapping[str, Any] = {
    "proxy": {
        "addresses": [PROXY],
        "user_header": "X-Forwarded-User",
        "groups_header": "X-Forwarded-Groups",
        "groups": [
            {"group": "noc", "roles": ["viewer"], "organizations": ["retail"]},
            {"group": "sales", "roles": ["viewer", "operator"], "organizations": ["retail"], "divisions": ["Sales"]},
            {"group": "sales-ci", "roles": ["ci"], "divisions": ["Sales"]},
            {"group": "home", "roles": ["operator"], "divisions": ["Home"]},
            {"group": "by-id", "roles": ["viewer", "operator"], "divisions": ["id-Sales"]},
            {"group": "elsewhere", "roles": ["viewer", "operator"], "organizations": ["bank"], "divisions": ["Sales"]},
            {"group": "nowhere", "roles": ["viewer", "operator"], "divisions": ["sales", "Sale", "%"]},
        ],
    },
    "people": [{"name": "eve", "roles": ["viewer"], "divisions": ["Sales"], "password_env": "CI"}],
}


class Guests:
    """People who come through the proxy, at a receiver with the same records."""

    def __init__(self, store: Store, settings: Any) -> None:
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        self.client = app.test_client()

    def ask(self, groups: str, path: str, **more: Any) -> TestResponse:
        headers = {"X-Forwarded-User": "ann", "X-Forwarded-Groups": groups}
        base = {"REMOTE_ADDR": PROXY}
        return self.client.open(path, headers=headers, environ_base=base, **({"method": "GET"} | more))

    def flows_of(self, groups: str) -> set[str]:
        return {one["flow_id"] for one in self.ask(groups, "/api/v1/rollbacks").get_json()["rollbacks"]}


@pytest.fixture
def guests(world: World, tmp_path: Path) -> Guests:
    return Guests(world.store, settings_of(tmp_path, **PEOPLE))


def test_groups_add_up_and_a_division_is_named_by_its_id_or_exactly_by_its_name(guests: Guests, world: World) -> None:
    with world.store.begin() as tx:
        divisions.remember(tx, "bank", [a_flow("bank-flow", division="Sales")], now=time.time())
        put_rollback(tx, put_alert(tx, org="bank", flow_id="bank-flow", now=time.time()), "of-bank", now=time.time())
    everything = {OWN, HIDDEN, f"{HIDDEN}-2"}
    for groups, seen in {
        "sales": {OWN},
        "by-id": {OWN, "bank-flow"},  # of no organization in particular
        "elsewhere": {"bank-flow"},
        "elsewhere, sales": {OWN, "bank-flow"},
        "nowhere": set(),
        "noc, sales": everything,
    }.items():
        assert guests.flows_of(groups) == seen, groups
    local = guests.client.get(
        "/api/v1/rollbacks", auth=("eve", TOKENS["ci"]), environ_base={"REMOTE_ADDR": "127.0.0.1"}
    )
    assert {one["flow_id"] for one in local.get_json()["rollbacks"]} == {OWN, "bank-flow"}


def test_a_viewer_of_the_organization_orders_in_the_own_division_only(guests: Guests, world: World) -> None:
    for name, status in (("waiting", 404), ("own-waiting", 200)):
        order = {"method": "POST", "json": SAID}
        assert guests.ask("noc, sales", f"/api/v1/rollbacks/{name}/approve", **order).status_code == status
    page = guests.ask("noc, sales", f"{PREFIX}/rollbacks/confirmed").text
    assert HIDDEN in page
    assert "What you can do" not in page
    assert "What you can do" in guests.ask("noc, sales", f"{PREFIX}/rollbacks/own-done").text
    with world.store.begin() as tx:
        rows = [(row.actor, row.kind) for row in audit.newest(tx, before=None, limit=9)]
    assert ("proxy:ann", "approved") in rows


def test_a_pipeline_of_a_division_opens_windows_for_its_flows_as_long_as_the_role_lets_it(tmp_path: Path) -> None:
    token = {"name": "pipeline", "roles": ["ci"], "divisions": ["Sales"], "token_env": "CI"}
    both = {"name": "half", "roles": ["operator"], "divisions": ["Home"], "token_env": "OPERATOR"}
    alertmanager = {"name": "am", "roles": ["alertmanager"], "token_env": "ALERTMANAGER"}
    settings = settings_of(tmp_path, tokens=[token, both, alertmanager])
    with opened(settings) as store:
        with store.begin() as tx:
            divisions.remember(tx, "retail", [a_flow(OWN, division="Sales"), a_flow(HIDDEN)], now=time.time())
        client = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ()).test_client()

        def order(role: str, flow_ids: list[str] | None, ends_at: str = "2126-01-01T00:00:00Z") -> int:
            body = RETAIL | SAID | {"ends_at": ends_at} | ({} if flow_ids is None else {"flow_ids": flow_ids})
            headers = {"Authorization": f"Bearer {TOKENS[role]}"}
            return client.post("/api/v1/maintenance", json=body, headers=headers).status_code

        assert [order("ci", one) for one in ([OWN], [HIDDEN], [OWN, HIDDEN], None)] == [400, 403, 403, 403]
        assert [order("operator", one) for one in ([OWN], [HIDDEN], [OWN, HIDDEN], None)] == [403, 201, 403, 403]


def test_over_several_flows_a_role_is_had_that_is_had_over_each(guests: Guests) -> None:
    """A pipeline of one division that is an operator in another one is a pipeline where both are named."""
    statuses = []
    for flow_ids in ([HIDDEN], [OWN], [HIDDEN, OWN]):
        order = RETAIL | SAID | {"flow_ids": flow_ids, "ends_at": "2126-01-01T00:00:00Z"}
        answer = guests.ask("sales-ci, home", "/api/v1/maintenance", method="POST", json=order)
        statuses.append(answer.status_code)
    assert statuses == [201, 400, 400]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (
            {"tokens": [{"name": "a", "roles": ["alertmanager"], "divisions": ["x"], "token_env": "CI"}]},
            "divisions: not",
        ),
        ({"people": [{"name": "a", "roles": ["viewer"], "divisions": [], "password_env": "CI"}]}, "people"),
        ({"people": [{"name": "a", "roles": ["viewer"], "divisions": [""], "password_env": "CI"}]}, "people"),
        (
            {
                "proxy": PEOPLE["proxy"]
                | {"groups": [{"group": "a", "roles": ["viewer", "alertmanager"], "divisions": ["x"]}]}
            },
            "divisions: not with the role alertmanager",
        ),
    ],
    ids=["a token that delivers alerts", "no division", "a division without a name", "a group that delivers alerts"],
)
def test_divisions_that_cannot_be_are_refused(tmp_path: Path, where: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings_of(tmp_path, **where)


# Guards that name other flows


OF_THE_FLOW = {
    *("unknown_contract", "resolved", "paused", "held", "ignored", "silenced", "maintenance", "inactive", "superseded"),
    *("already_rolled_back", "restored_by_bridge", "stale_evidence", "not_confirmed", "established", "lockout"),
    *("budget_spent", "locked_in_architect", "no_eligible_target", "observing", "awaiting_approval", "roll_back"),
}
"""What these find is of the flow itself, of everything that covers it, or a number of the organization."""


def test_of_each_guard_somebody_has_said_whether_it_names_other_flows() -> None:
    assert set(Verdict) == OF_THE_FLOW | ABOUT_OTHERS
    assert not OF_THE_FLOW & ABOUT_OTHERS


def test_neither_an_order_by_hand_nor_an_explanation_says_which_other_flows_fail(tmp_path: Path) -> None:
    tokens = [{"name": role, "roles": [role], "token_env": role.upper()} for role in ("alertmanager", "viewer")]
    limited = {"name": "of-sales", "roles": ["operator"], "divisions": ["Sales"], "token_env": "OPERATOR"}
    with scene(tmp_path, tokens=[*tokens, limited]) as here:
        populate(here, FlowInGenesys(), settled("hidden-1"), settled("hidden-2"), *map(settled, "abcdefgh"))
        outage(here, "hidden-1", "hidden-2")
        with here.store.begin() as tx:
            divisions.remember(tx, "retail", [a_flow(FLOW_ID, division="Sales")], now=here.time.now)
        people = People(here)
        client = people.app.test_client()

        def explain(role: str, below: str) -> str:
            headers = {"Authorization": f"Bearer {TOKENS[role]}"}
            return client.get(f"{below}/flows/retail/{FLOW_ID}/explain", headers=headers).text

        for below in ("/api/v1", PREFIX):
            assert "2 established flows fail" in explain("viewer", below)
            assert CONCEALED in explain("operator", below)
            assert "established flows fail" not in explain("operator", below)
        told = people.refused()
        assert [one["guard"] for one in told["errors"]] == ["common_cause"]
        form = client.post(
            f"{PREFIX}/flows/retail/{FLOW_ID}/roll-back",
            data=SAID,
            headers={"Authorization": f"Bearer {TOKENS['operator']}"},
        ).text
        for text in (str(told), form):
            assert CONCEALED in text
            assert "established flows fail" not in text
            assert "hidden-1" not in text
        assert people.ask(flow_id="hidden-1").status_code == 403
