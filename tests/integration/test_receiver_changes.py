"""Reading who changed what from the simulated Genesys Cloud: people, CX as Code, the bridge, an audit in trouble."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from genesys.access import open_session
from genesys.audit import Audit, Change
from genesys.http import Clock, Connection
from receiver.changes import Changes
from receiver.config import Timing
from receiver.ctl.cli import main as ctl
from receiver.metrics import ReceiverMetrics
from receiver.roster import Roster
from receiver.store import changes
from receiver.store.database import Store
from receiver.web import create_app as create_web
from simulator.app import create_app
from simulator.ids import id_of
from simulator.scenario import load
from simulator.simulation import Simulation
from tests.genesys_wire import NOON
from tests.integration.receiver_world import BAD_PUBLISH_AT, FLOW_ID, Scene, Time, scene
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, listening, opened, put_alert, settings_of

URL = "http://genesys.test"
MAIN = "ce677f29-f403-470c-adb0-8bfa6bf81d69"
QUEUE = {"event": "change", "service": "Routing", "entity_type": "Queue", "entity_name": "Sales"}
AUDITS = {"path_prefix": "/api/v2/audits"}


class Desk:
    """One organization's reading, on the clock of the simulation, as the OAuth client `simulator`."""

    def __init__(self, store: Store, *, own_client_id: str = "simulator") -> None:
        self.store = store
        self.time = Time(NOON)
        simulation = Simulation(load("calm"), factor=1.0, seed=1, clock=lambda: self.time.now)
        self.web = create_app(simulation, scenario_name="calm", sleep=self.time.pass_)
        connection = Connection(
            transport=httpx.WSGITransport(app=self.web),
            clock=Clock(lambda: self.time.now, lambda: self.time.now, self.time.pass_, lambda: 0.5),
        )
        session = open_session(
            login_url=URL,
            client_id="simulator",
            client_secret="simulator",
            timeout_s=10.0,
            deadline_s=30.0,
            connection=connection,
        )
        self.changes = Changes(
            "retail",
            store,
            Audit(session, api_url=URL),
            Timing(),
            own_client_id=own_client_id,
            clock=lambda _: self.time.now,
        )

    def sim(self, method: str, path: str, body: object = None) -> Any:
        answer = self.web.test_client().open(f"/sim/{path}", method=method, json=body)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def happen(self, event: dict[str, Any]) -> None:
        self.sim("POST", "events", event)
        self.time.pass_(5)  # its entry shows

    def read(self) -> int:
        """Let the loop run until nothing is due; says how many calls that took."""
        before = self.calls()
        while self.changes.read_if_due():
            pass
        return self.calls() - before

    def calls(self) -> int:
        return sum(one["path"].startswith("/api/v2/audits") for one in self.sim("GET", "requests"))

    def told(self) -> list[tuple[str, str]]:
        with self.store.begin() as tx:
            found = changes.between(tx, "retail", self.time.now - 3600, self.time.now, limit=100)
        return [(one.object_name, one.changed_by) for one in reversed(found)]

    def problems(self) -> set[str]:
        with self.store.begin() as tx:
            return {one.problem for one in changes.readings(tx, "retail").values()}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with opened(settings_of(tmp_path)) as store:
        yield Desk(store)


def test_a_person_and_cx_as_code_are_seen_and_the_bridge_is_not(desk: Desk) -> None:
    desk.happen(QUEUE | {"by": "Ann", "person": True})
    desk.happen({"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.9})
    desk.happen(QUEUE | {"service": "Integrations", "entity_type": "Action", "entity_name": "Look up", "by": "Bob"})
    desk.happen(QUEUE | {"entity_name": "Service", "by": "simulator"})
    desk.read()
    assert desk.told() == [("Sales", "Ann"), ("Main IVR", id_of("cx-as-code")), ("Look up", id_of("Bob"))]


def test_an_entry_that_comes_late_is_seen_once(desk: Desk) -> None:
    desk.happen(QUEUE | {"by": "Ann", "person": True, "late_s": 600})
    desk.read()
    assert desk.told() == []
    for _ in range(5):
        desk.time.pass_(180)
        desk.read()
    assert desk.told() == [("Sales", "Ann")]


def test_there_is_one_call_in_a_minute_once_it_has_begun(desk: Desk) -> None:
    desk.read()
    calls = []
    for _ in range(30):
        desk.time.pass_(60)
        calls.append(desk.read())
    assert calls == [1] * 30


def test_an_alert_that_opens_has_every_service_read_anew(desk: Desk) -> None:
    desk.read()
    desk.time.pass_(61)
    desk.read()
    with desk.store.begin() as tx:
        put_alert(tx, now=desk.time.now)
    assert desk.read() == 2  # the third was read a moment ago


def test_a_missing_permission_is_told_once_and_looked_for_after_an_hour(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.sim("PUT", "faults", [{"kind": "status", "status": 403, "match": AUDITS}])
    with caplog.at_level(logging.WARNING):
        for _ in range(30):
            desk.read()
            desk.time.pass_(60)
        assert desk.calls() == 3
        desk.time.pass_(3600)
        desk.read()
    told = [record for record in caplog.messages if "changes_refused" in record]
    assert [sum(f"service={name}" in one for one in told) for name in ("Architect", "Routing", "Integrations")] == [
        1
    ] * 3
    assert "audits:audit:view" in told[0]

    desk.sim("DELETE", "faults")
    desk.time.pass_(3600)
    desk.read()
    assert desk.problems() == {""}


@pytest.mark.parametrize("fault", [{"kind": "throttle", "retry_after": 90}, {"kind": "drop_before"}])
def test_an_audit_that_cannot_be_read_is_read_later_from_where_it_was(desk: Desk, fault: dict[str, Any]) -> None:
    desk.read()
    desk.sim("PUT", "faults", [fault | {"match": AUDITS}])
    desk.happen(QUEUE | {"by": "Ann", "person": True})
    desk.time.pass_(1800)
    desk.read()
    assert "" not in desk.problems()
    desk.sim("DELETE", "faults")
    desk.time.pass_(400)
    desk.read()
    assert desk.told() == [("Sales", "Ann")]


# What becomes of it


def entry(name: str, at: float, **more: Any) -> Change:
    found = Change(name, at, "Routing", "Update", "Queue", "q-1", "Sales", None, "Ann", None, "Admin")
    return replace(found, **more)


PUBLISHED = entry(
    "e1",
    BAD_PUBLISH_AT,
    service="Architect",
    action="Publish",
    object_type="Flow",
    object_id=FLOW_ID,
    object_name="Main IVR",
    version="14.0",
    by="cx-as-code",
)


def accuse(here: Scene, *told: Change) -> None:
    with here.store.begin() as tx:
        changes.put(tx, "retail", told, own_client_id="the-bridge", now=here.time.now)
    here.deliver()


def test_every_change_is_in_the_record_and_in_what_people_are_told(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        accuse(here, PUBLISHED, entry("e2", BAD_PUBLISH_AT + 60), entry("e3", BAD_PUBLISH_AT, client_id="the-bridge"))
        rollback = here.run_to_the_end()
        assert [one["why"] for one in rollback.facts["changes"]] == ["the flow itself", "calls pass through it"]
        assert {key: rollback.facts["changes"][1][key] for key in ("object_name", "by", "application", "at")} == {
            "object_name": "Sales",
            "by": "Ann",
            "application": "Admin",
            "at": "2026-11-22T12:01:00Z",
        }
        assert here.decisions()[0].facts["changes"] == rollback.facts["changes"]
        assert [event["changes"] for event in here.told()] == [rollback.facts["changes"]] * len(here.told())


@pytest.mark.parametrize("settings", [{}, {"audit": True, "ambiguous": "act"}], ids=["without the audit", "act"])
def test_by_itself_another_change_makes_the_rollback_no_weaker(tmp_path: Path, settings: dict[str, Any]) -> None:
    with scene(tmp_path, **settings) as here:
        accuse(here, PUBLISHED, entry("e2", BAD_PUBLISH_AT + 60))
        here.run_to_the_end()
        assert here.published() == ["13.0"]


@pytest.mark.parametrize(
    ("other", "asks"),
    [
        (entry("e2", BAD_PUBLISH_AT + 60), True),
        (entry("e2", BAD_PUBLISH_AT - 60), False),
        (entry("e2", BAD_PUBLISH_AT + 61), False),
        (entry("e2", BAD_PUBLISH_AT + 60, client_id="the-bridge"), False),
    ],
    ids=["in the first bad minute", "before the publication", "when it failed already", "by the bridge"],
)
@pytest.mark.parametrize("settings", [{}, {"ambiguous": "approve"}], ids=["by default", "said"])
def test_with_the_audit_a_person_is_asked_when_something_else_may_be_to_blame(
    tmp_path: Path, settings: dict[str, Any], other: Change, asks: bool
) -> None:
    with scene(tmp_path, audit=True, **settings) as here:
        accuse(here, PUBLISHED, other)
        here.run(30)
        expected = ([], ["awaiting_approval"]) if asks else (["13.0"], ["roll_back"])
        assert (here.published(), here.verdicts()[:1]) == expected
        if asks:
            reason = here.the_rollback().reason
            assert "queue Sales was changed by Ann after the version went live and before it failed" in reason


def test_a_flow_listing_tells_what_the_bridge_made_live_as_its_own(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        roster = Roster(
            "retail",
            here.store,
            here.genesys,
            here.settings.timing,
            credentials=lambda _: None,
            clock=lambda _: here.time.now,
        )
        assert roster.list_if_due()
        here.deliver()
        here.run(60)
        here.time.pass_(here.settings.timing.flows_s)
        assert roster.list_if_due()
        with here.store.begin() as tx:
            seen = changes.newest(tx, org=None, orgs=None, object_id=None, since=None, after=None, limit=10)
        assert [(one.version, one.own) for one in seen] == [("13.0", True)]


# Over HTTP


@pytest.fixture
def told_url(tmp_path: Path) -> Iterator[str]:
    with opened(settings_of(tmp_path)) as store:
        now = BAD_PUBLISH_AT
        with store.begin() as tx:
            told = [PUBLISHED, entry("e2", now + 60), entry("e3", now + 90, client_id="the-bridge", by="the-bridge")]
            changes.put(tx, "retail", told, own_client_id="the-bridge", now=now)
            changes.put(tx, "bank", [entry("e4", now)], own_client_id="the-bridge", now=now)
        settings = settings_of(tmp_path)
        app = create_web(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        held_to_its_document(app)
        with listening(app) as port:
            yield f"http://127.0.0.1:{port}"


def ask(url: str, query: str = "", *, role: str = "viewer") -> httpx.Response:
    return httpx.get(f"{url}/api/v1/changes{query}", headers={"Authorization": f"Bearer {TOKENS[role]}"})


def test_the_api_lists_changes_newest_first_in_pages(told_url: str) -> None:
    first = ask(told_url, "?org=retail&limit=2").json()
    assert [(one["id"], one["own"]) for one in first["changes"]] == [("e3", True), ("e2", False)]
    following = ask(told_url, f"?org=retail&limit=2&after={first['next']}").json()
    assert [(one["id"], one["by"]) for one in following["changes"]] == [("e1", "cx-as-code")]
    assert following["next"] is None
    assert [one["id"] for one in ask(told_url, "?object_id=q-1&since=2026-11-22T12:01:00Z").json()["changes"]] == [
        "e3",
        "e2",
    ]


def test_whoever_delivers_alerts_does_not_read_changes(told_url: str) -> None:
    assert ask(told_url, role="alertmanager").status_code == 403


def test_rollbackctl_says_who_changed_what(told_url: str) -> None:
    environ = {"ROLLBACKCTL_URL": told_url, "ROLLBACKCTL_TOKEN": TOKENS["viewer"]}
    done = CliRunner().invoke(ctl, ["changes", "--org", "retail"], env=environ)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert "the-bridge (the bridge)" in lines[1]
    assert "queue Sales" in lines[2]
    assert "Ann" in lines[2]
    assert "Publish 14.0" in lines[3]


def test_the_record_of_a_rollback_shows_them_on_the_console_and_in_the_terminal(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with scene(tmp_path) as here:
        accuse(here, PUBLISHED, entry("e2", BAD_PUBLISH_AT + 60))
        rollback = here.run_to_the_end()
        app = create_web(here.store, settings, ORGS, ReceiverMetrics(here.store, settings, ORGS), lambda: ())
        with listening(app) as port:
            url = f"http://127.0.0.1:{port}"
            headers = {"Authorization": f"Bearer {TOKENS['viewer']}"}
            shown = httpx.get(f"{url}/console/rollbacks/{rollback.id}", headers=headers).text
            environ = {"ROLLBACKCTL_URL": url, "ROLLBACKCTL_TOKEN": TOKENS["viewer"]}
            told = CliRunner().invoke(ctl, ["rollback", "show", rollback.id], env=environ).output
    assert shown.index("flow Main IVR 14.0 (Publish)") < shown.index("queue Sales (Update)")
    assert "Ann, Admin" in shown
    assert told.index("the flow itself") < told.index("calls pass through it")
