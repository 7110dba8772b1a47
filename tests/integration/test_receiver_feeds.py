"""Feeds over real HTTP, from what is announced to the windows that are open; time moves only when told."""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from genesys.settings import load
from receiver.cli import main
from receiver.config import ReceiverSettings
from receiver.feeds.calendars import CalendarSource
from receiver.feeds.polling import Poller
from receiver.feeds.sources import source_of
from receiver.outbound import Outbound
from receiver.store import audit, controls, feeds
from receiver.store.controls import Window
from receiver.store.database import Store
from receiver.store.feeds import FeedState
from tests.integration.feed_services import (
    CalendarService,
    IncidentService,
    Service,
    StatusService,
    TableService,
    rfc3339,
)
from tests.receiver_world import TOKENS, list_live, listening, opened, organizations_of

NOW = 1_795_349_000.0
HOUR_S, DAY_S = 3600.0, 86400.0
TIMEOUT_S = 10.0  # an answer that comes late would be taken for none
PASSWORD, API_TOKEN = "secret-of-the-user", "token-of-the-api"


@dataclass
class World:
    """One receiver with one feed from each of the services."""

    store: Store
    settings: ReceiverSettings
    http: Outbound
    calendar: CalendarService
    tables: TableService
    pagerduty: IncidentService
    status: StatusService
    at: float = NOW
    pollers: dict[str, Poller] = field(default_factory=dict)

    def read(self, name: str, *, after_s: float = 0.0) -> bool:
        """Time passes, and the feed is read if it is due."""
        self.at += after_s
        return self.poller(name).read_if_due()

    def poller(self, name: str) -> Poller:
        feed = next(feed for feed in self.settings.feeds.all if feed.name == name)
        source = source_of(feed, self.http)
        return Poller(feed, source, self.store, self.settings.timing, clock=lambda _: self.at)

    def windows(self, *, ended: bool = False) -> list[Window]:
        with self.store.begin() as tx:
            return controls.list_windows(tx, now=self.at, ended=ended)

    def state(self, name: str) -> FeedState:
        with self.store.begin() as tx:
            return feeds.states(tx)[name]

    def close(self, window: Window) -> None:
        with self.store.begin() as tx:
            assert controls.close_window(tx, window.id, by="ann", now=self.at)


@contextmanager
def world_of(folder: Path, **changes: Any) -> Iterator[World]:
    services = CalendarService(), TableService(), IncidentService(), StatusService()
    with ExitStack() as stack:
        urls = [f"http://127.0.0.1:{stack.enter_context(listening(service.app))}" for service in services]
        (folder / "calendar.url").write_text(f"{urls[0]}/secret/basic.ics")
        user = {"username": "rollback", "password_env": "PASSWORD"}
        covers = [{"org": "retail"}]
        table = {"url": urls[1], "covers": covers} | user
        found: dict[str, dict[str, Any]] = {
            "calendar": {"url_file": "calendar.url", "covers": covers} | user,
            "changes": table | {"table": "change_request", "query": "stateIN-2,-1"},
            "incidents": table | {"table": "incident", "query": "active=true^priority=1"},
            "pages": {"url": urls[2], "token_env": "API", "services": ["PTRUNKS"], "covers": covers},
            "status": {"url": urls[3], "components": ["Frankfurt"], "covers": covers},
        }
        kinds = {"calendar": "icalendar", "changes": "servicenow", "incidents": "servicenow", "pages": "pagerduty"}
        listed: dict[str, list[dict[str, Any]]] = {}
        for name, values in found.items():
            listed.setdefault(kinds.get(name, "statuspage"), []).append({"name": name} | values | changes.get(name, {}))
        file = folder / "receiver.yml"
        file.write_text(
            yaml.safe_dump(
                {
                    "database_url": changes.get("database_url", f"sqlite:///{folder / 'rollback.db'}"),
                    "tokens": [{"name": "am", "roles": ["alertmanager"], "token_env": "AM"}],
                    "flows": [{"match": "*", "mode": "observe"}],
                    "feeds": listed,
                }
            )
        )
        environ = {"PASSWORD": PASSWORD, "API": API_TOKEN, "AM": TOKENS["alertmanager"]}
        settings = load(file, ReceiverSettings, environ=environ)
        store = stack.enter_context(opened(settings))
        yield World(store, settings, stack.enter_context(closing(Outbound(TIMEOUT_S))), *services)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_of(tmp_path) as made:
        yield made


def times(window: Window) -> tuple[float, float]:
    return window.starts_at - NOW, window.ends_at - NOW


# What each source is asked, and what of its answer counts -------------------------------------------------------------


def test_a_calendar_becomes_windows_of_maintenance(world: World) -> None:
    world.calendar.put("a", NOW + 60, NOW + HOUR_S, "new trunks")
    assert world.read("calendar")
    (window,) = world.windows()
    assert times(window) == (60, HOUR_S)
    assert (window.kind, window.org, window.reason, window.created_by) == (
        "maintenance",
        "retail",
        "new trunks",
        "feed:calendar",
    )
    assert (window.feed, window.feed_uid, window.owner) == ("calendar", "a", "")


def test_change_requests_are_windows_at_their_planned_times_in_utc(world: World) -> None:
    world.tables.change("CHG1", NOW + 60, NOW + HOUR_S)
    world.tables.change("CHG2", NOW + 60, NOW + HOUR_S, state="3")  # closed
    world.tables.change("CHG3", NOW + 30 * 86400, NOW + 31 * 86400)
    assert world.read("changes")
    (window,) = world.windows()
    assert times(window) == (60, HOUR_S)
    assert (window.kind, window.reason) == ("maintenance", "CHG1 new trunks")
    assert window.url is not None
    assert window.url.endswith("/change_request.do?sys_id=id-of-CHG1")


def test_incidents_of_servicenow_are_known_incidents_but_the_bridges_own_are_not(world: World) -> None:
    world.tables.incident("INC1", NOW - 60)
    world.tables.incident("INC2", NOW - 60, priority="3")
    world.tables.incident("INC3", NOW - 60, correlation_display="Genesys Rollback Bridge")
    assert world.read("incidents")
    (window,) = world.windows()
    assert (window.kind, window.reason, times(window)) == ("incident", "INC1 new trunks", (-60, 4 * HOUR_S))


def test_open_incidents_of_the_configured_services_of_pagerduty_are_known_incidents(world: World) -> None:
    world.pagerduty.put("A", NOW - 60)
    world.pagerduty.put("B", NOW - 60, status="acknowledged")
    world.pagerduty.put("C", NOW - 60, status="resolved")
    world.pagerduty.put("D", NOW - 60, urgency="low")
    world.pagerduty.put("E", NOW - 60, service={"id": "POTHER"})
    assert world.read("pages")
    assert sorted((one.kind, one.feed_uid, one.reason) for one in world.windows()) == [
        ("incident", "A", "#1 trunks down"),
        ("incident", "B", "#2 trunks down"),
    ]


def test_unresolved_incidents_of_a_status_page_count_by_impact_and_component(world: World) -> None:
    world.status.put("a", NOW - 60, "Frankfurt", "Dublin")
    world.status.put("b", NOW - 60, "Dublin")
    world.status.put("c", NOW - 60)  # names none: nobody can tell that it is not meant
    world.status.put("d", NOW - 60, "Frankfurt", impact="minor")
    world.status.put("e", NOW - 60, "Frankfurt", status="resolved")
    assert world.read("status")
    assert sorted((one.feed_uid, one.reason, times(one)[0]) for one in world.windows()) == [
        ("a", "Voice is impaired (major)", -60),
        ("c", "Voice is impaired (major)", -60),
    ]


@pytest.mark.parametrize("name", ["incidents", "pages"])
def test_incidents_that_nobody_ever_closed_hide_no_new_one(world: World, name: str) -> None:
    for number in range(250):
        world.tables.incident(f"INC{number}", NOW - 40 * DAY_S)
        world.pagerduty.put(f"P{number}", NOW - 40 * DAY_S)
    announce(world, name, 999)
    assert world.read(name), world.state(name).problem
    assert [one.starts_at for one in world.windows()] == [NOW]


@pytest.mark.parametrize("name", ["incidents", "pages"])
def test_of_too_many_incidents_the_newest_hold_back(world: World, name: str) -> None:
    for number in range(250):
        world.tables.incident(f"INC{number}", NOW - DAY_S)
        world.pagerduty.put(f"P{number}", NOW - DAY_S)
    announce(world, name, 999)
    assert not world.read(name)
    assert NOW in [one.starts_at for one in world.windows()]


@pytest.mark.parametrize("name", ["incidents", "pages"])
def test_a_window_that_may_last_a_week_stays_though_its_incident_began_long_ago(tmp_path: Path, name: str) -> None:
    """Told for the first time when it is nearly a week old."""
    with world_of(tmp_path, **{name: {"max_window_s": 7 * DAY_S}}) as world:
        announce(world, name)
        assert world.read(name, after_s=6.9 * DAY_S)
        assert world.read(name, after_s=6.9 * DAY_S)
        assert len(world.windows()) == 1


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        pytest.param(
            {"error": {"message": "Transaction cancelled"}, "status": "failure"}, "Transaction cancelled", id="both"
        ),
        pytest.param({"status": "failure"}, "no reason", id="a status"),
    ],
)
def test_a_part_of_a_result_closes_nothing(world: World, beside: dict[str, Any], said: str) -> None:
    announce(world, "changes")
    assert world.read("changes")
    world.tables.tables["change_request"].clear()
    world.tables.cut_off = beside
    assert not world.read("changes", after_s=120)
    assert len(world.windows()) == 1
    assert said in world.state("changes").problem


def test_an_incident_that_is_over_in_the_source_ends_its_window(world: World) -> None:
    incident = world.pagerduty.put("A", NOW - 60)
    world.read("pages")
    incident["status"] = "resolved"
    assert world.read("pages", after_s=120)
    assert world.windows() == []
    (ended,) = world.windows(ended=True)
    assert (ended.closed_at, ended.closed_by) == (NOW + 120, "feed:pages")


def test_only_the_flows_that_match_are_covered_and_the_window_follows_them(tmp_path: Path) -> None:
    covers = [{"org": "retail", "flows": [{"id": "flow-1"}, {"name": "Nobody*"}]}, {"org": "bank"}]
    with world_of(tmp_path, calendar={"covers": covers}) as world:
        world.calendar.put("a", NOW, NOW + HOUR_S)
        world.read("calendar")
        assert sorted((one.org, one.flow_ids) for one in world.windows()) == [("bank", ()), ("retail", ())]

        with world.store.begin() as tx:
            list_live(tx, "1.0", "1.0", now=NOW)
        world.read("calendar", after_s=120)
        assert sorted((one.org, one.flow_ids) for one in world.windows()) == [("bank", ()), ("retail", ("flow-1",))]


# Time passes ---------------------------------------------------------------------------------------------------------


def test_a_feed_is_read_when_it_is_due_and_reading_it_again_changes_nothing(world: World) -> None:
    world.calendar.put("a", NOW, NOW + HOUR_S)
    assert world.read("calendar")
    assert not world.read("calendar", after_s=119)
    before = world.windows()
    assert world.read("calendar", after_s=1)
    assert world.windows() == before
    assert len(world.calendar.requests) == 2


def test_what_was_moved_is_moved_and_what_was_cancelled_is_closed_and_the_audit_has_it(world: World) -> None:
    row = world.tables.change("CHG1", NOW, NOW + HOUR_S)
    world.read("changes")
    row["end_date"] = "2094-01-01 00:00:00"
    world.read("changes", after_s=120)
    (window,) = world.windows()
    assert times(window) == (0, 86400)
    assert window.reason.endswith("(longer in the feed: cut)")
    row["state"] = "4"
    world.read("changes", after_s=120)
    assert world.windows() == []
    with world.store.begin() as tx:
        rows = [(row.kind, row.actor) for row in audit.newest(tx, before=None, limit=3)]
    assert rows == [(kind, "feed:changes") for kind in ("window_closed", "window_changed", "window_opened")]


def test_what_a_person_closes_early_is_not_opened_again_but_other_work_is(world: World) -> None:
    world.calendar.put("a", NOW, NOW + HOUR_S)
    world.read("calendar")
    world.close(world.windows()[0])
    world.calendar.put("a", NOW, NOW + 2 * HOUR_S)
    world.read("calendar", after_s=120)
    assert world.windows() == []

    world.calendar.put("a", NOW + 3 * HOUR_S, NOW + 4 * HOUR_S)
    world.calendar.put("b", NOW, NOW + HOUR_S)
    world.read("calendar", after_s=120)
    assert sorted((one.feed_uid, times(one)) for one in world.windows()) == [
        ("a", (3 * HOUR_S, 4 * HOUR_S)),
        ("b", (0, HOUR_S)),
    ]


def test_an_occurrence_that_a_person_closes_is_one_of_its_series(world: World) -> None:
    world.calendar.events["s"] = "SUMMARY:backup|DTSTART:20260101T000000Z|DURATION:PT1H|RRULE:FREQ=DAILY"
    world.read("calendar")
    all_of_them = world.windows()
    assert len(all_of_them) == 7
    world.close(all_of_them[0])
    world.read("calendar", after_s=120)
    assert [one.id for one in world.windows()] == [one.id for one in all_of_them[1:]]


# The source is not there, or answers nonsense ------------------------------------------------------------------------

NAMES = ["calendar", "changes", "incidents", "pages", "status"]


def announce(world: World, name: str, number: int = 1) -> None:
    """One piece of work or outage, now and for an hour."""
    {
        "calendar": lambda: world.calendar.put(f"a{number}", NOW, NOW + HOUR_S),
        "changes": lambda: world.tables.change(f"CHG{number}", NOW, NOW + HOUR_S),
        "incidents": lambda: world.tables.incident(f"INC{number}", NOW),
        "pages": lambda: world.pagerduty.put(f"P{number}", NOW),
        "status": lambda: world.status.put(f"s{number}", NOW, "Frankfurt"),
    }[name]()


def service(world: World, name: str) -> Service:
    return {
        "calendar": world.calendar,
        "changes": world.tables,
        "incidents": world.tables,
        "pages": world.pagerduty,
        "status": world.status,
    }[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        pytest.param({"status": 503}, "127.0.0.1 answered HTTP 503", id="down"),
        pytest.param({"status": 401}, "127.0.0.1 answered HTTP 401", id="not allowed"),
        pytest.param({"status": 404}, "127.0.0.1 answered HTTP 404", id="gone"),
        pytest.param({"location": "https://elsewhere.example.org/"}, "127.0.0.1 answered HTTP 302", id="elsewhere"),
        pytest.param({"body": ""}, "", id="nothing"),
        pytest.param({"body": "<html>Sign in</html>"}, "", id="a page to sign in"),
        pytest.param({"body": "[]"}, "", id="a list"),
        pytest.param({"body": '{"result": {}, "incidents": 7}'}, "", id="other types"),
        pytest.param({"body": '{"result": [7, {}], "incidents": [7, {}]}'}, "", id="rows of other types"),
        pytest.param({"body": '{"result": [' + " " * 5_000_000}, "more than 4194304 bytes", id="huge"),
    ],
)
def test_while_a_source_cannot_be_read_its_windows_stay_and_it_is_said_and_then_all_is_as_before(
    world: World, name: str, trouble: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    announce(world, name)
    assert world.read(name)
    before = world.windows()
    assert len(before) == 1
    for key, value in trouble.items():
        setattr(service(world, name), key, value)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert not world.read(name, after_s=120)
    assert world.windows() == before
    state = world.state(name)
    assert said in state.problem
    assert state.problem
    assert state.read_at == NOW
    assert f"feed_not_read feed={name}" in caplog.text
    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("receiver"))
    assert all(secret not in ours + state.problem for secret in (PASSWORD, API_TOKEN, "basic.ics"))

    for key in trouble:
        setattr(service(world, name), key, {"status": 0, "location": "", "body": None}[key])
    announce(world, name, 2)
    assert world.read(name, after_s=120)
    assert world.state(name).problem == ""
    assert len(world.windows()) == 2


def test_a_window_ends_by_itself_while_its_source_is_away_for_long(world: World) -> None:
    announce(world, "pages")
    world.read("pages")
    world.pagerduty.status = 503
    world.read("pages", after_s=4 * HOUR_S - 1)
    assert len(world.windows()) == 1
    world.at += 1
    assert world.windows() == []
    world.pagerduty.status = 0
    assert world.read("pages", after_s=120)
    assert world.windows() == [], "the incident is still open, and was known for as long as one may be"
    assert world.state("pages").lapsed == 1


def test_a_source_that_nobody_listens_at_says_so(world: World) -> None:
    port = world.settings.feeds.statuspage[0].url
    feed = world.settings.feeds.statuspage[0].model_copy(update={"url": "http://127.0.0.1:9"})
    assert port != feed.url
    poller = Poller(feed, source_of(feed, world.http), world.store, world.settings.timing, clock=lambda _: world.at)
    assert not poller.read_if_due()
    assert world.state("status").problem.startswith("127.0.0.1 did not answer")


def test_a_row_that_cannot_be_read_is_said_and_the_others_count(world: World) -> None:
    announce(world, "changes")
    world.tables.change("CHG9", NOW, NOW + HOUR_S, start_date="2026-02-30 soon")
    assert not world.read("changes")
    assert world.state("changes").problem == "CHG9 has no times that can be read"
    assert [one.reason for one in world.windows()] == ["CHG1 new trunks"]


def test_a_feed_that_announces_too_much_says_so_and_closes_nothing(world: World) -> None:
    for number in range(250):
        announce(world, "changes", number)
    for number in range(101):
        announce(world, "pages", number)
    assert not world.read("changes")
    assert not world.read("pages")
    assert "200 are the most" in world.state("changes").problem
    assert "more than 100 incidents are open" in world.state("pages").problem
    assert len([one for one in world.windows() if one.feed == "changes"]) == 200


@pytest.mark.parametrize(
    "series",
    [
        pytest.param("DTSTART:00010101T000000Z|DURATION:PT1S|RRULE:FREQ=SECONDLY", id="every second since the year 1"),
        pytest.param(
            "DTSTART:19000101T000000Z|DURATION:PT1S|RRULE:FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR="
            + ",".join(map(str, range(24)))
            + ";BYMINUTE="
            + ",".join(map(str, range(60)))
            + ";BYSECOND="
            + ",".join(map(str, range(60))),
            id="every second by its parts",
        ),
        pytest.param("DTSTART:20260101T000000Z|DURATION:PT1H|RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", id="never"),
    ],
)
def test_a_calendar_that_would_take_for_ever_is_given_up(world: World, series: str) -> None:
    """The last of them is harmless, if the library knows that there is no 30th of February."""
    world.calendar.events["x"] = f"SUMMARY:bomb|{series}"
    feed = world.settings.feeds.icalendar[0]
    source = CalendarSource(feed, world.http, cpu_s=2)
    poller = Poller(feed, source, world.store, world.settings.timing, clock=lambda _: world.at)
    done = poller.read_if_due()
    assert world.windows() == []
    assert done == (world.state("calendar").problem == "")


def test_an_answer_is_measured_as_it_is_unpacked(world: World) -> None:
    """Few bytes on the wire may be many."""
    world.status.body = '{"incidents": []}' + " " * 4_194_304
    assert not world.read("status")
    assert "more than" in world.state("status").problem


def test_the_time_of_an_incident_needs_an_offset(world: World) -> None:
    world.pagerduty.put("A", NOW)["created_at"] = rfc3339(NOW).removesuffix("Z")
    assert not world.read("pages")
    assert world.state("pages").problem == "an incident cannot be read"


# `rollback-receiver feeds` --------------------------------------------------------------------------------------------


def try_feeds(world: World, folder: Path, *organizations: str) -> Result:
    """The command, over the file that the world was made of."""
    organizations_of(folder, organizations or ("retail",))
    files = ["--organizations", str(folder / "organizations.yml"), "--config", str(folder / "receiver.yml")]
    environ = {"PASSWORD": PASSWORD, "API": API_TOKEN, "AM": TOKENS["alertmanager"], "SECRET": "s"}
    return CliRunner().invoke(main, ["feeds", *files], env=environ)


def test_the_command_shows_what_each_feed_asks_for_and_stores_nothing(world: World, tmp_path: Path) -> None:
    now = time.time()
    world.calendar.put("a", now + 60, now + HOUR_S, "new trunks")
    world.pagerduty.status = 503
    done = try_feeds(world, tmp_path)
    assert done.exit_code == 1, done.output
    first = done.stdout.split("\n\n")[0].splitlines()
    assert first[0] == "calendar (maintenance): read"
    assert first[2].startswith("retail")
    assert first[2].endswith("UTC  new trunks")
    assert "pages (incident): problem: 127.0.0.1 answered HTTP 503\nno windows" in done.stdout
    assert world.windows() == []

    world.pagerduty.status = 0
    assert try_feeds(world, tmp_path).exit_code == 0


def test_a_feed_for_an_organization_that_does_not_exist_is_a_mistake_of_the_configuration(
    world: World, tmp_path: Path
) -> None:
    done = try_feeds(world, tmp_path, "bank")
    assert done.exit_code == 2
    assert "feeds: unknown organization retail; write names of" in done.stderr
