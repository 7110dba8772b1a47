"""`GET /flows`, the listing behind it, the metric `armed`, and `rollbackctl flows`."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask

from genesys.errors import GenesysError, NotAllowed, Unavailable
from genesys.flows import Flow
from receiver.config import ReceiverSettings
from receiver.ctl.cli import main
from receiver.metrics import ReceiverMetrics
from receiver.roster import Roster
from receiver.store import controls, flows, watchdog
from receiver.store.database import Store, Transaction
from receiver.web import create_app
from tests.integration.receiver_world import FlowInGenesys, GenesysInMemory, Time
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, listening, opened, put_alert, put_rollback, settings_of


def a_flow(flow_id: str = "flow-1", name: str = "Main IVR", **changes: Any) -> Flow:
    values: dict[str, Any] = {
        "id": flow_id,
        "name": name,
        "type": "inboundcall",
        "division_id": "d1",
        "division_name": "Home",
        "active": True,
        "deleted": False,
        "live_version": "14.0",
        "live_published_at": time.time() - 3600,
        "published_by": "pipeline",
        "locked_by": None,
        "operation": None,
    }
    return Flow(**(values | changes))


@pytest.fixture
def settings(tmp_path: Path) -> ReceiverSettings:
    return settings_of(
        tmp_path,
        flows=[
            {"match": {"name": "Main*"}, "mode": "auto", "owner": "team-voice", "threshold_ratio": 0.08},
            {"match": {"type": "bot"}, "mode": "auto"},
            {"match": "*", "mode": "observe"},
        ],
    )


@pytest.fixture
def store(settings: ReceiverSettings) -> Iterator[Store]:
    with opened(settings) as store:
        yield store


@pytest.fixture
def app(store: Store, settings: ReceiverSettings) -> Flask:
    return held_to_its_document(create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ()))


def put_flows(store: Store, *found: Flow, org: str = "retail", now: float | None = None) -> None:
    """As a listing at `now`, else of this moment."""
    now = time.time() if now is None else now
    with store.begin() as tx:
        flows.claim(tx, org, now=now, next_at=now)
        flows.replace(tx, org, found or [a_flow()], now=now)


def get(app: Flask, path: str) -> Any:
    answer = app.test_client().get(f"/api/v1{path}", headers={"Authorization": f"Bearer {TOKENS['viewer']}"})
    assert answer.status_code == 200, answer.text
    return answer.get_json()


# What is told


def test_every_live_flow_is_told_with_what_applies_to_it(app: Flask, store: Store) -> None:
    put_flows(store, a_flow(), a_flow("flow-2", "Bot", type="bot"), a_flow("flow-3", "Holidays"))
    found = get(app, "/flows")

    assert [(one["name"], one["mode"], one["armed"]) for one in found["flows"]] == [
        ("Bot", "approve", False),
        ("Holidays", "observe", False),
        ("Main IVR", "auto", True),
    ]
    assert found["flows"][0]["mode_note"] == "(flows of type bot are not rolled back automatically)"
    main_ivr = found["flows"][2]
    assert {name: main_ivr[name] for name in ("org", "flow_id", "type", "division", "live_version", "owner")} == {
        "org": "retail",
        "flow_id": "flow-1",
        "type": "inboundcall",
        "division": "Home",
        "live_version": "14.0",
        "owner": "team-voice",
    }
    assert (main_ivr["threshold_ratio"], main_ivr["stopped_by"], main_ivr["last_rollback"]) == (0.08, [], None)
    assert [(one["org"], one["problem"]) for one in found["listings"]] == [("retail", ""), ("bank", "")]
    assert found["listings"][1]["listed_at"] is None


def test_flows_can_be_narrowed_to_an_organization(app: Flask, store: Store) -> None:
    put_flows(store)
    put_flows(store, a_flow("flow-9", "Loans"), org="bank")
    assert [one["flow_id"] for one in get(app, "/flows?org=bank")["flows"]] == ["flow-9"]
    assert get(app, "/flows?org=gone") == {"flows": [], "listings": [], "next": None}


def test_deleted_flows_and_those_that_were_never_published_are_not_live(app: Flask, store: Store) -> None:
    put_flows(store, a_flow("a", deleted=True), a_flow("b", live_version=None))
    assert get(app, "/flows")["flows"] == []


def test_one_flow_is_told_with_its_last_rollback(app: Flask, store: Store) -> None:
    put_flows(store)
    with store.begin() as tx:
        put_rollback(tx, put_alert(tx, now=time.time()), "r1", now=time.time())
    assert get(app, "/flows/retail/flow-1")["last_rollback"]["id"] == "r1"
    assert get(app, "/flows")["flows"][0]["last_rollback"]["state"] == "publishing"


def test_one_flow_is_told_with_its_listing_and_with_how_long_ago_an_alert_has_arrived(app: Flask, store: Store) -> None:
    put_flows(store)
    never = get(app, "/flows/retail/flow-1")
    assert (never["watchdog_age_s"], never["data_watchdog_age_s"]) == (None, None)
    with store.begin() as tx:
        watchdog.arrived(tx, now=time.time() - 200)
        watchdog.arrived(tx, now=time.time() - 400, org="retail")
        flows.failed(tx, "retail", "HTTP 503", retry_at=time.time())
    found = get(app, "/flows/retail/flow-1")
    assert 200 <= found["watchdog_age_s"] < 260
    assert 400 <= found["data_watchdog_age_s"] < 460
    assert (found["listing"]["org"], found["listing"]["problem"]) == ("retail", "HTTP 503")
    assert "watchdog_age_s" not in get(app, "/flows")["flows"][0]


@pytest.mark.parametrize("path", ["/flows/retail/flow-9", "/flows/gone/flow-1", "/flows/retail/a%00b"])
def test_a_flow_that_was_not_listed_is_not_found(app: Flask, store: Store, path: str) -> None:
    put_flows(store)
    answer = app.test_client().get(f"/api/v1{path}", headers={"Authorization": f"Bearer {TOKENS['viewer']}"})
    assert answer.status_code == 404


# Armed


def _pause(tx: Transaction) -> None:
    controls.pause(tx, "*", by="ann", reason="storm", now=time.time())


def _hold(tx: Transaction) -> None:
    controls.hold(tx, "retail", ["flow-1"], owner="team-voice", reason="debugging", by="ann", now=time.time())


def _window(tx: Transaction) -> None:
    controls.open_window(
        tx,
        org="retail",
        flow_ids=["flow-1"],
        kind="maintenance",
        starts_at=time.time() - 60,
        ends_at=time.time() + 3600,
        reason="release 12",
        owner="team-voice",
        created_by="ann",
        now=time.time(),
    )


def _deactivate(tx: Transaction) -> None:
    flows.replace(tx, "retail", [a_flow(active=False)], now=time.time())


def _listed_long_ago(tx: Transaction) -> None:
    flows.replace(tx, "retail", [a_flow()], now=time.time() - 2000)


def armed(store: Store, settings: ReceiverSettings) -> dict[tuple[str, str], float]:
    families = ReceiverMetrics(store, settings, ORGS).collect()
    (family,) = [one for one in families if one.name == "genesys_rollback_armed"]
    return {(one.labels["org"], one.labels["flow_id"]): one.value for one in family.samples}


def test_only_flows_with_mode_auto_are_armed_or_not(store: Store, settings: ReceiverSettings) -> None:
    put_flows(store, a_flow(), a_flow("flow-2", "Bot", type="bot"), a_flow("flow-3", "Holidays"))
    assert armed(store, settings) == {("retail", "flow-1"): 1}


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        pytest.param(_pause, "paused by ann: storm", id="paused"),
        pytest.param(_hold, "held by ann: debugging", id="held"),
        pytest.param(_window, "maintenance window of team-voice: release 12", id="in a window"),
        pytest.param(_deactivate, "deactivated", id="deactivated"),
        pytest.param(_listed_long_ago, "Genesys Cloud could not be listed lately", id="not listed lately"),
    ],
)
def test_a_flow_that_is_stopped_is_not_armed_and_says_why(
    app: Flask, store: Store, settings: ReceiverSettings, happens: Callable[[Transaction], None], why: str
) -> None:
    put_flows(store)
    assert armed(store, settings) == {("retail", "flow-1"): 1}
    with store.begin() as tx:
        happens(tx)
    assert armed(store, settings) == {("retail", "flow-1"): 0}
    assert get(app, "/flows/retail/flow-1")["stopped_by"] == [why]


# The listing


class Listing:
    """A roster in a world whose time the test moves."""

    def __init__(self, store: Store, settings: ReceiverSettings) -> None:
        self.time = Time()
        self.store = store
        self.genesys = GenesysInMemory(self.time, FlowInGenesys(), FlowInGenesys("flow-2"))
        self.accepted: list[bool] = []
        self.timing = settings.timing
        self.put_off_s = 0.0
        self.roster = self.another()

    def another(self) -> Roster:
        return Roster(
            "retail",
            self.store,
            self.genesys,
            self.timing,
            credentials=self.accepted.append,
            put_off_s=lambda _: self.put_off_s,
            clock=lambda _: self.time.now,
        )

    def known(self) -> list[str]:
        with self.store.begin() as tx:
            return [flow.id for flow in flows.of(tx, "retail")]

    def problem(self) -> str:
        with self.store.begin() as tx:
            found = flows.listing(tx, "retail")
        assert found is not None
        return found.problem


@pytest.fixture
def listing(store: Store, settings: ReceiverSettings) -> Listing:
    return Listing(store, settings)


def test_a_list_waits_while_the_rate_limit_is_nearly_used_up_and_loses_no_turn(listing: Listing) -> None:
    listing.put_off_s = 20.0
    assert not listing.roster.list_if_due()
    assert listing.known() == []
    listing.put_off_s = 0.0
    assert listing.roster.list_if_due()
    assert listing.known() == ["flow-1", "flow-2"]


def test_the_flows_are_listed_at_once_and_then_every_ten_minutes(listing: Listing) -> None:
    assert listing.roster.list_if_due()
    assert listing.known() == ["flow-1", "flow-2"]
    listing.time.pass_(599)
    assert not listing.roster.list_if_due()
    listing.time.pass_(1)
    assert listing.roster.list_if_due()
    assert listing.accepted == [True, True]


def test_of_several_receivers_one_lists(listing: Listing) -> None:
    assert [roster.list_if_due() for roster in (listing.roster, listing.another())] == [True, False]


@pytest.mark.parametrize(
    ("problem", "accepted"), [(Unavailable("no answer", 503), []), (NotAllowed("no permission", 403), [False])]
)
def test_a_listing_that_fails_leaves_the_last_one_and_is_tried_again_sooner(
    listing: Listing, problem: GenesysError, accepted: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    listing.roster.list_if_due()
    listing.accepted.clear()
    listing.time.pass_(600)
    listing.genesys.down = problem
    assert not listing.roster.list_if_due()
    assert listing.known() == ["flow-1", "flow-2"]
    assert listing.accepted == accepted
    assert listing.problem() == str(problem)
    assert "flows_not_listed" in caplog.text

    listing.genesys.down = None
    listing.time.pass_(59)
    assert not listing.roster.list_if_due()
    listing.time.pass_(1)
    assert listing.roster.list_if_due()
    assert listing.problem() == ""


def test_nothing_ends_the_listing_but_the_stop(listing: Listing, caplog: pytest.LogCaptureFixture) -> None:
    stop, failures = Event(), iter([RuntimeError("a fault of ours"), None])

    def fail_once() -> None:
        problem = next(failures)
        if problem is not None:
            listing.time.pass_(600)
            raise problem
        stop.set()

    listing.timing = listing.timing.model_copy(update={"tick_s": 0.001})
    listing.genesys.before_read = fail_once
    caplog.set_level(logging.ERROR)
    listing.another().run(stop)
    assert "listing_failed org=retail" in caplog.text
    assert listing.known() == ["flow-1", "flow-2"]


# rollbackctl


def test_rollbackctl_shows_them_as_a_table(app: Flask, store: Store) -> None:
    put_flows(store, a_flow(), a_flow("flow-2", "Bot\x1b[2J", type="bot"))
    with store.begin() as tx:
        _pause(tx)
        put_rollback(tx, put_alert(tx, now=time.time()), "r1", now=time.time())
        flows.claim(tx, "bank", now=time.time(), next_at=time.time())
        flows.failed(tx, "bank", "no answer (HTTP 503)", retry_at=time.time())
    with listening(app) as port:
        environ = {"ROLLBACKCTL_URL": f"http://127.0.0.1:{port}", "ROLLBACKCTL_TOKEN": TOKENS["viewer"]}
        done = CliRunner().invoke(main, ["flows"], env=environ)
    assert done.exit_code == 0, done.output
    heads, bot, main_ivr, bank = done.stdout.splitlines()
    assert heads.split()[:6] == ["ORG", "FLOW", "NAME", "TYPE", "DIVISION", "LIVE"]
    assert "approve (flows of type bot" in bot
    assert "\x1b" not in bot
    assert "paused by ann: storm" in main_ivr
    assert "ago)" in main_ivr
    assert bank == "bank: listed -; now: no answer (HTTP 503)"
