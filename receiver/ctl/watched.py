"""What a watch makes of what it sees: what is told as it happens, and how it ends.

Nothing is looked up here: `receiver.ctl.watch` asks the receiver, and gives the time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from receiver.ctl.doubts import Look, at_the_end, deployed, name_of, of_decisions, of_rollback, stopped_by
from receiver.ctl.render import Json, duration

_AWAITS = "awaiting_approval"  # a state of rollbacks


class Result(IntEnum):
    """How a watch ends: the exit code."""

    HELD = 0  # nothing was rolled back, and the bridge could have
    ROLLED_BACK = 1  # or was begun, or waits for a person's approval
    CANNOT_TELL = 2


class Happening(StrEnum):
    """What is told, in a line each."""

    WATCHING = "watching"
    ARMED = "armed"
    NOT_ARMED = "not_armed"
    LIVE = "live"
    DECISION = "decision"
    ROLLBACK = "rollback"
    LOST = "lost"
    BACK = "back"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell; `facts` are what the API has said of it."""

    what: Happening
    text: str
    facts: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lost:
    """A look that has shown nothing: no answer, or a receiver that says that it cannot do its work."""

    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a watch, with each reason for it."""

    result: Result
    reasons: tuple[str, ...]


class Watch:
    """One watch from its first look to its end; `outcome` is None before. Times are seconds of any one clock.

    `patience_s` is how long the receiver may be out of reach, and how long, at the beginning, a flow may not be armed:
    a window was just closed, a new flow is about to be listed.
    """

    def __init__(self, *, lasts_s: float, patience_s: float) -> None:
        self.outcome: Outcome | None = None
        self._lasts_s = lasts_s
        self._patience_s = patience_s
        self._begun_at: float | None = None
        self._lost_at: float | None = None
        self._over_before: frozenset[str] = frozenset()  # rollbacks that were over when the watch began
        self._newest_decision = 0
        self._armed: dict[str, str] = {}  # by flow: why it is not, "" where it is
        self._live: dict[str, str | None] = {}
        self._watched: dict[str, str] = {}  # by flow: the version that is watched, once it is known
        self._decided: dict[int, Json] = {}  # by alert: the newest decision of this watch
        self._states: dict[str, str] = {}
        self._doubts: dict[str, None] = {}  # in the order in which they came
        self._waits = False

    def see(self, seen: Look | Lost, at_s: float) -> list[Event]:
        """Take a look into account, and say what has changed since the one before."""
        if isinstance(seen, Lost):
            return self._miss(seen, at_s)
        told = [] if self._lost_at is None else [Event(Happening.BACK, "the receiver is there again")]
        self._lost_at = None
        if self._begun_at is None:
            told.append(self._begin(seen, at_s))
        told += [*self._standings(seen, at_s), *self._decisions(seen), *self._rollbacks(seen)]
        return told + self._end(seen, at_s)

    def left_s(self, at_s: float) -> float:
        """How long it has to go on."""
        return self._lasts_s if self._begun_at is None else self._begun_at + self._lasts_s - at_s

    def _miss(self, lost: Lost, at_s: float) -> list[Event]:
        told = []
        if self._lost_at is None:
            self._lost_at = at_s
            told.append(Event(Happening.LOST, lost.reason))
        if at_s - self._lost_at >= self._patience_s:
            reason = f"the receiver was out of reach for {duration(at_s - self._lost_at)}: {lost.reason}"
            told.append(self._ended(Result.CANNOT_TELL, [reason]))
        return told

    def _begin(self, look: Look, at_s: float) -> Event:
        self._begun_at = at_s
        since = look.since
        self._over_before = frozenset(
            one["id"]
            for one in look.rollbacks
            if one["ended_at"] is not None and (since is None or datetime.fromisoformat(one["created_at"]) < since)
        )
        known = (one for one in look.decisions if since is None or datetime.fromisoformat(one["at"]) < since)
        self._newest_decision = max((one["id"] for one in known), default=0)
        text = (
            f"{len(look.flows)} flow{'' if len(look.flows) == 1 else 's'} of {look.org}, for {duration(self._lasts_s)}"
        )
        return Event(Happening.WATCHING, text, {"org": look.org, "flow_ids": list(look.flows)})

    def _standings(self, look: Look, at_s: float) -> Iterator[Event]:
        for flow_id, flow in look.flows.items():
            name, stopped = name_of(flow_id, flow), stopped_by(flow, look.consent)
            live = None if flow is None else flow["live_version"]
            facts = {"flow_id": flow_id, "live_version": live}
            if flow_id in self._live and self._live[flow_id] != live:
                yield Event(Happening.LIVE, f"{name}: {live or 'no version'} is live", facts)
            if self._armed.get(flow_id) != stopped and stopped:
                yield Event(Happening.NOT_ARMED, f"{name} {live or ''}: {stopped}", facts | {"because": stopped})
            elif self._armed.get(flow_id) != stopped:
                yield Event(Happening.ARMED, f"{name} {live}", facts)
            self._live[flow_id], self._armed[flow_id] = live, stopped
            self._keep_version(flow_id, name, live, look)
            if stopped and at_s - (self._begun_at or 0.0) >= self._patience_s:
                self._doubts[f"{name} was not armed: {stopped}"] = None

    def _keep_version(self, flow_id: str, name: str, live: str | None, look: Look) -> None:
        """Without a deployment it is the version that was live first: that of another one says nothing of it."""
        if flow_id in look.registered:
            version = deployed(look, flow_id)
        else:
            version = self._watched.get(flow_id, live)
            if version is not None and version != live:
                self._doubts[f"{name}: {live or 'no version'} became live, and {version} was watched"] = None
        if version is not None:
            self._watched[flow_id] = version

    def _decisions(self, look: Look) -> Iterator[Event]:
        for one in reversed(look.decisions):
            if one["id"] > self._newest_decision and one["flow_id"] in look.flows:
                about = f"{name_of(one['flow_id'], look.flows[one['flow_id']])} {one['flow_version']}"
                found = [guard["value"] for guard in one["guards"] if guard["guard"] == one["verdict"]]
                because = f" ({found[0]})" if found else ""
                self._decided[one["alert_id"]] = one
                yield Event(Happening.DECISION, f"{about}: {one['verdict']}{because}", one)
        self._newest_decision = max([self._newest_decision, *(one["id"] for one in look.decisions)])

    def _rollbacks(self, look: Look) -> Iterator[Event]:
        for one in reversed(list(self._concerned(look))):
            if self._states.get(one["id"]) != one["state"]:
                reason = f" ({one['reason']})" if one["reason"] else ""
                kind = "" if one["kind"] == "rollback" else f"{one['kind']} "
                yield Event(Happening.ROLLBACK, f"{kind}{_versions(one, look)}: {one['state']}{reason}", one)
                self._states[one["id"]] = one["state"]

    def _concerned(self, look: Look) -> Iterator[Json]:
        """The rollbacks of the watched flows that were not over before."""
        return (one for one in look.rollbacks if one["flow_id"] in look.flows and one["id"] not in self._over_before)

    def _end(self, look: Look, at_s: float) -> list[Event]:
        """The end, if it has come: at once after a rollback, else when the time is over and none is under way."""
        real = [one for one in self._concerned(look) if one["kind"] == "rollback" and not one["shadow"]]
        under_way = [_versions(one, look) for one in real if one["ended_at"] is None and one["state"] != _AWAITS]
        # Without a permit to publish (`started_at`) it ended before anything was sent.
        done = [_story(one, look) for one in real if one["ended_at"] is not None and one["started_at"] is not None]
        time_is_over = self.left_s(at_s) <= 0
        if under_way and time_is_over and not self._waits:
            self._waits = True
            return [Event(Happening.WAITING, f"the time is over; waits for the end of {', '.join(under_way)}")]
        if done and not under_way:
            return [self._ended(Result.ROLLED_BACK, done)]
        if under_way or not time_is_over:
            return []
        return [self._judged(look, [_story(one, look) for one in real if one["state"] == _AWAITS])]

    def _judged(self, look: Look, asked: Sequence[str]) -> Event:
        """The end of a watch in which nothing was rolled back."""
        if asked:
            return self._ended(Result.ROLLED_BACK, [f"approval is asked for: {story}" for story in asked])
        found = [*self._doubts, *at_the_end(look, self._watched), *of_decisions(look, self._decided, self._watched)]
        for one in self._concerned(look):
            found += of_rollback(look, one, self._decided, self._watched)
        doubts = list(dict.fromkeys(found))
        if doubts:
            return self._ended(Result.CANNOT_TELL, doubts)
        return self._ended(Result.HELD, ["nothing was rolled back, and the bridge was armed"])

    def _ended(self, result: Result, reasons: Sequence[str]) -> Event:
        self.outcome = Outcome(result, tuple(reasons))
        head = {
            Result.HELD: "good",
            Result.ROLLED_BACK: "ROLLED BACK",
            Result.CANNOT_TELL: "CANNOT TELL",
        }[result]
        facts = {"exit_code": result.value, "reasons": list(reasons)}
        return Event(Happening.ENDED, f"{head}: {'; '.join(reasons)}", facts)


def _versions(rollback: Json, look: Look) -> str:
    name = name_of(rollback["flow_id"], look.flows[rollback["flow_id"]])
    return f"{name} {rollback['accused_version']} -> {rollback['target_version']}"


def _story(rollback: Json, look: Look) -> str:
    """Who published what, why it was taken back, how that ended, and where to read on."""
    facts = rollback["facts"]
    who = " ".join(str(facts[name]) for name in ("deployed_by", "commit") if facts.get(name)) or facts.get(
        "published_by"
    )
    ordered = f"by order of {facts['ordered_by']}: {facts.get('ordered_because')}" if "ordered_by" in facts else ""
    figures = (
        f"{facts['errors']} of {facts['volume']} in {facts.get('window')} by {facts.get('signal')}, "
        f"allowed {rollback['threshold_ratio']:.3g}"
        if "errors" in facts and "volume" in facts
        else ""
    )
    state = f"{rollback['state']} ({rollback['reason']})" if rollback["reason"] else rollback["state"]
    parts = (
        f"{_versions(rollback, look)} {state}",
        figures,
        ordered,
        f"published by {who}" if who else "",
        f"rollbackctl rollback show {rollback['id']}",
    )
    return ", ".join(part for part in parts if part)
