"""The ledger: filled beside the worker, obeyed by it, kept over a restart, and shown."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from genesys.access import open_session
from genesys.errors import GenesysError, NotAllowed, Unavailable
from genesys.evidence import Signal
from genesys.flows import FlowVersion
from genesys.guide import Guide, NamedFlow
from genesys.http import Clock, Connection
from genesys.organizations import Analytics
from receiver.config import Timing
from receiver.ctl.cli import main
from receiver.ledger import Ledger
from receiver.metrics import ReceiverMetrics
from receiver.roster import Roster
from receiver.service import Record
from receiver.store import flows, ledger
from receiver.store.database import Store
from receiver.target import choose_target
from receiver.web import create_app
from simulator.app import create_app as create_simulator
from simulator.scenario import load
from simulator.simulation import Simulation
from tests.integration import simulated_scene
from tests.integration.receiver_world import BAD_PUBLISH_AT, DAY_S, FLOW_ID, Scene, Time, scene
from tests.openapi_document import held_to_its_document
from tests.receiver_world import TOKENS, listening, opened, settings_of

HOUR = 3600.0


class Book:
    """The ledger of an organization with one clock for all."""

    def __init__(
        self, store: Store, genesys: Any, time: Time, analytics: Analytics | None = None, **timing: float
    ) -> None:
        self.store = store
        self.genesys = genesys
        self.time = time
        self.accepted: list[bool] = []
        self.timing = Timing(**timing)
        self.analytics = analytics or Analytics()
        self.ledger = self.another()

    def another(self) -> Ledger:
        return Ledger(
            "retail",
            self.store,
            self.genesys,
            self.analytics,
            self.timing,
            credentials=self.accepted.append,
            clock=lambda _: self.time.now,
        )

    def list_flows(self) -> None:
        with self.store.begin() as tx:
            flows.claim(tx, "retail", now=self.time.now, next_at=self.time.now)
            flows.replace(tx, "retail", self.genesys.flows(), now=self.time.now)

    def records(self, flow_id: str = FLOW_ID) -> dict[str, Record]:
        with self.store.begin() as tx:
            return ledger.records(tx, "retail", flow_id, Signal.ERROR_EXIT)

    def exits(self, flow_id: str = FLOW_ID) -> Mapping[str, int]:
        return {version: record.service.tally.exits for version, record in self.records(flow_id).items()}

    def problem(self) -> str:
        with self.store.begin() as tx:
            found = ledger.reading(tx, "retail")
        assert found is not None
        return found.problem


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


@pytest.fixture
def book(world: Scene) -> Book:
    return Book(world.store, world.clouds["retail"], world.time)


# Filled


def test_the_first_reading_goes_back_as_far_as_the_history(book: Book) -> None:
    assert book.ledger.read_if_due()
    per_hour = 600
    # A week that ends with the full hour before 14.0; all of it was 13.0's.
    assert book.exits() == {"13.0": 7 * 24 * per_hour}
    assert book.accepted == [True]


def test_the_history_is_read_once_an_hour_by_one_of_all_receivers(book: Book) -> None:
    assert [one.read_if_due() for one in (book.ledger, book.another())] == [True, False]
    book.time.pass_(3599)
    assert not book.ledger.read_if_due()
    book.time.pass_(1)
    assert book.another().read_if_due()


def test_reading_the_same_history_again_changes_nothing_and_what_has_left_it_stays(book: Book) -> None:
    book.ledger.read_if_due()
    for _ in range(24 * 9):
        book.time.pass_(HOUR)
        book.ledger.read_if_due()
    # 14.0 went on; the week of 13.0 lies beyond the history.
    assert book.exits() == {"13.0": 7 * 24 * 600, "14.0": 9 * 24 * 600}


def test_hours_in_which_nobody_could_read_are_a_gap_only_if_they_have_left_the_history(book: Book) -> None:
    book.ledger.read_if_due()
    book.time.pass_(5 * DAY_S)
    book.ledger.read_if_due()
    assert book.exits()["14.0"] == 5 * 24 * 600
    book.time.pass_(10 * DAY_S)
    book.ledger.read_if_due()
    assert 11 * 24 * 600 <= book.exits()["14.0"] <= 12 * 24 * 600


def test_nothing_is_kept_beyond_the_retention(world: Scene) -> None:
    book = Book(world.store, world.clouds["retail"], world.time, ledger_keep_s=3 * DAY_S)
    book.ledger.read_if_due()
    assert 3 * 24 * 600 <= book.exits()["13.0"] <= 4 * 24 * 600


def test_the_live_version_is_known_by_its_date_as_far_as_the_flows_were_listed(book: Book) -> None:
    book.ledger.read_if_due()
    assert book.records()["13.0"].stints == ()  # nobody has listed the flows yet
    book.list_flows()
    book.time.pass_(HOUR)
    book.ledger.read_if_due()
    (stint,) = book.records()["14.0"].stints
    assert (stint.start, stint.end) == (BAD_PUBLISH_AT, book.time.now - HOUR)


def test_a_flow_without_a_date_has_no_stint(book: Book) -> None:
    book.genesys._known[FLOW_ID].timeline = [(0.0, "1.0")]
    book.list_flows()
    with book.store.begin() as tx:
        (flow,) = flows.of(tx, "retail")
        flows.replace(tx, "retail", [replace(flow, live_published_at=None)], now=book.time.now)
    book.ledger.read_if_due()
    assert book.records()["1.0"].stints == ()


def test_versions_that_were_read_for_an_alert_tell_of_times_before_the_ledger(book: Book) -> None:
    book.ledger.note_versions(FLOW_ID, [])
    book.ledger.note_versions(FLOW_ID, book.genesys.versions(FLOW_ID))
    book.ledger.keep_stints()
    found = {version: (record.live_s, record.until) for version, record in book.records().items()}
    assert found == {"12.0": (20 * DAY_S, BAD_PUBLISH_AT - 10 * DAY_S), "13.0": (10 * DAY_S, BAD_PUBLISH_AT)}


@pytest.mark.parametrize(
    ("problem", "accepted"), [(Unavailable("no answer", 503), []), (NotAllowed("no permission", 403), [False])]
)
def test_a_history_that_cannot_be_read_leaves_the_ledger_and_is_tried_again_sooner(
    book: Book, problem: GenesysError, accepted: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    book.ledger.read_if_due()
    before = book.exits()
    book.accepted.clear()
    book.time.pass_(HOUR)
    book.genesys.down = problem
    assert not book.ledger.read_if_due()
    assert (book.exits(), book.accepted, book.problem()) == (before, accepted, str(problem))
    assert "ledger_not_read" in caplog.text

    book.genesys.down = None
    book.time.pass_(359)
    assert not book.ledger.read_if_due()
    book.time.pass_(1)
    assert book.ledger.read_if_due()
    assert book.problem() == ""


def test_nothing_ends_the_keeping_but_the_stop(world: Scene, caplog: pytest.LogCaptureFixture) -> None:
    book = Book(world.store, world.clouds["retail"], world.time, tick_s=0.001)
    stop, failures = Event(), iter([RuntimeError("a fault of ours"), None])

    def fail_once() -> None:
        problem = next(failures)
        if problem is not None:
            book.time.pass_(HOUR)
            raise problem
        stop.set()

    book.genesys.before_read = fail_once
    caplog.set_level(logging.ERROR)
    book.ledger.run(stop)
    assert "ledger_failed org=retail" in caplog.text
    assert set(book.exits()) >= {"13.0"}


def test_without_the_database_it_says_so_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(f"sqlite:///{tmp_path}/no/such/folder/rollback.db")
    stop = Event()
    book = Book(store, Stopping(stop), Time(), tick_s=0.001)
    book.ledger.recall()
    book.ledger.run(stop)
    store.close()
    assert caplog.text.count("ledger_not_stored") == 2


class Stopping:
    """A dialect that has seen something, and ends the test that asks it for it."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop

    def stints(self) -> dict[str, Any]:
        self._stop.set()
        return {}


# Obeyed


@pytest.mark.parametrize("has_ledger", [True, False])
def test_a_version_whose_service_lies_beyond_the_history_is_a_target_by_the_ledger(
    world: Scene, has_ledger: bool
) -> None:
    flow = world.genesys.of()
    if has_ledger:
        flow.timeline.remove((BAD_PUBLISH_AT, "14.0"))
        Book(world.store, world.genesys, Time(BAD_PUBLISH_AT - 9 * DAY_S + 61)).ledger.read_if_due()
        flow.timeline.append((BAD_PUBLISH_AT, "14.0"))
    make_silent(flow)
    world.deliver()
    world.run(20)

    assert world.published() == (["13.0"] if has_ledger else [])
    assert ("awaiting_approval" in world.verdicts()) is not has_ledger


def make_silent(flow: Any) -> None:
    """Nobody called in the eight days before the bad version."""
    outcomes = flow.outcomes
    flow.outcomes = lambda start, bucket_s: (
        None if BAD_PUBLISH_AT - 8 * DAY_S <= start < BAD_PUBLISH_AT else outcomes(start, bucket_s)
    )


# Before the simulator


def test_against_the_simulator_the_ledger_tells_of_each_version_what_its_history_does(tmp_path: Path) -> None:
    with simulated_scene.simulated_scene(tmp_path) as made:
        book = Book(made.scene.store, made.cloud, made.time)
        book.list_flows()
        assert book.ledger.read_if_due()
        flow_id = simulated_scene.FLOW_ID
        end = book.analytics.history_end(made.time.now)
        history = made.cloud.evidence(end - book.analytics.history_s, end, bucket_s=book.analytics.history_bucket_s)
        for version in history.versions(flow_id):
            tallies = history.tallies(flow_id, version, Signal.ERROR_EXIT).values()
            record = book.records(flow_id)[version].service.tally
            assert (record.exits, record.errors) == (sum(t.exits for t in tallies), sum(t.errors for t in tallies))
            assert record.exits > 0
        (stint,) = book.records(flow_id)["14.0"].stints
        assert stint.start == pytest.approx(made.published_at, abs=5)


# Dialect `guide`, in which versions have no dates


class GuideWorld:
    """The simulator's dialect `guide` without dates, and processes that look at it."""

    def __init__(self, folder: Path) -> None:
        self.time = Time(BAD_PUBLISH_AT)
        simulation = Simulation(load("calm"), factor=1.0, seed=1, clock=lambda: self.time.now)
        self.app = create_simulator(simulation, scenario_name="calm", sleep=self.time.pass_)
        self.settings = settings_of(folder)

    def publish(self, version: str) -> None:
        bad = {"event": "publish", "flow": simulated_scene.FLOW_ID, "version": version, "error_ratio": 0.45}
        assert self.app.test_client().post("/sim/events", json=bad).status_code < 300

    def process(self) -> Guide:
        connection = Connection(
            transport=httpx.WSGITransport(app=self.app),
            clock=Clock(lambda: self.time.now, lambda: self.time.now, self.time.pass_, lambda: 0.5),
        )
        session = open_session(
            login_url=simulated_scene.URL,
            client_id="simulator",
            client_secret="simulator",
            timeout_s=10.0,
            deadline_s=30.0,
            connection=connection,
        )
        flow = NamedFlow(simulated_scene.FLOW_ID, "Main IVR", "inboundcall", "Home")
        return Guide(session, api_url=simulated_scene.URL, flows=[flow], bucket_s=60)


def last_stints(guide: Guide) -> dict[str, tuple[float | None, float | None]]:
    versions: list[FlowVersion] = guide.versions(simulated_scene.FLOW_ID)
    return {one.id: (one.published_at, one.published_until) for one in versions}


def chosen(guide: Guide, records: Mapping[str, Record]) -> str:
    """The target over 14.0, while Genesys Cloud's history tells nothing."""
    return choose_target(
        guide.versions(simulated_scene.FLOW_ID),
        {},
        records,
        accused="14.0",
        rolled_back=frozenset(),
        threshold_ratio=0.05,
        min_live_s=900.0,
    ).describe()


def test_a_restart_forgets_no_version_that_was_seen_and_invents_none(tmp_path: Path) -> None:
    world = GuideWorld(tmp_path)
    analytics = Analytics(history_bucket_s=120, history_s=1200)
    with opened(world.settings) as store:
        first = world.process()
        book = Book(store, first, world.time, analytics, ledger_s=60.0)
        roster = Roster(
            "retail",
            store,
            first,
            book.timing.model_copy(update={"flows_s": 60.0}),
            credentials=lambda _: None,
            clock=lambda _: world.time.now,
        )
        began = world.time.now
        for _ in range(20):
            roster.list_if_due()
            book.ledger.keep_stints()
            book.ledger.read_if_due()
            world.time.pass_(60)
        served = book.records(simulated_scene.FLOW_ID)["13.0"]
        assert served.live_s == pytest.approx(19 * 60, abs=5)
        assert served.service.tally.exits > 50

        world.publish("14.0")
        world.time.pass_(60)
        forgetful, second = world.process(), world.process()
        Book(store, second, world.time, analytics).ledger.recall()

        assert last_stints(forgetful)["13.0"] == (None, None)
        since, until = last_stints(second)["13.0"]
        assert since == pytest.approx(began, abs=5)
        assert until == pytest.approx(began + 19 * 60, abs=5)
        assert last_stints(second)["12.0"] == (None, None)
        assert chosen(second, book.records(simulated_scene.FLOW_ID)) == "13.0"
        unseen = "never live, or Genesys Cloud gives no dates for it"
        assert chosen(forgetful, {}) == f"none: 13.0: {unseen}; 12.0: {unseen}"
        end = analytics.history_end(world.time.now)
        told = second.evidence(end - 1200, end, bucket_s=120)
        assert told.versions(simulated_scene.FLOW_ID) == {"13.0"}


# Shown


def test_the_record_of_each_version_is_shown_by_the_api_and_rollbackctl(book: Book, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    app = create_app(book.store, settings, ["retail"], ReceiverMetrics(book.store, settings, ["retail"]), lambda: ())
    held_to_its_document(app)
    book.list_flows()
    headers = {"Authorization": f"Bearer {TOKENS['viewer']}"}
    with listening(app) as port:
        url = f"http://127.0.0.1:{port}"

        def told() -> Any:
            return httpx.get(f"{url}/api/v1/flows/retail/{FLOW_ID}", headers=headers).json()["ledger"]

        def shown(*options: str) -> str:
            environ = {"ROLLBACKCTL_URL": url, "ROLLBACKCTL_TOKEN": TOKENS["viewer"]}
            done = CliRunner().invoke(main, ["flow", "show", "retail", FLOW_ID], env=environ)
            assert done.exit_code == 0, done.output
            return done.stdout

        assert told() == {"read_at": None, "problem": "", "versions": []}
        assert "nothing is on record" in shown()
        book.time.pass_(HOUR)
        book.list_flows()
        book.ledger.note_versions(FLOW_ID, book.genesys.versions(FLOW_ID))
        book.ledger.keep_stints()
        book.ledger.read_if_due()
        newest, before, oldest = told()["versions"]
        assert [one["version"] for one in (newest, before, oldest)] == ["14.0", "13.0", "12.0"]
        assert before["live_s"] == 10 * DAY_S
        assert before["live"][0]["to"].startswith("20")
        assert [one["signal"] for one in before["signals"]] == list(Signal)
        assert before["signals"][0] == {
            "signal": "error_exit",
            "errors": 0,
            "volume": 167 * 600,
            "exits": 167 * 600,
            "ratio": 0.0,
            "served_s": 167 * HOUR,
        }
        assert oldest["signals"][0]["ratio"] is None
        lines = shown().splitlines()
        row, other = (line for line in lines if line.startswith("13.0"))
        assert row.split()[1:3] == ["10", "d"]
        assert "error_exit" in row
        assert "flow_disconnect" in other, "the only other signal that occurred"
        assert "100200" in row
        assert lines[-1].startswith("ledger read 20")
        with book.store.begin() as tx:
            ledger.failed(tx, "retail", "no answer\x1b[2J", retry_at=0.0)
        assert "; now: no answer [2J" in shown()
