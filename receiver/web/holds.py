"""What people take out of the bridge's hands, and give back: `/holds` and `/quarantines`."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Annotated

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from receiver.config import Role
from receiver.store import controls, quarantines
from receiver.store.controls import EVERY_FLOW, Hold
from receiver.store.database import Store, Transaction, clock
from receiver.store.quarantines import Quarantine
from receiver.web.auth import Tokens, caller
from receiver.web.controls import Guard
from receiver.web.documented import Time, documented
from receiver.web.fields import Limit, Name, NoParameters, Strict, Words, body, query, rfc3339, rfc3339_or_none
from receiver.web.idempotency import Work
from receiver.web.paging import AfterMoment, page
from receiver.web.problems import not_found
from receiver.web.reach import check_org, check_touched, is_hold_shown, reach

_MAX_FLOWS = 1000  # of one call; a hold for more is one for every flow
_DEFAULT_LIMIT = 100

FlowId = Annotated[Name, StringConstraints(min_length=1)]


class HoldOrder(Strict):
    """Without `flow_ids` every flow is held; without `owner` it is the caller's hold."""

    org: Name
    flow_ids: Annotated[list[FlowId], Field(min_length=1, max_length=_MAX_FLOWS)] | None = None
    owner: FlowId | None = None
    reason: Words


class HoldQuery(Strict):
    org: Name | None = None


class ReleaseQuery(Strict):
    """Without `flow_id` the holds for every flow are meant, not each flow's own; without `owner` everybody's."""

    org: Name
    flow_id: FlowId = EVERY_FLOW
    owner: FlowId | None = None


class QuarantineQuery(Strict):
    """`lifted`: also those that are."""

    org: Name | None = None
    flow_id: Name | None = None
    lifted: bool = False
    after: AfterMoment | None = None
    limit: Limit = _DEFAULT_LIMIT


class HoldAnswer(TypedDict):
    """Without a `flow_id` every flow is held."""

    org: str
    flow_id: str | None
    owner: str
    reason: str
    held_by: str
    held_at: Time


class HoldsAnswer(TypedDict):
    holds: list[HoldAnswer]


class QuarantineAnswer(TypedDict):
    id: str
    org: str
    flow_id: str
    version: str
    rollback_id: str
    quarantined_at: Time
    lifted_at: Time | None
    lifted_by: str | None


class QuarantinesAnswer(TypedDict):
    quarantines: list[QuarantineAnswer]
    next: str | None


def blueprint(store: Store, tokens: Tokens, orgs: Collection[str]) -> Blueprint:
    """The role `operator` to change, `viewer` to look."""
    calls = Blueprint("holds", __name__)
    reading, writing = tokens.requires(Role.VIEWER, Role.OPERATOR), tokens.requires(Role.OPERATOR)
    _add_holds(calls, store, frozenset(orgs), reading, writing)
    _add_quarantines(calls, store, reading, writing)
    return calls


def _add_holds(calls: Blueprint, store: Store, orgs: frozenset[str], reading: Guard, writing: Guard) -> None:
    @calls.get("/holds")
    @reading
    @documented("Flows that the bridge keeps its hands off.", HoldsAnswer, query=HoldQuery)
    def list_holds() -> ResponseReturnValue:
        org = query(HoldQuery).org
        check_touched(org)
        with store.begin() as tx:
            found = [hold for hold in controls.list_holds(tx, org) if is_hold_shown(hold)]
        answer: HoldsAnswer = {"holds": [_hold(hold) for hold in found]}
        return answer

    @calls.put("/holds")
    @writing
    @documented("Hands off some flows, or all of an organization.", HoldsAnswer, body=HoldOrder)
    def hold() -> ResponseReturnValue:
        query(NoParameters)
        answer: HoldsAnswer = store.transact(holding(body(HoldOrder), orgs))[0]
        return answer

    @calls.delete("/holds")
    @writing
    @documented(
        "End holds.",
        None,
        status=HTTPStatus.NO_CONTENT,
        query=ReleaseQuery,
        refusals=(HTTPStatus.NOT_FOUND,),
    )
    def release() -> ResponseReturnValue:
        store.transact(releasing(query(ReleaseQuery), orgs))
        return "", HTTPStatus.NO_CONTENT


def _add_quarantines(calls: Blueprint, store: Store, reading: Guard, writing: Guard) -> None:
    @calls.get("/quarantines")
    @reading
    @documented("Versions in quarantine, newest first.", QuarantinesAnswer, query=QuarantineQuery)
    def list_quarantines() -> ResponseReturnValue:
        asked = query(QuarantineQuery)
        check_touched(asked.org)
        with store.begin() as tx:
            found = quarantines.newest(
                tx,
                org=asked.org,
                within=reach(),
                flow_id=asked.flow_id,
                also_lifted=asked.lifted,
                after=asked.after,
                limit=asked.limit + 1,
            )
        shown, following = page(found, asked.limit, lambda one: (one.quarantined_at, one.id))
        answer: QuarantinesAnswer = {"quarantines": [_quarantine(one) for one in shown], "next": following}
        return answer

    @calls.delete("/quarantines/<quarantine_id>")
    @writing
    @documented("Trust a version again.", None, status=HTTPStatus.NO_CONTENT, refusals=(HTTPStatus.NOT_FOUND,))
    def lift(quarantine_id: str) -> ResponseReturnValue:
        query(NoParameters)
        store.transact(lifting(quarantine_id))
        return "", HTTPStatus.NO_CONTENT


# What each change does, whoever asks for it in whatever form. The checks come first, and raise Problem.


def holding(order: HoldOrder, orgs: frozenset[str]) -> Work:
    check_org(order.org, orgs, {"pointer": "#/org"}, order.flow_ids or ())
    by = caller().name

    def work(tx: Transaction) -> tuple[HoldsAnswer, HTTPStatus]:
        flow_ids, owner = order.flow_ids or [EVERY_FLOW], order.owner or by
        made = controls.hold(tx, order.org, flow_ids, owner=owner, reason=order.reason, by=by, now=clock(tx))
        return {"holds": [_hold(hold) for hold in made]}, HTTPStatus.OK

    return work


def releasing(asked: ReleaseQuery, orgs: frozenset[str]) -> Work:
    check_org(asked.org, orgs, {"parameter": "org"}, () if asked.flow_id == EVERY_FLOW else (asked.flow_id,))
    by = caller().name

    def work(tx: Transaction) -> tuple[None, HTTPStatus]:
        if not controls.release(tx, asked.org, asked.flow_id, owner=asked.owner, by=by, now=clock(tx)):
            held = [hold for hold in controls.list_holds(tx, asked.org) if is_hold_shown(hold)]
            left = [f"{hold.flow_id} ({hold.owner})" for hold in held]
            raise not_found(f"there is no such hold; held in {asked.org}: {', '.join(left) or 'nothing'}")
        return None, HTTPStatus.NO_CONTENT

    return work


def lifting(quarantine_id: str) -> Work:
    by, within = caller().name, reach()

    def work(tx: Transaction) -> tuple[None, HTTPStatus]:
        # PostgreSQL would take a NUL for a fault of the statement.
        if "\x00" in quarantine_id or not quarantines.lift(tx, quarantine_id, within=within, by=by, now=clock(tx)):
            raise not_found("there is no such quarantine, or it is lifted already")
        return None, HTTPStatus.NO_CONTENT

    return work


def _hold(hold: Hold) -> HoldAnswer:
    return {
        "org": hold.org,
        "flow_id": None if hold.flow_id == EVERY_FLOW else hold.flow_id,
        "owner": hold.owner,
        "reason": hold.reason,
        "held_by": hold.held_by,
        "held_at": rfc3339(hold.held_at),
    }


def _quarantine(quarantine: Quarantine) -> QuarantineAnswer:
    return {
        "id": quarantine.id,
        "org": quarantine.org,
        "flow_id": quarantine.object_id,
        "version": quarantine.version,
        "rollback_id": quarantine.rollback_id,
        "quarantined_at": rfc3339(quarantine.quarantined_at),
        "lifted_at": rfc3339_or_none(quarantine.lifted_at),
        "lifted_by": quarantine.lifted_by,
    }
