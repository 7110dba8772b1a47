"""Watches the way of an alert: tells people when the alert that always fires does not arrive any more."""

from receiver.notify.events import Telling, put_path_silent
from receiver.store import watchdog
from receiver.store.database import Transaction, after_commit


class Watchdog:
    """One for each process, used by one thread; arrivals at any receiver count."""

    def __init__(self, telling: Telling, *, silent_s: float) -> None:
        self._telling = telling
        self._silent_s = silent_s
        self._waiting_since: float | None = None
        self._told: tuple[float | None] | None = None  # after which arrival

    def check(self, tx: Transaction, *, now: float) -> None:
        """Put ALERT_PATH_SILENT into the outbox if nothing has arrived for too long, once for each silence.

        A silence begins at the first look at the earliest: while the receiver was down, nothing could arrive.
        """
        if self._waiting_since is None:
            self._waiting_since = now
        last_seen = watchdog.last_seen(tx)
        if now - max(self._waiting_since, last_seen or 0.0) < self._silent_s or self._told == (last_seen,):
            return
        put_path_silent(tx, self._telling, last_seen, now=now)
        after_commit(tx, lambda: self._remember(last_seen))

    def _remember(self, last_seen: float | None) -> None:
        self._told = (last_seen,)
