"""Lists every flow of an organization now and then, so that people and metrics can say what applies to each."""

import logging
from collections.abc import Callable
from threading import Event

from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError, NotAllowed
from genesys.log import event
from receiver.config import Timing
from receiver.store import flows
from receiver.store.database import Store, StoreUnavailable, Transaction, clock

log = logging.getLogger(__name__)

RETRY_PART = 10  # a listing that failed is tried again after a tenth of the usual time


class Roster:
    """One organization's listing, one of all receivers at a time. Used by one thread, beside the worker's.

    It is not the worker's: a listing of many pages may take as long as a rollback has time.
    """

    def __init__(
        self,
        org: str,
        store: Store,
        genesys: GenesysCloud,
        timing: Timing,
        *,
        credentials: Callable[[bool], None],
        clock: Callable[[Transaction], float] = clock,
    ) -> None:
        """`credentials` is told whether Genesys Cloud accepts ours, whenever it says so."""
        self._org = org
        self._store = store
        self._genesys = genesys
        self._timing = timing
        self._credentials = credentials
        self._clock = clock

    def run(self, stop: Event) -> None:
        """List until `stop` is set, whatever goes wrong."""
        while not stop.is_set():
            try:
                self.list_if_due()
            except StoreUnavailable as problem:
                cure = "bring the database back; see database_url in receiver.yml"
                event(log, logging.WARNING, "flows_not_stored", org=self._org, error=problem, cure=cure)
            except Exception:
                log.exception("listing_failed org=%s", self._org)
            stop.wait(self._timing.tick_s)

    def list_if_due(self) -> bool:
        """List the organization's flows if it is time to; True if they were listed. Raises StoreUnavailable."""
        if not self._store.transact(self._claim):
            return False
        try:
            listed = self._genesys.flows()
        except GenesysError as problem:
            if isinstance(problem, NotAllowed):
                self._credentials(False)
            self._failed(problem)
            return False
        self._credentials(True)
        self._store.transact(lambda tx: flows.replace(tx, self._org, listed, now=self._clock(tx)))
        return True

    def _claim(self, tx: Transaction) -> bool:
        now = self._clock(tx)
        return flows.claim(tx, self._org, now=now, next_at=now + self._timing.flows_s)

    def _failed(self, problem: GenesysError) -> None:
        cure = "see the client's permissions and the network; flows are judged all the same, one by one"
        event(log, logging.WARNING, "flows_not_listed", org=self._org, error=problem, cure=cure)
        error, pause_s = str(problem), self._timing.flows_s / RETRY_PART
        self._store.transact(lambda tx: flows.failed(tx, self._org, error, retry_at=self._clock(tx) + pause_s))
