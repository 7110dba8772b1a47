"""One organization as people ask about it, and order by hand: decided at once, on a reading of its own.

The loop's readings are the loop's; this one is made when somebody asks. The questions of all people have one turn,
so that they take no more than one thread from the webhook, however slow Genesys Cloud is.

NotKnown      there is no such flow, or no version of it is live
NotReadable   it cannot be told now; the same may be answered later
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock
from typing import TypeVar

from genesys.evidence import Signal
from genesys.flows import Flow
from genesys.objects import OBJECT_TYPES
from receiver import by_hand
from receiver.contents import Contents, to_compare
from receiver.gather import situation
from receiver.orders import NotPossible, passes
from receiver.payload import ACTION, FLOW
from receiver.policy import CONTRACT, Decision, Verdict, decide
from receiver.reader import Reading
from receiver.situation import Situation
from receiver.store import alerts, flows, ways_in_vain
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction
from receiver.store.rollbacks import Rollback
from receiver.tools import Tools

T = TypeVar("T")

TURN_WITHIN_S = 2.0
NOBODYS = 0  # the id of an alert that nobody has sent


class NotKnown(Exception):
    """There is nothing to ask about; the text says why."""


class NotReadable(Exception):
    """It cannot be told now; the text says why."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would be decided if the live version were accused: about the alert that is open, or as if there were one."""

    alert: StoredAlert
    situation: Situation
    decision: Decision

    @property
    def is_hypothetical(self) -> bool:
        return self.alert.id == NOBODYS


@dataclass(frozen=True, slots=True)
class Order:
    """What a person wants who rolls a flow back by hand; without `accused_version`, whatever is live."""

    reason: str
    accused_version: str | None = None
    signal: Signal = Signal.ERROR_EXIT
    overrides: Sequence[Verdict] = ()


Plan = Callable[[Transaction], Rollback]
"""Stores the rollback. Raises NotPossible, and HeldBack where guards hold back."""


class Desk:
    """For one organization; may be used by any thread."""

    def __init__(self, tools: Tools, turn: Lock) -> None:
        """`tools` are used by nobody else; `turn` is that of every desk."""
        self._tools = tools
        self._turn = turn

    def explain(self, org: str, flow_id: str, signal: Signal) -> Explanation:
        """The same guards as the loop's, on its own reading; nothing is written. Raises NotKnown or NotReadable."""
        tools = self._tools
        with self._in_turn():
            flow, reading = self._read(org, flow_id, afresh=False)
            with tools.store.begin() as tx:
                now = tools.clock(tx)
                alert = accusation(tx, org, flow, signal, now=now)
                suppression = tools.alertmanagers.suppression(alert.fingerprint, now)
                facts = situation(tx, alert, reading, suppression, tools.around, now=now)
                return Explanation(alert, facts, decide(facts, tools.limits))

    def roll_back(self, org: str, flow_id: str, order: Order, keep: Callable[[Transaction, Plan], T], *, by: str) -> T:
        """Plan a rollback by hand; the loop decides anew before it writes.

        `keep` is called in the transaction, and has the rollback planned. Raises NotKnown, NotReadable, NotPossible,
        and HeldBack where guards hold back.
        """
        tools = self._tools
        with self._in_turn():
            flow, reading = self._read(org, flow_id, afresh=True)
            if order.accused_version not in (None, flow.live_version):
                raise NotPossible(f"live is version {flow.live_version}, not {order.accused_version}")
            compared = Contents(org, tools.store, tools.genesys, clock=tools.clock)
            compared.read(flow_id, to_compare(flow.live_version or "", reading), now=tools.store.transact(tools.clock))
            return tools.store.transact(keep, lambda tx: self._plan(tx, org, flow, reading, order, by))

    def _plan(self, tx: Transaction, org: str, flow: Flow, reading: Reading, order: Order, by: str) -> Rollback:
        tools = self._tools
        now = tools.clock(tx)
        alert = accusation(tx, org, flow, order.signal, now=now)
        if alert.id == NOBODYS:
            alert = replace(alert, is_open=False)  # a person accuses the version, and no alert fires
        settings = tools.around.settings
        in_vain = ways_in_vain.of(tx, org)
        drafted = by_hand.draft(
            alert, flow, settings, order.overrides, by=by, reason=order.reason, now=now, in_vain=in_vain
        )
        suppression = tools.alertmanagers.suppression(alert.fingerprint, now)
        facts = situation(tx, alert, reading, suppression, tools.around, now=now, own=drafted)
        decision = decide(facts, tools.limits, passes(drafted))
        return by_hand.plan(tx, drafted, alert, facts, decision, settings)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=TURN_WITHIN_S):
            raise NotReadable("somebody else asks Genesys Cloud just now; ask again in a few seconds")
        try:
            yield
        finally:
            self._turn.release()

    def _read(self, org: str, flow_id: str, *, afresh: bool) -> tuple[Flow, Reading]:
        """The flow, with a live version, and all that bears on it; not `afresh` it is at most a bucket old.

        The calls are those that rollbacks have: who only looks, again and again, must not use them up.
        """
        tools = self._tools
        with tools.store.begin() as tx:
            now = tools.clock(tx)
            is_listed = bool(flows.of(tx, org, flow_id))
        tools.alertmanagers.refresh(now)
        reading = (
            tools.reader.read_afresh(flow_id, now=now) if afresh else tools.reader.read([flow_id], now=now)[flow_id]
        )
        flow = reading.flow.value
        if flow is None and is_listed:
            raise NotReadable(f"flow {flow_id} of {org} could not be read: {reading.flow.problem}")
        if flow is None:
            raise NotKnown(
                f"no live flow {flow_id} of {org} was listed, and Genesys Cloud says: {reading.flow.problem}"
            )
        if flow.live_version is None:
            raise NotKnown(f"no version of flow {flow_id} of {org} is live")
        return flow, reading


def accusation(tx: Transaction, org: str, flow: Flow, signal: Signal, *, now: float) -> StoredAlert:
    """The open alert that accuses the live version by this signal, or one as if there were; nothing is written."""
    version = flow.live_version or ""
    for alert in alerts.open_alerts(tx, org):
        if (alert.object_id, alert.version or version, alert.signal) == (flow.id, version, signal.value):
            return replace(alert, version=version)
    is_flow = flow.type not in OBJECT_TYPES
    named = (
        {"flow_id": flow.id, "flow_version": version} if is_flow else {"object_type": flow.type, "object_id": flow.id}
    )
    about = {"org": org, **named, "signal": signal.value}
    return StoredAlert(
        id=NOBODYS,
        fingerprint="",
        org=org,
        object_type=FLOW if is_flow else flow.type,
        object_id=flow.id,
        version=version,
        signal=signal.value,
        starts_at=now,
        is_open=True,
        labels=about | {"genesys_action": ACTION, "genesys_contract": CONTRACT},
        annotations={},
        received_at=now,
        refreshed_at=now,
        closed_at=None,
        verdict=None,
        holding_back=None,
    )
