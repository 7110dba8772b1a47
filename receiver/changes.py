"""Reads Genesys Cloud's audit now and then: who changed what, for records, notifications and metrics.

In a thread of its own, and nobody waits for it: an audit that cannot be read delays no rollback.
"""

import logging
from collections.abc import Callable
from threading import Event

from genesys.audit import SERVICES, Audit
from genesys.budget import PutOff, nothing
from genesys.errors import GenesysError, NotAllowed
from genesys.log import event
from receiver.config import Timing
from receiver.store import changes
from receiver.store.database import Store, StoreUnavailable, Transaction, clock

log = logging.getLogger(__name__)

FIRST_S = 3600.0  # so far back the first reading goes
OVERLAP_S = 900.0  # and so far each later one goes beyond the last: entries come late
FRESH_S = 60.0  # what was asked for later is new enough for an alert that opens
NOT_ALLOWED_S = 3600.0  # a missing permission is looked for again after that


class Changes:
    """One organization's audit, read by one of all receivers at a time. Used by one thread.

    The services have their turns, so that there is one call in `timing.audit_s`.
    """

    def __init__(
        self,
        org: str,
        store: Store,
        audit: Audit,
        timing: Timing,
        *,
        own_client_id: str,
        put_off_s: PutOff = nothing,
        clock: Callable[[Transaction], float] = clock,
    ) -> None:
        """`own_client_id` is the OAuth client of the bridge, whose changes are its own."""
        self._org = org
        self._store = store
        self._audit = audit
        self._timing = timing
        self._own_client_id = own_client_id
        self._put_off_s = put_off_s
        self._clock = clock

    def run(self, stop: Event) -> None:
        """Read until `stop` is set, whatever goes wrong."""
        while not stop.is_set():
            try:
                self.read_if_due()
            except StoreUnavailable as problem:
                cure = "bring the database back; see database_url in receiver.yml"
                event(log, logging.WARNING, "changes_not_stored", org=self._org, error=problem, cure=cure)
            except Exception:
                log.exception("changes_failed org=%s", self._org)
            stop.wait(self._timing.tick_s)

    def read_if_due(self) -> bool:
        """Read the first service whose turn it is; True if one was read. Raises StoreUnavailable."""
        if self._put_off_s("audit"):
            return False
        return any(self._read_if_due(service) for service in SERVICES)

    def _read_if_due(self, service: str) -> bool:
        claimed = self._store.transact(self._claim, service)
        if claimed is None:
            return False
        start, asked_at = claimed
        try:
            told = self._audit.changes(service, start, asked_at + changes.CLOCKS_S)
        except GenesysError as problem:
            self._store.transact(self._failed, service, problem)
            return False

        def keep(tx: Transaction) -> None:
            changes.put(tx, self._org, told, own_client_id=self._own_client_id, now=self._clock(tx))
            changes.done(tx, self._org, service, asked_at=asked_at)

        self._store.transact(keep)
        return True

    def _claim(self, tx: Transaction, service: str) -> tuple[float, float] | None:
        """From when on to read, and the time; if it is us who are to read the service now."""
        now = self._clock(tx)
        known = changes.readings(tx, self._org)
        next_at = now + len(SERVICES) * self._timing.audit_s
        if service not in known:  # the first turns are apart, so that all later ones are
            next_at = now + (1 + SERVICES.index(service)) * self._timing.audit_s
        if not changes.claim(tx, self._org, service, now=now, next_at=next_at, fresh_s=FRESH_S):
            return None
        read_at = known[service].read_at if service in known else None
        return (now - FIRST_S if read_at is None else read_at - OVERLAP_S), now

    def _failed(self, tx: Transaction, service: str, problem: GenesysError) -> None:
        """Told once for as long as it is the same kind of problem."""
        refused = isinstance(problem, NotAllowed)
        before = changes.readings(tx, self._org)[service].problem
        if not before:
            cure = (
                "give the OAuth client's role the permission audits:audit:view, or remove audit from receiver.yml"
                if refused
                else "nothing, if it passes; rollbacks go on without knowing who changed what"
            )
            about = {"org": self._org, "service": service, "error": problem, "cure": cure}
            event(log, logging.WARNING, "changes_refused" if refused else "changes_not_read", **about)
        pause_s = NOT_ALLOWED_S if refused else len(SERVICES) * self._timing.audit_s
        changes.failed(tx, self._org, service, str(problem), retry_at=self._clock(tx) + pause_s)
