"""What the store promises about feeds, and several receivers that read the same ones, the same on both databases."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from receiver.config import ReceiverSettings
from receiver.feeds.announcement import Announcement, Reading
from receiver.feeds.polling import Poller
from receiver.feeds.settings import FeedSettings
from receiver.store import audit, controls, feeds
from receiver.store.controls import Window
from receiver.store.database import Store, Transaction
from receiver.store.feeds import FeedState
from tests.receiver_world import settings_of

NOW = 1_795_349_000.0
HOUR_S = 3600.0


@pytest.fixture
def tx(store: Store) -> Iterator[Transaction]:
    with store.begin() as opened:
        yield opened


def test_one_receiver_at_a_time_reads_a_feed_and_the_next_one_when_it_is_due(tx: Transaction) -> None:
    assert feeds.claim(tx, "changes", now=NOW, next_at=NOW + 60)
    assert not feeds.claim(tx, "changes", now=NOW + 59, next_at=NOW + 119)
    assert feeds.claim(tx, "outages", now=NOW + 59, next_at=NOW + 119)
    assert feeds.claim(tx, "changes", now=NOW + 60, next_at=NOW + 120)
    assert feeds.states(tx)["changes"] == FeedState("changes", NOW + 120, None, None, "")


def test_a_reading_that_began_earlier_and_ends_later_counts_for_nothing(tx: Transaction) -> None:
    feeds.claim(tx, "changes", now=NOW, next_at=NOW + 60)
    assert feeds.finish(tx, "changes", asked_at=NOW + 60, problem="")
    assert not feeds.finish(tx, "changes", asked_at=NOW, problem="")
    assert not feeds.finish(tx, "changes", asked_at=NOW + 60, problem="")
    assert feeds.states(tx)["changes"].read_at == NOW + 60


def test_a_failure_keeps_the_time_of_the_last_success(tx: Transaction) -> None:
    feeds.claim(tx, "changes", now=NOW, next_at=NOW + 60)
    feeds.finish(tx, "changes", asked_at=NOW, problem="")
    feeds.finish(tx, "changes", asked_at=NOW + 60, problem="down")
    assert feeds.states(tx)["changes"] == FeedState("changes", NOW + 60, NOW + 60, NOW, "down")
    feeds.finish(tx, "changes", asked_at=NOW + 120, problem="")
    assert feeds.states(tx)["changes"] == FeedState("changes", NOW + 60, NOW + 120, NOW + 120, "")


def open_window(tx: Transaction, uid: str, *, lasts_s: float = HOUR_S) -> Window:
    return controls.open_window(
        tx,
        org="retail",
        flow_ids=("flow-1",),
        kind="incident",
        starts_at=NOW,
        ends_at=NOW + lasts_s,
        reason="trunks",
        owner="",
        created_by="feed:outages",
        now=NOW,
        feed="outages",
        feed_uid=uid,
        url="https://example.org/1",
    )


def test_the_windows_of_a_feed_are_found_again_also_when_they_are_over(tx: Transaction) -> None:
    made = [open_window(tx, "a"), open_window(tx, "b", lasts_s=60), open_window(tx, "c")]
    assert controls.close_window(tx, made[2].id, by="ann", now=NOW + 1)
    found = controls.windows_of_feed(tx, "outages", since=NOW + 60)
    assert sorted((one.feed_uid or "", one.closed_by, one.url) for one in found) == [
        ("a", None, "https://example.org/1"),
        ("c", "ann", "https://example.org/1"),
    ]
    assert controls.windows_of_feed(tx, "changes", since=0) == []


def test_an_open_window_is_changed_and_one_that_is_over_stays_as_it_was(tx: Transaction) -> None:
    made = open_window(tx, "a")
    later = replace(made, ends_at=NOW + 2 * HOUR_S)
    assert controls.change_window(tx, later, by="feed:outages", now=NOW + 60)
    assert controls.list_windows(tx, now=NOW + 60) == [later]
    assert not controls.change_window(tx, made, by="feed:outages", now=NOW + 2 * HOUR_S)
    controls.close_window(tx, made.id, by="ann", now=NOW + 120)
    assert not controls.change_window(tx, made, by="feed:outages", now=NOW + 180)
    (kept,) = controls.list_windows(tx, now=NOW, ended=True)
    assert (kept.ends_at, kept.closed_at) == (NOW + 2 * HOUR_S, NOW + 120)


def test_the_audit_has_what_is_different_in_a_changed_window_only(store: Store) -> None:
    with store.begin() as tx:
        made = open_window(tx, "a")
    with store.begin() as tx:
        controls.change_window(tx, replace(made, ends_at=NOW + 60, reason="fewer"), by="feed:outages", now=NOW + 1)
    with store.begin() as tx:
        (row,) = audit.newest(tx, before=None, limit=1)
    different = {"ends_at": NOW + 60, "reason": "fewer"}
    assert json.loads(row.facts) == {"id": made.id, "org": "retail", "feed_uid": "a"} | different


def test_only_windows_that_have_begun_and_not_ended_are_active(tx: Transaction) -> None:
    made = open_window(tx, "a")
    for now, active in ((NOW - 1, []), (NOW, [made]), (NOW + HOUR_S, [])):
        assert controls.active_windows(tx, now=now) == active
        assert controls.active_windows(tx, now=now, org="bank") == []


class Memory:
    """A source that announces what it is told to, and can be held up."""

    def __init__(self, *announced: Announcement) -> None:
        self.announced = announced
        self.asked = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def read(self, since: float, until: float) -> Reading:
        self.asked += 1
        announced = self.announced
        assert self.go_on.wait(30)
        return Reading(announced)


def settings(folder: Path) -> ReceiverSettings:
    page = {"name": "outages", "url": "https://status.example.org", "covers": [{"org": "retail"}], "poll_s": 60.0}
    return settings_of(folder, feeds={"statuspage": [page]})


def windows(store: Store, now: float) -> list[Window]:
    with store.begin() as tx:
        return controls.list_windows(tx, now=now)


def test_of_receivers_that_want_to_read_a_feed_at_once_one_does_and_opens_each_window_once(
    store: Store, tmp_path: Path
) -> None:
    configured = settings(tmp_path)
    (feed,) = configured.feeds.all
    source = Memory(*(Announcement(f"u{number}", NOW, None, "trunks") for number in range(20)))
    ready, done = threading.Barrier(8), []

    def read() -> None:
        poller = Poller(feed, source, store, configured.timing, clock=lambda _: NOW)
        ready.wait(30)
        done.append(poller.read_if_due())

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == [False] * 7 + [True]
    assert source.asked == 1
    assert len(windows(store, NOW)) == 20


def test_readings_that_overlap_open_nothing_twice_and_the_newest_one_counts(store: Store, tmp_path: Path) -> None:
    """The first receiver is held up for longer than its turn lasts."""
    configured = settings(tmp_path)
    (feed,) = configured.feeds.all
    slow = Memory(Announcement("old", NOW, None, "over meanwhile"), Announcement("both", NOW, None, "trunks"))
    slow.go_on.clear()
    first = threading.Thread(target=poller(feed, slow, store, configured, NOW).read_if_due)
    first.start()
    while slow.asked == 0:
        assert first.is_alive()
    quick = Memory(Announcement("both", NOW, None, "trunks"))
    assert poller(feed, quick, store, configured, NOW + 60).read_if_due()
    slow.go_on.set()
    first.join(60)
    assert [one.feed_uid for one in windows(store, NOW + 61)] == ["both"]
    with store.begin() as tx:
        assert len(audit.newest(tx, before=None, limit=99)) == 1 + 1  # the first row of all, and the window


def poller(feed: FeedSettings, source: Memory, store: Store, configured: ReceiverSettings, at: float) -> Poller:
    return Poller(feed, source, store, configured.timing, clock=lambda _: at)


class Crash:
    """A source with a mistake in it."""

    def read(self, since: float, until: float) -> Reading:
        raise ZeroDivisionError("secret-of-the-source")


def test_whatever_happens_in_a_source_the_reading_ends_and_is_seen_to_have_failed(store: Store, tmp_path: Path) -> None:
    configured = settings(tmp_path)
    (feed,) = configured.feeds.all
    poller(feed, Memory(Announcement("a", NOW, None, "trunks")), store, configured, NOW).read_if_due()
    crashed = Poller(feed, Crash(), store, configured.timing, clock=lambda _: NOW + 60)
    assert not crashed.read_if_due()
    with store.begin() as tx:
        state = feeds.states(tx)["outages"]
    assert state == FeedState("outages", NOW + 120, NOW + 60, NOW, "unexpected: ZeroDivisionError")
    assert len(windows(store, NOW + 60)) == 1


def test_how_much_is_open_in_the_source_without_a_window_is_kept_while_it_cannot_be_read(
    store: Store, tmp_path: Path
) -> None:
    configured = settings(tmp_path)
    (feed,) = configured.feeds.all
    source = Memory(Announcement("a", NOW, None, "trunks"))
    poller(feed, source, store, configured, NOW).read_if_due()
    later = NOW + 5 * HOUR_S
    poller(feed, source, store, configured, later).read_if_due()
    Poller(feed, Crash(), store, configured.timing, clock=lambda _: later + 60).read_if_due()
    with store.begin() as tx:
        assert feeds.states(tx)["outages"].lapsed == 1
    assert windows(store, later) == []
