"""When what is too old is removed: a little in a round of the loop, while no rollback is at work, by one receiver."""

import logging

from genesys.log import event
from receiver.feeds.plan import HORIZON_S
from receiver.standing import MISSED_LISTINGS
from receiver.store import retention, rollbacks
from receiver.store.retention import Horizon
from receiver.store.rollbacks import LEASED
from receiver.tools import Tools

log = logging.getLogger(__name__)

BATCH = 200  # rows of each table in one round: milliseconds
KEYS_KEPT_S = 86400.0  # of orders; whoever sends one again, after whatever outage, does so within a day
REST_S = 3600.0  # after everything that is too old is gone


class Retention:
    """One for each process, used by one thread."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._rests_until: float | None = None

    def sweep(self) -> None:
        """Remove some of what is too old, unless there was nothing left lately. Raises StoreUnavailable."""
        tools = self._tools
        if self._rests_until is not None and tools.monotonic() < self._rests_until:
            return
        with tools.store.begin() as tx:
            now = tools.clock(tx)
            if rollbacks.under_way(tx, None, LEASED):
                return
            gone = retention.sweep(tx, self._horizon(now), limit=BATCH)
        if gone:
            event(log, logging.INFO, "removed_old", **gone)
        self._rests_until = None if gone else tools.monotonic() + REST_S

    def _horizon(self, now: float) -> Horizon:
        timing = self._tools.timing
        return Horizon(
            old=now - timing.retention_s,
            attempts=now - max(timing.retention_s, timing.budget_s, timing.lockout_s),
            listed=now - MISSED_LISTINGS * timing.flows_s,
            keys=now - KEYS_KEPT_S,
            feeds=now - HORIZON_S,
        )
