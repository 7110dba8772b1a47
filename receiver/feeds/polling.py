"""Reads a feed now and then, and lets its windows be as it has them; one of all receivers at a time.

In a thread of its own: no feed can delay the loop, or another feed. A feed that cannot be read changes nothing: what it
has announced stays until its end, and a metric, the log and `GET /maintenance` say so.
"""

import logging
from collections.abc import Callable
from threading import Event

from genesys.log import event
from receiver.config import Timing
from receiver.feeds.announcement import Reading, Source, printable
from receiver.feeds.plan import HORIZON_S, Listed, Plan, author, plan
from receiver.feeds.settings import FeedSettings
from receiver.outbound import OutboundError
from receiver.store import controls, feeds, flows
from receiver.store.database import Store, StoreUnavailable, Transaction, clock

log = logging.getLogger(__name__)

MISSED_READINGS = 3  # so many in a row, and the feed cannot be relied on


def is_current(feed: FeedSettings, read_at: float | None, now: float) -> bool:
    """Whether what is known of the feed is what it says now, as far as its `poll_s` goes."""
    return read_at is not None and now - read_at <= MISSED_READINGS * feed.poll_s


class Poller:
    """One feed. Used by one thread."""

    def __init__(
        self,
        feed: FeedSettings,
        source: Source,
        store: Store,
        timing: Timing,
        *,
        clock: Callable[[Transaction], float] = clock,
    ) -> None:
        self._feed = feed
        self._source = source
        self._store = store
        self._timing = timing
        self._clock = clock

    def run(self, stop: Event) -> None:
        """Read until `stop` is set, whatever goes wrong."""
        while not stop.is_set():
            try:
                self.read_if_due()
            except StoreUnavailable as problem:
                cure = "bring the database back; see database_url in receiver.yml"
                event(log, logging.WARNING, "feed_not_stored", feed=self._feed.name, error=problem, cure=cure)
            except Exception:
                log.exception("feed_failed feed=%s", self._feed.name)
            stop.wait(self._timing.tick_s)

    def read_if_due(self) -> bool:
        """Read the feed if it is time to; True if all of it was read. Raises StoreUnavailable."""
        asked_at = self._store.transact(self._claim)
        if asked_at is None:
            return False
        try:
            reading = self._source.read(asked_at, asked_at + HORIZON_S)
        except OutboundError as problem:
            reading = Reading((), printable(str(problem)))
        except Exception as problem:  # whatever it is, the reading ends, and people see that it has failed
            log.exception("feed_failed feed=%s", self._feed.name)
            reading = Reading((), f"unexpected: {type(problem).__name__}")
        done = self._store.transact(self._apply, reading, asked_at)
        self._tell(reading, done)
        return not reading.problem

    def _claim(self, tx: Transaction) -> float | None:
        """The time, if it is us who are to read the feed now."""
        now = self._clock(tx)
        return now if feeds.claim(tx, self._feed.name, now=now, next_at=now + self._feed.poll_s) else None

    def _apply(self, tx: Transaction, reading: Reading, asked_at: float) -> Plan | None:
        """What was changed; None if somebody else has read the feed since."""
        if not feeds.finish(tx, self._feed.name, asked_at=asked_at, problem=reading.problem):
            return None
        now = self._clock(tx)
        known = controls.windows_of_feed(tx, self._feed.name, since=now - HORIZON_S)
        made = plan(self._feed, reading, known, self._listed(tx), now=now)
        by = author(self._feed)
        for one in made.opened:
            controls.open_window(
                tx,
                org=one.org,
                flow_ids=one.flow_ids,
                kind=self._feed.kind.value,
                starts_at=one.starts_at,
                ends_at=one.ends_at,
                reason=one.reason,
                owner="",
                created_by=by,
                now=now,
                feed=self._feed.name,
                feed_uid=one.uid,
                url=one.url,
            )
        for changed in made.changed:
            controls.change_window(tx, changed, by=by, now=now)
        for closed in made.closed:
            controls.close_window(tx, closed.id, by=by, now=now)
        if not reading.problem:
            feeds.note_lapsed(tx, self._feed.name, made.lapsed)
        return made

    def _listed(self, tx: Transaction) -> Listed:
        listed = {}
        for org in (cover.org for cover in self._feed.covers if cover.flows):
            listing = flows.listing(tx, org)
            listed[org] = None if listing is None or listing.listed_at is None else flows.of(tx, org)
        return listed

    def _tell(self, reading: Reading, done: Plan | None) -> None:
        name = self._feed.name
        if reading.problem:
            cure = "see the feed's settings and its source; its windows stay until they end"
            event(log, logging.WARNING, "feed_not_read", feed=name, error=reading.problem, cure=cure)
        if done is not None and (done.opened or done.changed or done.closed):
            counts = {what: len(getattr(done, what)) for what in ("opened", "changed", "closed")}
            event(log, logging.INFO, "feed_windows", feed=name, **counts)
