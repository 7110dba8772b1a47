"""One rollback, one step at a time.

    planned -> publishing -> confirming -> verifying -> succeeded | ineffective | unverified
       |            |             |            |
       +------------+-------------+------------+-----> failed(reason) | superseded

Each arrow is committed before the side effect that follows it, so that any
receiver goes on after a crash by reading what is true. `advance` does one step
and never waits: a wait is the column `not_before`.
"""

from dataclasses import replace

from genesys.errors import GenesysError, Refused, Throttled, Unavailable
from genesys.flows import Flow, Operation, Readback, read_back
from receiver.gather import situation
from receiver.metrics import Step
from receiver.notify.events import put_end, put_suppressed, put_triggered
from receiver.planning import facts_of
from receiver.policy import Decision, Verdict, decide
from receiver.reader import Read, Reading
from receiver.store import alerts, decisions, leases, rollbacks
from receiver.store.database import Transaction
from receiver.store.leases import Lease
from receiver.store.rollbacks import Answer, Permit, Rollback, State
from receiver.tools import Tools
from receiver.verification import Verified, verify

REPUBLISH = "republish"  # publish the old label again; the only strategy so far
MAX_SENDS = 2  # the second only after the first is proved to have had no effect
_CONFLICT = 409  # an operation is under way, or somebody has the flow locked: it passes


def advance(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """Do the one step that is due, if any; durable on return.

    Raises LeaseLost or Conflict when another receiver has taken over, and
    StoreUnavailable; each leaves a state from which the next round goes on.
    """
    step = {
        State.PLANNED: _publish,
        State.PUBLISHING: _find_out,
        State.CONFIRMING: _confirm,
        State.VERIFYING: _verify,
    }[rollback.state]
    step(tools, lease, rollback)


def _publish(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """Decide anew on fresh facts; if nothing holds back, write the permit and send."""
    with tools.store.begin() as tx:
        now = tools.clock(tx)
    if now < rollback.not_before:
        return
    tools.alertmanagers.refresh(now)
    reading = tools.reader.read_afresh(rollback.object_id, now=now)
    begun = tools.monotonic()
    with tools.store.begin() as tx:
        leases.hold(tx, lease, now=tools.clock(tx))
        permitted = _decide_anew(tx, tools, rollback, reading)
    if permitted is None:
        return
    publishing, permit = permitted
    # Once it has run out, somebody else may count on its not being used any more.
    in_time = tools.monotonic() < begun + tools.timing.permit_s
    answer = _send(tools, publishing, permit) if in_time else Refused("not sent: the permit had run out")
    with tools.store.begin() as tx:
        _record_answer(tx, tools, publishing, permit, answer)


def _decide_anew(tx: Transaction, tools: Tools, rollback: Rollback, reading: Reading) -> tuple[Rollback, Permit] | None:
    """In the transaction that enters `publishing`: a pause, silence or window opened meanwhile is obeyed."""
    now = tools.clock(tx)
    if _took_effect(tx, tools, rollback, reading, now):
        return None
    alert = alerts.get(tx, rollback.alert_id)
    if alert is None:
        raise AssertionError(f"rollback {rollback.id} without its alert")  # a foreign key rules this out
    suppression = tools.alertmanagers.suppression(alert.fingerprint, now)
    facts = situation(tx, alert, reading, suppression, tools.around, now=now, own=rollback)
    decision = decide(facts, tools.limits)
    if decision.rests_on_ignorance and now + tools.timing.retry_s < rollback.deadline:
        _read_again_later(tx, tools, rollback, decision, now)
        return None
    decisions.add(tx, alert, decision, at=now, facts=facts_of(facts), receiver=tools.receiver, rollback_id=rollback.id)
    tools.metrics.decided(decision.verdict)
    if decision.verdict is not Verdict.ROLL_BACK or facts.target is None or facts.target.version is None:
        if rollback.started_at is None:  # otherwise its end tells people
            put_suppressed(tx, tools.telling, alert, decision, rollback.facts, now=now)
        state = State.SUPERSEDED if decision.verdict is Verdict.SUPERSEDED else State.FAILED
        _end(tx, tools, rollback, state, f"refused_{decision.verdict.value}", now)
        return None
    if now >= rollback.deadline:
        _end(tx, tools, rollback, State.FAILED, "deadline", now)
        return None
    publishing = rollbacks.change(
        tx,
        rollback,
        state=State.PUBLISHING.value,
        target_version=facts.target.version,
        started_at=rollback.started_at or now,
        wrote=True,
    )
    permit = rollbacks.issue_permit(tx, publishing, now=now, permit_s=tools.timing.permit_s, strategy=REPUBLISH)
    detail = {"number": permit.number, "strategy": permit.strategy, "target": permit.target_version}
    rollbacks.add_step(tx, publishing, "permit", at=now, detail=detail)
    put_triggered(tx, tools.telling, publishing, now=now)
    return publishing, permit


def _took_effect(tx: Transaction, tools: Tools, rollback: Rollback, reading: Reading, now: float) -> bool:
    """An earlier publish of this rollback, taken for lost, shows after all: go on from there."""
    live = None if reading.flow.value is None else reading.flow.value.live_version
    sent = [permit for permit in rollbacks.permits_of(tx, rollback.id) if permit.answer is not Answer.REFUSED]
    if live is None or live not in [permit.target_version for permit in sent]:
        return False
    _conclude(tx, tools, rollbacks.change(tx, rollback, target_version=live), Readback.DONE, now)
    return True


def _read_again_later(tx: Transaction, tools: Tools, rollback: Rollback, decision: Decision, now: float) -> None:
    """A reading that failed is no refusal: it passes, or the deadline ends the rollback."""
    waiting = rollbacks.change(tx, rollback, not_before=now + tools.timing.retry_s)
    unread = {guard.name.value: guard.value for guard in decision.guards if guard.unknown}
    rollbacks.add_step(tx, waiting, "unread", at=now, detail=unread)


def _send(tools: Tools, publishing: Rollback, permit: Permit) -> Operation | GenesysError:
    try:
        return tools.genesys.publish(publishing.object_id, permit.target_version)
    except GenesysError as problem:
        return problem


def _record_answer(
    tx: Transaction, tools: Tools, publishing: Rollback, permit: Permit, answer: Operation | GenesysError
) -> None:
    """Write down what Genesys Cloud said. Raises Conflict if another receiver has read the flow meanwhile."""
    now = tools.clock(tx)
    if isinstance(answer, Operation):
        rollbacks.answer_permit(tx, permit, Answer.ACCEPTED, answer.id)
        confirming = rollbacks.change(tx, publishing, state=State.CONFIRMING.value)
        rollbacks.add_step(tx, confirming, "accepted", at=now, detail={"operation": answer.id})
    elif isinstance(answer, Unavailable):
        rollbacks.answer_permit(tx, permit, Answer.AMBIGUOUS)
        ambiguous = rollbacks.change(tx, publishing)
        rollbacks.add_step(tx, ambiguous, "ambiguous", at=now, detail={"problem": str(answer)})
    else:
        rollbacks.answer_permit(tx, permit, Answer.REFUSED)
        _refused(tx, tools, publishing, answer, now)


def _refused(tx: Transaction, tools: Tools, publishing: Rollback, problem: GenesysError, now: float) -> None:
    """The publish provably had no effect: try again later if that can help, within the deadline."""
    wrote = any(
        permit.answer in (None, Answer.AMBIGUOUS, Answer.ACCEPTED) for permit in rollbacks.permits_of(tx, publishing.id)
    )
    refused = rollbacks.change(tx, publishing, wrote=wrote)
    rollbacks.add_step(tx, refused, "refused", at=now, detail={"problem": str(problem)})
    wait_s = _passes_after(problem, tools)
    if wait_s is None:
        _end(tx, tools, refused, State.FAILED, "publish_refused", now)
    elif now + wait_s >= refused.deadline:
        reason = "rate_limited" if isinstance(problem, Throttled) else "deadline"
        _end(tx, tools, refused, State.FAILED, reason, now)
    else:
        rollbacks.change(tx, refused, state=State.PLANNED.value, not_before=now + wait_s)


def _passes_after(problem: GenesysError, tools: Tools) -> float | None:
    """Seconds after which the same publish may be accepted; None if waiting cannot help."""
    if isinstance(problem, Throttled):
        return problem.retry_after_s
    if problem.status == _CONFLICT or problem.status is None:
        return tools.timing.retry_s
    return None


def _find_out(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """A publish was sent, or may have been, and nobody knows the answer: only the flow can tell."""
    asked_at, flow = _ask(tools, rollback)
    with tools.store.begin() as tx:
        now = tools.clock(tx)
        leases.hold(tx, lease, now=now)
        permit = rollbacks.permits_of(tx, rollback.id)[-1]
        if flow.value is None:
            _give_up_unread(tx, tools, rollback, flow.problem, now)
            return
        seen = _seen(flow.value, rollback, permit)
        if seen is not Readback.PENDING:
            _conclude(tx, tools, rollback, seen, now)
            return
        operation = flow.value.operation
        idle = operation is None or operation.complete
        proven_at = permit.valid_until + tools.call_timeout_s + tools.timing.publish_deadline_s
        if idle and asked_at >= proven_at:
            _send_again(tx, tools, rollback, permit, now)
        elif now >= rollback.deadline and now >= proven_at:
            _end(tx, tools, rollback, State.FAILED, "outcome_unknown", now)


def _send_again(tx: Transaction, tools: Tools, rollback: Rollback, permit: Permit, now: float) -> None:
    """The publish had no effect, and whoever was to send it cannot any more."""
    rollbacks.add_step(tx, rollback, "no_effect", at=now, detail={"permit": permit.number})
    if permit.number >= MAX_SENDS or now >= rollback.deadline:
        _end(tx, tools, rollback, State.FAILED, "no_effect", now)
    else:
        rollbacks.change(tx, rollback, state=State.PLANNED.value, not_before=now)


def _confirm(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """The publish was accepted, which proves nothing: believe the flow."""
    asked_at, flow = _ask(tools, rollback)
    with tools.store.begin() as tx:
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
            _conclude(tx, tools, rollback, seen, now)
        elif asked_at >= permit.issued_at + tools.timing.publish_deadline_s:
            busy = flow.value.operation is not None and not flow.value.operation.complete
            _end(tx, tools, rollback, State.FAILED, "publish_unfinished" if busy else "no_effect", now)


def _ask(tools: Tools, rollback: Rollback) -> tuple[float, Read[Flow]]:
    """The flow as it is, and the time before it was asked for: what it shows may be as old as that."""
    with tools.store.begin() as tx:
        asked_at = tools.clock(tx)
    return asked_at, tools.reader.flow(rollback.object_id)


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
        _end(tx, tools, rollback, State.FAILED, "outcome_unknown", now)


def _conclude(tx: Transaction, tools: Tools, rollback: Rollback, seen: Readback, now: float) -> None:
    if seen is Readback.FAILED:
        _end(tx, tools, rollback, State.FAILED, "publish_failed", now)
    elif seen is Readback.OVERTAKEN:
        _end(tx, tools, rollback, State.SUPERSEDED, "another version was published meanwhile", now)
    else:
        tools.reader.forget()  # what was kept was read before the publish
        verifying = rollbacks.change(tx, rollback, state=State.VERIFYING.value, confirmed_at=now, not_before=now)
        rollbacks.add_step(tx, verifying, "confirmed", at=now, detail={"live": rollback.target_version})
        tools.metrics.step(Step.CONFIRM, now - (rollback.started_at or now))


def _verify(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """Measure what callers of the target meet; silence is no success."""
    with tools.store.begin() as tx:
        now = tools.clock(tx)
    reading = tools.reader.read([rollback.object_id], now=now)[rollback.object_id]
    if reading.flow.value is not None and reading.flow.value.live_version != rollback.target_version:
        # What was kept may be from before the publish, which another receiver may have sent.
        reading = replace(reading, flow=tools.reader.flow(rollback.object_id))
    verified = verify(
        reading,
        rollback,
        now=now,
        deadline=(rollback.confirmed_at or now) + tools.timing.verify_deadline_s,
        min_conversations=tools.around.settings.verify_min_conversations,
    )
    if verified is None:
        return
    with tools.store.begin() as tx:
        leases.hold(tx, lease, now=tools.clock(tx))
        _record_verification(tx, tools, rollback, verified)


def _record_verification(tx: Transaction, tools: Tools, rollback: Rollback, verified: Verified) -> None:
    now = tools.clock(tx)
    facts = rollback.facts | {"verification": verified.facts()}
    measured = rollbacks.change(tx, rollback, facts=facts)
    rollbacks.add_step(tx, measured, "measured", at=now, detail=verified.facts())
    tools.metrics.step(Step.VERIFY, now - (rollback.confirmed_at or now))
    _end(tx, tools, measured, verified.state, verified.reason, now)


def _end(tx: Transaction, tools: Tools, rollback: Rollback, state: State, reason: str, now: float) -> None:
    """Reach an end: recorded, counted, and told."""
    ended = rollbacks.change(tx, rollback, state=state.value, reason=reason, ended_at=now)
    rollbacks.add_step(tx, ended, state.value, at=now, detail={"reason": reason})
    tools.metrics.ended(state, now - ended.created_at)
    if ended.started_at is not None:  # before the first permit nobody was told of it
        put_end(tx, tools.telling, ended, now=now)
