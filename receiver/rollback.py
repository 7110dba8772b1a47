"""One rollback, one step at a time; and the last moment of each state.

    awaiting_approval -> planned
                 |          |
                 +----------+-----> failed(reason) | superseded

    planned -> publishing -> confirming -> verifying -> succeeded | ineffective | unverified
       |            |             |            |
       +------------+-------------+------------+-----> failed(reason) | superseded

An undo goes the same way, but from `confirming` to its end: nothing is verified.

Each arrow is committed before the side effect that follows it, so that any
receiver goes on after a crash by reading what is true. `advance` does one step
and never waits: a wait is the column `not_before`.
"""

from dataclasses import replace

from receiver.applied import publish_deadline_s
from receiver.approval import EXPIRED, await_approval
from receiver.confirmation import confirm
from receiver.ending import end
from receiver.meanwhile import has_callers
from receiver.metrics import Step
from receiver.publishing import publish
from receiver.readback import is_as_before
from receiver.reader import Read, Reading
from receiver.store import leases, rollbacks
from receiver.store.database import StoreUnavailable, Transaction, after_commit
from receiver.store.leases import Lease, LeaseLost
from receiver.store.rollbacks import UNDER_WAY, Conflict, Rollback, State
from receiver.tools import Tools
from receiver.verification import Verified, verify


def advance(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """Do the one step that is due, if any; durable on return.

    Raises LeaseLost or Conflict when another receiver has taken over, and
    StoreUnavailable; each leaves a state from which the next round goes on. Any
    other exception is a fault of the program: a rollback that it has kept from
    its end beyond the last moment is ended here, and then the exception raised.
    """
    step = {
        State.AWAITING_APPROVAL: await_approval,
        State.PLANNED: publish,
        State.PUBLISHING: confirm,
        State.CONFIRMING: confirm,
        State.VERIFYING: _verify,
    }[rollback.state]
    try:
        step(tools, lease, rollback)
    except (StoreUnavailable, LeaseLost, Conflict):
        raise
    except Exception:
        tools.store.transact(end_if_overdue, tools, rollback.id)
        raise
    tools.store.transact(end_if_overdue, tools, rollback.id)


def is_overdue(rollback: Rollback, tools: Tools, now: float) -> bool:
    """Every step has had its time, and whoever has just taken over had a turn as well."""
    timing = tools.timing
    if rollback.state is State.AWAITING_APPROVAL:
        last_moment = rollback.deadline
    elif rollback.state is State.VERIFYING:
        last_moment = (rollback.confirmed_at or rollback.created_at) + timing.verify_deadline_s
    else:  # the last permit may be given right before the deadline, and its effect be proved after it
        takes_s = publish_deadline_s(timing, rollback.facts.get("flow_type"), rollback.strategy)
        last_moment = rollback.deadline + timing.permit_s + tools.call_timeout_s + takes_s
    return now >= last_moment + timing.lease_s


def end_if_overdue(tx: Transaction, tools: Tools, rollback_id: str) -> None:
    """What nobody could finish ends all the same, and people are told; the first of several receivers ends it."""
    now = tools.clock(tx)
    rollback = rollbacks.get(tx, rollback_id)
    if rollback is not None and rollback.state in UNDER_WAY and is_overdue(rollback, tools, now):
        state = State.UNVERIFIED if rollback.state is State.VERIFYING else State.FAILED
        end(tx, tools, rollback, state, EXPIRED if rollback.state is State.AWAITING_APPROVAL else "stuck", now)


def _verify(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """Measure what callers of the target meet; silence is no success. While it is being undone, nothing is learned."""
    now, undos = tools.store.transact(lambda tx: (tools.clock(tx), rollbacks.undos_of(tx, rollback.id)))
    if any(undo.state in UNDER_WAY for undo in undos):
        return
    reading = _watch(tools, rollback, now)
    verified = verify(
        reading,
        rollback,
        now=now,
        deadline=(rollback.confirmed_at or now) + tools.timing.verify_deadline_s,
        min_conversations=tools.around.settings.verify_min_conversations,
    )
    if verified is None:
        return
    tools.store.transact(_record_verification, tools, lease, rollback, verified)


def _watch(tools: Tools, rollback: Rollback, now: float) -> Reading:
    """The target's figures. A flow that is shown as before the publish, and whose callers do not meet the accused
    version, is an old view: it counts as unread, not as changed.
    """
    reading = tools.reader.watch(rollback.object_id, now=now)
    if reading.flow.value is None or reading.flow.value.live_version == rollback.target_version:
        return reading
    # What was kept may be from before the publish, which another receiver may have sent.
    flow = tools.reader.look_again(rollback.object_id, now=now)
    accused_met = has_callers(
        reading.evidence.value, rollback.object_id, rollback.accused_version, since=rollback.confirmed_at or now
    )
    if flow.value is not None and is_as_before(flow.value, rollback) and not accused_met:
        flow = Read(None, "shown as it was before the publish")
    return replace(reading, flow=flow)


def _record_verification(tx: Transaction, tools: Tools, lease: Lease, rollback: Rollback, verified: Verified) -> None:
    now = tools.clock(tx)
    leases.hold(tx, lease, now=now)
    facts = rollback.facts | {"verification": verified.facts()}
    measured = rollbacks.change(tx, rollback, facts=facts)
    rollbacks.add_step(tx, measured, "measured", at=now, detail=verified.facts())
    after_commit(tx, lambda: tools.metrics.step(Step.VERIFY, now - (rollback.confirmed_at or now)))
    end(tx, tools, measured, verified.state, verified.reason, now)
