"""What applies to each live flow: `GET /flows`, `GET /flows/{org}/{flow_id}`."""

from collections.abc import Collection, Mapping
from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue

from receiver.config import ReceiverSettings, Role
from receiver.standing import Standing, standings
from receiver.store import flows, rollbacks
from receiver.store.database import Store, Transaction, clock
from receiver.store.rollbacks import Rollback
from receiver.web.auth import Tokens
from receiver.web.fields import Name, NoParameters, Strict, query, rfc3339, rfc3339_or_none
from receiver.web.problems import not_found

Json = Mapping[str, Any]


class FlowQuery(Strict):
    org: Name | None = None


def blueprint(store: Store, tokens: Tokens, settings: ReceiverSettings, orgs: Collection[str]) -> Blueprint:
    """The reading calls, with the role `viewer` or `operator`."""
    calls = Blueprint("flows", __name__)
    reading = tokens.requires(Role.VIEWER, Role.OPERATOR)

    @calls.get("/flows")
    @reading
    def list_flows() -> ResponseReturnValue:
        asked = query(FlowQuery).org
        wanted = [org for org in orgs if asked in (None, org)]
        with store.begin() as tx:
            found = standings(tx, settings, wanted, now=clock(tx))
            newest = {(one.org, one.object_id): one for one in rollbacks.newest_of_each_flow(tx)}
            listings = [_listing(tx, org) for org in wanted]
        return {
            "flows": [_flow(one, newest.get((one.org, one.flow.id))) for one in found],
            "listings": listings,
        }

    @calls.get("/flows/<org>/<flow_id>")
    @reading
    def show_flow(org: str, flow_id: str) -> ResponseReturnValue:
        query(NoParameters)
        if org not in orgs or "\x00" in flow_id:  # PostgreSQL would take NUL for a fault of the statement
            raise not_found("there is no such flow")
        with store.begin() as tx:
            found = standings(tx, settings, [org], now=clock(tx), flow_id=flow_id)
            newest = rollbacks.of_flow(tx, org, flow_id, shadow=False)
        if not found:
            raise not_found(f"no live flow {flow_id} of {org} was listed")
        return _flow(found[0], newest[0] if newest else None)

    return calls


def _listing(tx: Transaction, org: str) -> Json:
    """How old the organization's part of the answer is, and why it is no younger."""
    listing = flows.listing(tx, org)
    return {
        "org": org,
        "listed_at": rfc3339_or_none(listing.listed_at if listing else None),
        "problem": listing.problem if listing else "",
    }


def _flow(one: Standing, newest: Rollback | None) -> dict[str, Any]:
    flow = one.flow
    return {
        "org": one.org,
        "flow_id": flow.id,
        "name": flow.name,
        "type": flow.type,
        "division": flow.division_name,
        "active": flow.active,
        "live_version": flow.live_version,
        "live_since": rfc3339_or_none(flow.live_published_at),
        "published_by": flow.published_by,
        "mode": one.mode.value,
        "mode_note": one.mode_note,
        "threshold_ratio": one.threshold_ratio,
        "owner": one.owner,
        "armed": one.armed,
        "stopped_by": list(one.stopped_by),
        "last_rollback": None
        if newest is None
        else {"id": newest.id, "state": newest.state.value, "created_at": rfc3339(newest.created_at)},
    }
