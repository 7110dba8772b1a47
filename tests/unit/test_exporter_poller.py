"""How polls end on the page: failures, staleness, several organizations, and when they begin."""

import itertools
import logging
import math
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from exporter.baselines import KEPT_INTERVALS, SHARES_PER_REFRESH, BaselineKeeper
from exporter.config import ExporterConfig
from exporter.live import LiveVersion
from exporter.metrics import CATALOGUE, SNAPSHOT_METRICS
from exporter.page import Board
from exporter.poller import Poller, last_tick, next_poll, share_of, spread_s
from exporter.process import ProcessMetrics
from exporter.reader import OrganizationReader
from genesys.budget import PutOff, nothing
from genesys.dialect import Call, RateLimit
from genesys.errors import NotAllowed, Throttled, Unavailable
from genesys.evidence import Outcomes, Signal
from genesys.history import PRIOR_DISPERSION
from genesys.organizations import Analytics
from genesys.transfers import Target
from tests.unit.exporter_world import MAIN, MINUTE, NOON, World, bad, good

CONFIG = ExporterConfig()
HOURS_BEFORE = [NOON - 3600 * hours for hours in range(1, 100)]


class Exporter:
    """The exporter without threads, sockets and time: polls and scrapes happen when the test says so."""

    def __init__(
        self,
        *,
        offset_s: float = 0.0,
        analytics: Analytics | None = None,
        put_off_s: PutOff = nothing,
        **worlds: World,
    ) -> None:
        self.now = float(NOON)
        self.put_off_s = put_off_s
        self.analytics = analytics or Analytics()
        self.offset_s = offset_s
        self.process = ProcessMetrics()
        self.board = Board(worlds, self.process, stale_after_s=CONFIG.stale_after_s, clock=lambda: self.now)
        self.keepers = {
            org: BaselineKeeper(org, world, self.analytics, interval_s=CONFIG.baseline_interval_s)
            for org, world in worlds.items()
        }
        self.pollers = {org: self._poller(org, world) for org, world in worlds.items()}

    def _poller(self, org: str, world: World) -> Poller:
        def tell_revisions(ages_s: Iterable[float]) -> None:
            self.process.add_revisions(org, ages_s)

        reader = OrganizationReader(org, world, self.analytics, tell_revisions=tell_revisions)
        return Poller(
            org,
            world,
            reader,
            self.keepers[org],
            config=CONFIG,
            board=self.board,
            offset_s=self.offset_s,
            put_off_s=partial(self.process.count_put_off, org, self.put_off_s),
        )

    def poll(self, *, minutes_later: float = 1) -> None:
        self.now += minutes_later * MINUTE
        for poller in self.pollers.values():
            poller.poll(self.now)

    def scrape(self) -> dict[str, dict[str, float]]:
        """Value by metric, then by its label values in one line, sorted by label name."""
        found: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families(b"".join(self.board.page().plain()).decode()):
            for sample in family.samples:
                labels = " ".join(value for _, value in sorted(sample.labels.items()))
                found.setdefault(sample.name, {})[labels] = sample.value
        return found


def names_of(page: dict[str, dict[str, float]], org: str) -> set[str]:
    return {name for name, values in page.items() if any(org in labels.split() for labels in values)}


@pytest.fixture
def world() -> World:
    world = World(rate_limit=RateLimit(allowed=300, used=7, reset_s=20.0, read_at=NOON))
    world.happen(NOON - 120, "13.0", bad(2))
    world.figures[NOON - 120] = (1, 40)
    return world


def test_a_good_poll_fills_the_whole_catalogue(world: World) -> None:
    for hour in HOURS_BEFORE:
        world.happen(hour, "13.0", good(10))
    world.go_live("13.0", published_at=NOON - 300.0)
    exporter = Exporter(analytics=Analytics(outcomes=True), retail=world)
    exporter.process.observer("retail")(Call("flows", "200", 0.3))
    exporter.poll()
    world.happen(NOON - 120, "13.0", bad(3))
    exporter.poll()

    page = exporter.scrape()

    assert names_of(page, "retail") >= {name for name, metric in CATALOGUE.items() if metric.type != "histogram"}
    assert page["genesys_up"] == {"retail": 1}
    assert page["genesys_flow_errors"]["main 13.0 retail error_exit 5m"] == 3
    assert page["genesys_api_requests_total"] == {"200 flows retail": 1}
    assert page["genesys_api_request_duration_seconds_count"] == {"flows retail": 1}
    assert page["genesys_bucket_revision_age_seconds_count"] == {"retail": 1}
    assert not any(name.endswith("_created") for name in page)


def test_a_failed_poll_shows_at_once_and_the_last_samples_stay_until_they_are_stale(world: World) -> None:
    exporter = Exporter(retail=world)
    exporter.poll()
    before = exporter.scrape()
    world.broken["all"] = Unavailable("no answer")

    exporter.poll()
    failed = exporter.scrape()
    assert failed["genesys_up"] == {"retail": 0}
    assert failed["genesys_flow_errors"] == before["genesys_flow_errors"]
    assert failed["genesys_data_end_timestamp_seconds"] == before["genesys_data_end_timestamp_seconds"]

    exporter.poll(minutes_later=2)
    assert "genesys_flow_errors" in exporter.scrape(), "exactly as old as stale_after_s"

    exporter.now += 1
    stale = exporter.scrape()
    assert stale["genesys_up"] == {"retail": 0}
    assert not stale.keys() & {metric.name for metric in SNAPSHOT_METRICS}, "dropped, not zero"


def test_samples_of_a_poll_that_hangs_are_dropped_too(world: World) -> None:
    exporter = Exporter(retail=world)
    exporter.poll()

    exporter.now += CONFIG.stale_after_s + 1

    assert "genesys_flow_errors" not in exporter.scrape()


def test_after_an_outage_samples_come_back_with_the_next_good_poll(world: World) -> None:
    exporter = Exporter(retail=world)
    exporter.poll()
    world.broken["all"] = Throttled("rate limit exceeded", 429)
    exporter.poll(minutes_later=10)
    world.broken.clear()
    exporter.poll()

    page = exporter.scrape()
    assert page["genesys_up"] == {"retail": 1}
    assert "genesys_flow_errors" in page


def test_an_organization_that_never_answered_is_down_and_nothing_else(world: World) -> None:
    world.broken["all"] = NotAllowed("invalid client", 401)
    world.rate_limit = None
    exporter = Exporter(retail=world)
    assert exporter.scrape() == {"genesys_up": {"retail": 0}}

    exporter.poll()

    assert exporter.scrape() == {"genesys_up": {"retail": 0}}


def test_one_organization_that_is_down_takes_nothing_from_another(world: World) -> None:
    broken = World(broken={"all": Unavailable("no answer")})
    exporter = Exporter(north=broken, south=world)
    exporter.poll()

    page = exporter.scrape()

    assert page["genesys_up"] == {"north": 0, "south": 1}
    assert names_of(page, "north") == {"genesys_up"}
    assert page["genesys_flow_errors"]["main 13.0 south error_exit 5m"] == 2


def test_a_mistake_of_ours_shows_as_down_and_does_not_end_the_polling(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.broken["evidence"] = KeyError("what nobody thought of")
    exporter = Exporter(retail=world)
    exporter.poll()
    assert exporter.scrape()["genesys_up"] == {"retail": 0}
    assert "poll_broken org=retail" in caplog.text

    world.broken.clear()
    exporter.poll()
    assert exporter.scrape()["genesys_up"] == {"retail": 1}


def test_a_failed_poll_is_logged_with_what_to_change(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.broken["flows"] = NotAllowed("missing permission", 403, "not.authorized", "c-1")
    exporter = Exporter(retail=world)
    with caplog.at_level(logging.WARNING):
        exporter.poll()

    (line,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("poll_failed")]
    assert 'error="missing permission (HTTP 403, not.authorized, contextId c-1)"' in line
    assert "architect:flow:view" in line


def test_rate_limit_samples_are_absent_while_genesys_cloud_sends_none_and_there_in_a_failed_poll(world: World) -> None:
    exporter = Exporter(retail=world)
    world.rate_limit = None
    exporter.poll()
    assert "genesys_api_rate_limit_allowed" not in exporter.scrape()

    world.rate_limit = RateLimit(allowed=300, used=300, reset_s=20.0, read_at=NOON)
    world.broken["all"] = Throttled("rate limit exceeded", 429)
    exporter.poll()
    assert exporter.scrape()["genesys_api_rate_limit_used"] == {"retail": 300}


def test_names_with_quotes_newlines_and_emoji_do_not_break_the_page(world: World) -> None:
    world.listed["main"] = replace(MAIN, name='Main "IVR"\n🎧', division_name="\ud83d")
    exporter = Exporter(retail=world)
    exporter.poll()

    assert any('Main "IVR"\n🎧' in labels for labels in exporter.scrape()["genesys_flow_info"])


def test_the_baseline_is_read_at_the_start_and_then_once_an_interval(world: World) -> None:
    for hour in HOURS_BEFORE:
        world.happen(hour, "13.0", good(10))
    world.go_live("13.0", published_at=NOON - 300.0)
    exporter = Exporter(retail=world)
    read_at = []
    for minute in range(1, 130):
        world.calls.clear()
        exporter.poll()
        read_at += [minute] * world.calls.count("history")

    assert read_at == [1, 61, 121]
    page = exporter.scrape()
    assert 0 < page["genesys_flow_baseline_ratio"]["main retail error_exit"] < 0.01
    assert page["genesys_flow_scatter_ratio"]["main retail error_exit"] == math.sqrt(PRIOR_DISPERSION)


def test_a_noisy_past_raises_the_threshold_with_the_first_poll(world: World) -> None:
    for hour in HOURS_BEFORE:
        world.happen(hour, "12.0", good(8))
        world.happen(hour + MINUTE, "12.0", bad(1))
    world.go_live("13.0", published_at=NOON - 300.0)
    exporter = Exporter(retail=world)
    exporter.poll()

    assert 0.6 < exporter.scrape()["genesys_flow_threshold_ratio"]["main retail error_exit"] < 0.75


def test_a_baseline_that_cannot_be_read_is_kept_for_a_while_and_fails_no_poll(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for hour in HOURS_BEFORE:
        world.happen(hour, "13.0", good(10))
    world.go_live("13.0", published_at=NOON - 300.0)
    exporter = Exporter(retail=world)
    exporter.poll()
    world.broken["history"] = Unavailable("no answer")

    exporter.poll(minutes_later=KEPT_INTERVALS * 60)
    page = exporter.scrape()
    assert page["genesys_up"] == {"retail": 1}
    assert "genesys_flow_baseline_ratio" in page
    assert "baseline_not_read org=retail" in caplog.text

    world.calls.clear()
    exporter.poll()
    assert "history" not in world.calls, "the next try comes after a twelfth of the interval"
    assert "genesys_flow_baseline_ratio" not in exporter.scrape(), "a day later it is no longer believed"


def test_ready_means_that_every_organization_was_polled_successfully_or_not(world: World) -> None:
    exporter = Exporter(north=World(broken={"all": Unavailable("no answer")}), south=world)
    assert not exporter.board.ready

    exporter.pollers["north"].poll(exporter.now)
    assert not exporter.board.ready

    exporter.pollers["south"].poll(exporter.now)
    assert exporter.board.ready


class Clock:
    """Time passes by waiting, and by as much more as the world takes for its answers."""

    def __init__(self, now: float, *, ends_at: float, sleeps_until: float = 0.0) -> None:
        self.now = now
        self.ends_at = ends_at
        self.sleeps_until = sleeps_until

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now = max(self.now + seconds, self.sleeps_until)
        return self.now >= self.ends_at


class SlowWorld(World):
    """Takes some seconds for each list."""

    clock: Clock
    takes_s: float = 0.0

    def _called(self, method: str) -> None:
        if method == "flows":
            self.clock.now += self.takes_s
        super()._called(method)


@pytest.mark.parametrize(
    ("clock", "takes_s", "polled_at"),
    [
        pytest.param(
            Clock(NOON + 17.5, ends_at=NOON + 240),
            0.0,
            [NOON + 17.5, NOON + 60, NOON + 120, NOON + 180],
            id="at once, then aligned",
        ),
        pytest.param(
            Clock(NOON + 17.5, ends_at=NOON + 240),
            5.0,
            [NOON + 17.5, NOON + 60, NOON + 120, NOON + 180],
            id="slow answers do not shift the polls",
        ),
        pytest.param(
            Clock(NOON, ends_at=NOON + 300),
            70.0,
            [NOON, NOON + 120, NOON + 240],
            id="a poll that takes longer than the interval leaves one out",
        ),
        pytest.param(
            Clock(NOON + 1, ends_at=NOON + 1000, sleeps_until=NOON + 905),
            0.0,
            [NOON + 1, NOON + 900, NOON + 960],
            id="a machine that slept polls for the newest minute",
        ),
    ],
)
def test_polls_begin_on_multiples_of_the_interval(clock: Clock, takes_s: float, polled_at: list[float]) -> None:
    slow = SlowWorld()
    slow.clock, slow.takes_s = clock, takes_s
    exporter = Exporter(retail=slow)
    polls: list[float | None] = []

    def wait(seconds: float) -> bool:
        polls.append(exporter.board.last("retail").succeeded_at)
        return clock.wait(seconds)

    exporter.pollers["retail"].run(clock=clock, wait=wait)

    assert polls == polled_at


def test_while_the_rate_limit_is_nearly_used_up_a_poll_waits_and_is_of_the_newest_minute() -> None:
    clock = Clock(NOON, ends_at=NOON + 240)
    world = World()
    polls: list[float] = []
    waits = iter([0.0, 60.0, 0.0])  # the second poll, at 60 s, is put off; however busy it is, it comes then
    exporter = Exporter(put_off_s=lambda _: next(waits), retail=world)

    def wait(seconds: float) -> bool:
        if world.calls:
            polls.append(exporter.board.last("retail").succeeded_at or 0.0)
        world.calls.clear()
        return clock.wait(seconds)

    exporter.pollers["retail"].run(clock=clock, wait=wait)
    assert polls == [NOON, NOON + 120, NOON + 180]
    assert exporter.scrape()["genesys_polls_put_off_total"] == {"retail": 1}


def test_whoever_waits_for_the_rate_limit_can_be_stopped() -> None:
    exporter = Exporter(put_off_s=lambda _: 10.0, retail=World())
    exporter.pollers["retail"].run(clock=lambda: NOON, wait=lambda _: True)
    assert not exporter.board.last("retail").polled


def test_ticks_are_multiples_of_the_interval() -> None:
    assert last_tick(NOON + 59.9, 60) == NOON
    assert next_poll(NOON, 60) == NOON + 60
    assert next_poll(NOON + 0.1, 6) == NOON + 6


def test_polls_of_different_organizations_and_exporters_begin_at_different_seconds_always_the_same() -> None:
    names = [f"{org} {host} 0.0.0.0:9742" for org in ("retail", "claims", "travel") for host in ("a", "b")]
    shares = [share_of(name) for name in names]

    assert shares == [share_of(name) for name in names]
    assert len({round(share, 3) for share in shares}) == len(names)
    assert all(0 <= share < 1 for share in shares)


@pytest.mark.parametrize(
    ("organizations", "interval_s", "expected"),
    [(1, 60.0, 5.0), (50, 60.0, 5.0), (200, 60.0, 20.0), (1000, 60.0, 30.0), (3, 6.0, 0.5)],
)
def test_the_more_organizations_the_longer_the_time_in_which_their_polls_begin(
    organizations: int, interval_s: float, expected: float
) -> None:
    assert spread_s(organizations, interval_s) == pytest.approx(expected)


@given(offset_s=st.floats(0, 30, exclude_max=True), start_s=st.floats(0, 60), settle_s=st.floats(0, 300))
def test_whatever_the_offset_polls_are_as_of_full_minutes_and_each_finds_one_new_settled_minute(
    offset_s: float, start_s: float, settle_s: float
) -> None:
    exporter = Exporter(offset_s=offset_s, retail=World())
    clock = Clock(NOON + start_s, ends_at=NOON + 600)
    polls: list[tuple[float, float]] = []

    def wait(seconds: float) -> bool:
        as_of = exporter.board.last("retail").succeeded_at
        assert as_of is not None
        polls.append((as_of, clock.now))
        return clock.wait(seconds)

    exporter.pollers["retail"].run(clock=clock, wait=wait)

    aligned = polls[1:]  # the first one comes at once
    assert len(aligned) >= 8
    assert all(as_of % MINUTE == 0 for as_of, _ in aligned)
    assert all(began - as_of == pytest.approx(offset_s, abs=1e-3) for as_of, began in aligned)
    # The rules judge on two new minutes in three: an offset takes none from them.
    ends = [Analytics(settle_s=settle_s).settled_end(as_of) for as_of, _ in aligned]
    assert {later - earlier for earlier, later in itertools.pairwise(ends)} == {MINUTE}


def test_a_version_that_was_live_before_the_full_minute_counts_from_it_also_when_the_poll_begins_later() -> None:
    world = World()
    exporter = Exporter(offset_s=4.5, retail=world)
    clock = Clock(NOON + 10.0, ends_at=NOON + 120)

    def wait(seconds: float) -> bool:
        world.go_live("14.0", published_at=NOON + 30.0)
        ended = clock.wait(seconds)
        exporter.now = clock.now
        return ended

    exporter.pollers["retail"].run(clock=clock, wait=wait)

    assert exporter.scrape()["genesys_flow_live_since_timestamp_seconds"] == {"main 14.0 retail": NOON + 60}


def test_what_targets_used_to_have_is_read_with_the_baselines_and_forgotten_with_them() -> None:
    usual, shifted = (
        Outcomes(20, {"TRANSFER": 20}, transfers={Target("ACD", name): 20}) for name in ("Service", "Catch-all")
    )
    world = World()
    for hour in HOURS_BEFORE:
        world.happen(hour, "13.0", usual)
    exporter = Exporter(retail=world)
    exporter.poll()
    world.go_live("14.0", published_at=exporter.now)
    for minute in range(2, 20):
        world.happen(NOON + minute * MINUTE, "14.0", shifted)
    exporter.poll()
    exporter.poll(minutes_later=18)
    assert exporter.scrape()["genesys_flow_errors"]["main 14.0 retail routing_shift 15m"] == 15 * 20

    keeper = BaselineKeeper("retail", world, Analytics(), interval_s=CONFIG.baseline_interval_s)
    assert keeper.shares(NOON) == {}
    keeper.refresh({"main": LiveVersion("14.0", NOON, NOON)}, NOON)
    kept_s = KEPT_INTERVALS * CONFIG.baseline_interval_s
    assert keeper.shares(NOON + kept_s)["main"].of(Target("ACD", "Service")).ratio == pytest.approx(1.0)
    assert keeper.shares(NOON + kept_s + 1) == {}


def test_who_watches_no_transfers_keeps_no_shares() -> None:
    world = World()
    for hour in HOURS_BEFORE:
        world.happen(hour, "13.0", Outcomes(20, {"TRANSFER": 20}, transfers={Target("ACD", "Service"): 20}))
    keeper = BaselineKeeper("retail", world, Analytics(), interval_s=60.0, signals=[Signal.ERROR_EXIT])
    assert keeper.refresh({"main": LiveVersion("14.0", NOON, NOON)}, NOON)
    assert keeper.shares(NOON) == {}


def test_a_signal_that_was_asked_for_and_is_not_told_shows() -> None:
    world = World()
    exporter = Exporter(analytics=Analytics(outcomes=True, transfers=True), retail=world)
    world.untold["evidence"] = {Signal.OUTCOME_FAILED, Signal.ACTION_FAILURE}
    exporter.poll()
    assert exporter.scrape()["genesys_signal_told"] == {"retail outcome_failed": 0, "retail routing_shift": 1}


class TestHistoryWithoutASignal:
    """A history that leaves out what polls tell is read again soon, once; what was known of it stays for a day."""

    MISSING = Signal.RECOGNITION

    @pytest.fixture
    def world(self) -> World:
        world = World()
        for hour in HOURS_BEFORE:
            world.happen(hour, "13.0", good(10))
        return world

    @pytest.fixture
    def exporter(self, world: World) -> Exporter:
        exporter = Exporter(retail=world)
        exporter.poll()
        world.go_live("14.0", published_at=exporter.now)
        return exporter

    def known(self, exporter: Exporter) -> set[Signal]:
        return {signal for _, signal in exporter.keepers["retail"].baselines(exporter.now)}

    def test_keeps_what_was_known(self, world: World, exporter: Exporter) -> None:
        before = self.known(exporter)
        world.untold["history"] = {self.MISSING}
        exporter.poll(minutes_later=60)
        assert world.calls.count("history") == 2
        assert self.MISSING in before
        assert self.known(exporter) == before

    def test_is_read_again_after_five_minutes_and_then_by_the_hour(self, world: World, exporter: Exporter) -> None:
        world.untold["history"] = {self.MISSING}
        exporter.poll(minutes_later=60)
        readings = []
        for minute in range(130):
            exporter.poll()
            if world.calls.count("history") > 2 + len(readings):
                readings.append(minute + 1)
        assert readings == [5, 65, 125]

    def test_what_polls_do_not_tell_either_is_not_waited_for(self, world: World, exporter: Exporter) -> None:
        world.untold = {"history": {self.MISSING}, "evidence": {self.MISSING}}
        exporter.poll(minutes_later=60)
        for _ in range(59):
            exporter.poll()
        assert world.calls.count("history") == 2

    def test_forgets_after_a_day(self, world: World, exporter: Exporter) -> None:
        world.untold["history"] = {self.MISSING}
        before = self.known(exporter)
        for _ in range(KEPT_INTERVALS):
            exporter.poll(minutes_later=60)
        assert self.known(exporter) == before
        exporter.poll(minutes_later=60)
        assert self.known(exporter) == before - {self.MISSING}


def test_shares_of_many_flows_are_counted_over_several_polls() -> None:
    world, flows = World(), 2 * SHARES_PER_REFRESH + 1
    live = {f"flow-{number}": LiveVersion("14.0", NOON, NOON) for number in range(flows)}
    usual = Outcomes(300, {"TRANSFER": 300}, transfers={Target("ACD", "Service"): 300})
    for flow_id in live:
        world.happen(HOURS_BEFORE[1], "13.0", usual, flow_id=flow_id)
    keeper = BaselineKeeper("retail", world, Analytics(), interval_s=CONFIG.baseline_interval_s)

    told = []
    for minute in range(4):
        is_new = keeper.refresh(live, NOON + MINUTE * minute)
        told.append((is_new, len(keeper.shares(NOON + MINUTE * minute))))

    assert told == [(True, SHARES_PER_REFRESH), (True, 2 * SHARES_PER_REFRESH), (True, flows), (False, flows)]
    assert world.calls == ["history"]


def test_of_a_flow_that_the_history_does_not_know_any_more_no_share_is_known() -> None:
    world, usual = World(), Outcomes(300, {"TRANSFER": 300}, transfers={Target("ACD", "Service"): 300})
    world.happen(HOURS_BEFORE[1], "13.0", usual)
    world.happen(HOURS_BEFORE[1], "1.0", usual, flow_id="quiet")
    live = {"main": LiveVersion("14.0", NOON, NOON), "quiet": LiveVersion("2.0", NOON, NOON)}
    keeper = BaselineKeeper("retail", world, Analytics(), interval_s=CONFIG.baseline_interval_s)
    keeper.refresh(live, NOON)
    assert keeper.shares(NOON).keys() == live.keys()

    del world.outcomes["quiet", "1.0"]
    keeper.refresh(live, NOON + CONFIG.baseline_interval_s)
    assert keeper.shares(NOON + CONFIG.baseline_interval_s).keys() == {"main"}


def test_shares_that_are_too_old_do_not_come_back_with_the_next_history() -> None:
    world, flows = World(), SHARES_PER_REFRESH + 1
    live = {f"flow-{number}": LiveVersion("14.0", NOON, NOON) for number in range(flows)}
    usual = Outcomes(300, {"TRANSFER": 300}, transfers={Target("ACD", "Service"): 300})
    for flow_id in live:
        world.happen(HOURS_BEFORE[1], "13.0", usual, flow_id=flow_id)
    keeper = BaselineKeeper("retail", world, Analytics(), interval_s=CONFIG.baseline_interval_s)
    keeper.refresh(live, NOON)
    keeper.refresh(live, NOON + MINUTE)
    assert len(keeper.shares(NOON)) == flows

    late = NOON + (KEPT_INTERVALS + 1) * CONFIG.baseline_interval_s
    keeper.refresh(live, late)
    assert len(keeper.shares(late)) == SHARES_PER_REFRESH
