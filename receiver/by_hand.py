"""Rollbacks that people order by hand: whether one may be, and what is written down when it may.

The same guards as for an alert: some do not matter for what a person wants, others are named one by one by who
overrides them, and the rest says that it is not possible. The loop decides anew before it writes.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from uuid import uuid4

from genesys.flows import Flow
from receiver.applied import apply_policy, rollback_deadline_s
from receiver.config import ReceiverSettings
from receiver.dependents import to_publish
from receiver.orders import NotPossible, record
from receiver.planning import facts_of
from receiver.policy import UNDO_PASSES, Decision, Guard, Verdict
from receiver.situation import Situation
from receiver.store import alerts, audit, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Transaction
from receiver.store.rollbacks import AlreadyTried, Kind, Rollback, State
from receiver.strategy import first_of, in_order


class HeldBack(NotPossible):
    """Guards hold back what was ordered by hand, and nobody has said that they do not matter."""

    def __init__(self, decision: Decision) -> None:
        self.guards = tuple(one for one in decision.guards if one.name in decision.holding_back)
        super().__init__(held_back(self.guards))


def held_back(guards: Sequence[Guard]) -> str:
    """What holds back, and what of it can be overridden, in a sentence."""
    said = "; ".join(f"{one.name.value}: {one.value}" for one in guards)
    may = ", ".join(sorted(one.name.value for one in guards if one.name in UNDO_PASSES))
    return f"held back by {said}" + (f"; can be overridden: {may}" if may else "")


def draft(
    alert: StoredAlert,
    flow: Flow,
    settings: ReceiverSettings,
    overrides: Sequence[Verdict],
    *,
    by: str,
    reason: str,
    now: float,
    in_vain: Collection[str] = (),
) -> Rollback:
    """A rollback by hand as it would be, for the decision whether it may be; without its target, and not stored.

    Who orders it agrees to it. It is an attempt of its own, whoever published what with the version.
    """
    policy = apply_policy(settings, flow).policy
    ways_back = in_order(policy.ways_back, in_vain)
    rollback_id = str(uuid4())
    return Rollback(
        id=rollback_id,
        alert_id=alert.id,
        org=alert.org,
        object_type=alert.object_type,
        object_id=alert.object_id,
        accused_version=alert.version,
        live_since=flow.live_published_at or 0.0,
        try_number=0,
        shadow=False,
        target_version="",
        state=State.PLANNED,
        reason="",
        revision=1,
        created_at=now,
        deadline=now + rollback_deadline_s(settings.timing, flow.type, first_of(ways_back)),
        not_before=now,
        started_at=None,
        wrote=False,
        threshold_ratio=0.0,
        confirmed_at=None,
        ended_at=None,
        facts={
            "signal": alert.signal,
            "owner": policy.owner,
            "ordered_by": by,
            "ordered_because": reason,
        },
        kind=Kind.ROLLBACK,
        attempt_id=rollback_id,
        published_by=flow.published_by,
        undoes=None,
        approved_by=by,
        approved_at=now,
        overrides=" ".join(dict.fromkeys(one.value for one in overrides)),
        ways_back=ways_back,
        strategy=first_of(ways_back),
    )


def plan(
    tx: Transaction,
    drafted: Rollback,
    alert: StoredAlert,
    now: Situation,
    decision: Decision,
    settings: ReceiverSettings,
) -> Rollback:
    """Plan what a person has ordered, if the decision lets it. Raises NotPossible, or HeldBack with the guards.

    It waits for its turn like everything else, so that another rollback at work does not hold it back, but for one of
    the same flow. One that was planned since the situation was put together is found here, or has our number.
    """
    for one in rollbacks.under_way(tx, drafted.org):
        if one.object_id == drafted.object_id:
            waits = one.state is State.AWAITING_APPROVAL
            cure = f"rollbackctl approve {one.id}" if waits else "see what becomes of it"
            raise NotPossible(f"rollback {one.id} of this flow is {one.state.value}: {cure}")
    if set(decision.holding_back) - {Verdict.IN_PROGRESS}:
        raise HeldBack(decision)
    if now.flow is None or now.evidence is None or now.proposed is None:
        raise AssertionError("decided to roll back on unknown facts")  # the guards rule this out
    planned = replace(
        drafted,
        alert_id=(alert if alert.is_open else alerts.accuse(tx, alert, now.at)).id,
        try_number=now.tries + 1,
        target_version=now.proposed,
        threshold_ratio=now.evidence.threshold_ratio,
        facts=facts_of(now) | to_publish(now, apply_policy(settings, now.flow).policy) | drafted.facts,
    )
    try:
        rollbacks.create(tx, planned)
    except AlreadyTried:
        raise NotPossible("somebody else has begun it at the same moment") from None
    by, reason = str(planned.approved_by), planned.facts["ordered_because"]
    record(tx, planned, "planned", audit.Kind.BY_HAND, by=by, reason=reason, now=now.at)
    return planned
