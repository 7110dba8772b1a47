"""The leases of a drill: while it holds them no receiver begins a rollback of the organization."""

from collections.abc import Sequence
from typing import Any

from receiver.config import ReceiverSettings, Scope
from receiver.store import audit, controls, leases, rollbacks
from receiver.store.database import Store, Transaction, clock
from receiver.store.leases import Lease
from receiver.worker import lease_name


class NotNow(Exception):
    """Nothing was written; the text says what is in the way."""


class Fence:
    """Taken before the first write, renewed before each, given back at the end."""

    def __init__(
        self, store: Store, settings: ReceiverSettings, *, org: str, orgs: Sequence[str], owner: str, lease_s: float
    ) -> None:
        """With `lease_scope: all` the leases of all `orgs` are taken.

        `lease_s` must be longer than what is done between two renewals takes.
        """
        self._store = store
        self._org = org
        names = orgs if settings.lease_scope is Scope.ALL else [org]
        self._names = [lease_name(name) for name in sorted(names)]
        self._owner = owner
        self._lease_s = lease_s
        self._leases: list[Lease] = []

    def take(self, flow_id: str) -> None:
        """Raises NotNow while something is under way, or people have said no. Raises StoreUnavailable."""
        self._leases = self._store.transact(self._take, flow_id)

    def renew(self, facts: dict[str, Any] | None = None) -> None:
        """Hold the leases for another while, and write `facts` into the audit. Raises LeaseLost, StoreUnavailable.

        One that ran out and that nobody has taken meanwhile is ours again.
        """
        self._store.transact(self._renew, facts)

    def give_back(self, facts: dict[str, Any]) -> None:
        """The last words for the audit. Raises StoreUnavailable."""
        self._store.transact(self._give_back, facts)

    def _take(self, tx: Transaction, flow_id: str) -> list[Lease]:
        now = clock(tx)
        taken = [leases.take(tx, name, self._owner, now=now, lease_s=self._lease_s) for name in self._names]
        problem = _in_the_way(tx, self._org, flow_id)
        held = [one for one in taken if one is not None]
        if problem or len(held) < len(taken):
            raise NotNow(problem or "a receiver is at work in this organization; try again in a minute")
        return held

    def _renew(self, tx: Transaction, facts: dict[str, Any] | None) -> None:
        now = clock(tx)
        for lease in self._leases:
            leases.hold(tx, lease, now=now)
        if facts is not None:
            audit.record(tx, audit.Kind.DRILL, {"org": self._org} | facts, at=now)

    def _give_back(self, tx: Transaction, facts: dict[str, Any]) -> None:
        audit.record(tx, audit.Kind.DRILL, {"org": self._org} | facts, at=clock(tx))
        for lease in self._leases:
            leases.release(tx, lease)


def _in_the_way(tx: Transaction, org: str, flow_id: str) -> str:
    pauses = controls.list_pauses(tx, org)
    if pauses:
        return f"paused by {pauses[0].paused_by} ({pauses[0].reason})"
    holds = [hold for hold in controls.list_holds(tx, org) if hold.covers(flow_id)]
    if holds:
        return f"the flow is held by {holds[0].owner} ({holds[0].reason})"
    under_way = rollbacks.under_way(tx, org)
    return f"rollback {under_way[0].id} is {under_way[0].state.value}" if under_way else ""
