"""The write: decide anew on fresh facts, write the permit, send once, and write down the answer."""

from dataclasses import replace

from genesys.errors import GenesysError, Refused, Throttled, Unavailable
from genesys.flows import Operation, Readback
from receiver import remembered
from receiver.applied import rollback_deadline_s
from receiver.config import Scope
from receiver.confirmation import conclude
from receiver.ending import end
from receiver.gather import accusing, situation, situation_of_undo
from receiver.meanwhile import has_callers
from receiver.notify.events import put_suppressed, put_triggered
from receiver.orders import passes
from receiver.planning import facts_of
from receiver.policy import Decision, Verdict, decide
from receiver.readback import facts_before_write, meanwhile
from receiver.reader import Reading
from receiver.situation import Situation
from receiver.store import alerts, decisions, leases, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction, after_commit
from receiver.store.leases import EVERYTHING, Lease
from receiver.store.rollbacks import Answer, Permit, Rollback, State
from receiver.strategy import Strategy
from receiver.tools import Tools
from receiver.way import Prepared, Sight, give_up
from receiver.ways import WAYS

_WAITS = "waits"
_CONFLICT = 409  # an operation is under way, or somebody has the flow locked: it passes
_UNAUTHORIZED = 401  # the token ran out between the reading and the write: the next reading brings a new one


def publish(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """Decide anew on fresh facts; if nothing holds back, write the permit and send."""
    now, is_our_turn = tools.store.transact(_look, tools, rollback)
    if now < rollback.not_before or not is_our_turn:
        return
    prepared = WAYS[rollback.strategy].prepare(tools, lease, rollback)
    if prepared is None:
        return
    tools.alertmanagers.refresh(now)
    reading = tools.reader.read_afresh(rollback.object_id, now=now)
    begun = tools.monotonic()
    permitted = tools.store.transact(_decide_anew, tools, lease, rollback, reading, prepared)
    if permitted is None:
        return
    publishing, permit = permitted
    # Once it has run out, somebody else may count on its not being used any more.
    in_time = tools.monotonic() < begun + tools.timing.permit_s
    answer = _send(prepared, permit) if in_time else Refused("not sent: the permit had run out")
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
    tx: Transaction, tools: Tools, lease: Lease, rollback: Rollback, reading: Reading, prepared: Prepared
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
    alert = accusing(alert, reading, rollback)
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
    if not _may_go_to(tx, tools, rollback, prepared, facts.proposed, now):
        return None
    publishing = rollbacks.change(
        tx,
        rollback,
        state=State.PUBLISHING.value,
        target_version=facts.proposed,
        live_since=rollback.live_since if rollback.accuses else (facts.flow.live_published_at or 0.0),
        started_at=rollback.started_at or now,
        wrote=True,
        facts=rollback.facts
        | facts_before_write(facts.flow, reading.versions.value or (), makes_new=prepared.makes_new),
    )
    permit = rollbacks.issue_permit(
        tx,
        publishing,
        now=now,
        permit_s=tools.timing.permit_s,
        strategy=publishing.strategy,
        operation_id=prepared.operation_id,
    )
    detail = {"number": permit.number, "strategy": permit.strategy, "target": permit.target_version}
    rollbacks.add_step(tx, publishing, "permit", at=now, detail=detail)
    if publishing.accuses:
        put_triggered(tx, tools.telling, publishing, now=now)
    return publishing, permit


def _may_go_to(tx: Transaction, tools: Tools, rollback: Rollback, prepared: Prepared, target: str, now: float) -> bool:
    """There is time, people have not agreed to another target, and it is the one that everything was prepared for."""
    changed = rollback.approved_by is not None and target != rollback.target_version
    if changed or now >= rollback.deadline:
        end(tx, tools, rollback, State.FAILED, "target_changed" if changed else "deadline", now)
        return False
    if prepared.target not in (None, target):
        rollbacks.change(tx, rollback, target_version=target, export_job=None, not_before=now)
        return False
    return True


def _decide(
    tx: Transaction, tools: Tools, alert: StoredAlert, rollback: Rollback, reading: Reading, now: float
) -> tuple[Situation, Decision]:
    suppression = tools.alertmanagers.suppression(alert.fingerprint, now)
    gather = situation if rollback.accuses else situation_of_undo
    facts = gather(tx, alert, reading, suppression, tools.around, now=now, own=rollback)
    return facts, decide(facts, tools.limits, passes(rollback))


def _passes_by_itself(rollback: Rollback, decision: Decision) -> bool:
    """Nothing is against it but that it is not its turn; what a person has ordered waits for a lockout as well."""
    passing = {Verdict.IN_PROGRESS} if rollback.approved_by is None else {Verdict.IN_PROGRESS, Verdict.LOCKOUT}
    return bool(decision.holding_back) and set(decision.holding_back) <= passing


def _wait(tx: Transaction, tools: Tools, rollback: Rollback, facts: Situation, decision: Decision, now: float) -> bool:
    """Until it is its turn; False if that is too late. The time of one lockout does not count."""
    timing = tools.timing
    not_before, deadline = now + timing.tick_s, rollback.deadline
    if Verdict.LOCKOUT in decision.holding_back:
        not_before = facts.lockout_until
        deadline = not_before + rollback_deadline_s(timing, rollback.facts.get("flow_type"), rollback.strategy)
        if not_before > rollback.planned_at + 2 * timing.lockout_s:
            return False
    if not _in_time(tools, rollback, now):
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
    """An undo is decided about the version that it takes away; the alert was about the other one.

    And the alert is as it was where a person has ordered what becomes of its version.
    """
    by_people = rollback.is_undo or rollback.is_by_hand
    by = {"overridden_by": rollback.facts["ordered_by"]} if by_people else {}
    about = replace(alert, object_id=rollback.object_id, version=rollback.accused_version)
    decisions.add(
        tx,
        about,
        decision,
        at=now,
        facts=facts_of(facts) | by,
        receiver=tools.receiver,
        rollback_id=rollback.id,
        about_alert=rollback.accuses and not rollback.is_by_hand,
    )
    after_commit(tx, lambda: tools.metrics.decided(decision.verdict))


def _refuse(
    tx: Transaction, tools: Tools, alert: StoredAlert, rollback: Rollback, decision: Decision, now: float
) -> None:
    """End it before its write. What a person has ordered ends for them to hear, everything else in silence."""
    unheard_of = rollback.started_at is None and rollback.accuses and rollback.approved_by is None
    if unheard_of:  # before the first permit nobody was told of it
        put_suppressed(tx, tools.telling, alert, decision, rollback.facts, now=now)
    state = State.SUPERSEDED if decision.verdict is Verdict.SUPERSEDED else State.FAILED
    reason = "unread" if decision.rests_on_ignorance else f"refused_{decision.verdict.value}"
    end(tx, tools, rollback, state, reason, now, quiet=unheard_of)


def _took_effect(tx: Transaction, tools: Tools, rollback: Rollback, reading: Reading, now: float) -> bool:
    """An earlier publish of this rollback, taken for lost, shows after all, or did for a while: go on from there.

    Where the version that is live is published once more, nothing would show it.
    """
    if rollback.is_dependent:
        return False
    live = None if reading.flow.value is None else reading.flow.value.live_version
    for permit in rollbacks.permits_of(tx, rollback.id):
        if permit.answer is Answer.REFUSED or live is None or permit.strategy == Strategy.REDEPLOY:
            continue  # a file that was taken for lost has no job, and its address is nobody's any more
        target = permit.target_version
        changes = meanwhile(rollback, reading.versions.value or (), target)
        met = has_callers(reading.evidence.value, rollback.object_id, target, since=permit.issued_at)
        if live == target or (met and live == rollback.accused_version):
            known = changes if live == target else None  # from an old view nobody learns who else has published
            shown = rollbacks.change(tx, rollback, target_version=target, strategy=permit.strategy)
            conclude(tx, tools, shown, Sight(Readback.DONE, changes=known), now)
            return True
        if changes is not None and changes.target_served:
            conclude(tx, tools, rollback, Sight(Readback.OVERTAKEN, changes=changes), now)
            return True
    return False


def _read_again_later(tx: Transaction, tools: Tools, rollback: Rollback, decision: Decision, now: float) -> None:
    """A reading that failed is no refusal: it passes, or the deadline ends the rollback."""
    waiting = rollbacks.change(tx, rollback, not_before=now + tools.timing.retry_s)
    unread = {guard.name.value: guard.value for guard in decision.guards if guard.unknown}
    rollbacks.add_step(tx, waiting, "unread", at=now, detail=unread)


def _send(prepared: Prepared, permit: Permit) -> Operation | GenesysError:
    try:
        return prepared.send(permit)
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
    if wait_s is None and not token_is_bad:
        give_up(tx, tools, refused, "publish_refused", now, is_lesson=_is_lesson(refused, problem))
    elif wait_s is None:
        end(tx, tools, refused, State.FAILED, "publish_refused", now)
    elif now + wait_s >= refused.deadline:
        reason = "rate_limited" if isinstance(problem, Throttled) else "deadline"
        end(tx, tools, refused, State.FAILED, reason, now)
    else:
        rollbacks.change(tx, refused, state=State.PLANNED.value, not_before=now + wait_s)


def _is_lesson(rollback: Rollback, problem: GenesysError) -> bool:
    """A label that was published before is refused for being that; a file may be refused for many reasons."""
    return rollback.strategy is Strategy.REPUBLISH and isinstance(problem, Refused)


def _passes_after(problem: GenesysError, tools: Tools) -> float | None:
    """Seconds after which the same publish may be accepted; None if waiting cannot help."""
    if isinstance(problem, Throttled):
        return problem.retry_after_s
    if problem.status in (_CONFLICT, _UNAUTHORIZED, None):
        return tools.timing.retry_s
    return None
