"""Believing a write: what its way back reads afterwards says whether it took effect, and nothing else."""

from genesys.flows import Readback
from receiver import dependents
from receiver.applied import publish_deadline_s
from receiver.ending import end
from receiver.metrics import Step
from receiver.store import contents, leases, quarantines, rollbacks, ways_in_vain
from receiver.store.database import Transaction, after_commit
from receiver.store.leases import Lease
from receiver.store.rollbacks import COPY_OF, UNDER_WAY, Answer, Permit, Rollback, State
from receiver.strategy import Strategy
from receiver.tools import Tools
from receiver.way import Sight, give_up
from receiver.ways import WAYS

MAX_SENDS = 2  # refused ones aside; the second only after the first is proved to have had no effect

_OVERWROTE = "overwrote_newer"  # versions that somebody published between that reading and our publish


def confirm(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """Read back what came of a write that was accepted, or of which nobody knows whether it was sent."""
    asked_at, permit = tools.store.transact(lambda tx: (tools.clock(tx), rollbacks.permits_of(tx, rollback.id)[-1]))
    sight = WAYS[Strategy(permit.strategy)].look(tools, rollback, permit, asked_at=asked_at)
    if sight is not None:
        tools.store.transact(_go_on, tools, lease, rollback, permit, sight)


def _go_on(tx: Transaction, tools: Tools, lease: Lease, rollback: Rollback, permit: Permit, sight: Sight) -> None:
    now = tools.clock(tx)
    leases.hold(tx, lease, now=now)
    if sight.seen is None:
        _give_up_unread(tx, tools, rollback, permit, sight.problem, now)
        return
    if sight.seen is Readback.FAILED:
        rollbacks.add_step(tx, rollback, "operation_failed", at=now, detail={"error": sight.error})
    if sight.seen is Readback.PENDING:
        _await(tx, tools, rollback, permit, sight, now)
    elif sight.seen is not Readback.OVERTAKEN or sight.settled or sight.is_over:
        conclude(tx, tools, rollback, sight, now)


def _await(tx: Transaction, tools: Tools, rollback: Rollback, permit: Permit, sight: Sight, now: float) -> None:
    """The effect does not show. An accepted publish has failed once it is settled; a lost one is then proved lost.

    An operation that is still under way proves nothing, so that no other way has its turn.
    """
    if sight.accepted:
        if sight.settled and sight.busy:
            end(tx, tools, rollback, State.FAILED, "publish_unfinished", now)
        elif sight.settled:
            give_up(tx, tools, rollback, "no_effect", now, is_lesson=True)
    elif sight.settled and not sight.busy:
        _send_again(tx, tools, rollback, permit, now)
    elif sight.settled and now >= rollback.deadline:
        end(tx, tools, rollback, State.FAILED, "outcome_unknown", now)


def _send_again(tx: Transaction, tools: Tools, rollback: Rollback, permit: Permit, now: float) -> None:
    """The publish is proved to have had no effect: plan it anew, at most once."""
    rollbacks.add_step(tx, rollback, "no_effect", at=now, detail={"permit": permit.number})
    sent = [
        one
        for one in rollbacks.permits_of(tx, rollback.id)
        if one.answer is not Answer.REFUSED and one.strategy == permit.strategy
    ]
    if len(sent) >= MAX_SENDS or now >= rollback.deadline:
        give_up(tx, tools, rollback, "no_effect", now)
    else:
        rollbacks.change(tx, rollback, state=State.PLANNED.value, not_before=now)


def _give_up_unread(
    tx: Transaction, tools: Tools, rollback: Rollback, permit: Permit, problem: str, now: float
) -> None:
    """A flow that cannot be read is read again in the next round, until the deadline.

    What was sent right before it has its time, or nobody would look for what came of it.
    """
    takes_s = publish_deadline_s(tools.timing, rollback.facts.get("flow_type"), rollback.strategy)
    if now >= max(rollback.deadline, permit.issued_at + takes_s):
        rollbacks.add_step(tx, rollback, "unread", at=now, detail={"problem": problem})
        end(tx, tools, rollback, State.FAILED, "outcome_unknown", now)


def conclude(tx: Transaction, tools: Tools, rollback: Rollback, sight: Sight, now: float) -> None:
    """Go on from what the flow shows: the target is live, the operation failed, or somebody else published."""
    tools.reader.forget()  # what was kept was read before the publish
    if sight.seen is Readback.FAILED:
        give_up(tx, tools, rollback, "publish_failed", now)
    elif sight.seen is Readback.OVERTAKEN:
        end(tx, tools, rollback, State.SUPERSEDED, "another version was published meanwhile", now)
    else:
        overwrote = None if sight.changes is None else list(sight.changes.overwritten)
        live = sight.live or rollback.target_version
        is_copy = live != rollback.target_version and rollback.strategy is Strategy.REDEPLOY
        copied = {COPY_OF: rollback.target_version} if is_copy else {}
        verifying = rollbacks.change(
            tx,
            rollback,
            state=State.VERIFYING.value,
            confirmed_at=now,
            not_before=now,
            target_version=live,
            facts=rollback.facts | {_OVERWROTE: overwrote} | copied,
        )
        for version, digest in sight.contents.items():
            contents.keep(tx, rollback.org, rollback.object_id, version, digest, now=now)
        ways_in_vain.forget(tx, rollback.org, rollback.strategy)
        detail = {"live": live} | copied | ({_OVERWROTE: overwrote} if overwrote else {})
        rollbacks.add_step(tx, verifying, "confirmed", at=now, detail=detail)
        after_commit(tx, lambda: tools.metrics.step(Step.CONFIRM, now - (rollback.started_at or now)))
        if verifying.is_dependent:
            end(tx, tools, verifying, State.SUCCEEDED, "published once more", now)
            return
        if verifying.is_undo:
            _undone(tx, tools, verifying, now)
        else:
            quarantines.put(tx, verifying, now=now)
        dependents.plan(tx, tools, verifying, now)


def _undone(tx: Transaction, tools: Tools, undo: Rollback, now: float) -> None:
    """The version is live again, which is all that was ordered: nothing is measured, and it is trusted again."""
    by = undo.facts["ordered_by"]
    first = None if undo.undoes is None else rollbacks.get(tx, undo.undoes)
    if first is not None:
        quarantines.lift_of(tx, first.id, by=by, now=now)
        dependents.call_off(tx, tools, first, now)
        if first.state in UNDER_WAY:
            end(tx, tools, first, State.SUPERSEDED, f"undone by {by}", now, quiet=True)
    end(tx, tools, undo, State.SUCCEEDED, f"live again, as {by} ordered", now)
