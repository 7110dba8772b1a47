"""Believing a publish: nothing but the flow itself, and the dates of its versions, says whether it took effect."""

from collections.abc import Sequence
from dataclasses import dataclass

from genesys.evidence import Evidence
from genesys.flows import Flow, FlowVersion, Readback, read_back
from receiver.applied import publish_deadline_s
from receiver.ending import end
from receiver.meanwhile import Meanwhile, has_callers, newest_date, published_since
from receiver.metrics import Step
from receiver.reader import Read
from receiver.store import leases, quarantines, rollbacks
from receiver.store.database import Transaction, after_commit
from receiver.store.leases import Lease
from receiver.store.rollbacks import UNDER_WAY, Answer, Permit, Rollback, State
from receiver.tools import Tools

MAX_SENDS = 2  # refused ones aside; the second only after the first is proved to have had no effect

_NEWEST_DATE = "newest_date"  # of the versions as they were read before the write
_OVERWROTE = "overwrote_newer"  # versions that somebody published between that reading and our publish


def facts_before_write(versions: Sequence[FlowVersion]) -> dict[str, float | None]:
    """What `meanwhile` needs to remember of the reading that precedes a write."""
    return {_NEWEST_DATE: newest_date(versions)}


def meanwhile(rollback: Rollback, versions: Sequence[FlowVersion], target: str) -> Meanwhile | None:
    """What was published since the reading that preceded the write; None if that cannot be told."""
    return published_since(versions, rollback.facts.get(_NEWEST_DATE), accused=rollback.accused_version, target=target)


def is_as_before(flow: Flow, rollback: Rollback) -> bool:
    """Does the flow look as it did before the write: the accused version live, and not made live anew?"""
    return flow.live_version == rollback.accused_version and flow.live_published_at in (None, rollback.live_since)


@dataclass(frozen=True, slots=True)
class _Look:
    """What was read for one round. What the flow shows may be as old as `asked_at`.

    The versions are asked for when the flow has changed; both others when a
    publish whose effect does not show is about to be given up.
    """

    asked_at: float
    flow: Read[Flow]
    versions: Read[list[FlowVersion]]
    evidence: Evidence | None


def confirm(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """Read the flow back after a publish that was accepted, or of which nobody knows whether it was sent."""
    look = _look(tools, rollback)
    tools.store.transact(_go_on, tools, lease, rollback, look)


def _go_on(tx: Transaction, tools: Tools, lease: Lease, rollback: Rollback, look: _Look) -> None:
    now = tools.clock(tx)
    leases.hold(tx, lease, now=now)
    permit = rollbacks.permits_of(tx, rollback.id)[-1]
    flow = look.flow.value
    if flow is None:
        _give_up_unread(tx, tools, rollback, look.flow.problem, now)
        return
    settled = look.asked_at >= _settled_at(tools, rollback, permit)
    if look.versions.value is None and not settled:
        return  # who published what meanwhile is part of the answer
    changes = meanwhile(rollback, look.versions.value or (), permit.target_version)
    seen = _seen(flow, rollback, permit, changes, look.evidence)
    if seen is Readback.FAILED:
        error = flow.operation.error if flow.operation else None
        rollbacks.add_step(tx, rollback, "operation_failed", at=now, detail={"error": error})
    if seen is Readback.PENDING:
        _await(tx, tools, rollback, permit, busy=_is_busy(flow), settled=settled, now=now)
    elif seen is not Readback.OVERTAKEN or settled or _is_over(flow, permit, changes):
        old_view = is_as_before(flow, rollback)
        conclude(tx, tools, rollback, seen, None if old_view else changes, now)


def _look(tools: Tools, rollback: Rollback) -> _Look:
    asked_at, permit = tools.store.transact(lambda tx: (tools.clock(tx), rollbacks.permits_of(tx, rollback.id)[-1]))
    settled = asked_at >= _settled_at(tools, rollback, permit)
    flow = tools.reader.flow(rollback.object_id)
    unchanged = flow.value is None or is_as_before(flow.value, rollback)
    versions = Read([]) if unchanged and not settled else tools.reader.versions(rollback.object_id)
    evidence = tools.reader.watch(rollback.object_id, now=asked_at).evidence.value if unchanged and settled else None
    return _Look(asked_at, flow, versions, evidence)


def _settled_at(tools: Tools, rollback: Rollback, permit: Permit) -> float:
    """From when on a publish whose effect does not show has none: it can be neither sent nor under way any more."""
    accepted = rollback.state is State.CONFIRMING
    sent_by = permit.issued_at if accepted else permit.valid_until + tools.call_timeout_s
    return sent_by + publish_deadline_s(tools.timing, rollback.facts.get("flow_type"))


def _is_over(flow: Flow, permit: Permit, changes: Meanwhile | None) -> bool:
    """Under somebody else's version: has ours failed, or been live before it? Else it may yet replace theirs."""
    failed = (
        flow.operation is not None and flow.operation.id == permit.operation_id and flow.operation.status == "FAILURE"
    )
    return failed or (changes is not None and changes.target_served)


def _await(
    tx: Transaction, tools: Tools, rollback: Rollback, permit: Permit, *, busy: bool, settled: bool, now: float
) -> None:
    """The effect does not show. An accepted publish has failed once it is settled; a lost one is then proved lost."""
    if rollback.state is State.CONFIRMING:
        if settled:
            end(tx, tools, rollback, State.FAILED, "publish_unfinished" if busy else "no_effect", now)
    elif settled and not busy:
        _send_again(tx, tools, rollback, permit, now)
    elif settled and now >= rollback.deadline:
        end(tx, tools, rollback, State.FAILED, "outcome_unknown", now)


def _send_again(tx: Transaction, tools: Tools, rollback: Rollback, permit: Permit, now: float) -> None:
    """The publish is proved to have had no effect: plan it anew, at most once."""
    rollbacks.add_step(tx, rollback, "no_effect", at=now, detail={"permit": permit.number})
    sent = [one for one in rollbacks.permits_of(tx, rollback.id) if one.answer is not Answer.REFUSED]
    if len(sent) >= MAX_SENDS or now >= rollback.deadline:
        end(tx, tools, rollback, State.FAILED, "no_effect", now)
    else:
        rollbacks.change(tx, rollback, state=State.PLANNED.value, not_before=now)


def _seen(
    flow: Flow, rollback: Rollback, permit: Permit, changes: Meanwhile | None, evidence: Evidence | None
) -> Readback:
    """What is to be believed of the publish.

    A flow that looks as before is believed last: Genesys Cloud may show an old
    view of it. Its callers know better, and so do the dates when somebody has
    put the accused version back, which is a person's decision.
    """
    seen = read_back(
        flow, accused=rollback.accused_version, target=permit.target_version, operation_id=permit.operation_id
    )
    if seen is not Readback.PENDING or flow.live_version != rollback.accused_version:
        return seen
    put_back = not is_as_before(flow, rollback) and not _is_busy(flow)
    if put_back or (changes is not None and changes.target_served):
        return Readback.OVERTAKEN
    met = has_callers(evidence, rollback.object_id, permit.target_version, since=permit.issued_at)
    return Readback.DONE if met else seen


def _is_busy(flow: Flow) -> bool:
    return flow.operation is not None and not flow.operation.complete


def _give_up_unread(tx: Transaction, tools: Tools, rollback: Rollback, problem: str, now: float) -> None:
    """A flow that cannot be read is read again in the next round, until the deadline."""
    if now >= rollback.deadline:
        rollbacks.add_step(tx, rollback, "unread", at=now, detail={"problem": problem})
        end(tx, tools, rollback, State.FAILED, "outcome_unknown", now)


def conclude(
    tx: Transaction, tools: Tools, rollback: Rollback, seen: Readback, changes: Meanwhile | None, now: float
) -> None:
    """Go on from what the flow shows: the target is live, the operation failed, or somebody else published."""
    tools.reader.forget()  # what was kept was read before the publish
    if seen is Readback.FAILED:
        end(tx, tools, rollback, State.FAILED, "publish_failed", now)
    elif seen is Readback.OVERTAKEN:
        end(tx, tools, rollback, State.SUPERSEDED, "another version was published meanwhile", now)
    else:
        overwrote = None if changes is None else list(changes.overwritten)
        verifying = rollbacks.change(
            tx,
            rollback,
            state=State.VERIFYING.value,
            confirmed_at=now,
            not_before=now,
            facts=rollback.facts | {_OVERWROTE: overwrote},
        )
        detail = {"live": rollback.target_version} | ({_OVERWROTE: overwrote} if overwrote else {})
        rollbacks.add_step(tx, verifying, "confirmed", at=now, detail=detail)
        after_commit(tx, lambda: tools.metrics.step(Step.CONFIRM, now - (rollback.started_at or now)))
        if verifying.is_undo:
            _undone(tx, tools, verifying, now)
        else:
            quarantines.put(tx, verifying, now=now)


def _undone(tx: Transaction, tools: Tools, undo: Rollback, now: float) -> None:
    """The version is live again, which is all that was ordered: nothing is measured, and it is trusted again."""
    by = undo.facts["ordered_by"]
    first = None if undo.undoes is None else rollbacks.get(tx, undo.undoes)
    if first is not None:
        quarantines.lift_of(tx, first.id, by=by, now=now)
        if first.state in UNDER_WAY:
            end(tx, tools, first, State.SUPERSEDED, f"undone by {by}", now, quiet=True)
    end(tx, tools, undo, State.SUCCEEDED, f"live again, as {by} ordered", now)
