"""`/console`: what is wrong now, what is stopped, what is under way, and what waits for a person."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flask import Blueprint
from flask.typing import ResponseReturnValue

from receiver.config import ReceiverSettings, Role, Scope
from receiver.feeds.polling import is_current
from receiver.store import alerts, controls, decisions, feeds, flows, outbox, rollbacks, watchdog
from receiver.store.alerts import StoredAlert
from receiver.store.controls import Hold, Pause, Window
from receiver.store.database import Transaction, clock
from receiver.store.decisions import StoredDecision
from receiver.store.rollbacks import Rollback, State, Step
from receiver.web import concealed
from receiver.web.console import times
from receiver.web.console.names import Names
from receiver.web.console.pages import Console, PageQuery, page
from receiver.web.fields import query
from receiver.web.reach import is_hold_shown, is_pause_shown, reach, reaches, window_shown

Health = Callable[[], Sequence[str]]
"""What is wrong with the worker, a sentence each."""

MAX_ALERTS = 20  # more of them are a storm, in which nobody reads each
_RECENT = 5
_OUTBOX_LATE_S = 300.0  # a sink that is tried again takes this long at most between two tries


@dataclass(frozen=True, slots=True)
class Failing:
    """A flow that fails, as its alert says; and what was decided about it last, if anything was."""

    alert: StoredAlert
    name: str
    decision: StoredDecision | None

    @property
    def because(self) -> str:
        """What the guard found that gave the verdict."""
        if self.decision is None:
            return ""
        guards = (guard for guard in self.decision.guards if guard.get("guard") == self.decision.verdict)
        return str(next((guard.get("value", "") for guard in guards), ""))


@dataclass(frozen=True, slots=True)
class Lockout:
    """Until when nothing more is rolled back; for one flow, or with an empty `flow_id` for the whole organization."""

    org: str
    flow_id: str
    until: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that the page shows, as of one moment."""

    at: float
    problems: list[str]
    failing: list[Failing]
    more_fail: bool
    running: list[tuple[Rollback, list[Step]]]
    waiting: list[Rollback]
    pauses: list[Pause]
    holds: list[Hold]
    windows: list[Window]
    lockouts: list[Lockout]
    recent: list[Rollback]

    @property
    def summary(self) -> str:
        """The page in a sentence, the worst first."""
        told = [
            _count(len(self.waiting), "rollback waits for approval", "rollbacks wait for approval"),
            _count(len(self.running), "rollback is under way", "rollbacks are under way"),
            _count(len(self.failing), "alert is open", "alerts are open", more=self.more_fail),
            _count(len(self.problems), "thing is wrong with the bridge", "things are wrong with the bridge"),
        ]
        calm = "No alert is open, and nothing is under way"
        stopped = "; paused" if self.pauses else ""
        return f"{', '.join(one for one in told if one) or calm}{stopped}."


def add(pages: Blueprint, console: Console, health: Health) -> None:
    @pages.get("")
    @console.tokens.requires(Role.VIEWER, Role.OPERATOR)
    def now() -> ResponseReturnValue:
        query(PageQuery)
        wrong = list(health())
        if wrong and not reach().is_everything:  # they name the organizations of others
            wrong = ["the receiver cannot do all of its work now: /-/ready says why"]
        if not reach().orgs and not reach().is_everything:
            wrong.append("no flow is known in your divisions, and so nothing is shown here")
        with console.store.begin() as tx:
            seen = scene(tx, console.settings, console.orgs_seen(), wrong, now=clock(tx))
            names = Names(tx)
            held = [(one, names.of(one.org, one.flow_id)) for one in seen.holds]
            locked = [(one, names.of(one.org, one.flow_id)) for one in seen.lockouts]
        return page("now.html", "Now", now=seen.at, seen=seen, held=held, locked=locked, orgs=console.orgs_seen())


def scene(
    tx: Transaction, settings: ReceiverSettings, orgs: Sequence[str], problems: Sequence[str], *, now: float
) -> Scene:
    """What there is of these organizations, and of all at once."""
    names = Names(tx)
    found = alerts.newest(tx, org=None, within=reach(), open_only=True, limit=MAX_ALERTS + 1)
    under_way = [one for one in rollbacks.under_way(tx) if reaches(one.org, one.object_id)]
    waiting = [one for one in under_way if one.state is State.AWAITING_APPROVAL]
    ended = [
        one
        for one in rollbacks.newest(tx, org=None, within=reach(), flow_id=None, limit=_RECENT + len(under_way))
        if one not in under_way
    ]
    return Scene(
        at=now,
        problems=[*problems, *_problems(tx, settings, orgs, now)],
        failing=[_failing(tx, alert, names) for alert in found[:MAX_ALERTS]],
        more_fail=len(found) > MAX_ALERTS,
        running=[
            (one, concealed.steps(one.org, rollbacks.steps_of(tx, one.id))) for one in under_way if one not in waiting
        ],
        waiting=waiting,
        pauses=[pause for pause in controls.list_pauses(tx) if is_pause_shown(pause)],
        holds=[hold for hold in controls.list_holds(tx) if is_hold_shown(hold)],
        windows=[one for one in map(window_shown, controls.list_windows(tx, now=now)) if one is not None],
        lockouts=list(_lockouts(tx, settings, orgs, now)),
        recent=ended[:_RECENT],
    )


def _failing(tx: Transaction, alert: StoredAlert, names: Names) -> Failing:
    newest = decisions.of_alert(tx, alert.id, limit=1)
    return Failing(alert, names.of(alert.org, alert.object_id), concealed.decision(newest[0]) if newest else None)


def _problems(tx: Transaction, settings: ReceiverSettings, orgs: Sequence[str], now: float) -> Iterator[str]:
    """What is wrong with the bridge itself."""
    last_seen = watchdog.last_seen(tx)
    if last_seen is None:
        yield "the watchdog has never arrived: nobody knows whether alerts reach the receiver"
    elif now - last_seen > settings.timing.watchdog_silent_s:
        yield f"no alert reaches the receiver: the watchdog has been silent for {(now - last_seen) / 60:.0f} min"
    for org in orgs:
        listing = flows.listing(tx, org)
        if listing is not None and listing.problem:
            yield f"the flows of {org} cannot be listed: {listing.problem}"
    yield from _silent_feeds(tx, settings, orgs, now)
    for sink, backlog in sorted(outbox.backlog(tx).items()):
        if now - backlog.oldest_at > _OUTBOX_LATE_S:
            waits_min = (now - backlog.oldest_at) / 60
            yield f"{backlog.pending} notifications wait for {sink}, the oldest for {waits_min:.0f} min"


def _silent_feeds(tx: Transaction, settings: ReceiverSettings, orgs: Sequence[str], now: float) -> Iterator[str]:
    """Feeds that may have announced windows of which nobody here knows."""
    states = feeds.states(tx)
    for feed in settings.feeds.all:
        state = states.get(feed.name)
        read_at = None if state is None else state.read_at
        if is_current(feed, read_at, now) or not any(cover.org in orgs and reaches(cover.org) for cover in feed.covers):
            continue
        when = "was never read" if read_at is None else f"was last read {times.relative(read_at, now)}"
        why = f": {state.problem}" if state is not None and state.problem else ""
        yield f"the feed {feed.name} {when}, its windows may be missing{why}"


def _lockouts(tx: Transaction, settings: ReceiverSettings, orgs: Sequence[str], now: float) -> Iterator[Lockout]:
    """As the guard counts them, but that flows of the attempt that began one are free of it."""
    for org, flow_id in _locked(tx, settings, orgs):
        anywhere = settings.lockout_scope is Scope.ALL
        started_at = rollbacks.last_start(tx, None if anywhere else org, flow_id or None, shadow=False)
        until = 0.0 if started_at is None else started_at + settings.timing.lockout_s
        if until > now:
            yield Lockout(org, flow_id, until)


def _locked(tx: Transaction, settings: ReceiverSettings, orgs: Sequence[str]) -> list[tuple[str, str]]:
    """Over what a lockout is, each organization's or each flow's own."""
    if settings.lockout_scope is not Scope.FLOW:
        return [(org, "") for org in orgs]
    since = rollbacks.newest_of_each_flow(tx)
    return [(one.org, one.object_id) for one in since if one.org in orgs and reaches(one.org, one.object_id)]


def _count(number: int, one: str, many: str, *, more: bool = False) -> str:
    return "" if not number else f"{number}{' or more' if more else ''} {one if number == 1 and not more else many}"
