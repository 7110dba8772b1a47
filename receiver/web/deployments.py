"""What pipelines tell and ask: `/deployments` and `/gate`."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Annotated, Literal, Self

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator
from typing_extensions import TypedDict

from receiver.config import Role, Timing
from receiver.gate import Refusal, refusals
from receiver.known_bad import tell
from receiver.notify.events import Telling
from receiver.payload import FLOW, storable
from receiver.store import deployments, flows, objects
from receiver.store.database import Store, Transaction, clock
from receiver.store.deployments import Companion, Consent, Deployment, Member, Registration
from receiver.store.idempotency import Answer
from receiver.web.auth import Tokens, caller
from receiver.web.controls import Guard
from receiver.web.documented import Time, documented
from receiver.web.fields import Limit, Name, NoParameters, Strict, body, query, rfc3339, rfc3339_or_none
from receiver.web.idempotency import this_request
from receiver.web.paging import AfterMoment, page
from receiver.web.problems import Problem, not_found
from receiver.web.reach import check_org, check_touched, deployment_shown, reach

_MAX_FLOWS = 1000  # of one deployment, and so many objects; one for more is registered in parts
_DEFAULT_LIMIT = 100

FlowId = Annotated[Name, StringConstraints(min_length=1)]
SourceDigest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$", max_length=64)]
"""SHA-256 of what the pipeline deploys."""

ObjectType = Annotated[str, StringConstraints(pattern="^[a-z]+(_[a-z]+)*$", max_length=40)]
"""What else than a flow it is: `data_table`, `data_action`."""

Url = Annotated[str, StringConstraints(max_length=2000), AfterValidator(storable)]


class AskedFlow(Strict):
    flow_id: FlowId
    source_digest: SourceDigest


class DeployedFlow(AskedFlow):
    """Without `version` it is what is live once the deployment is registered."""

    version: FlowId | None = None


class DeployedObject(Strict):
    """Something else than a flow, which the flows may need as it is now."""

    object_type: ObjectType
    object_id: FlowId
    source_digest: SourceDigest

    @field_validator("object_type")
    @classmethod
    def _is_no_flow(cls, value: str) -> str:
        if value == FLOW:
            raise ValueError("a flow belongs among flows")
        return value


def _each_flow_once(flow_ids: list[str]) -> None:
    twice = sorted({flow_id for flow_id in flow_ids if flow_ids.count(flow_id) > 1})
    if twice:
        raise ValueError(f"flows: {', '.join(twice)} is given twice; give each flow once")


class DeploymentOrder(Strict):
    org: Name
    flows: Annotated[list[DeployedFlow], Field(min_length=1, max_length=_MAX_FLOWS)]
    commit: FlowId
    actor: Name = ""
    url: Url = ""
    rollback: Consent = Consent.AUTO
    objects: Annotated[list[DeployedObject], Field(max_length=_MAX_FLOWS)] = []  # noqa: RUF012 - pydantic copies it

    @model_validator(mode="after")
    def _members_are_told_apart(self) -> Self:
        _each_flow_once([flow.flow_id for flow in self.flows])
        named = [f"{one.object_type} {one.object_id}" for one in self.objects]
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise ValueError(f"objects: {', '.join(twice)} is given twice; give each object once")
        return self


class DeploymentQuery(Strict):
    org: Name | None = None
    flow_id: Name | None = None
    after: AfterMoment | None = None
    limit: Limit = _DEFAULT_LIMIT


class GateQuestion(Strict):
    org: Name
    flows: Annotated[list[AskedFlow], Field(min_length=1, max_length=_MAX_FLOWS)]

    @model_validator(mode="after")
    def _flows_are_told_apart(self) -> Self:
        _each_flow_once([flow.flow_id for flow in self.flows])
        return self


class DeployedFlowAnswer(TypedDict):
    """`version` is null until it is known."""

    flow_id: str
    source_digest: str
    version: str | None


class DeployedObjectAnswer(TypedDict):
    object_type: str
    object_id: str
    source_digest: str


class DeploymentAnswer(TypedDict):
    """`in_part`: it has flows beyond what the caller may see, and these are left out, with the objects."""

    id: str
    org: str
    commit: str
    actor: str
    url: str
    rollback: str
    registered_at: Time
    registered_by: str
    good_at: Time | None
    good_by: str | None
    in_part: bool
    flows: list[DeployedFlowAnswer]
    objects: list[DeployedObjectAnswer]


class DeploymentsAnswer(TypedDict):
    deployments: list[DeploymentAnswer]
    next: str | None


class GateAnswer(TypedDict):
    allowed: Literal[True]


def blueprint(store: Store, tokens: Tokens, orgs: Collection[str], timing: Timing, telling: Telling) -> Blueprint:
    """The role `ci` or `operator` to register, and `viewer` to look and to ask."""
    calls = Blueprint("deployments", __name__)
    reading = tokens.requires(Role.VIEWER, Role.OPERATOR, Role.CI)
    writing = tokens.requires(Role.OPERATOR, Role.CI)
    _add_deployments(calls, store, reading, writing)
    _add_registration(calls, store, frozenset(orgs), writing, timing, telling)
    _add_gate(calls, store, frozenset(orgs), reading)
    return calls


def _add_deployments(calls: Blueprint, store: Store, reading: Guard, writing: Guard) -> None:
    @calls.get("/deployments")
    @reading
    @documented("Registered deployments, newest first.", DeploymentsAnswer, query=DeploymentQuery)
    def list_deployments() -> ResponseReturnValue:
        asked = query(DeploymentQuery)
        check_touched(asked.org)
        with store.begin() as tx:
            found = deployments.newest(
                tx,
                org=asked.org,
                within=reach(),
                flow_id=asked.flow_id,
                after=asked.after,
                limit=asked.limit + 1,
            )
        shown, following = page(found, asked.limit, lambda one: (one.registered_at, one.id))
        seen = [(part, part != one) for one in shown if (part := deployment_shown(one)) is not None]
        answer: DeploymentsAnswer = {
            "deployments": [_deployment(part, in_part=in_part) for part, in_part in seen],
            "next": following,
        }
        return answer

    @calls.post("/deployments/<deployment_id>/good")
    @writing
    @documented("Say that a deployment is known good.", DeploymentAnswer, refusals=(HTTPStatus.NOT_FOUND,), keyed=True)
    def mark_good(deployment_id: str) -> ResponseReturnValue:
        query(NoParameters)
        by = caller().name
        # PostgreSQL would take a NUL for a fault of the statement.
        if "\x00" in deployment_id:
            raise not_found("there is no such deployment")

        this = this_request()

        def order(tx: Transaction) -> Answer:
            found = deployments.get(tx, deployment_id)
            seen = None if found is None else deployment_shown(found)
            if seen is None:
                raise not_found("there is no such deployment")
            if seen != found:
                detail = f"{by} may not call it good: it has flows beyond the divisions of {by} too"
                raise Problem(HTTPStatus.FORBIDDEN, detail)
            return this.once(tx, work)

        def work(tx: Transaction) -> tuple[DeploymentAnswer, HTTPStatus]:
            marked = deployments.mark_good(tx, deployment_id, by=by, now=clock(tx))
            if marked is None:
                raise not_found("there is no such deployment")
            return _deployment(marked), HTTPStatus.OK

        return this.respond(store.transact(order))


def _add_registration(
    calls: Blueprint, store: Store, orgs: frozenset[str], writing: Guard, timing: Timing, telling: Telling
) -> None:
    @calls.post("/deployments")
    @writing
    @documented(
        "Register a deployment; 200 if it is known already.",
        DeploymentAnswer,
        status=HTTPStatus.CREATED,
        or_status=HTTPStatus.OK,
        body=DeploymentOrder,
        keyed=True,
    )
    def register() -> ResponseReturnValue:
        query(NoParameters)
        order = body(DeploymentOrder)
        check_org(order.org, orgs, {"pointer": "#/org"}, [flow.flow_id for flow in order.flows])
        by = caller().name

        def work(tx: Transaction) -> tuple[DeploymentAnswer, HTTPStatus]:
            made, is_new = _register(tx, order, timing, telling, by=by)
            return _deployment(made), HTTPStatus.CREATED if is_new else HTTPStatus.OK

        return this_request().answer(store, work)


def _register(
    tx: Transaction, order: DeploymentOrder, timing: Timing, telling: Telling, *, by: str
) -> tuple[Deployment, bool]:
    now = clock(tx)
    told = Registration(
        org=order.org,
        flows=tuple(Member(flow.flow_id, flow.source_digest, flow.version) for flow in order.flows),
        commit=order.commit,
        actor=order.actor,
        url=order.url,
        rollback=order.rollback,
        objects=tuple(Companion(one.object_type, one.object_id, one.source_digest) for one in order.objects),
    )
    made, is_new = deployments.register(
        tx, told, by=by, now=now, repeat_s=timing.deployment_s, resolve_s=timing.resolve_s
    )
    for member in made.flows:
        if member.version is not None:
            tell(tx, telling, made.org, member.flow_id, member.version, now=now)
    if any(member.version is None for member in made.flows):
        flows.list_by(tx, made.org, at=now)  # whatever was published before that is live now
    objects.want(tx, made.org, now=now)
    return made, is_new


def _add_gate(calls: Blueprint, store: Store, orgs: frozenset[str], reading: Guard) -> None:
    @calls.post("/gate")
    @reading
    @documented("May this be published now?", GateAnswer, body=GateQuestion, refusals=(HTTPStatus.CONFLICT,))
    def gate() -> ResponseReturnValue:
        query(NoParameters)
        asked = body(GateQuestion)
        check_org(asked.org, orgs, {"pointer": "#/org"}, [flow.flow_id for flow in asked.flows])
        with store.begin() as tx:
            found = refusals(tx, asked.org, [(flow.flow_id, flow.source_digest) for flow in asked.flows])
            if not found:  # what is about to be deployed is not there yet: this is what it was like before
                objects.want(tx, asked.org, now=clock(tx))
        if found:
            said = "; ".join(f"{one.flow_id}: {one.detail}" for one in found)
            raise Problem(HTTPStatus.CONFLICT, f"not now: {said}", errors=[_fault(one) for one in found])
        answer: GateAnswer = {"allowed": True}
        return answer


def _fault(one: Refusal) -> dict[str, str]:
    return {
        "detail": one.detail,
        "pointer": f"#/flows/{one.number}",
        "flow_id": one.flow_id,
        "reason": one.reason.value,
    }


def _deployment(one: Deployment, *, in_part: bool = False) -> DeploymentAnswer:
    return {
        "id": one.id,
        "org": one.org,
        "commit": one.commit,
        "actor": one.actor,
        "url": one.url,
        "rollback": one.rollback.value,
        "registered_at": rfc3339(one.registered_at),
        "registered_by": one.registered_by,
        "good_at": rfc3339_or_none(one.good_at),
        "good_by": one.good_by,
        "in_part": in_part,
        "flows": [
            {"flow_id": flow.flow_id, "source_digest": flow.source_digest, "version": flow.version}
            for flow in one.flows
        ],
        "objects": [
            {"object_type": thing.object_type, "object_id": thing.object_id, "source_digest": thing.source_digest}
            for thing in one.objects
        ],
    }
