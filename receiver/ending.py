"""How a rollback ends: recorded, counted and told, whatever the end; what it leaves behind for the next decisions."""

from receiver.notify.events import put_end
from receiver.store import controls, quarantines, rollbacks
from receiver.store.database import Transaction, after_commit
from receiver.store.rollbacks import Rollback, State
from receiver.tools import Tools


def end(
    tx: Transaction, tools: Tools, rollback: Rollback, state: State, reason: str, now: float, *, quiet: bool = False
) -> None:
    """Reach an end: recorded, counted, and told unless `quiet`, which is for what people have heard of already.

    If a publish was sent, the accused version is quarantined from now on; a flow
    that no earlier version helps, that nobody can say has been helped, or whose
    rollbacks fail repeatedly, is held. What accuses no version, an undo for
    example, leaves neither behind.
    """
    ended = rollbacks.change(tx, rollback, state=state.value, reason=reason, ended_at=now)
    rollbacks.add_step(tx, ended, state.value, at=now, detail={"reason": reason})
    if ended.wrote and ended.accuses:
        quarantines.put(tx, ended, now=now)
    why = _reason_to_hold(tx, ended, since=now - tools.timing.budget_s)
    if why:
        controls.hold(tx, ended.org, [ended.object_id], owner=controls.BRIDGE, reason=why, by=tools.receiver, now=now)
    after_commit(tx, lambda: tools.metrics.ended(state, now - ended.planned_at))
    if not quiet:
        put_end(tx, tools.telling, ended, now=now)


def _reason_to_hold(tx: Transaction, ended: Rollback, *, since: float) -> str:
    """Why people have to look at the flow before the bridge touches it again; empty if they need not."""
    if not ended.accuses:
        return ""
    if ended.state is State.INEFFECTIVE:
        return f"rollback {ended.id} was ineffective: version {ended.target_version} fails too"
    if ended.state is State.UNVERIFIED:
        return f"rollback {ended.id} could not be verified: nobody knows whether version {ended.target_version} helps"
    started = rollbacks.started_since(tx, ended.org, ended.object_id, since=since, shadow=False)
    failed = [one.id for one in started if one.state is State.FAILED and one.wrote]
    if ended.state is State.FAILED and ended.wrote and len(failed) > 1:
        return f"{len(failed)} rollbacks failed after their write: {', '.join(sorted(failed))}"
    return ""
