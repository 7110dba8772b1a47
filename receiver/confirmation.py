"""Believing a publish: nothing but the flow itself says whether it took effect."""

from genesys.flows import Flow, Readback, read_back
from receiver.ending import end
from receiver.metrics import Step
from receiver.reader import Read
from receiver.store import leases, quarantines, rollbacks
from receiver.store.database import Transaction, after_commit
from receiver.store.leases import Lease
from receiver.store.rollbacks import Permit, Rollback, State
from receiver.tools import Tools

MAX_SENDS = 2  # the second only after the first is proved to have had no effect


def confirm(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """Read the flow back after a publish that was accepted, or of which nobody knows whether it was sent."""
    # What the flow shows may be as old as the time before it was asked for.
    asked_at = tools.store.transact(tools.clock)
    flow = tools.reader.flow(rollback.object_id)
    tools.store.transact(_go_on, tools, lease, rollback, flow, asked_at)


def _go_on(tx: Transaction, tools: Tools, lease: Lease, rollback: Rollback, flow: Read[Flow], asked_at: float) -> None:
    now = tools.clock(tx)
    leases.hold(tx, lease, now=now)
    permit = rollbacks.permits_of(tx, rollback.id)[-1]
    if flow.value is None:
        _give_up_unread(tx, tools, rollback, flow.problem, now)
        return
    seen = _seen(flow.value, rollback, permit)
    if seen is Readback.FAILED:
        error = flow.value.operation.error if flow.value.operation else None
        rollbacks.add_step(tx, rollback, "operation_failed", at=now, detail={"error": error})
    if seen is not Readback.PENDING:
        conclude(tx, tools, rollback, seen, now)
        return
    busy = flow.value.operation is not None and not flow.value.operation.complete
    if rollback.state is State.CONFIRMING:
        _await_effect(tx, tools, rollback, permit, busy=busy, asked_at=asked_at, now=now)
    else:
        _await_proof(tx, tools, rollback, permit, busy=busy, asked_at=asked_at, now=now)


def _await_effect(
    tx: Transaction, tools: Tools, rollback: Rollback, permit: Permit, *, busy: bool, asked_at: float, now: float
) -> None:
    """The publish was accepted, which proves nothing: its effect must show within the publish deadline."""
    if asked_at >= permit.issued_at + tools.timing.publish_deadline_s:
        end(tx, tools, rollback, State.FAILED, "publish_unfinished" if busy else "no_effect", now)


def _await_proof(
    tx: Transaction, tools: Tools, rollback: Rollback, permit: Permit, *, busy: bool, asked_at: float, now: float
) -> None:
    """Nobody knows the answer: when whoever was to send it cannot any more, an idle flow proves no effect."""
    proven_at = permit.valid_until + tools.call_timeout_s + tools.timing.publish_deadline_s
    if not busy and asked_at >= proven_at:
        _send_again(tx, tools, rollback, permit, now)
    elif now >= rollback.deadline and now >= proven_at:
        end(tx, tools, rollback, State.FAILED, "outcome_unknown", now)


def _send_again(tx: Transaction, tools: Tools, rollback: Rollback, permit: Permit, now: float) -> None:
    """The publish is proved to have had no effect: plan it anew, at most once."""
    rollbacks.add_step(tx, rollback, "no_effect", at=now, detail={"permit": permit.number})
    if permit.number >= MAX_SENDS or now >= rollback.deadline:
        end(tx, tools, rollback, State.FAILED, "no_effect", now)
    else:
        rollbacks.change(tx, rollback, state=State.PLANNED.value, not_before=now)


def _seen(flow: Flow, rollback: Rollback, permit: Permit) -> Readback:
    """What the flow says about the publish; an accused version that was made live anew is somebody's decision."""
    again = flow.live_version == rollback.accused_version and flow.live_published_at not in (None, rollback.live_since)
    if again:
        return Readback.OVERTAKEN
    return read_back(
        flow, accused=rollback.accused_version, target=permit.target_version, operation_id=permit.operation_id
    )


def _give_up_unread(tx: Transaction, tools: Tools, rollback: Rollback, problem: str, now: float) -> None:
    """A flow that cannot be read is read again in the next round, until the deadline."""
    if now >= rollback.deadline:
        rollbacks.add_step(tx, rollback, "unread", at=now, detail={"problem": problem})
        end(tx, tools, rollback, State.FAILED, "outcome_unknown", now)


def conclude(tx: Transaction, tools: Tools, rollback: Rollback, seen: Readback, now: float) -> None:
    """Go on from what the flow shows: the target is live, the operation failed, or somebody else published."""
    if seen is Readback.FAILED:
        end(tx, tools, rollback, State.FAILED, "publish_failed", now)
    elif seen is Readback.OVERTAKEN:
        end(tx, tools, rollback, State.SUPERSEDED, "another version was published meanwhile", now)
    else:
        tools.reader.forget()  # what was kept was read before the publish
        verifying = rollbacks.change(tx, rollback, state=State.VERIFYING.value, confirmed_at=now, not_before=now)
        quarantines.put(tx, verifying, now=now)
        rollbacks.add_step(tx, verifying, "confirmed", at=now, detail={"live": rollback.target_version})
        after_commit(tx, lambda: tools.metrics.step(Step.CONFIRM, now - (rollback.started_at or now)))
