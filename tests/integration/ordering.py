"""People who approve, deny and undo in a world in memory, as the API has it done."""

from typing import Protocol

from receiver import orders
from receiver.config import ReceiverSettings
from receiver.metrics import ReceiverMetrics
from receiver.store import quarantines, rollbacks
from receiver.store.database import Store
from receiver.store.rollbacks import Rollback, State
from tests.integration.receiver_world import Time

ASKING = [{"match": "*", "mode": "approve", "owner": "team-voice"}]
"""`flows` of a receiver.yml that asks for every flow."""


class World(Protocol):
    """A scene; of the simulator or of what is in memory."""

    @property
    def settings(self) -> ReceiverSettings: ...
    @property
    def store(self) -> Store: ...
    @property
    def time(self) -> Time: ...


def all_rollbacks(here: World) -> list[Rollback]:
    """Newest first."""
    with here.store.begin() as tx:
        return rollbacks.newest(tx, org=None, flow_id=None, limit=100)


def waiting(here: World) -> list[Rollback]:
    return [one for one in all_rollbacks(here) if one.state is State.AWAITING_APPROVAL]


def approve(here: World, *, by: str = "ann", reason: str = "") -> Rollback:
    """The one that waits."""
    (found,) = waiting(here)
    return here.store.transact(orders.approve, found, here.settings, by=by, reason=reason, now=here.time.now)


def deny(here: World, *, by: str = "ann", reason: str = "it is the back end") -> Rollback:
    (found,) = waiting(here)
    metrics = ReceiverMetrics(here.store, here.settings, ["retail"])
    return here.store.transact(orders.deny, found, metrics, by=by, reason=reason, now=here.time.now)


def undo(here: World, first: Rollback | None = None, *, by: str = "ann") -> Rollback:
    """The newest rollback, or this one."""
    wanted = first or all_rollbacks(here)[0]
    return here.store.transact(orders.undo, wanted, here.settings, by=by, reason="14.0 was right", now=here.time.now)


def state_of(here: World, one: Rollback) -> tuple[State, str]:
    (now,) = [found for found in all_rollbacks(here) if found.id == one.id]
    return now.state, now.reason


def events_of(here: World, one: Rollback) -> list[str]:
    """What has happened to it, oldest first."""
    with here.store.begin() as tx:
        return [step.event for step in rollbacks.steps_of(tx, one.id)]


def in_quarantine(here: World) -> list[str]:
    with here.store.begin() as tx:
        return [one.version for one in quarantines.newest(tx, org=None, limit=9)]
