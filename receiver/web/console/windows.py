"""`/console/windows`: when nothing is rolled back, and why."""

from collections.abc import Mapping

from flask import Blueprint
from flask.typing import ResponseReturnValue

from receiver.config import Role
from receiver.store import controls, flows
from receiver.store.controls import Window, WindowKind
from receiver.store.database import Transaction, clock
from receiver.web.console.pages import Console, PageQuery, may_order, page
from receiver.web.fields import query
from receiver.web.reach import reach, window_shown

LIMIT = 100  # of those that are over
MAX_NAMES = 20  # of one window: nobody reads more, and a window may have a thousand


class WindowsQuery(PageQuery):
    """`ended`: also those that are over."""

    ended: bool = False


def add(pages: Blueprint, console: Console) -> None:
    @pages.get("/windows")
    @console.tokens.requires(Role.VIEWER, Role.OPERATOR)
    def list_windows() -> ResponseReturnValue:
        asked = query(WindowsQuery)
        with console.store.begin() as tx:
            now = clock(tx)
            over = _ended(tx, now) if asked.ended else []
            found = [*controls.list_windows(tx, now=now), *over[:LIMIT]]
            seen = [(one, shown) for one in found if (shown := window_shown(one)) is not None]
            names = {org: flows.names(tx, org) for org in {one.org for one, _ in seen if one.flow_ids}}
        return page(
            "windows.html",
            "Windows",
            now=now,
            windows=[
                (shown, covered(shown, names.get(one.org, {})), may_order(one.org, *one.flow_ids))
                for one, shown in seen
            ],
            more_ended=len(over) > LIMIT,
            ended=asked.ended,
            orgs=console.orgs_seen(),
            kinds=[one.value for one in WindowKind],
        )


def _ended(tx: Transaction, now: float) -> list[Window]:
    """One more than are shown, if there are so many."""
    return controls.ended_windows(
        tx, now=now, orgs=reach().orgs, limit=LIMIT + 1, shown=lambda one: window_shown(one) is not None
    )


def covered(window: Window, names: Mapping[str, str]) -> str:
    """The flows by name, or by id where they are listed no more; of many the first ones. Empty: every flow."""
    named = ", ".join(names.get(flow_id, flow_id) for flow_id in window.flow_ids[:MAX_NAMES])
    left = len(window.flow_ids) - MAX_NAMES
    return f"{named} and {left} more" if left > 0 else named
