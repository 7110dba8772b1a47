"""Polls one organization in its own thread, so that one that is down does not delay another."""

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

from exporter.baselines import BaselineKeeper
from exporter.config import ExporterConfig
from exporter.exposition import render
from exporter.page import Board, prepared
from exporter.reader import OrganizationReader
from exporter.snapshot import Snapshot, samples
from genesys.budget import PutOff, nothing
from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError, NotAllowed
from genesys.log import event

log = logging.getLogger(__name__)

OFFSET_PARTS = 12  # of the interval: polls begin in the first five seconds of a minute by default
EACH_S = 0.1  # ... or in as many tenths of a second as there are organizations: none waits for a processor for long
MOST_PARTS = 2  # of the interval, however many there are


class Poller:
    """Polls at once, then as of every multiple of the poll interval, and publishes how each poll ended."""

    def __init__(
        self,
        org: str,
        cloud: GenesysCloud,
        reader: OrganizationReader,
        baselines: BaselineKeeper,
        *,
        config: ExporterConfig,
        board: Board,
        offset_s: float = 0.0,
        put_off_s: PutOff = nothing,
    ) -> None:
        self._org = org
        self._cloud = cloud
        self._reader = reader
        self._baselines = baselines
        self._config = config
        self._board = board
        self._offset_s = offset_s
        self._put_off_s = put_off_s

    def run(self, *, clock: Callable[[], float], wait: Callable[[float], bool]) -> None:
        """Poll until `wait(seconds)` says that it was told to stop.

        A poll is as of the full minute, and begins `offset_s` later: what it
        finds is the same for every offset, a live version's `since` included. Where the rate limit is nearly used up
        it waits, once, for the next minute of the limit: rollbacks and other people come first.
        """
        interval_s, offset_s = self._config.poll_interval_s, self._offset_s
        now = clock()
        while True:
            if put_off_s := self._put_off_s("poll"):
                if wait(put_off_s):
                    return
                now = max(now, last_tick(clock() - offset_s, interval_s))
            self.poll(now)
            now = next_poll(clock() - offset_s, interval_s)
            if wait(max(0.0, now + offset_s - clock())):
                return
            # After a long wait (a machine that slept) the newest minute counts, not the one that was missed.
            now = max(now, last_tick(clock() - offset_s, interval_s))

    def poll(self, now: float) -> None:
        """One poll as of `now`. It never raises: a failure is published and logged, and the next poll tries again."""
        try:
            snapshot = self._reader.read(now, self._baselines.baselines(now))
            snapshot = replace(snapshot, shares=self._baselines.shares(now))
            self._publish(snapshot, now)
            if self._baselines.refresh(snapshot.live, now, snapshot.evidence.signals):
                known, shares = self._baselines.baselines(now), self._baselines.shares(now)
                self._publish(replace(snapshot, baselines=known, shares=shares), now)
        except GenesysError as error:
            event(log, logging.WARNING, "poll_failed", org=self._org, error=error, cure=_cure(error))
            self._publish_failure()
        except Exception:
            # A mistake of ours must show as `genesys_up 0`, not as a thread that is gone.
            log.exception("poll_broken org=%s", self._org)
            self._publish_failure()

    def _publish(self, snapshot: Snapshot, now: float) -> None:
        pieces = prepared(render(samples(snapshot, self._config)))
        before = self._board.last(self._org)
        if not before.up:
            event(log, logging.INFO, "organization_up", org=self._org, flows=len(snapshot.flows))
        self._board.publish(
            replace(before, polled=True, up=True, succeeded_at=now, pieces=pieces, rate_limit=self._cloud.rate_limit)
        )

    def _publish_failure(self) -> None:
        """The last samples stay until they are stale; `genesys_up` is 0 at once."""
        before = self._board.last(self._org)
        self._board.publish(replace(before, polled=True, up=False, rate_limit=self._cloud.rate_limit))


def last_tick(now: float, interval_s: float) -> float:
    """The newest multiple of the interval that is not after `now`."""
    return math.floor(now / interval_s) * interval_s


def next_poll(now: float, interval_s: float) -> float:
    """The next multiple of the interval; polls that would have begun before now are left out."""
    return last_tick(now, interval_s) + interval_s


def share_of(poller: str) -> float:
    """At which part of the time in which polls begin those of `poller` do, in [0, 1).

    It is the same at each start, and another for each name. So the polls of many
    organizations and exporters do not reach Genesys Cloud in the same second.
    """
    return int.from_bytes(sha256(poller.encode()).digest()[:4], "big") / 2**32


def spread_s(organizations: int, interval_s: float) -> float:
    """In how many seconds after the full minute the polls of so many organizations begin."""
    return min(interval_s / MOST_PARTS, max(interval_s / OFFSET_PARTS, EACH_S * organizations))


def _cure(error: GenesysError) -> str:
    if isinstance(error, NotAllowed):
        return (
            "check the credentials in organizations.yml, and give the OAuth client's role "
            "architect:flow:view and analytics:flowAggregate:view"
        )
    return "nothing if it passes; samples are dropped after stale_after_s"
