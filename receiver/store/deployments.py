"""Deployments as pipelines register them: which versions and objects belong together, and of what source they are.

A version may be registered more than once; the newest registration holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from uuid import uuid4

import sqlalchemy as sa

from receiver.callers import EVERYTHING, Reach
from receiver.payload import FLOW
from receiver.store import audit, flows, leases
from receiver.store.database import Transaction, older
from receiver.store.divisions import is_within
from receiver.store.rollbacks import State
from receiver.store.schema import deployment_members, deployments, rollbacks

_LOCK = "deployments"  # among the leases: two registrations of the same at once are one

_columns = deployments.c
_members = deployment_members.c


class Consent(StrEnum):
    """What a pipeline lets the bridge do with its deployment; `receiver.yml` may allow less."""

    AUTO = "auto"
    ASK = "ask"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Member:
    """One flow of a deployment; `version` is None until it is known."""

    flow_id: str
    source_digest: str  # SHA-256 of what the pipeline deploys, in hexadecimal digits
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Companion:
    """Something else than a flow that was deployed with the flows: a data table, a data action."""

    object_type: str
    object_id: str
    source_digest: str  # as of a flow


@dataclass(frozen=True, slots=True)
class Registration:
    """What a pipeline says of a deployment."""

    org: str
    flows: tuple[Member, ...]
    commit: str
    actor: str = ""
    url: str = ""
    rollback: Consent = Consent.AUTO
    objects: tuple[Companion, ...] = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    """A registered deployment with its flows by id. Times are Unix seconds."""

    id: str
    org: str
    commit: str
    actor: str
    url: str
    rollback: Consent
    registered_at: float
    registered_by: str
    good_at: float | None
    good_by: str | None
    flows: tuple[Member, ...]
    objects: tuple[Companion, ...]

    def describe(self) -> str:
        """One line for the record."""
        return f"deployment {self.id} (commit {self.commit}, {self.actor or self.registered_by})"


def register(
    tx: Transaction, told: Registration, *, by: str, now: float, repeat_s: float, resolve_s: float
) -> tuple[Deployment, bool]:
    """Keep a deployment, and say whether it is new.

    It is not if the same flows and objects were registered before with the same commit and
    digests, and the same versions. Without versions it is the same as long as those
    of the earlier one are looked for (for `resolve_s`), and from the same job for
    `repeat_s` after its registration; but whatever was rolled back or replaced
    meanwhile, and what another job has deployed, has been published anew.
    """
    leases.lock(tx, _LOCK)
    for earlier in _of_commit(tx, told):
        looked_for = now < earlier.registered_at + resolve_s and any(one.version is None for one in earlier.flows)
        tried_again = told.url == earlier.url and now < earlier.registered_at + repeat_s
        recent = looked_for or (tried_again and not _was_replaced(tx, earlier))
        published_anew = any(_was_rolled_back(tx, told.org, member) for member in earlier.flows)
        if not published_anew and _says_the_same(earlier, told, recent=recent):
            return earlier, False
    made = Deployment(
        id=str(uuid4()),
        org=told.org,
        commit=told.commit,
        actor=told.actor,
        url=told.url,
        rollback=told.rollback,
        registered_at=now,
        registered_by=by,
        good_at=None,
        good_by=None,
        flows=tuple(sorted(told.flows, key=lambda member: member.flow_id)),
        objects=tuple(sorted(told.objects, key=lambda one: (one.object_id, one.object_type))),
    )
    _insert(tx, made)
    return made, True


def get(tx: Transaction, deployment_id: str) -> Deployment | None:
    """One deployment."""
    return next(iter(_read(tx, _columns.id == deployment_id, limit=1)), None)


def newest(
    tx: Transaction,
    *,
    org: str | None,
    within: Reach = EVERYTHING,
    flow_id: str | None = None,
    limit: int,
    after: tuple[float, str] | None = None,
) -> list[Deployment]:
    """For people: the newest registrations first, or those after the one of this moment with this id.

    `within`: only those with a flow that is reached; with `flow_id`, if it is that one.
    """
    conditions = [] if org is None else [_columns.org == org]
    of_member = [] if within.is_everything else [is_within(within, _members.org, _members.object_id)]
    if flow_id is not None:
        of_member += [_members.object_type == FLOW, _members.object_id == flow_id]
    if of_member:
        conditions.append(sa.exists().where(_members.deployment_id == _columns.id, *of_member))
    if after is not None:
        conditions.append(older(_columns.registered_at, _columns.id, after))
    return _read(tx, *conditions, limit=limit)


def of_version(tx: Transaction, org: str, object_id: str, version: str) -> Deployment | None:
    """The newest registration of a version; None if nobody has registered it."""
    named = sa.exists().where(
        _members.deployment_id == _columns.id,
        _members.org == org,
        _members.object_type == FLOW,
        _members.object_id == object_id,
        _members.version == version,
    )
    return next(iter(_read(tx, named, limit=1)), None)


def mark_good(tx: Transaction, deployment_id: str, *, by: str, now: float) -> Deployment | None:
    """Its versions are known good from now on; None if there is no such deployment. Who said so first stays."""
    marked = tx.execute(
        sa.update(deployments)
        .where(_columns.id == deployment_id, _columns.good_at.is_(None))
        .values(good_at=now, good_by=by)
    ).rowcount
    found = get(tx, deployment_id)
    if marked and found is not None:
        audit.record(tx, audit.Kind.DEPLOYMENT_GOOD, {"id": found.id, "org": found.org}, at=now, actor=by)
    return found


def good_versions(tx: Transaction, org: str, flow_id: str) -> frozenset[str]:
    """Versions of a flow that somebody called good."""
    query = (
        sa.select(_members.version)
        .join(deployments, _columns.id == _members.deployment_id)
        .where(*_of_flow(org, flow_id), _members.version.is_not(None), _columns.good_at.is_not(None))
    )
    return frozenset(tx.scalars(query))


def source_digests(tx: Transaction, org: str, flow_id: str) -> dict[str, frozenset[str]]:
    """The digests with which each version of a flow was registered."""
    query = sa.select(_members.version, _members.source_digest).where(
        *_of_flow(org, flow_id), _members.version.is_not(None)
    )
    found: dict[str, set[str]] = {}
    for version, digest in tx.execute(query):
        found.setdefault(version, set()).add(digest)
    return {version: frozenset(digests) for version, digests in found.items()}


def awaits_versions(tx: Transaction, org: str, *, since: float) -> bool:
    """Whether a deployment registered since then has flows whose version is not known."""
    query = (
        sa.select(_members.deployment_id)
        .join(deployments, _columns.id == _members.deployment_id)
        .where(_members.org == org, _members.object_type == FLOW, _members.version.is_(None))
        .where(_columns.registered_at >= since)
        .limit(1)
    )
    return tx.execute(query).first() is not None


def resolve(tx: Transaction, org: str, live: Mapping[str, str], *, since: float, asked_at: float) -> None:
    """Take what is live for what was deployed: a pipeline registers once it has published.

    `live` gives the versions that were read after `asked_at` and are settled, by flow. Of deployments registered
    between `since` and then, those flows get a version that had none. What was registered with another digest, or
    restored by the bridge, is not what they deployed: Genesys Cloud shows an old view, or somebody was faster.
    """
    query = (
        sa.select(_members.deployment_id, _members.object_id, _members.source_digest)
        .join(deployments, _columns.id == _members.deployment_id)
        .where(_members.org == org, _members.object_type == FLOW, _members.version.is_(None))
        .where(_columns.registered_at >= since, _columns.registered_at <= asked_at)
        .order_by(_columns.registered_at, _members.deployment_id)
    )
    for deployment_id, flow_id, digest in tx.execute(query).all():
        version = live.get(flow_id)
        if version is None or _is_foreign(tx, org, flow_id, version, digest):
            continue
        tx.execute(
            sa.update(deployment_members)
            .where(_members.deployment_id == deployment_id, *_of_flow(org, flow_id))
            .values(version=version)
        )


def _is_foreign(tx: Transaction, org: str, flow_id: str, version: str, digest: str) -> bool:
    others = source_digests(tx, org, flow_id).get(version, frozenset())
    restored = sa.select(rollbacks.c.id).where(
        rollbacks.c.org == org,
        rollbacks.c.object_id == flow_id,
        rollbacks.c.target_version == version,
        rollbacks.c.wrote,
        rollbacks.c.state != State.SUPERSEDED.value,
    )
    return bool(others - {digest}) or tx.execute(restored.limit(1)).first() is not None


def _of_commit(tx: Transaction, told: Registration) -> list[Deployment]:
    return _read(tx, _columns.org == told.org, _columns.commit_id == told.commit, limit=100)


def _says_the_same(earlier: Deployment, told: Registration, *, recent: bool) -> bool:
    """Same flows, objects and digests; and, for each flow, the same version or none told while that is `recent`."""
    if set(told.objects) != set(earlier.objects):
        return False
    known = {member.flow_id: member for member in earlier.flows}
    digests = {flow_id: member.source_digest for flow_id, member in known.items()}
    return {one.flow_id: one.source_digest for one in told.flows} == digests and all(
        recent if one.version is None else one.version == known[one.flow_id].version for one in told.flows
    )


def _was_rolled_back(tx: Transaction, org: str, member: Member) -> bool:
    query = sa.select(rollbacks.c.id).where(
        rollbacks.c.org == org,
        rollbacks.c.object_id == member.flow_id,
        rollbacks.c.accused_version == member.version,
        rollbacks.c.wrote,
        sa.not_(rollbacks.c.shadow),
    )
    return member.version is not None and tx.execute(query.limit(1)).first() is not None


def _was_replaced(tx: Transaction, earlier: Deployment) -> bool:
    """Whether another version than its own is live, as far as Genesys Cloud was listed since its registration."""
    listing = flows.listing(tx, earlier.org)
    if listing is None or listing.listed_at is None or listing.listed_at <= earlier.registered_at:
        return False
    known = {member.flow_id: member.version for member in earlier.flows if member.version is not None}
    return any(known.get(flow.id, flow.live_version) != flow.live_version for flow in flows.of(tx, earlier.org))


def _insert(tx: Transaction, made: Deployment) -> None:
    tx.execute(
        sa.insert(deployments).values(
            id=made.id,
            org=made.org,
            commit_id=made.commit,
            actor=made.actor,
            url=made.url,
            rollback=made.rollback.value,
            registered_at=made.registered_at,
            registered_by=made.registered_by,
        )
    )
    rows = [
        {
            "deployment_id": made.id,
            "org": made.org,
            "object_type": FLOW,
            "object_id": member.flow_id,
            "source_digest": member.source_digest,
            "version": member.version,
        }
        for member in made.flows
    ]
    rows += [{"deployment_id": made.id, "org": made.org, "version": None} | asdict(one) for one in made.objects]
    tx.execute(sa.insert(deployment_members), rows)
    facts = {
        "id": made.id,
        "org": made.org,
        "commit": made.commit,
        "deployed_by": made.actor,
        "url": made.url,
        "rollback": made.rollback.value,
        "flows": [asdict(member) for member in made.flows],
        "objects": [asdict(one) for one in made.objects],
    }
    audit.record(tx, audit.Kind.DEPLOYMENT_REGISTERED, facts, at=made.registered_at, actor=made.registered_by)


def _of_flow(org: str, flow_id: str) -> Sequence[sa.ColumnElement[bool]]:
    return (_members.org == org, _members.object_type == FLOW, _members.object_id == flow_id)


def _read(tx: Transaction, *conditions: sa.ColumnElement[bool], limit: int) -> list[Deployment]:
    """The newest first, each with its flows and objects."""
    query = sa.select(deployments).where(*conditions).order_by(_columns.registered_at.desc(), _columns.id).limit(limit)
    rows = tx.execute(query).mappings().all()
    flows: dict[str, list[Member]] = {row["id"]: [] for row in rows}
    objects: dict[str, list[Companion]] = {row["id"]: [] for row in rows}
    of_these = _members.deployment_id.in_(list(flows))
    for one in tx.execute(
        sa.select(deployment_members).where(of_these).order_by(_members.object_id, _members.object_type)
    ):
        if one.object_type == FLOW:
            flows[one.deployment_id].append(Member(one.object_id, one.source_digest, one.version))
        else:
            objects[one.deployment_id].append(Companion(one.object_type, one.object_id, one.source_digest))
    return [_deployment(row, flows[row["id"]], objects[row["id"]]) for row in rows]


def _deployment(row: sa.RowMapping, flows: Sequence[Member], objects: Sequence[Companion]) -> Deployment:
    values = {name: value for name, value in row.items() if name != "commit_id"}
    values |= {"commit": row["commit_id"], "rollback": Consent(row["rollback"])}
    return Deployment(**values, flows=tuple(flows), objects=tuple(objects))
