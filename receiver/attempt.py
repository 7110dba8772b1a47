"""One attempt: the rollbacks of the flows of one change set, which share a lease, a lockout and a notification.

Each of them is decided about by itself, publishes by itself, and has its own end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from receiver.change_set import Publication, belong_together
from receiver.store import deployments, rollbacks
from receiver.store.database import Transaction
from receiver.store.rollbacks import UNDER_WAY, Rollback

RUNNING = "running"
PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a rollback is, or would be, a part of; without an `id` it would be the first."""

    id: str | None = None
    members: tuple[Rollback, ...] = ()  # the oldest first

    def has(self, rollback: Rollback) -> bool:
        return self.id is not None and rollback.attempt_id == self.id


ALONE = Attempt()


def of_rollback(tx: Transaction, rollback: Rollback) -> Attempt:
    """The attempt that a rollback is a part of."""
    return Attempt(rollback.attempt_id, tuple(rollbacks.of_attempt(tx, rollback.attempt_id)))


def to_join(
    tx: Transaction, org: str, accused: Publication, *, shadow: bool, since: float, deployment_s: float
) -> Attempt:
    """The attempt, begun after `since`, that works on the change set of an accused version; an empty one if none does.

    One that has had a rollback of the same flow is not joined: that flow's next one keeps to the lockout.
    """
    for first in rollbacks.first_of_attempts(tx, org, since=since, shadow=shadow):
        found = of_rollback(tx, first)
        if any(one.object_id == accused.flow_id for one in found.members):
            continue
        published = [_publication(tx, one) for one in found.members]
        if any(belong_together(accused, one, deployment_s=deployment_s) for one in published):
            return found
    return ALONE


def _publication(tx: Transaction, rollback: Rollback) -> Publication:
    """How the version that a rollback takes back had come to be; it may have been registered meanwhile."""
    registered = deployments.of_version(tx, rollback.org, rollback.object_id, rollback.accused_version)
    return Publication(
        rollback.object_id, rollback.published_by, rollback.live_since or None, registered.id if registered else None
    )


def was_told_with_another(rollback: Rollback, members: Sequence[Rollback]) -> bool:
    """Did people hear that it would be rolled back when another one of the attempt was triggered?"""
    return any(
        one.id != rollback.id and one.started_at is not None and rollback.planned_at <= one.started_at
        for one in members
    )


def state_of(members: Sequence[Rollback]) -> str:
    """The attempt at a glance: running, the end that all its rollbacks have in common, or partial."""
    if any(one.state in UNDER_WAY for one in members):
        return RUNNING
    ends = {one.state for one in members}
    return ends.pop().value if len(ends) == 1 else PARTIAL


def facts_of(members: Sequence[Rollback]) -> dict[str, Any]:
    """What people are told and shown of an attempt."""
    return {
        "attempt_state": state_of(members),
        "members": [
            {
                "rollback_id": one.id,
                "flow_id": one.object_id,
                "flow_name": one.facts.get("flow_name"),
                "accused_version_id": one.accused_version,
                "target_version_id": one.target_version,
                "state": one.state.value,
                "reason": one.reason,
            }
            for one in members
        ],
    }
