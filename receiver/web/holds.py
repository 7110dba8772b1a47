"""What people take out of the bridge's hands, and give back: `/holds` and `/quarantines`."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Annotated, Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import Field, StringConstraints

from receiver.config import Role
from receiver.store import controls, quarantines
from receiver.store.controls import EVERY_FLOW, Hold
from receiver.store.database import Store, clock
from receiver.store.quarantines import Quarantine
from receiver.web.auth import Tokens, caller
from receiver.web.controls import Guard, check_org
from receiver.web.fields import Limit, Name, NoParameters, Strict, Words, body, query, rfc3339, rfc3339_or_none
from receiver.web.problems import not_found

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
    limit: Limit = _DEFAULT_LIMIT


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
    def list_holds() -> ResponseReturnValue:
        org = query(HoldQuery).org
        with store.begin() as tx:
            found = controls.list_holds(tx, org)
        return {"holds": [_hold(hold) for hold in found]}

    @calls.put("/holds")
    @writing
    def hold() -> ResponseReturnValue:
        query(NoParameters)
        order = body(HoldOrder)
        check_org(order.org, orgs, {"pointer": "#/org"})
        by = caller().name
        made = store.transact(
            lambda tx: controls.hold(
                tx,
                order.org,
                order.flow_ids or [EVERY_FLOW],
                owner=order.owner or by,
                reason=order.reason,
                by=by,
                now=clock(tx),
            )
        )
        return {"holds": [_hold(hold) for hold in made]}

    @calls.delete("/holds")
    @writing
    def release() -> ResponseReturnValue:
        asked = query(ReleaseQuery)
        check_org(asked.org, orgs, {"parameter": "org"})
        by = caller().name
        released, holds = store.transact(
            lambda tx: (
                controls.release(tx, asked.org, asked.flow_id, owner=asked.owner, by=by, now=clock(tx)),
                controls.list_holds(tx, asked.org),
            )
        )
        if not released:
            left = [f"{hold.flow_id} ({hold.owner})" for hold in holds]
            raise not_found(f"there is no such hold; held in {asked.org}: {', '.join(left) or 'nothing'}")
        return "", HTTPStatus.NO_CONTENT


def _add_quarantines(calls: Blueprint, store: Store, reading: Guard, writing: Guard) -> None:
    @calls.get("/quarantines")
    @reading
    def list_quarantines() -> ResponseReturnValue:
        asked = query(QuarantineQuery)
        with store.begin() as tx:
            found = quarantines.newest(
                tx, org=asked.org, flow_id=asked.flow_id, also_lifted=asked.lifted, limit=asked.limit
            )
        return {"quarantines": [_quarantine(quarantine) for quarantine in found]}

    @calls.delete("/quarantines/<quarantine_id>")
    @writing
    def lift(quarantine_id: str) -> ResponseReturnValue:
        query(NoParameters)
        by = caller().name
        # PostgreSQL would take a NUL for a fault of the statement.
        lifted = "\x00" not in quarantine_id and store.transact(
            lambda tx: quarantines.lift(tx, quarantine_id, by=by, now=clock(tx))
        )
        if not lifted:
            raise not_found("there is no such quarantine, or it is lifted already")
        return "", HTTPStatus.NO_CONTENT


def _hold(hold: Hold) -> dict[str, Any]:
    return {
        "org": hold.org,
        "flow_id": None if hold.flow_id == EVERY_FLOW else hold.flow_id,
        "owner": hold.owner,
        "reason": hold.reason,
        "held_by": hold.held_by,
        "held_at": rfc3339(hold.held_at),
    }


def _quarantine(quarantine: Quarantine) -> dict[str, Any]:
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
