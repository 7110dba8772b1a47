"""What mode `auto` would have done, and how it went on, as far as the receiver's records tell. Pure.

Of a rollback that was only observed nobody can say whether it would have been right. What became of the version says
much: one that people replaced an hour later was bad, and one that serves still was perhaps not to blame.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

Json = Mapping[str, Any]


class Auto(StrEnum):
    """What a rollback is, seen from mode `auto`."""

    BEGAN = "began"  # it was begun, by the bridge itself or after somebody had approved it
    WOULD_BEGIN = "would_begin"
    WOULD_ASK = "would_ask"  # in mode auto too a person would have had to approve it
    WOULD_NOT = "would_not"  # it was decided anew before its write, and held back
    WAITS = "waits"  # for its turn: what comes of it is not known yet
    BY_HAND = "by_hand"  # a person has ordered it
    UNDO = "undo"


class Outcome(StrEnum):
    """What became of the accused version."""

    ROLLED_BACK = "rolled_back"  # by this rollback
    REPLACED = "replaced"  # by people or their pipelines, or by an order of theirs to the bridge
    ROLLED_BACK_LATER = "rolled_back_later"  # by another rollback, which nobody has ordered or approved
    STILL_LIVE = "still_live"
    NOT_KNOWN = "not_known"


@dataclass(frozen=True, slots=True)
class Course:
    """How it went on. `at` is when the version was replaced, or until when it is known to be live; RFC 3339."""

    outcome: Outcome
    at: str | None
    after_s: float | None  # from the decision until then
    by: str | None  # the version that came instead, and who is known to have made it live
    undone_by: str | None = None  # who has taken the rollback back

    def as_json(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome.value,
            "at": self.at,
            "after_s": self.after_s,
            "by": self.by,
            "undone_by": self.undone_by,
        }


def auto(rollback: Json, decision: Json | None) -> Auto:
    """What mode `auto` has done or would have done; `decision` is the one that the rollback came of, if it is known."""
    if rollback["kind"] == "undo":
        return Auto.UNDO
    if rollback["overrides"] is not None:
        return Auto.BY_HAND
    if rollback["started_at"] is not None and not rollback["shadow"]:
        return Auto.BEGAN
    asked = rollback["facts"].get("approval_because")
    if not rollback["shadow"] and asked is None:
        return Auto.WAITS if rollback["ended_at"] is None else Auto.WOULD_NOT
    return Auto.WOULD_ASK if _asks_anyway(asked, decision) else Auto.WOULD_BEGIN


def _asks_anyway(asked: str | None, decision: Json | None) -> bool:
    """For another reason than that the flow's mode is not `auto`; a mode with a note is one that cannot be higher."""
    if decision is not None:
        found = [guard for guard in decision["guards"] if guard["guard"] == "awaiting_approval"]
        asked = "; ".join(guard["value"] for guard in found if guard["holds_back"])
    return any(because != "mode approve" for because in (asked or "").split("; ") if because)


_UNKNOWN = Course(Outcome.NOT_KNOWN, None, None, None)


def course(rollback: Json, flow: Json | None, listed_at: str | None, others: Iterable[Json]) -> Course:
    """What became of the version that a rollback accuses.

    `flow` is `GET /flows/{org}/{flow_id}`, None if the flow is not listed (any more); `others` are the rollbacks of the
    flow. The ledger has the times that versions are dated with, or were seen.
    """
    if rollback["confirmed_at"] is not None:
        return _rolled_back(rollback, others)
    if flow is None:
        return _UNKNOWN
    accused, began = rollback["accused_version"], _seconds(rollback["created_at"])
    follower = _follower(rollback, flow)
    if follower is not None:
        version, at = follower
        outcome, by = _by(version, flow, rollback, others)
        return Course(outcome, at, max(0.0, _seconds(at) - began), by)
    if flow["live_version"] == accused and listed_at is not None and _seconds(listed_at) >= began:
        return Course(Outcome.STILL_LIVE, listed_at, _seconds(listed_at) - began, None)
    return _UNKNOWN


def _rolled_back(rollback: Json, others: Iterable[Json]) -> Course:
    at = rollback["confirmed_at"]
    undone = [one for one in others if one["undoes"] == rollback["id"] and one["confirmed_at"] is not None]
    return Course(
        Outcome.ROLLED_BACK,
        at,
        _seconds(at) - _seconds(rollback["created_at"]),
        rollback["target_version"],
        str(undone[0]["facts"].get("ordered_by") or "somebody") if undone else None,
    )


def _follower(rollback: Json, flow: Json) -> tuple[str, str] | None:
    """The version that was live next, and since when."""
    accused, began = rollback["accused_version"], _seconds(rollback["created_at"])
    live_since = _seconds(rollback["live_since"]) or began  # 0 if Genesys Cloud did not tell it
    later = [
        (_seconds(stint["from"]), version["version"], stint["from"])
        for version in flow["ledger"]["versions"]
        for stint in version["live"]
        if version["version"] != accused and _seconds(stint["from"]) > live_since and _seconds(stint["to"]) > began
    ]
    if later:
        _, version, at = min(later)
        return version, at
    # The ledger is read hourly, the list of flows every few minutes.
    since = flow["live_since"]
    if flow["live_version"] not in (None, accused) and since is not None and _seconds(since) > began:
        return flow["live_version"], since
    return None


def _by(version: str, flow: Json, rollback: Json, others: Iterable[Json]) -> tuple[Outcome, str]:
    """What made the version live, and who, as far as the records tell."""
    for one in others:
        is_same = (one["accused_version"], one["target_version"]) == (rollback["accused_version"], version)
        if is_same and one["confirmed_at"] is not None and one["confirmed_at"] >= rollback["created_at"]:
            who = one["facts"].get("ordered_by") or one["approved_by"]
            if who is None:
                return Outcome.ROLLED_BACK_LATER, f"{version}, by rollback {one['id']}"
            return Outcome.REPLACED, f"{version}, by rollback {one['id']} of {who}"
    if version == flow["live_version"] and flow["published_by"]:
        return Outcome.REPLACED, f"{version}, published by {flow['published_by']}"
    return Outcome.REPLACED, version


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
