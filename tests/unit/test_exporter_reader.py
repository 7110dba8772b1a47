"""Which version the reader believes in, what it asks Genesys Cloud for, and how often."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from exporter.listing import OVERLAP_S, PAGE_FLOWS, WHOLE_EVERY_POLLS, WHOLE_UP_TO_FLOWS
from exporter.reader import EXTRA_READS_KEPT, OrganizationReader
from exporter.snapshot import Snapshot
from genesys.errors import GenesysError, NotAllowed, Refused, Unavailable
from genesys.flows import Flow, FlowVersion
from genesys.organizations import Analytics
from tests.unit.exporter_world import MAIN, MINUTE, NOON, World, bad, good


class Watch:
    """A reader and its world, polled by the minute."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = float(NOON)
        self.revisions: list[float] = []
        self.reader = self._new_reader()

    def _new_reader(self) -> OrganizationReader:
        return OrganizationReader("retail", self.world, Analytics(), tell_revisions=self._note)

    def _note(self, ages_s: Iterable[float]) -> None:
        self.revisions.extend(ages_s)

    def poll(self, *, minutes_later: float = 1) -> Snapshot:
        self.now += minutes_later * MINUTE
        self.world.calls.clear()
        return self.reader.read(self.now, {})

    def restart(self) -> None:
        self.reader = self._new_reader()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def watch(world: World) -> Watch:
    return Watch(world)


def test_a_poll_asks_for_the_settled_trailing_hour_in_four_calls(watch: Watch, world: World) -> None:
    snapshot = watch.poll()

    # `evidence` is two requests on the wire: entries and exits.
    assert sorted(world.calls) == ["conversations", "evidence", "flows"]
    assert snapshot.evidence.end == watch.now - 60
    assert snapshot.evidence.start == snapshot.evidence.end - 3600


def test_a_late_correction_replaces_the_bucket_and_its_age_is_told(watch: Watch, world: World) -> None:
    world.happen(NOON - 120, "13.0", bad(5))
    watch.poll()
    world.happen(NOON - 120, "13.0", good(9))

    snapshot = watch.poll()

    assert snapshot.evidence.outcomes["main", "13.0"] == {NOON - 120: good(9)}
    assert watch.revisions == [watch.now - (NOON - 60)]


def test_a_bucket_that_is_new_or_has_left_the_hour_is_no_correction(watch: Watch, world: World) -> None:
    world.happen(NOON - 3600, "13.0", good(5))
    watch.poll()
    world.happen(NOON, "13.0", good(5))
    watch.poll()

    assert watch.revisions == []


def test_a_change_of_the_live_version_counts_from_the_poll_that_saw_it(watch: Watch, world: World) -> None:
    assert watch.poll().live["main"].since == NOON - 86400
    world.go_live("14.0", published_at=watch.now + 20)

    live = watch.poll().live["main"]

    assert (live.version, live.since) == ("14.0", watch.now)


def test_a_republish_that_keeps_its_old_date_counts_from_the_poll_that_saw_it(watch: Watch, world: World) -> None:
    world.go_live("14.0", published_at=NOON - 300.0)
    watch.poll()
    world.go_live("13.0", published_at=NOON - 86400.0)

    live = watch.poll().live["main"]

    assert (live.version, live.since) == ("13.0", watch.now)
    assert watch.poll().live["main"] == live, "and stays there"


def test_a_restart_after_such_a_republish_does_not_judge_what_the_version_did_before(
    watch: Watch, world: World
) -> None:
    """13.0 was bad, 14.0 replaced it, 13.0 was published again with its old date, and the exporter restarts."""
    world.happen(NOON - 1800, "13.0", bad(50))
    world.happen(NOON - 600, "14.0", good(20))
    world.happen(NOON - 540, "14.0", good(3))
    world.happen(NOON - 540, "13.0", good(5))
    world.go_live("13.0", published_at=NOON - 86400.0)
    watch.restart()

    assert watch.poll().live["main"].since == NOON - 480


def test_the_end_of_the_predecessor_counts_when_it_is_later_by_genesys_clouds_clock(watch: Watch, world: World) -> None:
    watch.poll()
    end = watch.now + 65
    world.known_versions["main"] = [
        FlowVersion("13.0", debug=False, published_at=NOON - 86400.0, published_until=end, published_by=None),
        FlowVersion("14.0", debug=False, published_at=end, published_until=None, published_by=None),
    ]
    world.go_live("14.0", published_at=None)

    assert watch.poll().live["main"].since == end
    assert world.calls.count("versions") == 1

    watch.poll()
    assert "versions" not in world.calls, "asked once, when the change was seen"


def test_an_end_that_cannot_be_read_does_not_fail_the_poll(watch: Watch, world: World) -> None:
    watch.poll()
    world.go_live("14.0", published_at=None)
    world.broken["versions"] = Unavailable("no answer")

    assert watch.poll().live["main"].since == watch.now


def test_a_change_that_the_list_misses_shows_in_the_evidence_and_the_flow_is_read(watch: Watch, world: World) -> None:
    watch.poll()
    changed_at = int(watch.now)
    world.unlisted["main"] = replace(MAIN, live_version="14.0", live_published_at=float(changed_at))
    assert watch.poll().live["main"].version == "13.0"
    world.happen(changed_at, "14.0", bad(4))
    world.listed["main"] = replace(world.listed["main"], name="Main IVR (stale)")

    live = watch.poll().live["main"]

    assert "flow" in world.calls
    assert (live.version, live.since) == ("14.0", watch.now)


def test_a_list_that_lags_behind_for_long_does_not_win_over_the_flow_itself(watch: Watch, world: World) -> None:
    watch.poll()
    world.unlisted["main"] = replace(MAIN, live_version="14.0", live_published_at=watch.now)
    world.happen(int(watch.now), "14.0", bad(4))
    watch.poll()
    seen = watch.poll().live["main"]
    assert seen.version == "14.0"

    for _ in range(5):
        assert watch.poll().live["main"] == seen
        assert world.calls.count("flow") == 1

    world.listed = dict(world.unlisted)
    assert watch.poll().live["main"] == seen
    assert "flow" not in world.calls, "the list has caught up"


def test_a_flow_whose_evidence_fits_is_never_read_on_its_own(watch: Watch, world: World) -> None:
    world.happen(NOON - 120, "14.0", bad(4))
    world.go_live("14.0", published_at=NOON - 150.0)
    world.happen(NOON - 180, "13.0", good(9))
    watch.poll()
    assert "flow" not in world.calls

    world.go_live("13.0", published_at=None)
    for minute in range(3):
        world.happen(NOON + minute * MINUTE, "13.0", good(5))
        watch.poll()
        assert "flow" not in world.calls, "the rollback explains the evidence of 14.0"


def test_a_flow_that_is_gone_when_it_is_read_vanishes(watch: Watch, world: World) -> None:
    watch.poll()
    world.happen(NOON, "14.0", good(1))
    world.unlisted["main"] = replace(MAIN, deleted=True)

    snapshot = watch.poll()

    assert snapshot.flows == {}
    assert snapshot.live == {}


def test_extra_reads_are_bounded_and_what_waits_is_read_later(watch: Watch, world: World) -> None:
    names = [f"flow-{number:02}" for number in range(EXTRA_READS_KEPT + 3)]
    world.listed = {name: replace(MAIN, id=name) for name in names}
    watch.poll()
    for name in names:
        world.happen(NOON, "14.0", good(1), flow_id=name)

    watch.poll()
    assert world.calls.count("flow") == EXTRA_READS_KEPT
    read_later = 0
    for _ in range(4):
        watch.poll()
        read_later += world.calls.count("flow")
        assert world.calls.count("flow") <= 1
    assert read_later == 3


@pytest.mark.parametrize(
    ("error", "reads"),
    [
        pytest.param(Unavailable("no answer"), 1, id="unavailable: the others would wait as long"),
        pytest.param(Refused("bad request", 400), 3, id="refused: it concerns this flow alone"),
    ],
)
def test_flows_that_cannot_be_read_do_not_hold_up_the_poll(
    watch: Watch, world: World, error: GenesysError, reads: int
) -> None:
    world.listed = {name: replace(MAIN, id=name) for name in ("one", "two", "three")}
    watch.poll()
    for name in world.listed:
        world.happen(NOON, "14.0", good(1), flow_id=name)
    world.broken["flow"] = error

    snapshot = watch.poll()

    assert world.calls.count("flow") == reads
    assert {live.version for live in snapshot.live.values()} == {"13.0"}


def test_a_deactivated_flow_is_judged_anew_when_it_is_active_again(watch: Watch, world: World) -> None:
    watch.poll()
    world.listed["main"] = replace(MAIN, active=False)
    assert watch.poll().live == {}
    world.listed["main"] = MAIN

    assert watch.poll().live["main"].since == watch.now


@pytest.mark.parametrize("method", ["flows", "evidence"])
def test_nothing_of_a_failed_poll_counts(watch: Watch, world: World, method: str) -> None:
    watch.poll()
    world.go_live("14.0", published_at=None)
    world.broken[method] = Unavailable("no answer")
    with pytest.raises(Unavailable):
        watch.poll()
    world.broken.clear()

    live = watch.poll().live["main"]

    assert (live.version, live.since) == ("14.0", watch.now)


def test_the_first_poll_that_succeeds_is_the_first_poll(watch: Watch, world: World) -> None:
    world.broken["evidence"] = Unavailable("no answer")
    with pytest.raises(Unavailable):
        watch.poll()
    world.broken.clear()

    assert watch.poll().live["main"].since == NOON - 86400, "nobody saw a change"


def test_without_the_organizations_figures_the_poll_succeeds(watch: Watch, world: World) -> None:
    world.broken["conversations"] = NotAllowed("missing permission", 403)

    snapshot = watch.poll()

    assert snapshot.conversations is None
    assert "main" in snapshot.live


def _flows(number: int) -> dict[str, Flow]:
    return {f"flow-{index}": replace(MAIN, id=f"flow-{index}") for index in range(number)}


def test_up_to_two_pages_the_whole_list_is_read_at_every_poll(watch: Watch, world: World) -> None:
    world.listed = _flows(WHOLE_UP_TO_FLOWS)

    for _ in range(3):
        watch.poll()
        assert [call for call in world.calls if call.startswith("flows")] == ["flows"]


def test_of_a_longer_list_only_what_was_published_is_read_and_the_whole_at_every_tenth_poll(
    watch: Watch, world: World
) -> None:
    world.listed = _flows(WHOLE_UP_TO_FLOWS + 1)
    calls = []
    for _ in range(2 * WHOLE_EVERY_POLLS + 1):
        watch.poll()
        calls += [call for call in world.calls if call.startswith("flows")]

    assert [poll for poll, call in enumerate(calls) if call == "flows"] == [0, 10, 20]
    assert set(calls) == {"flows", "flows published after"}


def test_the_whole_of_a_very_long_list_costs_no_more_than_a_page_per_poll(watch: Watch, world: World) -> None:
    world.listed = _flows(20 * PAGE_FLOWS)
    calls = []
    for _ in range(41):
        watch.poll()
        calls += [call for call in world.calls if call.startswith("flows")]

    assert [poll for poll, call in enumerate(calls) if call == "flows"] == [0, 20, 40]


def test_in_a_longer_list_a_publication_is_seen_at_the_next_poll_and_a_deletion_with_the_whole_list(
    watch: Watch, world: World
) -> None:
    world.listed = _flows(WHOLE_UP_TO_FLOWS + 2)
    watch.poll()
    # Dated before the poll that missed it: two clocks, or a list that lags behind.
    world.go_live("14.0", published_at=watch.now - OVERLAP_S + 1, flow_id="flow-1")
    del world.listed["flow-2"]

    snapshot = watch.poll()
    assert snapshot.live["flow-1"].version == "14.0"
    assert snapshot.live["flow-1"].since == watch.now
    assert "flow-2" in snapshot.flows

    for _ in range(WHOLE_EVERY_POLLS - 1):
        snapshot = watch.poll()
    assert "flow-2" not in snapshot.flows
