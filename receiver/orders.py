"""What people order about one rollback: approve it, deny it, undo it. For a new one see `by_hand`.

Each is a change of one row, or a new one, and goes into the audit with the name of who
ordered it. What comes of it is the loop's work: everything is decided anew there.
"""

from typing import Any
from uuid import uuid4

from receiver.applied import rollback_deadline_s
from receiver.config import ReceiverSettings
from receiver.metrics import ReceiverMetrics
from receiver.notify.events import rfc3339
from receiver.policy import BY_HAND_PASSES, DEPENDENT_PASSES, UNDO_PASSES, Verdict
from receiver.store import audit, flows, rollbacks, ways_in_vain
from receiver.store.database import Transaction, after_commit
from receiver.store.rollbacks import (
    BECAUSE_OF,
    DENIED_BY,
    TO_PUBLISH,
    UNDER_WAY,
    AlreadyTried,
    Conflict,
    Kind,
    Rollback,
    State,
)
from receiver.strategy import Strategy, first_of, in_order

_KEPT_FACTS = ("flow_name", "flow_type", "object_type", "division", "owner", "signal", TO_PUBLISH)


class NotPossible(Exception):
    """It cannot be ordered, or not any more; the text says why. Nothing was changed."""


def passes(rollback: Rollback) -> frozenset[Verdict]:
    """Guards that do not matter for a rollback, because of who has ordered it, or what it follows."""
    if rollback.is_undo:
        return UNDO_PASSES
    if rollback.is_dependent:
        return DEPENDENT_PASSES
    if rollback.overrides is None:
        return frozenset()
    return BY_HAND_PASSES | {Verdict(name) for name in rollback.overrides.split()}


def approve(
    tx: Transaction, waiting: Rollback, settings: ReceiverSettings, *, by: str, reason: str, now: float
) -> Rollback:
    """Plan a rollback that waits for it. Raises NotPossible, also for the second of two people."""
    _check_that_it_waits(waiting, now)
    approved = _change(
        tx,
        waiting,
        state=State.PLANNED.value,
        reason="",
        approved_by=by,
        approved_at=now,
        not_before=now,
        deadline=now + rollback_deadline_s(settings.timing, waiting.facts.get("flow_type"), waiting.strategy),
    )
    record(tx, approved, "approved", audit.Kind.APPROVED, by=by, reason=reason, now=now)
    return approved


def deny(tx: Transaction, waiting: Rollback, metrics: ReceiverMetrics, *, by: str, reason: str, now: float) -> Rollback:
    """End a rollback that waits for approval. Raises NotPossible, also for the second of two people.

    The bridge does not ask again about this version until the alerts that accuse it are over.
    """
    _check_that_it_waits(waiting, now)
    facts = waiting.facts | {DENIED_BY: by, "denied_because": reason}
    denied = _change(tx, waiting, state=State.FAILED.value, reason="denied", ended_at=now, facts=facts)
    record(tx, denied, "denied", audit.Kind.DENIED, by=by, reason=reason, now=now)
    after_commit(tx, lambda: metrics.ended(State.FAILED, now - denied.planned_at))
    return denied


def undo(tx: Transaction, first: Rollback, settings: ReceiverSettings, *, by: str, reason: str, now: float) -> Rollback:
    """Plan to make the version live again that a rollback has taken away. Raises NotPossible."""
    # Counted before the check: an undo that is committed between the two is found by it, or has our number.
    same = [one for one in _of_flow(tx, first) if one.accused_version == first.target_version]
    _check_that_it_can_be_undone(tx, first)
    ways_back = in_order(_ways_of_undo(first), ways_in_vain.of(tx, first.org))
    undo_id = str(uuid4())
    planned = Rollback(
        id=undo_id,
        alert_id=first.alert_id,
        org=first.org,
        object_type=first.object_type,
        object_id=first.object_id,
        accused_version=first.target_version,
        live_since=first.confirmed_at or 0.0,  # as far as is known before the flow is read
        try_number=len(same) + 1,
        shadow=False,
        target_version=first.accused_version,
        state=State.PLANNED,
        reason="",
        revision=1,
        created_at=now,
        deadline=now + rollback_deadline_s(settings.timing, first.facts.get("flow_type"), first_of(ways_back)),
        not_before=now,
        started_at=None,
        wrote=False,
        threshold_ratio=first.threshold_ratio,
        confirmed_at=None,
        ended_at=None,
        facts=_facts_of_undo(first, by, reason),
        kind=Kind.UNDO,
        attempt_id=undo_id,
        published_by=None,
        undoes=first.id,
        approved_by=None,
        approved_at=None,
        ways_back=ways_back,
        strategy=first_of(ways_back),
    )
    try:
        rollbacks.create(tx, planned)
    except AlreadyTried:
        raise NotPossible("somebody else has ordered it at the same moment") from None
    record(tx, planned, "planned", audit.Kind.UNDO, by=by, reason=reason, now=now)
    return planned


def _ways_of_undo(first: Rollback) -> list[Strategy]:
    """Who was led elsewhere is led back, for to publish what is live would do nothing; nobody else is led anywhere."""
    if first.strategy is Strategy.REPOINT:
        return [Strategy.REPOINT]
    known = [Strategy(name) for name in first.ways_back.split()]
    return [one for one in known if one is not Strategy.REPOINT]


def _facts_of_undo(first: Rollback, by: str, reason: str) -> dict[str, Any]:
    kept = {name: first.facts[name] for name in _KEPT_FACTS if name in first.facts}
    return kept | {"ordered_by": by, "ordered_because": reason}


def _check_that_it_waits(rollback: Rollback, now: float) -> None:
    if rollback.state is not State.AWAITING_APPROVAL:
        approved = f", approved by {rollback.approved_by}" if rollback.approved_by else ""
        reason = f" ({rollback.reason})" if rollback.reason else ""
        raise NotPossible(f"it does not wait for approval: it is {rollback.state.value}{reason}{approved}")
    if now >= rollback.deadline:
        raise NotPossible(f"its approval was asked for until {rfc3339(rollback.deadline)}")


def _check_that_it_can_be_undone(tx: Transaction, first: Rollback) -> None:
    if first.is_undo:
        raise NotPossible("it is an undo itself; publish the version that you want in Architect")
    if first.is_dependent:
        raise NotPossible(f"it took nothing away: undo what it followed, {first.facts[BECAUSE_OF]}")
    if first.confirmed_at is None:
        raise NotPossible(f"it has not made version {first.target_version} live: it is {first.state.value}")
    for one in rollbacks.undos_of(tx, first.id):
        if one.state in UNDER_WAY or one.state is State.SUCCEEDED:
            raise NotPossible(f"it is undone already by {one.id}: {one.state.value}")
    if first.state is State.SUPERSEDED or _has_been_replaced(tx, first):
        raise NotPossible(f"version {first.target_version} is not live any more: there is nothing to undo")


def _has_been_replaced(tx: Transaction, first: Rollback) -> bool:
    """Another version has become live since, as far as is known here; the loop looks again.

    A listing that shows the version that was taken away may be an old view.
    """
    confirmed_at = first.confirmed_at or 0.0
    others = [one for one in _of_flow(tx, first) if not one.is_dependent]  # those make nothing else live
    if any((one.confirmed_at or 0.0) > confirmed_at for one in others):
        return True
    listing = flows.listing(tx, first.org)
    if listing is None or listing.listed_at is None or listing.listed_at <= confirmed_at:
        return False
    known = {first.target_version, first.accused_version}
    return any(flow.live_version not in known for flow in flows.of(tx, first.org, first.object_id))


def _of_flow(tx: Transaction, first: Rollback) -> list[Rollback]:
    return rollbacks.of_flow(tx, first.org, first.object_id, shadow=False)


def _change(tx: Transaction, waiting: Rollback, **values: Any) -> Rollback:
    try:
        return rollbacks.change(tx, waiting, **values)
    except Conflict:
        raise NotPossible("somebody else has decided about it at the same moment") from None


def record(
    tx: Transaction, rollback: Rollback, event: str, kind: audit.Kind, *, by: str, reason: str, now: float
) -> None:
    """Write down who has ordered it, and why: as a step of the rollback, and in the audit."""
    said = {"by": by} | ({"reason": reason} if reason else {})
    rollbacks.add_step(tx, rollback, event, at=now, detail=said)
    about = {
        "rollback_id": rollback.id,
        "org": rollback.org,
        "object_type": rollback.object_type,
        "object_id": rollback.object_id,
        "version": rollback.accused_version,
        "target_version": rollback.target_version,
        "undoes": rollback.undoes,
        "reason": reason,
    } | ({} if rollback.overrides is None else {"overrides": rollback.overrides.split()})
    audit.record(tx, kind, about, at=now, actor=by)
