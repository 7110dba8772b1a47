"""What people set: `/pause` and `/maintenance`. Each change bears the name of the token that made it."""

from collections.abc import Callable, Collection, Sequence
from http import HTTPStatus
from typing import Annotated, Literal

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import Field, StringConstraints
from typing_extensions import TypedDict

from receiver.callers import Caller
from receiver.config import Role
from receiver.feeds.polling import is_current
from receiver.feeds.settings import FeedSettings
from receiver.store import controls, feeds
from receiver.store.controls import EVERY_ORG, Pause, Window, WindowKind
from receiver.store.database import Store, Transaction, clock
from receiver.web.auth import Tokens, caller
from receiver.web.documented import Time, documented
from receiver.web.fields import Moment, Name, NoParameters, Strict, Words, body, query, rfc3339, rfc3339_or_none
from receiver.web.idempotency import Work, this_request
from receiver.web.problems import Problem, bad_request, not_found
from receiver.web.reach import check_org, check_touched, is_pause_shown, reaches, window_shown

MAX_CI_WINDOW_S = 7200.0  # a deployment takes no longer; whoever needs more asks a person
_MAX_FLOWS = 1000  # of one window; a window for more is one for the organization


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
    kind: WindowKind = WindowKind.MAINTENANCE
    starts_at: Moment | None = None
    ends_at: Moment
    reason: Words
    owner: Name = ""


class WindowQuery(Strict):
    """`ended`: also those that are over."""

    org: Name | None = None
    ended: bool = False


class PauseAnswer(TypedDict):
    """`org` is "*" where every organization is paused."""

    org: str
    paused_by: str
    reason: str
    paused_at: Time


class PausesAnswer(TypedDict):
    pauses: list[PauseAnswer]


class WindowAnswer(TypedDict):
    """Without `flow_ids` it is for every flow; `feed` has announced it, and `url` shows it there."""

    id: str
    org: str
    flow_ids: list[str] | None
    kind: str
    state: Literal["scheduled", "active", "ended"]
    starts_at: Time
    ends_at: Time
    reason: str
    owner: str
    created_by: str
    created_at: Time
    closed_at: Time | None
    closed_by: str | None
    feed: str | None
    url: str | None


class FeedAnswer(TypedDict):
    """`read_at`: when all of it was last understood; `current`: that is not long ago; `problem`: of the last try.

    `lapsed`: how many were open in the source then, whose window is over.
    """

    name: str
    kind: str
    current: bool
    read_at: Time | None
    problem: str
    lapsed: int


class WindowsAnswer(TypedDict):
    """`feeds` that announce windows for organizations of the caller's."""

    windows: list[WindowAnswer]
    feeds: list[FeedAnswer]


def blueprint(
    store: Store, tokens: Tokens, orgs: Collection[str], announcing: Sequence[FeedSettings] = ()
) -> Blueprint:
    """The calls that stop the bridge: the role `operator` to change, `viewer` to look.

    `ci` may look at windows, open one for flows that it names, for two hours at most, and close what it has opened.
    """
    calls = Blueprint("controls", __name__)
    reading, writing = tokens.requires(Role.VIEWER, Role.OPERATOR), tokens.requires(Role.OPERATOR)
    _add_pause(calls, store, frozenset(orgs), reading, writing)
    with_ci = tokens.requires(Role.VIEWER, Role.OPERATOR, Role.CI), tokens.requires(Role.OPERATOR, Role.CI)
    _add_maintenance(calls, store, frozenset(orgs), announcing, *with_ci)
    return calls


View = Callable[..., ResponseReturnValue]
Guard = Callable[[View], View]


def _add_pause(calls: Blueprint, store: Store, orgs: frozenset[str], reading: Guard, writing: Guard) -> None:
    @calls.get("/pause")
    @reading
    @documented("What is paused.", PausesAnswer)
    def list_pauses() -> ResponseReturnValue:
        query(NoParameters)
        with store.begin() as tx:
            found = [pause for pause in controls.list_pauses(tx) if is_pause_shown(pause)]
        answer: PausesAnswer = {"pauses": [_pause(pause) for pause in found]}
        return answer

    @calls.put("/pause")
    @writing
    @documented("Stop every rollback, or those of one organization.", PauseAnswer, body=PauseOrder)
    def pause() -> ResponseReturnValue:
        query(NoParameters)
        answer: PauseAnswer = store.transact(pausing(body(PauseOrder), orgs))[0]
        return answer

    @calls.delete("/pause")
    @writing
    @documented(
        "Go on again.",
        None,
        status=HTTPStatus.NO_CONTENT,
        query=PauseQuery,
        refusals=(HTTPStatus.NOT_FOUND,),
    )
    def resume() -> ResponseReturnValue:
        store.transact(resuming(query(PauseQuery), orgs))
        return "", HTTPStatus.NO_CONTENT


def _add_maintenance(
    calls: Blueprint,
    store: Store,
    orgs: frozenset[str],
    announcing: Sequence[FeedSettings],
    reading: Guard,
    writing: Guard,
) -> None:
    @calls.get("/maintenance")
    @reading
    @documented("Windows in which nothing is rolled back.", WindowsAnswer, query=WindowQuery)
    def list_windows() -> ResponseReturnValue:
        asked = query(WindowQuery)
        check_touched(asked.org)
        with store.begin() as tx:
            now = clock(tx)
            listed = controls.list_windows(tx, now=now, org=asked.org, ended=asked.ended)
            found = [shown for shown in map(window_shown, listed) if shown is not None]
            told = _feeds(tx, announcing, asked.org, now)
        answer: WindowsAnswer = {"windows": [_window(window, now) for window in found], "feeds": told}
        return answer

    @calls.post("/maintenance")
    @writing
    @documented("Open a window.", WindowAnswer, status=HTTPStatus.CREATED, body=WindowOrder, keyed=True)
    def open_window() -> ResponseReturnValue:
        query(NoParameters)
        order = body(WindowOrder)  # before the key, which belongs to what the body says
        return this_request().answer(store, opening(order, orgs))

    @calls.delete("/maintenance/<window_id>")
    @writing
    @documented("Close a window.", None, status=HTTPStatus.NO_CONTENT, refusals=(HTTPStatus.NOT_FOUND,))
    def close_window(window_id: str) -> ResponseReturnValue:
        query(NoParameters)
        store.transact(closing(window_id))
        return "", HTTPStatus.NO_CONTENT


# What each change does, whoever asks for it in whatever form. The checks come first, and raise Problem.


def pausing(order: PauseOrder, orgs: frozenset[str]) -> Work:
    check_org(order.org, orgs | {EVERY_ORG}, {"pointer": "#/org"})
    by = caller().name

    def work(tx: Transaction) -> tuple[PauseAnswer, HTTPStatus]:
        made = controls.pause(tx, order.org, by=by, reason=order.reason, now=clock(tx))
        return _pause(made), HTTPStatus.OK

    return work


def resuming(asked: PauseQuery, orgs: frozenset[str]) -> Work:
    org = asked.org
    check_org(org, orgs | {EVERY_ORG}, {"parameter": "org"})
    by = caller().name

    def work(tx: Transaction) -> tuple[None, HTTPStatus]:
        if not controls.resume(tx, org, by=by, now=clock(tx)):
            left = [found.org for found in controls.list_pauses(tx) if is_pause_shown(found)]
            raise not_found(f"{org} is not paused; paused: {', '.join(left) or 'none'}")
        return None, HTTPStatus.NO_CONTENT

    return work


def opening(order: WindowOrder, orgs: frozenset[str]) -> Work:
    check_org(order.org, orgs, {"pointer": "#/org"}, order.flow_ids or ())
    by = caller()

    def work(tx: Transaction) -> tuple[WindowAnswer, HTTPStatus]:
        made = _open_window(tx, order, by=by)
        return _window(made, made.created_at), HTTPStatus.CREATED

    return work


def closing(window_id: str) -> Work:
    by = caller()

    def work(tx: Transaction) -> tuple[None, HTTPStatus]:
        # PostgreSQL would take a NUL for a fault of the statement.
        if "\x00" in window_id or not _close_window(tx, window_id, by=by):
            raise not_found("there is no such window, or it is over already")
        return None, HTTPStatus.NO_CONTENT

    return work


def _close_window(tx: Transaction, window_id: str, *, by: Caller) -> bool:
    """False if there is none, or it is over. Raises Problem 403 for one that the caller may not close."""
    now = clock(tx)
    found = next((one for one in controls.list_windows(tx, now=now) if one.id == window_id), None)
    shown = None if found is None else window_shown(found)
    if found is None or shown is None:
        return False
    roles = by.roles_in(found.org, *found.flow_ids)
    if shown.flow_ids != found.flow_ids or not (found.flow_ids or reaches(found.org)):
        detail = f"{by.name} may not close it: it is for flows beyond the divisions of {by.name} too"
        raise Problem(HTTPStatus.FORBIDDEN, detail)
    if Role.OPERATOR not in roles and found.created_by != by.name:
        detail = f"{found.created_by} has opened it; with the role ci only own windows can be closed"
        raise Problem(HTTPStatus.FORBIDDEN, detail)
    return controls.close_window(tx, window_id, by=by.name, now=now)


def _open_window(tx: Transaction, order: WindowOrder, *, by: Caller) -> Window:
    now = clock(tx)
    starts_at = now if order.starts_at is None else order.starts_at
    _check_times(starts_at, order.ends_at, now)
    if Role.OPERATOR not in by.roles_in(order.org, *order.flow_ids or ()):
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


def _check_times(starts_at: float, ends_at: float, now: float) -> None:
    if ends_at <= starts_at:
        raise bad_request([{"detail": f"must be after starts_at ({rfc3339(starts_at)})", "pointer": "#/ends_at"}])
    if ends_at <= now:
        raise bad_request([{"detail": f"must be in the future; it is {rfc3339(now)}", "pointer": "#/ends_at"}])


def _pause(pause: Pause) -> PauseAnswer:
    return {
        "org": pause.org,
        "paused_by": pause.paused_by,
        "reason": pause.reason,
        "paused_at": rfc3339(pause.paused_at),
    }


def _feeds(tx: Transaction, announcing: Sequence[FeedSettings], org: str | None, now: float) -> list[FeedAnswer]:
    states = feeds.states(tx)
    answers: list[FeedAnswer] = []
    for feed in announcing:
        state = states.get(feed.name)
        read_at = None if state is None else state.read_at
        if any(reaches(cover.org) and org in (None, cover.org) for cover in feed.covers):
            answers.append(
                {
                    "name": feed.name,
                    "kind": feed.kind.value,
                    "current": is_current(feed, read_at, now),
                    "read_at": rfc3339_or_none(read_at),
                    "problem": "not read yet" if state is None or state.asked_at is None else state.problem,
                    "lapsed": 0 if state is None else state.lapsed,
                }
            )
    return answers


def _window(window: Window, now: float) -> WindowAnswer:
    return {
        "id": window.id,
        "org": window.org,
        "flow_ids": list(window.flow_ids) or None,
        "kind": window.kind,
        "state": "ended" if window.is_over(now) else "active" if window.starts_at <= now else "scheduled",
        "starts_at": rfc3339(window.starts_at),
        "ends_at": rfc3339(window.ends_at),
        "reason": window.reason,
        "owner": window.owner,
        "created_by": window.created_by,
        "created_at": rfc3339(window.created_at),
        "closed_at": rfc3339_or_none(window.closed_at),
        "closed_by": window.closed_by,
        "feed": window.feed,
        "url": window.url,
    }
