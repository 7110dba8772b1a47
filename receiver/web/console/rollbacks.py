"""`/console/rollbacks`: every try, and the record of each; `/console/approvals`: those that wait for a person."""

from dataclasses import replace
from typing import Any

from flask import Blueprint
from flask.typing import ResponseReturnValue

from receiver import attempt
from receiver.config import Role
from receiver.store import alerts, decisions, quarantines, rollbacks
from receiver.store.database import clock
from receiver.store.rollbacks import UNDER_WAY, Rollback, State
from receiver.web import concealed
from receiver.web.console import links
from receiver.web.console.chart import chart_of
from receiver.web.console.pages import Console, PageQuery, page
from receiver.web.fields import Name, query
from receiver.web.paging import AfterMoment
from receiver.web.paging import page as paged
from receiver.web.problems import not_found
from receiver.web.reach import check_touched, reach, reaches

LIMIT = 50


class RollbacksQuery(PageQuery):
    org: Name | None = None
    flow_id: Name | None = None
    after: AfterMoment | None = None


def add(pages: Blueprint, console: Console) -> None:
    reading = console.tokens.requires(Role.VIEWER, Role.OPERATOR)

    @pages.get("/rollbacks")
    @reading
    def list_rollbacks() -> ResponseReturnValue:
        asked = query(RollbacksQuery)
        check_touched(asked.org)
        with console.store.begin() as tx:
            now = clock(tx)
            found = rollbacks.newest(
                tx, org=asked.org, within=reach(), flow_id=asked.flow_id, after=asked.after, limit=LIMIT + 1
            )
        shown, following = paged(found, LIMIT, lambda one: (one.created_at, one.id))
        return page("rollbacks.html", "Rollbacks", now=now, rollbacks=shown, following=following, asked=asked)

    @pages.get("/rollbacks/<rollback_id>")
    @reading
    def show_rollback(rollback_id: str) -> ResponseReturnValue:
        query(PageQuery)
        if "\x00" in rollback_id:  # PostgreSQL would take it for a fault of the statement
            raise not_found("there is no such rollback")
        with console.store.begin() as tx:
            now = clock(tx)
            found = rollbacks.get(tx, rollback_id)
            if found is None or not reaches(found.org, found.object_id):
                raise not_found(f"there is no rollback {rollback_id}")
            alert = alerts.get(tx, found.alert_id)
            decided = decisions.of_rollback(tx, found.id, found.alert_id)
            of_flow = quarantines.in_force(tx, found.org, found.object_id)
            values: dict[str, Any] = {
                "members": [one for one in attempt.of_rollback(tx, found).members if reaches(one.org, one.object_id)],
                "steps": concealed.steps(found.org, rollbacks.steps_of(tx, found.id)),
                "permits": rollbacks.permits_of(tx, found.id),
                "undos": rollbacks.undos_of(tx, found.id),
                "quarantines": [one for one in of_flow if one.rollback_id == found.id],
            }
        return page(
            "rollback.html",
            f"{found.facts.get('flow_name') or found.object_id}: {found.accused_version} to {found.target_version}",
            now=now,
            rollback=replace(found, facts=concealed.facts(found.org, found.facts)),
            decided=[concealed.decision(one) for one in decided],
            chart=chart_of(found.facts, accused=found.accused_version, target=found.target_version),
            can_be_undone=can_be_undone(found),
            is_running=found.state in UNDER_WAY,
            elsewhere=links.elsewhere(
                console.settings.links, found.org, found.object_id, alert.annotations if alert else None
            ),
            **values,
        )

    @pages.get("/approvals")
    @reading
    def list_approvals() -> ResponseReturnValue:
        query(PageQuery)
        with console.store.begin() as tx:
            now = clock(tx)
            found = rollbacks.under_way(tx, states=[State.AWAITING_APPROVAL])
        seen = [one for one in found if reaches(one.org, one.object_id)]
        shown = [(one, chart_of(one.facts, accused=one.accused_version)) for one in seen]
        return page("approvals.html", "Approvals", now=now, waiting=shown)


def can_be_undone(rollback: Rollback) -> bool:
    """Whether it is worth offering; whether it is possible is decided when it is ordered."""
    return rollback.confirmed_at is not None and rollback.accuses and rollback.state is not State.SUPERSEDED
