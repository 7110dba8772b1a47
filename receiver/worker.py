"""The one loop: every few seconds look at what is open, decide, record what changed, do one step.

One worker per organization. A restart, the end of a window or of a lockout, or
the answer to a rate limit needs no code of its own: the next round sees it.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event

from genesys.log import event
from receiver.contents import Contents, to_compare
from receiver.deciding import decide_one
from receiver.gather import accusing, is_understood
from receiver.metrics import Outcome
from receiver.policy import is_final
from receiver.reader import Reading, unread
from receiver.reconciliation import Difference, Reconciliation
from receiver.retention import Retention
from receiver.rollback import advance, end_if_overdue, is_overdue
from receiver.store import alerts, leases, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import StoreUnavailable, Transaction
from receiver.store.leases import Lease, LeaseLost
from receiver.store.rollbacks import LEASED, AlreadyTried, Conflict, Rollback, State
from receiver.tools import Tools
from receiver.watchdog import Watchdog

log = logging.getLogger(__name__)

RECORDING_S = 2.0  # some hundred alerts that are over, and no longer than the usual wait for the next round
QUICK_LOOKS_S = 60.0  # after that a publish is no quick one, and so many calls are not worth a second
MAX_ALERTS = 50  # looked at in one round, so that a flood cannot use up the API limit; the others have their turn

_SENT = frozenset({State.PUBLISHING, State.CONFIRMING})


class Worker:
    """One organization's loop. Used by one thread; any may ask `silent_for_s`, and `hurry` it."""

    def __init__(self, org: str, tools: Tools, *, responsible_for_strangers: Sequence[str] = ()) -> None:
        """One worker also answers alerts of organizations that are not configured: it is given all that are.

        The same one watches the way of the alerts, and removes what is too old.
        """
        self._org = org
        self._tools = tools
        self._known_orgs = tuple(responsible_for_strangers)
        timing = tools.timing
        self._reconciliation = Reconciliation(settle_s=timing.reconcile_s, unlisted_s=timing.unlisted_s)
        self._watchdog = Watchdog(tools.telling, silent_s=timing.watchdog_silent_s) if self._known_orgs else None
        self._retention = Retention(tools) if self._known_orgs else None
        self._contents = Contents(org, tools.store, tools.genesys, clock=tools.clock)
        self._asked_at: float | None = None
        self._turn = 0
        self._last_round: float | None = None
        self._is_sound = True
        self._awaits_publish = False
        self._news = Event()
        self._was_hurried = False

    @property
    def org(self) -> str:
        return self._org

    def silent_for_s(self) -> float | None:
        """Seconds since the last finished round; None before the first one."""
        return None if self._last_round is None else self._tools.monotonic() - self._last_round

    def run(self, stop: Event) -> None:
        """Tick until `stop` is set; nothing that goes wrong in a round ends the loop."""
        while not stop.is_set():
            try:
                self.tick()
            except StoreUnavailable as problem:
                cure = "bring the database back; alerts are answered 503 and sent again meanwhile"
                event(log, logging.ERROR, "store_unavailable", org=self._org, error=problem, cure=cure)
            except LeaseLost as problem:
                event(log, logging.INFO, "taken_over", org=self._org, detail=problem)
            except Exception:
                log.exception("round_failed org=%s", self._org)
            self._rest(stop)

    def hurry(self) -> None:
        """Something new has come, or the loop is to end: the next round need not wait for its time."""
        self._news.set()

    def _rest(self, stop: Event) -> None:
        """Until the next round. One in two can be hurried, so that in a flood too there is time for all else."""
        if self._was_hurried:
            self._was_hurried = False
            stop.wait(self.pause_s)
        else:
            self._was_hurried = self._news.wait(self.pause_s)
        self._news.clear()

    @property
    def pause_s(self) -> float:
        """Until the next round: half as long while a publish is to be read back, for whose end callers wait."""
        return self._tools.timing.tick_s / (2 if self._awaits_publish else 1)

    def tick(self) -> None:
        """One round: decide about open alerts, then do one step of every rollback.

        A round in which something went wrong that no other round will mend does
        not count as finished: readiness and the metric of the last round show it.
        """
        self._is_sound, self._awaits_publish = True, False
        now, work, is_open = self._tools.store.transact(self._look)
        difference = self._compare_with_alertmanager(is_open, now)
        if work or difference:
            with self._lease() as lease:
                if lease is not None:
                    self._reconcile(lease, difference)
                    with self._apart(part="decisions"):  # what has begun goes on, whatever keeps us from deciding
                        self._close_and_refuse(lease)
                        self._decide_open(lease)
                    self._advance(lease)
        if self._retention is not None:
            self._retention.sweep()
        if not self._is_sound:
            return
        self._tools.metrics.tick(self._org, self._tools.store.transact(self._tools.clock))
        self._last_round = self._tools.monotonic()

    def _look(self, tx: Transaction) -> tuple[float, bool, list[StoredAlert]]:
        """The database's time, whether there is work, and what is open."""
        now = self._tools.clock(tx)
        if self._watchdog is not None:
            self._watchdog.check(tx, now=now)
        return now, self._work(tx), [*alerts.open_alerts(tx, self._org), *self._open_strangers(tx)]

    def _work(self, tx: Transaction) -> bool:
        return bool(
            alerts.open_alerts(tx, self._org)
            or alerts.closed_undecided(tx, self._org, limit=1)
            or rollbacks.under_way(tx, self._org)
            or self._strangers(tx)
            or self._stranded(tx)
        )

    @contextmanager
    def _lease(self) -> Iterator[Lease | None]:
        """The organization's lease for this round; kept while a rollback is between planned and confirming."""
        lease = self._tools.store.transact(self._take)
        yield lease
        if lease is not None:
            self._tools.store.transact(self._release, lease)

    def _take(self, tx: Transaction) -> Lease | None:
        tools = self._tools
        return leases.take(tx, lease_name(self._org), tools.receiver, now=tools.clock(tx), lease_s=tools.timing.lease_s)

    def _release(self, tx: Transaction, lease: Lease) -> None:
        leased = rollbacks.under_way(tx, self._org, LEASED)
        self._awaits_publish = _just_sent(leased, self._tools.clock(tx))
        if not leased:
            leases.release(tx, lease)

    def _compare_with_alertmanager(self, is_open: list[StoredAlert], now: float) -> Difference:
        """Ask Alertmanager in every round while an alert is open, else now and then."""
        tools = self._tools
        due = self._asked_at is None or abs(now - self._asked_at) >= tools.timing.reconcile_s  # clocks are set back too
        if not tools.alertmanagers.configured or not (is_open or due):
            return Difference()
        self._asked_at = now
        problem = tools.alertmanagers.refresh(now)
        listing = tools.alertmanagers.newest
        if problem is not None or listing is None:
            cure = "check `alertmanagers` in receiver.yml; without an answer nothing is rolled back"
            event(log, logging.WARNING, "alertmanager_unreachable", org=self._org, error=problem, cure=cure)
            return Difference()
        ours = [alert for alert in listing.alerts if self._answers_for(alert.label("org"))]
        return self._reconciliation.compare(listing, ours, is_open)

    def _answers_for(self, org: str) -> bool:
        return org == self._org or (bool(self._known_orgs) and org not in self._known_orgs)

    def _reconcile(self, lease: Lease, difference: Difference) -> None:
        """Open what no webhook has told of, and close what is over; decided like any other alert."""
        if not difference:
            return
        opened, closed = self._tools.store.transact(self._apply, lease, difference)
        self._tools.metrics.received(Outcome.RECONCILED, opened)
        if opened or closed:
            event(log, logging.INFO, "reconciled", org=self._org, opened=opened, closed=closed)

    def _apply(self, tx: Transaction, lease: Lease, difference: Difference) -> tuple[int, int]:
        tools = self._tools
        now = tools.clock(tx)
        leases.hold(tx, lease, now=now)
        closed_before = now - tools.timing.unlisted_s
        opened = alerts.open_missed(tx, difference.missed, closed_before=closed_before, now=now)
        return len(opened), alerts.close_unlisted(tx, difference.over, now=now)

    def _close_and_refuse(self, lease: Lease) -> None:
        """Record the end of alerts that are over, and refuse those of organizations that nobody configured.

        A flood of them has RECORDING_S in each round, so that no rollback waits for it.
        """
        tools = self._tools
        reading = unread("not read: nothing is to be done")
        batch = tools.store.transact(lambda tx: [*alerts.closed_undecided(tx, self._org), *self._strangers(tx)])
        enough_at = tools.monotonic() + RECORDING_S
        for alert in sorted(batch, key=lambda one: one.id):
            with self._apart(alert=alert.id):
                tools.store.transact(self._decide_one, lease, alert, reading)
            if tools.monotonic() >= enough_at:
                return

    def _strangers(self, tx: Transaction) -> list[StoredAlert]:
        return alerts.undecided_outside(tx, self._known_orgs) if self._known_orgs else []

    def _open_strangers(self, tx: Transaction) -> list[StoredAlert]:
        return alerts.open_outside(tx, self._known_orgs) if self._known_orgs else []

    def _decide_open(self, lease: Lease) -> None:
        tools = self._tools
        now, is_open = tools.store.transact(lambda tx: (tools.clock(tx), alerts.open_alerts(tx, self._org)))
        batch = self._take_turns([alert for alert in is_open if not _is_done_with(alert)])
        if not batch:
            return
        readings = tools.reader.read(self._worth_reading(batch), now=now)
        self._compare_contents(batch, readings, now)
        for alert in batch:
            with self._apart(alert=alert.id):
                reading = readings.get(alert.object_id, unread("not read: not understood"))
                tools.store.transact(self._decide_one, lease, alert, reading)

    def _compare_contents(self, batch: list[StoredAlert], readings: Mapping[str, Reading], now: float) -> None:
        """Before the decision: a target that is the same as what fails would help nobody."""
        for alert in batch:
            with self._apart(alert=alert.id):
                read = readings.get(alert.object_id)
                to_read = [] if read is None else to_compare(accusing(alert, read).version, read)
                self._contents.read(alert.object_id, to_read, now=now)

    def _worth_reading(self, batch: list[StoredAlert]) -> list[str]:
        """Flows of the alerts that are not refused whatever Genesys Cloud says."""
        found = []
        for alert in batch:
            with self._apart(alert=alert.id):
                if is_understood(alert, self._tools.around):
                    found.append(alert.object_id)
        return found

    def _take_turns(self, open_alerts: list[StoredAlert]) -> list[StoredAlert]:
        if len(open_alerts) <= MAX_ALERTS:
            return open_alerts
        self._turn %= len(open_alerts)
        batch = (open_alerts[self._turn :] + open_alerts[: self._turn])[:MAX_ALERTS]
        self._turn += MAX_ALERTS
        return batch

    def _decide_one(self, tx: Transaction, lease: Lease, known: StoredAlert, reading: Reading) -> None:
        leases.hold(tx, lease, now=self._tools.clock(tx))
        alert = alerts.get(tx, known.id)
        if alert is not None and alert.is_open == known.is_open:  # else a matter of the next round
            decide_one(tx, self._tools, alert, reading)

    def _advance(self, lease: Lease) -> None:
        pending = self._tools.store.transact(rollbacks.under_way, self._org)
        for rollback in pending:
            with self._apart(rollback=rollback.id):
                advance(self._tools, lease, rollback)
        for rollback in self._tools.store.transact(self._stranded):
            with self._apart(rollback=rollback.id):
                self._tools.store.transact(end_if_overdue, self._tools, rollback.id)

    def _stranded(self, tx: Transaction) -> list[Rollback]:
        """Rollbacks of organizations that are not configured (any more): whoever knows them has had the time."""
        if not self._known_orgs:
            return []
        others = [one for one in rollbacks.under_way(tx) if one.org not in self._known_orgs]
        return [one for one in others if is_overdue(one, self._tools, self._tools.clock(tx))]

    @contextmanager
    def _apart(self, **about: object) -> Iterator[None]:
        """What goes wrong with one alert or one rollback does not keep the others waiting."""
        try:
            yield
        except (StoreUnavailable, LeaseLost):
            raise
        except (Conflict, AlreadyTried) as problem:
            event(log, logging.INFO, "taken_over", org=self._org, **about, detail=problem)
        except Exception:
            self._is_sound = False
            names = " ".join(f"{name}={value}" for name, value in about.items())
            log.exception("not_decided org=%s %s", self._org, names)


def _is_done_with(alert: StoredAlert) -> bool:
    """What an alert without a version accuses may be another one by now, about which nothing was decided."""
    return bool(alert.version) and is_final(alert.verdict)


def _just_sent(leased: Sequence[Rollback], now: float) -> bool:
    """Is a publish to be read back that has not taken long yet?"""
    return any(one.state in _SENT and 0 <= now - (one.started_at or now) < QUICK_LOOKS_S for one in leased)


def lease_name(org: str) -> str:
    return f"org:{org}"
