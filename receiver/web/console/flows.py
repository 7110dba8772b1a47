"""`/console/flows`: what applies to each live flow; its ledger, holds and quarantines; what would happen to it now."""

from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue

from genesys.evidence import ACTION_SIGNALS, Signal
from genesys.objects import ObjectType
from receiver.config import Role
from receiver.objects.standing import ObjectStanding, object_standings
from receiver.planning import facts_of
from receiver.policy import UNDO_PASSES
from receiver.standing import Standing, standings
from receiver.store import controls, decisions, flows, ledger, quarantines, rollbacks
from receiver.store.database import clock
from receiver.web import concealed
from receiver.web.console import links
from receiver.web.console.chart import chart_of
from receiver.web.console.pages import Console, PageQuery, page
from receiver.web.explain import told
from receiver.web.fields import Name, query
from receiver.web.paging import AfterNames
from receiver.web.paging import page as paged
from receiver.web.problems import not_found
from receiver.web.reach import check_reach, check_touched, is_hold_shown, reaches

LIMIT = 100
_RECENT = 5


class FlowsQuery(PageQuery):
    """`find`: a part of a name or an id."""

    org: Name | None = None
    find: Name = ""
    after: AfterNames | None = None


class ExplainQuery(PageQuery):
    signal: Signal = Signal.ERROR_EXIT


def add(pages: Blueprint, console: Console) -> None:
    reading = console.tokens.requires(Role.VIEWER, Role.OPERATOR)

    @pages.get("/flows")
    @reading
    def list_flows() -> ResponseReturnValue:
        asked = query(FlowsQuery)
        check_touched(asked.org)
        orgs = [org for org in console.orgs_seen() if asked.org in (None, org)]
        with console.store.begin() as tx:
            now = clock(tx)
            standing = standings(tx, console.settings, orgs, now=now)
            listings = [(org, flows.listing(tx, org)) for org in orgs]
            holds = [one for one in controls.list_holds(tx) if one.org in orgs and is_hold_shown(one)]
        found = [one for one in standing if reaches(one.org, one.flow.id) and _is_found(one, asked.find)]
        found.sort(key=_names)
        left = [one for one in found if asked.after is None or _names(one) > asked.after]
        shown, following = paged(left, LIMIT, _names)
        return page(
            "flows.html",
            "Flows",
            now=now,
            flows=shown,
            following=following,
            asked=asked,
            orgs=console.orgs_seen(),
            unlisted=[(org, one) for org, one in listings if one is None or one.listed_at is None or one.problem],
            holds=[one for one in holds if one.flow_id == controls.EVERY_FLOW],
        )

    @pages.get("/flows/<org>/<flow_id>")
    @reading
    def show_flow(org: str, flow_id: str) -> ResponseReturnValue:
        query(PageQuery)
        check_reach(org, [flow_id])
        if org not in console.orgs or "\x00" in flow_id:  # PostgreSQL would take NUL for a fault of the statement
            raise not_found("there is no such flow")
        with console.store.begin() as tx:
            now = clock(tx)
            found = standings(tx, console.settings, [org], now=now, flow_id=flow_id)
            records = ledger.records(tx, org, flow_id, Signal.ERROR_EXIT)
            values: dict[str, Any] = {
                "holds": [one for one in controls.list_holds(tx, org) if one.covers(flow_id)],
                "windows": [one for one in controls.list_windows(tx, now=now, org=org) if one.covers(flow_id)],
                "quarantines": quarantines.in_force(tx, org, flow_id),
                "rollbacks": rollbacks.newest(tx, org=org, flow_id=flow_id, limit=_RECENT),
                "decisions": decisions.newest(tx, org=org, flow_id=flow_id, verdict=None, limit=_RECENT),
                "read": ledger.reading(tx, org),
            }
            kept = next(
                (one for one in object_standings(tx, console.settings, [org]) if one.key.object_id == flow_id), None
            )
        if not found and kept is None and not values["rollbacks"] and not values["decisions"]:
            raise not_found(f"no live flow {flow_id} of {org} was listed")
        return page(
            "flow.html",
            found[0].flow.name if found else kept.name if kept is not None else flow_id,
            now=now,
            org=org,
            flow_id=flow_id,
            flow=found[0] if found else None,
            kept=kept,
            versions=sorted(records.items(), key=lambda one: one[1].until, reverse=True),
            signals=sorted((one.value for one in Signal), key=lambda one: _is_action(kept) != (one in ACTION_SIGNALS)),
            can_be_asked=org in console.desks,
            elsewhere=links.elsewhere(console.settings.links, org, flow_id),
            **values,
        )

    @pages.get("/flows/<org>/<flow_id>/explain")
    @reading
    def explain(org: str, flow_id: str) -> ResponseReturnValue:
        signal = query(ExplainQuery).signal
        check_reach(org, [flow_id])
        desk = console.desks.get(org)
        if desk is None or "\x00" in flow_id:
            raise not_found("there is no such flow")
        with told():
            found = desk.explain(org, flow_id, signal)
        facts = facts_of(found.situation)
        return page(
            "explain.html",
            f"{facts.get('flow_name') or flow_id}: what would happen now",
            now=found.situation.at,
            org=org,
            flow_id=flow_id,
            found=found,
            guards=[one.as_json() for one in concealed.guards(org, found.decision.guards)],
            chart=chart_of(facts, accused=found.alert.version),
            overridable=UNDO_PASSES,
        )


def _is_action(kept: ObjectStanding | None) -> bool:
    """Of a data action its own executions are judged."""
    return kept is not None and kept.policy.type is ObjectType.DATA_ACTION


def _names(one: Standing) -> tuple[str, str, str]:
    return one.org, one.flow.name, one.flow.id


def _is_found(one: Standing, find: str) -> bool:
    wanted = find.strip().casefold()
    return wanted in one.flow.name.casefold() or wanted in one.flow.id.casefold()
