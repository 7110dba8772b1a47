"""What people set: `/pause` and `/maintenance`. Each change bears the name of the token that made it."""

from collections.abc import Callable, Collection
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import Field, StringConstraints

from receiver.config import Role
from receiver.store import controls
from receiver.store.controls import EVERY_ORG, Pause, Window
from receiver.store.database import Store, Transaction, clock
from receiver.web.auth import Caller, Tokens, caller
from receiver.web.fields import Moment, Name, NoParameters, Strict, Words, body, query, rfc3339, rfc3339_or_none
from receiver.web.problems import Fault, Problem, bad_request, not_found

MAX_CI_WINDOW_S = 7200.0  # a deployment takes no longer; whoever needs more asks a person
_MAX_FLOWS = 1000  # of one window; a window for more is one for the organization


class Kind(StrEnum):
    """Why a window is open; both hold the bridge back."""

    MAINTENANCE = "maintenance"
    INCIDENT = "incident"


class PauseOrder(Strict):
    org: Name = EVERY_ORG
    reason: Words


class PauseQuery(Strict):
    org: Name = EVERY_ORG


class WindowOrder(Strict):
    """Without `flow_ids` the window is for every flow; an empty list would be read as that by mistake."""

    org: Name
    flow_ids: (
        Annotated[list[Annotated[Name, StringConstraints(min_length=1)]], Field(min_length=1, max_length=_MAX_FLOWS)]
        | None
    ) = None
    kind: Kind = Kind.MAINTENANCE
    starts_at: Moment | None = None
    ends_at: Moment
    reason: Words
    owner: Name = ""


class WindowQuery(Strict):
    """`ended`: also those that are over."""

    org: Name | None = None
    ended: bool = False


def blueprint(store: Store, tokens: Tokens, orgs: Collection[str]) -> Blueprint:
    """The calls that stop the bridge: the role `operator` to change, `viewer` to look.

    `ci` may look at windows, open one for flows that it names, for two hours at most, and close what it has opened.
    """
    calls = Blueprint("controls", __name__)
    reading, writing = tokens.requires(Role.VIEWER, Role.OPERATOR), tokens.requires(Role.OPERATOR)
    _add_pause(calls, store, frozenset(orgs), reading, writing)
    with_ci = tokens.requires(Role.VIEWER, Role.OPERATOR, Role.CI), tokens.requires(Role.OPERATOR, Role.CI)
    _add_maintenance(calls, store, frozenset(orgs), *with_ci)
    return calls


View = Callable[..., ResponseReturnValue]
Guard = Callable[[View], View]


def _add_pause(calls: Blueprint, store: Store, orgs: frozenset[str], reading: Guard, writing: Guard) -> None:
    @calls.get("/pause")
    @reading
    def list_pauses() -> ResponseReturnValue:
        query(NoParameters)
        with store.begin() as tx:
            found = controls.list_pauses(tx)
        return {"pauses": [_pause(pause) for pause in found]}

    @calls.put("/pause")
    @writing
    def pause() -> ResponseReturnValue:
        query(NoParameters)
        order = body(PauseOrder)
        check_org(order.org, orgs | {EVERY_ORG}, {"pointer": "#/org"})
        by = caller().name
        made = store.transact(lambda tx: controls.pause(tx, order.org, by=by, reason=order.reason, now=clock(tx)))
        return _pause(made)

    @calls.delete("/pause")
    @writing
    def resume() -> ResponseReturnValue:
        org = query(PauseQuery).org
        check_org(org, orgs | {EVERY_ORG}, {"parameter": "org"})
        by = caller().name
        ended, pauses = store.transact(
            lambda tx: (controls.resume(tx, org, by=by, now=clock(tx)), controls.list_pauses(tx))
        )
        if not ended:
            left = [found.org for found in pauses]
            raise not_found(f"{org} is not paused; paused: {', '.join(left) or 'none'}")
        return "", HTTPStatus.NO_CONTENT


def _add_maintenance(calls: Blueprint, store: Store, orgs: frozenset[str], reading: Guard, writing: Guard) -> None:
    @calls.get("/maintenance")
    @reading
    def list_windows() -> ResponseReturnValue:
        asked = query(WindowQuery)
        with store.begin() as tx:
            now = clock(tx)
            found = controls.list_windows(tx, now=now, org=asked.org, ended=asked.ended)
        return {"windows": [_window(window, now) for window in found]}

    @calls.post("/maintenance")
    @writing
    def open_window() -> ResponseReturnValue:
        query(NoParameters)
        order = body(WindowOrder)
        check_org(order.org, orgs, {"pointer": "#/org"})
        made = store.transact(_open_window, order, by=caller())
        return _window(made, made.created_at), HTTPStatus.CREATED

    @calls.delete("/maintenance/<window_id>")
    @writing
    def close_window(window_id: str) -> ResponseReturnValue:
        query(NoParameters)
        by = caller()
        closed = "\x00" not in window_id and store.transact(_close_window, window_id, by=by)
        if not closed:
            raise not_found("there is no such window, or it is over already")
        return "", HTTPStatus.NO_CONTENT


def _close_window(tx: Transaction, window_id: str, *, by: Caller) -> bool:
    """False if there is none, or it is over. Raises Problem 403 for one that the caller may not close."""
    now = clock(tx)
    if Role.OPERATOR not in by.roles:
        others = [
            one for one in controls.list_windows(tx, now=now) if one.id == window_id and one.created_by != by.name
        ]
        if others:
            detail = f"{others[0].created_by} has opened it; with the role ci only own windows can be closed"
            raise Problem(HTTPStatus.FORBIDDEN, detail)
    return controls.close_window(tx, window_id, by=by.name, now=now)


def _open_window(tx: Transaction, order: WindowOrder, *, by: Caller) -> Window:
    now = clock(tx)
    starts_at = now if order.starts_at is None else order.starts_at
    _check_times(starts_at, order.ends_at, now)
    if Role.OPERATOR not in by.roles:
        _check_ci(order, starts_at)
    return controls.open_window(
        tx,
        org=order.org,
        flow_ids=tuple(dict.fromkeys(order.flow_ids or ())),
        kind=order.kind.value,
        starts_at=starts_at,
        ends_at=order.ends_at,
        reason=order.reason,
        owner=order.owner,
        created_by=by.name,
        now=now,
    )


def _check_ci(order: WindowOrder, starts_at: float) -> None:
    """Raises Problem 400 for what a pipeline may not stop."""
    if order.flow_ids is None:
        raise bad_request([{"detail": "is missing; with the role ci it is required", "pointer": "#/flow_ids"}])
    if order.ends_at - starts_at > MAX_CI_WINDOW_S:
        latest = rfc3339(starts_at + MAX_CI_WINDOW_S)
        detail = f"must not be after {latest}: with the role ci two hours are the most"
        raise bad_request([{"detail": detail, "pointer": "#/ends_at"}])


def check_org(org: str, known: Collection[str], where: Fault) -> None:
    """Raises Problem 400, with the organizations that there are, for one that is not configured."""
    if org not in known:
        raise bad_request([{"detail": f"is not configured; known: {', '.join(sorted(known))}", **where}])


def _check_times(starts_at: float, ends_at: float, now: float) -> None:
    if ends_at <= starts_at:
        raise bad_request([{"detail": f"must be after starts_at ({rfc3339(starts_at)})", "pointer": "#/ends_at"}])
    if ends_at <= now:
        raise bad_request([{"detail": f"must be in the future; it is {rfc3339(now)}", "pointer": "#/ends_at"}])


def _pause(pause: Pause) -> dict[str, Any]:
    return {
        "org": pause.org,
        "paused_by": pause.paused_by,
        "reason": pause.reason,
        "paused_at": rfc3339(pause.paused_at),
    }


def _window(window: Window, now: float) -> dict[str, Any]:
    over = window.closed_at is not None or window.ends_at <= now
    return {
        "id": window.id,
        "org": window.org,
        "flow_ids": list(window.flow_ids) or None,
        "kind": window.kind,
        "state": "ended" if over else "active" if window.starts_at <= now else "scheduled",
        "starts_at": rfc3339(window.starts_at),
        "ends_at": rfc3339(window.ends_at),
        "reason": window.reason,
        "owner": window.owner,
        "created_by": window.created_by,
        "created_at": rfc3339(window.created_at),
        "closed_at": rfc3339_or_none(window.closed_at),
    }
