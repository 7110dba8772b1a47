"""`/console/decisions`: every decision, refusals included, each with its guards and its evidence."""

from typing import Literal

from flask import Blueprint
from flask.typing import ResponseReturnValue

from receiver.config import Role
from receiver.policy import Verdict
from receiver.store import alerts, decisions
from receiver.store.database import clock
from receiver.web import concealed
from receiver.web.console import links
from receiver.web.console.chart import chart_of
from receiver.web.console.pages import Console, PageQuery, page
from receiver.web.fields import Name, query
from receiver.web.paging import AfterNumber
from receiver.web.paging import page as paged
from receiver.web.problems import not_found
from receiver.web.reach import check_touched, reach, reaches

LIMIT = 50
_MAX_ID = 2**63 - 1  # what a database can compare with


class DecisionsQuery(PageQuery):
    """An empty `verdict` is what the form sends where none was chosen."""

    org: Name | None = None
    flow_id: Name | None = None
    verdict: Verdict | Literal[""] = ""
    after: AfterNumber | None = None


def add(pages: Blueprint, console: Console) -> None:
    reading = console.tokens.requires(Role.VIEWER, Role.OPERATOR)

    @pages.get("/decisions")
    @reading
    def list_decisions() -> ResponseReturnValue:
        asked = query(DecisionsQuery)
        check_touched(asked.org)
        with console.store.begin() as tx:
            now = clock(tx)
            found = decisions.newest(
                tx,
                org=asked.org,
                within=reach(),
                flow_id=asked.flow_id,
                verdict=asked.verdict or None,
                after=asked.after,
                limit=LIMIT + 1,
            )
        shown, following = paged(found, LIMIT, lambda one: one.id)
        verdicts = [one.value for one in Verdict]
        return page(
            "decisions.html",
            "Decisions",
            now=now,
            decisions=shown,
            following=following,
            asked=asked,
            verdicts=verdicts,
        )

    @pages.get("/decisions/<int:decision_id>")
    @reading
    def show_decision(decision_id: int) -> ResponseReturnValue:
        query(PageQuery)
        with console.store.begin() as tx:
            now = clock(tx)
            found = decisions.get(tx, decision_id) if decision_id <= _MAX_ID else None
            if found is None or not reaches(found.org, found.object_id):
                raise not_found(f"there is no decision {decision_id}")
            alert = alerts.get(tx, found.alert_id)
        return page(
            "decision.html",
            f"{found.facts.get('flow_name') or found.object_id} {found.version}: {found.verdict}",
            now=now,
            decision=concealed.decision(found),
            alert=alert,
            chart=chart_of(found.facts, accused=found.version),
            elsewhere=links.elsewhere(
                console.settings.links, found.org, found.object_id, alert.annotations if alert else None
            ),
        )
