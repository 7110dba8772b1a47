"""What the console's forms order: each by the function that the API's call has, so that nothing is decided twice.

After an order the browser is sent to a page (303), so that loading it anew orders nothing. A form has a key of its own:
sent twice, it has one effect.
"""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from flask import Blueprint, redirect
from flask.typing import ResponseReturnValue
from pydantic import BeforeValidator, Field

from receiver.config import Role
from receiver.policy import UNDO_PASSES, Verdict
from receiver.store.controls import WindowKind
from receiver.store.database import clock
from receiver.web.console.pages import KEY, Console, link, page
from receiver.web.controls import (
    PauseOrder,
    PauseQuery,
    WindowOrder,
    closing,
    opening,
    pausing,
    resuming,
)
from receiver.web.fields import Name, NoParameters, Strict, Words, checked, form, query, rfc3339, within_range
from receiver.web.holds import HoldOrder, ReleaseQuery, holding, lifting, releasing
from receiver.web.idempotency import Request, Work, request_with
from receiver.web.orders import (
    Comments,
    HandOrder,
    UndoOrder,
    approving,
    denying,
    ordered,
    ordered_by_hand,
    undoing,
)
from receiver.web.problems import Problem

MAX_WINDOW_MIN = 7 * 24 * 60
_LOCAL = "%Y-%m-%dT%H:%M"  # what a browser's field for a time gives; ours is labelled as UTC


def _start(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.strptime(value, _LOCAL).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ValueError("must be a time in UTC like 2026-01-31T22:00") from None
    return within_range(moment)


class WindowForm(Strict):
    """A window as people think of it: how long, from now on if they do not say from when."""

    org: Name
    flow_ids: Annotated[str, Field(max_length=20000)] = ""
    kind: WindowKind = WindowKind.MAINTENANCE
    starts_at: Annotated[float, BeforeValidator(_start)] | None = None
    minutes: Annotated[int, Field(ge=1, le=MAX_WINDOW_MIN)]
    reason: Words

    def order(self, now: float) -> WindowOrder:
        """As the API takes it. Raises Problem 400 with every fault."""
        starts_at = now if self.starts_at is None else self.starts_at
        return checked(
            WindowOrder,
            {
                "org": self.org,
                "flow_ids": self.flow_ids.split() or None,
                "kind": self.kind,
                "starts_at": rfc3339(starts_at),
                "ends_at": rfc3339(starts_at + 60 * self.minutes),
                "reason": self.reason,
            },
        )


def add(pages: Blueprint, console: Console) -> None:
    """Each form's address, with the role `operator`."""
    _add_pause(pages, console)
    _add_holds(pages, console)
    _add_windows(pages, console)
    _add_about_rollbacks(pages, console)
    _add_by_hand(pages, console)


def _add_pause(pages: Blueprint, console: Console) -> None:
    operating, orgs = console.tokens.requires(Role.OPERATOR), frozenset(console.orgs)

    @pages.post("/pause")
    @operating
    def pause() -> ResponseReturnValue:
        query(NoParameters)
        order, besides = form(PauseOrder, besides=[KEY])
        return _done(console, pausing(order, orgs), besides, link("now", said="paused"))

    @pages.post("/resume")
    @operating
    def resume() -> ResponseReturnValue:
        query(NoParameters)
        order, besides = form(PauseQuery, besides=[KEY])
        return _done(console, resuming(order, orgs), besides, link("now", said="resumed"))


def _add_holds(pages: Blueprint, console: Console) -> None:
    operating, orgs = console.tokens.requires(Role.OPERATOR), frozenset(console.orgs)

    @pages.post("/hold")
    @operating
    def hold() -> ResponseReturnValue:
        query(NoParameters)
        order, besides = form(HoldOrder, besides=[KEY], many=["flow_ids"])
        flow_id = order.flow_ids[0] if order.flow_ids else None
        return _done(console, holding(order, orgs), besides, _flow(order.org, flow_id, "held"))

    @pages.post("/release")
    @operating
    def release() -> ResponseReturnValue:
        query(NoParameters)
        order, besides = form(ReleaseQuery, besides=[KEY, "back_to"])
        return _done(console, releasing(order, orgs), besides, _flow(order.org, besides["back_to"], "released"))

    @pages.post("/quarantines/<quarantine_id>/lift")
    @operating
    def lift(quarantine_id: str) -> ResponseReturnValue:
        query(NoParameters)
        _, besides = form(NoParameters, besides=[KEY, "org", "back_to"])
        back = _flow(besides["org"], besides["back_to"], "lifted")
        return _done(console, lifting(quarantine_id), besides, back)


def _add_windows(pages: Blueprint, console: Console) -> None:
    operating, orgs = console.tokens.requires(Role.OPERATOR), frozenset(console.orgs)

    @pages.post("/windows")
    @operating
    def open_window() -> ResponseReturnValue:
        query(NoParameters)
        filled, besides = form(WindowForm, besides=[KEY])
        with console.store.begin() as tx:
            now = clock(tx)
        order = filled.order(now)
        return _done(console, opening(order, orgs), besides, link("list_windows", said="opened"))

    @pages.post("/windows/<window_id>/close")
    @operating
    def close_window(window_id: str) -> ResponseReturnValue:
        query(NoParameters)
        _, besides = form(NoParameters, besides=[KEY])
        return _done(console, closing(window_id), besides, link("list_windows", said="closed"))


def _add_about_rollbacks(pages: Blueprint, console: Console) -> None:
    operating, store = console.tokens.requires(Role.OPERATOR), console.store

    @pages.post("/rollbacks/<rollback_id>/approve")
    @operating
    def approve(rollback_id: str) -> ResponseReturnValue:
        query(NoParameters)
        said, besides = form(Comments, besides=[KEY])
        ordered(store, _this(besides), rollback_id, approving(said, console.settings))
        return _sent_to(link("show_rollback", rollback_id=rollback_id, said="approved"))

    @pages.post("/rollbacks/<rollback_id>/deny")
    @operating
    def deny(rollback_id: str) -> ResponseReturnValue:
        query(NoParameters)
        said, besides = form(Comments, besides=[KEY])
        ordered(store, _this(besides), rollback_id, denying(said, console.metrics))
        return _sent_to(link("show_rollback", rollback_id=rollback_id, said="denied"))

    @pages.post("/rollbacks/<rollback_id>/undo")
    @operating
    def undo(rollback_id: str) -> ResponseReturnValue:
        query(NoParameters)
        order, besides = form(UndoOrder, besides=[KEY])
        change = undoing(order, console.settings)
        made = ordered(store, _this(besides), rollback_id, change, HTTPStatus.CREATED)
        return _sent_to(link("show_rollback", rollback_id=made.get_json()["id"], said="undoing"))


def _add_by_hand(pages: Blueprint, console: Console) -> None:
    @pages.post("/flows/<org>/<flow_id>/roll-back")
    @console.tokens.requires(Role.OPERATOR)
    def roll_back(org: str, flow_id: str) -> ResponseReturnValue:
        query(NoParameters)
        order, besides = form(HandOrder, besides=[KEY], many=["override"], org=org, flow_id=flow_id)
        try:
            made = ordered_by_hand(console.store, _this(besides), order, console.desks)
        except Problem as problem:
            if not any("guard" in one for one in problem.errors):
                raise
            return _held_back(order, problem)
        return _sent_to(link("show_rollback", rollback_id=made.get_json()["id"], said="ordered"))


def _held_back(order: HandOrder, problem: Problem) -> ResponseReturnValue:
    """The guards that hold back, and the same form with a box for each that a person may override."""
    guards = [(Verdict(one["guard"]), one["detail"]) for one in problem.errors if "guard" in one]
    return page(
        "held_back.html",
        "Held back",
        now=None,
        status=problem.status,
        order=order,
        guards=[(guard.value, detail, guard in UNDO_PASSES) for guard, detail in guards],
    )


def _done(console: Console, work: Work, besides: dict[str, str], to: str) -> ResponseReturnValue:
    """Do the work once, and send the browser to a page."""
    _this(besides).answer(console.store, work)
    return _sent_to(to)


def _this(besides: dict[str, str]) -> Request:
    """The request by the key of its form; without one, it is done as often as it is sent."""
    key = besides[KEY]
    return request_with(key) if key else Request(None)


def _sent_to(place: str) -> ResponseReturnValue:
    return redirect(place, HTTPStatus.SEE_OTHER)


def _flow(org: str, flow_id: str | None, said: str) -> str:
    """The page of a flow; of all of them where an order was about none in particular."""
    if not flow_id or not org:
        return link("list_flows", said=said)
    return link("show_flow", org=org, flow_id=flow_id, said=said)
