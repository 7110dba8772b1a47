"""Lists every flow of an organization now and then, so that people and metrics can say what applies to each.

From the same list registered deployments learn their versions, and it is seen what became
live since the last one, and whether it is known bad.
"""

import logging
from collections.abc import Callable, Sequence
from threading import Event

from genesys.budget import PutOff, nothing
from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError, NotAllowed
from genesys.flows import Flow
from genesys.log import event
from receiver.config import Timing
from receiver.store import changes, deployments, flows
from receiver.store.database import Store, StoreUnavailable, Transaction, clock

log = logging.getLogger(__name__)

RETRY_PART = 10  # a listing that failed is tried again after a tenth of the usual time
UNRESOLVED_S = 60.0  # until the next listing while a deployment awaits its versions: one call, whatever their number


def look_at_nothing(_listed: Sequence[Flow]) -> None:
    """For who watches no quarantine."""


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
        look: Callable[[Sequence[Flow]], None] = look_at_nothing,
        put_off_s: PutOff = nothing,
        clock: Callable[[Transaction], float] = clock,
    ) -> None:
        """`credentials` is told whether Genesys Cloud accepts ours, whenever it says so, `look` is given each list."""
        self._org = org
        self._store = store
        self._genesys = genesys
        self._timing = timing
        self._credentials = credentials
        self._look = look
        self._put_off_s = put_off_s
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
        if self._put_off_s("flows"):
            return False
        asked_at = self._store.transact(self._claim)
        if asked_at is None:
            return False
        try:
            listed = self._genesys.flows()
        except GenesysError as problem:
            if isinstance(problem, NotAllowed):
                self._credentials(False)
            self._failed(problem)
            return False
        self._credentials(True)
        self._store.transact(self._keep, listed, asked_at)
        self._look(listed)
        return True

    def _claim(self, tx: Transaction) -> float | None:
        """The time, if it is us who are to list the organization now."""
        now = self._clock(tx)
        claimed = flows.claim(tx, self._org, now=now, next_at=now + self._timing.flows_s)
        return now if claimed else None

    def _keep(self, tx: Transaction, listed: Sequence[Flow], asked_at: float) -> None:
        now, since = self._clock(tx), asked_at - self._timing.resolve_s
        last = flows.listing(tx, self._org)
        if last is not None and last.listed_at is not None:  # before the first one nobody can tell what is new
            changes.put_listed(tx, self._org, flows.of(tx, self._org), listed, now=now)
        flows.replace(tx, self._org, listed, now=now)
        deployments.resolve(tx, self._org, _settled(listed), since=since, asked_at=asked_at)
        if deployments.awaits_versions(tx, self._org, since=since):
            flows.list_by(tx, self._org, at=now + UNRESOLVED_S)

    def _failed(self, problem: GenesysError) -> None:
        cure = "see the client's permissions and the network; flows are judged all the same, one by one"
        event(log, logging.WARNING, "flows_not_listed", org=self._org, error=problem, cure=cure)
        error, pause_s = str(problem), self._timing.flows_s / RETRY_PART
        self._store.transact(lambda tx: flows.failed(tx, self._org, error, retry_at=self._clock(tx) + pause_s))


def _settled(listed: Sequence[Flow]) -> dict[str, str]:
    """What is live, of flows that nobody is publishing right now."""
    still = [flow for flow in listed if flow.operation is None or flow.operation.complete]
    return {flow.id: flow.live_version for flow in still if flow.live_version is not None}
