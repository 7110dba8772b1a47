"""How a rollback ends: recorded, counted and told, whatever the end."""

from receiver.notify.events import put_end
from receiver.store import rollbacks
from receiver.store.database import Transaction
from receiver.store.rollbacks import Rollback, State
from receiver.tools import Tools


def end(tx: Transaction, tools: Tools, rollback: Rollback, state: State, reason: str, now: float) -> None:
    """Reach an end: recorded, counted, and told."""
    ended = rollbacks.change(tx, rollback, state=state.value, reason=reason, ended_at=now)
    rollbacks.add_step(tx, ended, state.value, at=now, detail={"reason": reason})
    tools.metrics.ended(state, now - ended.created_at)
    if ended.started_at is not None:  # before the first permit nobody was told of it
        put_end(tx, tools.telling, ended, now=now)
