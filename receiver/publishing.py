"""The write: decide anew on fresh facts, write the permit, send once, and write down the answer."""

from dataclasses import replace

from genesys.errors import GenesysError, Refused, Throttled, Unavailable
from genesys.flows import Operation, Readback
from receiver import remembered
from receiver.applied import rollback_deadline_s
from receiver.config import Scope
from receiver.confirmation import conclude, facts_before_write, meanwhile
from receiver.ending import end
from receiver.gather import situation, situation_of_undo
from receiver.meanwhile import has_callers
from receiver.notify.events import put_suppressed, put_triggered
from receiver.planning import facts_of
from receiver.policy import UNDO_PASSES, Decision, Verdict, decide
from receiver.reader import Reading
from receiver.situation import Situation
from receiver.store import alerts, decisions, leases, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction, after_commit
from receiver.store.leases import EVERYTHING, Lease
from receiver.store.rollbacks import Answer, Permit, Rollback, State
from receiver.tools import Tools

REPUBLISH = "republish"  # publish the old label again; the only strategy so far
_WAITS = "waits"
_CONFLICT = 409  # an operation is under way, or somebody has the flow locked: it passes
_UNAUTHORIZED = 401  # the token ran out between the reading and the write: the next reading brings a new one


def publish(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """Decide anew on fresh facts; if nothing holds back, write the permit and send."""
    now, is_our_turn = tools.store.transact(_look, tools, rollback)
    if now < rollback.not_before or not is_our_turn:
        return
    tools.alertmanagers.refresh(now)
    reading = tools.reader.read_afresh(rollback.object_id, now=now)
    begun = tools.monotonic()
    permitted = tools.store.transact(_decide_anew, tools, lease, rollback, reading)
    if permitted is None:
        return
    publishing, permit = permitted
    # Once it has run out, somebody else may count on its not being used any more.
    in_time = tools.monotonic() < begun + tools.timing.permit_s
    answer = _send(tools, publishing, permit) if in_time else Refused("not sent: the permit had run out")
    tools.store.transact(_record_answer, tools, publishing, permit, answer)


def _look(tx: Transaction, tools: Tools, rollback: Rollback) -> tuple[float, bool]:
    """The database's time, and whether it is this rollback's turn; as long as it is not, nothing needs to be read."""
    now = tools.clock(tx)
    first = remembered.in_progress(tx, rollback, tools.around.settings, own=rollback, now=now)
    if first is None or not _in_time(tools, rollback, now):
        return now, True
    _say_that_it_waits(tx, rollback, {Verdict.IN_PROGRESS.value: first}, now)
    return now, False


def _decide_anew(
    tx: Transaction, tools: Tools, lease: Lease, rollback: Rollback, reading: Reading
) -> tuple[Rollback, Permit] | None:
    """In the transaction that enters `publishing`: a pause, silence or window opened meanwhile is obeyed."""
    leases.hold(tx, lease, now=tools.clock(tx))
    if tools.around.settings.lease_scope is Scope.ALL:
        leases.lock(tx, EVERYTHING)  # people may have ordered a rollback in another organization as well
    now = tools.clock(tx)  # to hold the lease may have meant to wait for it
    if _took_effect(tx, tools, rollback, reading, now):
        return None
    alert = alerts.get(tx, rollback.alert_id)
    if alert is None:
        raise AssertionError(f"rollback {rollback.id} without its alert")  # a foreign key rules this out
    facts, decision = _decide(tx, tools, alert, rollback, reading, now)
    if decision.rests_on_ignorance and _in_time(tools, rollback, now):
        _read_again_later(tx, tools, rollback, decision, now)
        return None
    if _passes_by_itself(rollback, decision) and _wait(tx, tools, rollback, facts, decision, now):
        return None
    _record(tx, tools, alert, rollback, facts, decision, now)
    if decision.verdict is not Verdict.ROLL_BACK or facts.proposed is None or facts.flow is None:
        _refuse(tx, tools, alert, rollback, decision, now)
        return None
    changed = rollback.approved_by is not None and facts.proposed != rollback.target_version
    if changed or now >= rollback.deadline:  # to another target nobody has agreed
        end(tx, tools, rollback, State.FAILED, "target_changed" if changed else "deadline", now)
        return None
    publishing = rollbacks.change(
        tx,
        rollback,
        state=State.PUBLISHING.value,
        target_version=facts.proposed,
        live_since=(facts.flow.live_published_at or 0.0) if rollback.is_undo else rollback.live_since,
        started_at=rollback.started_at or now,
        wrote=True,
        facts=rollback.facts | facts_before_write(reading.versions.value or ()),
    )
    permit = rollbacks.issue_permit(tx, publishing, now=now, permit_s=tools.timing.permit_s, strategy=REPUBLISH)
    detail = {"number": permit.number, "strategy": permit.strategy, "target": permit.target_version}
    rollbacks.add_step(tx, publishing, "permit", at=now, detail=detail)
    if not publishing.is_undo:
        put_triggered(tx, tools.telling, publishing, now=now)
    return publishing, permit


def _decide(
    tx: Transaction, tools: Tools, alert: StoredAlert, rollback: Rollback, reading: Reading, now: float
) -> tuple[Situation, Decision]:
    suppression = tools.alertmanagers.suppression(alert.fingerprint, now)
    gather = situation_of_undo if rollback.is_undo else situation
    facts = gather(tx, alert, reading, suppression, tools.around, now=now, own=rollback)
    return facts, decide(facts, tools.limits, UNDO_PASSES if rollback.is_undo else frozenset())


def _passes_by_itself(rollback: Rollback, decision: Decision) -> bool:
    """Nothing is against it but that it is not its turn; what a person has ordered waits for a lockout as well."""
    passing = {Verdict.IN_PROGRESS} if rollback.approved_by is None else {Verdict.IN_PROGRESS, Verdict.LOCKOUT}
    return bool(decision.holding_back) and set(decision.holding_back) <= passing


def _wait(tx: Transaction, tools: Tools, rollback: Rollback, facts: Situation, decision: Decision, now: float) -> bool:
    """Until it is its turn; False if that is too late. The time of one lockout does not count."""
    if facts.lockout_until <= now:
        not_before, deadline = now + tools.timing.tick_s, rollback.deadline
    else:
        not_before = facts.lockout_until
        deadline = not_before + rollback_deadline_s(tools.timing, rollback.facts.get("flow_type"))
    if not _in_time(tools, rollback, now) or not_before > rollback.planned_at + 2 * tools.timing.lockout_s:
        return False
    waiting = rollbacks.change(tx, rollback, not_before=not_before, deadline=deadline)
    _say_that_it_waits(tx, waiting, {name.value: decision.value_of(name) for name in decision.holding_back}, now)
    return True


def _say_that_it_waits(tx: Transaction, rollback: Rollback, because: dict[str, str], now: float) -> None:
    """Once for as long as it waits."""
    if rollbacks.steps_of(tx, rollback.id)[-1].event != _WAITS:
        rollbacks.add_step(tx, rollback, _WAITS, at=now, detail=because)


def _in_time(tools: Tools, rollback: Rollback, now: float) -> bool:
    """Is there time for another look?"""
    return now + tools.timing.retry_s < rollback.deadline


def _record(
    tx: Transaction,
    tools: Tools,
    alert: StoredAlert,
    rollback: Rollback,
    facts: Situation,
    decision: Decision,
    now: float,
) -> None:
    """An undo is decided about the version that it takes away; the alert was about the other one."""
    by = {"overridden_by": rollback.facts["ordered_by"]} if rollback.is_undo else {}
    about = replace(alert, version=rollback.accused_version)
    decisions.add(
        tx,
        about,
        decision,
        at=now,
        facts=facts_of(facts) | by,
        receiver=tools.receiver,
        rollback_id=rollback.id,
        about_alert=not rollback.is_undo,
    )
    after_commit(tx, lambda: tools.metrics.decided(decision.verdict))


def _refuse(
    tx: Transaction, tools: Tools, alert: StoredAlert, rollback: Rollback, decision: Decision, now: float
) -> None:
    """End it before its write. What a person has ordered ends for them to hear, everything else in silence."""
    unheard_of = rollback.started_at is None and not rollback.is_undo and rollback.approved_by is None
    if unheard_of:  # before the first permit nobody was told of it
        put_suppressed(tx, tools.telling, alert, decision, rollback.facts, now=now)
    state = State.SUPERSEDED if decision.verdict is Verdict.SUPERSEDED else State.FAILED
    reason = "unread" if decision.rests_on_ignorance else f"refused_{decision.verdict.value}"
    end(tx, tools, rollback, state, reason, now, quiet=unheard_of)


def _took_effect(tx: Transaction, tools: Tools, rollback: Rollback, reading: Reading, now: float) -> bool:
    """An earlier publish of this rollback, taken for lost, shows after all, or did for a while: go on from there."""
    live = None if reading.flow.value is None else reading.flow.value.live_version
    for permit in rollbacks.permits_of(tx, rollback.id):
        if permit.answer is Answer.REFUSED or live is None:
            continue
        target = permit.target_version
        changes = meanwhile(rollback, reading.versions.value or (), target)
        met = has_callers(reading.evidence.value, rollback.object_id, target, since=permit.issued_at)
        if live == target or (met and live == rollback.accused_version):
            known = changes if live == target else None  # from an old view nobody learns who else has published
            conclude(tx, tools, rollbacks.change(tx, rollback, target_version=target), Readback.DONE, known, now)
            return True
        if changes is not None and changes.target_served:
            conclude(tx, tools, rollback, Readback.OVERTAKEN, changes, now)
            return True
    return False


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
    before = [step.detail.get("status") for step in rollbacks.steps_of(tx, refused.id) if step.event == "refused"]
    rollbacks.add_step(tx, refused, "refused", at=now, detail={"problem": str(problem), "status": problem.status})
    token_is_bad = problem.status == _UNAUTHORIZED and _UNAUTHORIZED in before
    wait_s = None if token_is_bad else _passes_after(problem, tools)
    if wait_s is None:
        end(tx, tools, refused, State.FAILED, "publish_refused", now)
    elif now + wait_s >= refused.deadline:
        reason = "rate_limited" if isinstance(problem, Throttled) else "deadline"
        end(tx, tools, refused, State.FAILED, reason, now)
    else:
        rollbacks.change(tx, refused, state=State.PLANNED.value, not_before=now + wait_s)


def _passes_after(problem: GenesysError, tools: Tools) -> float | None:
    """Seconds after which the same publish may be accepted; None if waiting cannot help."""
    if isinstance(problem, Throttled):
        return problem.retry_after_s
    if problem.status in (_CONFLICT, _UNAUTHORIZED, None):
        return tools.timing.retry_s
    return None
