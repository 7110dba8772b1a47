"""Fills the ledger: what versions did and when they were live, kept for longer than Genesys Cloud's history goes."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Event

from genesys.budget import PutOff, nothing
from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError, NotAllowed
from genesys.evidence import Evidence
from genesys.flows import FlowVersion
from genesys.log import event
from genesys.organizations import Analytics
from genesys.stints import Stint
from receiver.common_cause import by_flow
from receiver.config import Timing
from receiver.service import ended_stints, live_stint, periods
from receiver.store import flows, ledger
from receiver.store.database import Store, StoreUnavailable, Transaction, clock

log = logging.getLogger(__name__)

RETRY_PART = 10  # a history that could not be read is asked for again after a tenth of the usual time
ROWS_PER_TRANSACTION = 1000  # SQLite has one writer, and a delivery must not wait for a week of five thousand flows


class Ledger:
    """One organization's ledger. `note_versions` may be called by any thread, the rest is for one beside the worker's.

    The history is read by one of all receivers at a time, in the one call that
    the worker makes for it too. What only this process knows, each one keeps: what its
    dialect has seen live, and the dates of versions that were read for an alert.
    """

    def __init__(
        self,
        org: str,
        store: Store,
        genesys: GenesysCloud,
        analytics: Analytics,
        timing: Timing,
        *,
        credentials: Callable[[bool], None],
        put_off_s: PutOff = nothing,
        clock: Callable[[Transaction], float] = clock,
    ) -> None:
        """`credentials` is told whether Genesys Cloud accepts ours, whenever it says so."""
        self._org = org
        self._store = store
        self._genesys = genesys
        self._analytics = analytics
        self._timing = timing
        self._credentials = credentials
        self._put_off_s = put_off_s
        self._clock = clock
        self._noted: SimpleQueue[tuple[str, Sequence[FlowVersion]]] = SimpleQueue()
        self._kept: Mapping[str, Sequence[Stint]] = {}

    def run(self, stop: Event) -> None:
        """Keep the ledger until `stop` is set, whatever goes wrong."""
        while not stop.is_set():
            try:
                self.keep_stints()
                self.read_if_due()
            except StoreUnavailable as problem:
                self._not_stored(problem)
            except Exception:
                log.exception("ledger_failed org=%s", self._org)
            stop.wait(self._timing.tick_s)

    def note_versions(self, flow_id: str, versions: Sequence[FlowVersion]) -> None:
        """Keep the dates of these versions with the next round: they tell of times before there was a ledger."""
        self._noted.put((flow_id, versions))

    def recall(self) -> None:
        """Give the dialect what was seen before this process began; without the database it has to do without."""
        try:
            with self._store.begin() as tx:
                known = ledger.stints(tx, self._org)
        except StoreUnavailable as problem:
            self._not_stored(problem)
        else:
            self._genesys.recall(known)

    def keep_stints(self) -> None:
        """Keep what is newly known of when versions were live. Raises StoreUnavailable."""
        seen = self._genesys.stints()
        new = {flow_id: list(stints) for flow_id, stints in seen.items() if stints != self._kept.get(flow_id)}
        for flow_id, versions in self._newly_noted().items():
            new.setdefault(flow_id, []).extend(ended_stints(versions))
        if new:
            with self._store.begin() as tx:
                ledger.put_stints(tx, self._org, new)
        self._kept = seen

    def read_if_due(self) -> bool:
        """Put the settled history into the ledger if it is time to; True if that was done. Raises StoreUnavailable."""
        if self._put_off_s("history"):
            return False
        with self._store.begin() as tx:
            now = self._clock(tx)
            if not ledger.claim(tx, self._org, now=now, next_at=now + self._timing.ledger_s):
                return False
        self.recall()  # other receivers may have seen more
        end = self._analytics.history_end(now)
        try:
            history = self._genesys.evidence(
                end - self._analytics.history_s, end, bucket_s=self._analytics.history_bucket_s
            )
        except GenesysError as problem:
            if isinstance(problem, NotAllowed):
                self._credentials(False)
            self._failed(problem)
            return False
        self._credentials(True)
        self._keep(history)
        return True

    def _newly_noted(self) -> dict[str, Sequence[FlowVersion]]:
        """The newest of what was noted for each flow."""
        noted: dict[str, Sequence[FlowVersion]] = {}
        while True:
            try:
                flow_id, versions = self._noted.get_nowait()
            except Empty:
                return noted
            noted[flow_id] = versions

    def _keep(self, history: Evidence) -> None:
        rows = periods(history)
        while some := list(islice(rows, ROWS_PER_TRANSACTION)):
            with self._store.begin() as tx:
                ledger.put_periods(tx, self._org, some)
        with self._store.begin() as tx:
            now = self._clock(tx)
            ledger.put_stints(tx, self._org, self._live(tx, history))
            ledger.forget(tx, self._org, before=now - self._timing.ledger_keep_s)
            ledger.done(tx, self._org, now=now)

    def _live(self, tx: Transaction, history: Evidence) -> dict[str, list[Stint]]:
        """The stint of each live version, as the flows were last listed: that costs no call."""
        listing = flows.listing(tx, self._org)
        if listing is None or listing.listed_at is None:
            return {}
        known, parts, nothing = ledger.stints(tx, self._org), by_flow(history), replace(history, outcomes={})
        found = {}
        for flow in flows.of(tx, self._org):
            own = parts.get(flow.id, nothing)
            stint = live_stint(flow, known.get(flow.id, []), own, listed_at=listing.listed_at)
            if stint is not None:
                found[flow.id] = [stint]
        return found

    def _failed(self, problem: GenesysError) -> None:
        cure = "see the client's permissions and the network; the ledger goes on with what it has"
        event(log, logging.WARNING, "ledger_not_read", org=self._org, error=problem, cure=cure)
        with self._store.begin() as tx:
            retry_at = self._clock(tx) + self._timing.ledger_s / RETRY_PART
            ledger.failed(tx, self._org, str(problem), retry_at=retry_at)

    def _not_stored(self, problem: StoreUnavailable) -> None:
        cure = "bring the database back; see database_url in receiver.yml"
        event(log, logging.WARNING, "ledger_not_stored", org=self._org, error=problem, cure=cure)
