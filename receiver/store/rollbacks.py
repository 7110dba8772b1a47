"""Rollbacks: one row per try, its steps, and its permits to send."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from receiver.callers import EVERYTHING, Reach
from receiver.store import audit
from receiver.store.database import Transaction, older
from receiver.store.divisions import is_within
from receiver.store.schema import permits, rollbacks, steps
from receiver.strategy import Strategy


class State(StrEnum):
    """Where a rollback stands; the last six are its ends."""

    AWAITING_APPROVAL = "awaiting_approval"
    PLANNED = "planned"
    PUBLISHING = "publishing"
    CONFIRMING = "confirming"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    INEFFECTIVE = "ineffective"
    UNVERIFIED = "unverified"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    OBSERVED = "observed"


LEASED = frozenset({State.PLANNED, State.PUBLISHING, State.CONFIRMING})
UNDER_WAY = LEASED | {State.AWAITING_APPROVAL, State.VERIFYING}
ENDS = frozenset(State) - UNDER_WAY


ASKED = "approval_because"  # among the facts of a rollback for which people were asked
DENIED_BY = "denied_by"
IN_VAIN = "ways_in_vain"  # strategies that have had no effect, in their order
TO_PUBLISH = "dependents_to_publish"  # of a module's rollback: the flows that are published once more
BECAUSE_OF = "because_of"  # of such a flow: the rollback of the module
MODULE_NAME = "module_name"  # and its name
COPY_OF = "copy_of"  # of one by `redeploy`: the version whose content its target has


class Kind(StrEnum):
    """Why an earlier version is made live again."""

    ROLLBACK = "rollback"  # callers fail
    UNDO = "undo"  # a person wants the version back that a rollback took away
    DEPENDENT = "dependent"  # none is: a flow is published as it is, because a module that it uses was rolled back


class Answer(StrEnum):
    """What Genesys Cloud said to the publish that a permit allowed."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # provably without effect
    AMBIGUOUS = "ambiguous"  # only reading the flow can tell


class AlreadyTried(Exception):
    """This try of this version exists: another receiver, or an earlier delivery, was first."""


class Conflict(Exception):
    """The rollback was changed by somebody else since it was read; nothing was written."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """One try to make an earlier version live again. Times are Unix seconds."""

    id: str
    alert_id: int
    org: str
    object_type: str
    object_id: str
    accused_version: str
    live_since: float
    try_number: int
    shadow: bool  # mode observe: shows what would have been done, and blocks nothing that is real
    target_version: str
    state: State
    reason: str
    revision: int
    created_at: float
    deadline: float
    not_before: float
    started_at: float | None
    wrote: bool
    threshold_ratio: float
    confirmed_at: float | None
    ended_at: float | None
    facts: dict[str, Any]
    kind: Kind
    attempt_id: str  # the same for the flows of one change set: the id of the first rollback
    published_by: str | None
    undoes: str | None
    approved_by: str | None
    approved_at: float | None
    overrides: str | None = None  # guards that people named who have ordered it by hand; None: nobody has
    ways_back: str = Strategy.REPUBLISH.value  # those that may be gone, in their order; see `receiver.strategy`
    strategy: Strategy = Strategy.REPUBLISH  # the one that has its turn
    export_job: str | None = None  # of `redeploy`

    @property
    def planned_at(self) -> float:
        """Since when it may be carried out: what people thought before they approved it does not count."""
        return self.created_at if self.approved_at is None else self.approved_at

    @property
    def is_undo(self) -> bool:
        return self.kind is Kind.UNDO

    @property
    def is_dependent(self) -> bool:
        return self.kind is Kind.DEPENDENT

    @property
    def accuses(self) -> bool:
        """It says that a version fails; an undo does not, nor does what follows a module's rollback."""
        return self.kind is Kind.ROLLBACK

    @property
    def is_by_hand(self) -> bool:
        """A person has ordered it, whatever the alerts say."""
        return self.overrides is not None

    @property
    def is_moot(self) -> bool:
        """People were asked for it, and said no, or the flow did not need it any more: it has not failed."""
        over = self.reason in ("refused_resolved", "refused_inactive") or DENIED_BY in self.facts
        return ASKED in self.facts and self.approved_by is None and self.state is State.FAILED and over


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one publish, or file, until `valid_until`; no `answer` means nobody knows whether it was sent."""

    rollback_id: str
    number: int
    strategy: str
    target_version: str
    issued_at: float
    valid_until: float
    answer: Answer | None
    operation_id: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a rollback's story."""

    at: float
    state: str
    event: str
    detail: dict[str, Any]


def create(tx: Transaction, rollback: Rollback) -> None:
    """Insert a new try. Raises AlreadyTried if the same try exists."""
    try:
        with tx.begin_nested():
            tx.execute(sa.insert(rollbacks).values(**_values(rollback)))
    except IntegrityError as problem:
        raise AlreadyTried(
            f"try {rollback.try_number} of version {rollback.accused_version} of {rollback.object_id} exists"
        ) from problem


def change(tx: Transaction, rollback: Rollback, **values: Any) -> Rollback:
    """Change a rollback that nobody else has changed meanwhile, and give its new form. Raises Conflict."""
    values["revision"] = rollback.revision + 1
    changed = (
        tx.execute(
            sa.update(rollbacks)
            .where(rollbacks.c.id == rollback.id, rollbacks.c.revision == rollback.revision)
            .values(**values)
            .returning(*rollbacks.c)
        )
        .mappings()
        .one_or_none()
    )
    if changed is None:
        raise Conflict(f"rollback {rollback.id} is no longer at revision {rollback.revision}")
    return _rollback(changed)


def add_step(tx: Transaction, rollback: Rollback, event: str, *, at: float, detail: Mapping[str, Any]) -> None:
    """Add a line to the rollback's story, also in the audit."""
    step = {"rollback_id": rollback.id, "state": rollback.state.value, "event": event, "detail": dict(detail)}
    tx.execute(sa.insert(steps).values(step | {"at": at}))
    about = {
        "org": rollback.org,
        "object_type": rollback.object_type,
        "object_id": rollback.object_id,
        "version": rollback.accused_version,
        "target_version": rollback.target_version,
    }
    audit.record(tx, audit.Kind.STEP, about | step, at=at)


def get(tx: Transaction, rollback_id: str) -> Rollback | None:
    found = _rollbacks(tx, sa.select(rollbacks).where(rollbacks.c.id == rollback_id))
    return found[0] if found else None


def steps_of(tx: Transaction, rollback_id: str) -> list[Step]:
    query = sa.select(steps.c.at, steps.c.state, steps.c.event, steps.c.detail)
    return [Step(*row) for row in tx.execute(query.where(steps.c.rollback_id == rollback_id).order_by(steps.c.id))]


def under_way(tx: Transaction, org: str | None = None, states: Iterable[State] = UNDER_WAY) -> list[Rollback]:
    """Rollbacks that have not ended, oldest first."""
    query = sa.select(rollbacks).where(rollbacks.c.state.in_([state.value for state in states]))
    if org is not None:
        query = query.where(rollbacks.c.org == org)
    return _rollbacks(tx, query.order_by(rollbacks.c.created_at, rollbacks.c.id))


def of_flow(tx: Transaction, org: str, object_id: str, *, shadow: bool) -> list[Rollback]:
    """Every rollback of one flow, newest first."""
    query = sa.select(rollbacks).where(
        rollbacks.c.org == org, rollbacks.c.object_id == object_id, rollbacks.c.shadow == shadow
    )
    return _rollbacks(tx, query.order_by(rollbacks.c.created_at.desc(), rollbacks.c.id))


def of_attempt(tx: Transaction, attempt_id: str) -> list[Rollback]:
    """The rollbacks of one attempt, oldest first."""
    query = sa.select(rollbacks).where(rollbacks.c.attempt_id == attempt_id)
    return _rollbacks(tx, query.order_by(rollbacks.c.created_at, rollbacks.c.id))


def first_of_attempts(tx: Transaction, org: str, *, since: float, shadow: bool) -> list[Rollback]:
    """The first rollback of each attempt of an organization that was begun after `since`, newest first."""
    query = sa.select(rollbacks).where(
        rollbacks.c.org == org,
        rollbacks.c.shadow == shadow,
        rollbacks.c.kind == Kind.ROLLBACK.value,
        rollbacks.c.attempt_id == rollbacks.c.id,
        rollbacks.c.created_at > since,
    )
    return _rollbacks(tx, query.order_by(rollbacks.c.created_at.desc(), rollbacks.c.id))


def undos_of(tx: Transaction, rollback_id: str) -> list[Rollback]:
    """Every try to undo one rollback, oldest first."""
    query = sa.select(rollbacks).where(rollbacks.c.undoes == rollback_id)
    return _rollbacks(tx, query.order_by(rollbacks.c.created_at, rollbacks.c.id))


def newest(
    tx: Transaction,
    *,
    org: str | None,
    within: Reach = EVERYTHING,
    flow_id: str | None,
    limit: int,
    since: float | None = None,
    after: tuple[float, str] | None = None,
) -> list[Rollback]:
    """For people: the newest rollbacks first, or those after the one of this moment with this id.

    `within`: only what is reached; `since`: only those that were created then, or later.
    """
    query = sa.select(rollbacks).order_by(rollbacks.c.created_at.desc(), rollbacks.c.id).limit(limit)
    if org is not None:
        query = query.where(rollbacks.c.org == org)
    query = query.where(is_within(within, rollbacks.c.org, rollbacks.c.object_id))
    if flow_id is not None:
        query = query.where(rollbacks.c.object_id == flow_id)
    if since is not None:
        query = query.where(rollbacks.c.created_at >= since)
    if after is not None:
        query = query.where(older(rollbacks.c.created_at, rollbacks.c.id, after))
    return _rollbacks(tx, query)


def newest_of_each_flow(tx: Transaction) -> list[Rollback]:
    """The newest rollback of every flow that has one; shadow ones, and those that followed a module's, left out."""
    rows: dict[tuple[str, str], Rollback] = {}
    real = sa.and_(sa.not_(rollbacks.c.shadow), rollbacks.c.kind != Kind.DEPENDENT.value)
    query = sa.select(rollbacks).where(real).order_by(rollbacks.c.created_at)
    for rollback in _rollbacks(tx, query):
        rows[rollback.org, rollback.object_id] = rollback
    return list(rows.values())


def last_start(
    tx: Transaction, org: str | None, flow_id: str | None, *, shadow: bool, but_of: str | None = None
) -> float | None:
    """When a rollback last started in an organization (None: in any), or of one of its flows; but of one attempt.

    An undo is none.
    """
    query = sa.select(sa.func.max(rollbacks.c.started_at)).where(
        rollbacks.c.shadow == shadow, rollbacks.c.kind == Kind.ROLLBACK.value
    )
    if but_of is not None:
        query = query.where(rollbacks.c.attempt_id != but_of)
    if org is not None:
        query = query.where(rollbacks.c.org == org)
    if flow_id is not None:
        query = query.where(rollbacks.c.object_id == flow_id)
    started_at: float | None = tx.scalar(query)
    return started_at


def started_since(tx: Transaction, org: str, flow_id: str | None, *, since: float, shadow: bool) -> list[Rollback]:
    """Rollbacks of an organization, or of one flow, that started after `since` and were not provably refused.

    An undo is none.
    """
    query = sa.select(rollbacks).where(
        rollbacks.c.org == org,
        rollbacks.c.shadow == shadow,
        rollbacks.c.kind == Kind.ROLLBACK.value,
        rollbacks.c.wrote,
        rollbacks.c.started_at > since,
    )
    if flow_id is not None:
        query = query.where(rollbacks.c.object_id == flow_id)
    return _rollbacks(tx, query)


def issue_permit(
    tx: Transaction,
    rollback: Rollback,
    *,
    now: float,
    permit_s: float,
    strategy: str,
    operation_id: str | None = None,
) -> Permit:
    """Write down that one publish may be sent until `now + permit_s`; by which operation, if that is known before."""
    number = len(permits_of(tx, rollback.id)) + 1
    permit = Permit(rollback.id, number, strategy, rollback.target_version, now, now + permit_s, None, operation_id)
    tx.execute(
        sa.insert(permits).values(
            rollback_id=permit.rollback_id,
            number=permit.number,
            strategy=permit.strategy,
            target_version=permit.target_version,
            issued_at=permit.issued_at,
            valid_until=permit.valid_until,
            operation_id=operation_id,
        )
    )
    return permit


def answer_permit(tx: Transaction, permit: Permit, answer: Answer, operation_id: str | None = None) -> None:
    tx.execute(
        sa.update(permits)
        .where(permits.c.rollback_id == permit.rollback_id, permits.c.number == permit.number)
        .values(answer=answer.value, operation_id=operation_id or permit.operation_id)
    )


def permits_of(tx: Transaction, rollback_id: str) -> list[Permit]:
    """The permits of one rollback, in their order."""
    query = sa.select(permits).where(permits.c.rollback_id == rollback_id).order_by(permits.c.number)
    found = []
    for row in tx.execute(query).mappings():
        values = dict(row)
        values["answer"] = Answer(values["answer"]) if values["answer"] else None
        found.append(Permit(**values))
    return found


def _rollbacks(tx: Transaction, query: sa.Select[Any]) -> list[Rollback]:
    return [_rollback(row) for row in tx.execute(query).mappings()]


def _rollback(row: sa.RowMapping) -> Rollback:
    values: dict[str, Any] = dict(row)
    values["state"] = State(values["state"])
    values["kind"] = Kind(values["kind"])
    values["strategy"] = Strategy(values["strategy"])
    return Rollback(**values)


def _values(rollback: Rollback) -> dict[str, Any]:
    return {column.name: getattr(rollback, column.name) for column in rollbacks.columns}
