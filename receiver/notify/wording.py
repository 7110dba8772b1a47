"""An event in sentences that can be read at 3 a.m. Pure; whatever is unknown is left out, and nothing of it fails."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from genesys.evidence import Signal
from receiver.notify.kinds import STORY, IncidentType, kind_of

_COMMIT_CHARS = 7
_MAX_CHANGES = 3  # in a sentence; the record has all
_MAX_CHARS = 500  # of one name or reason
_WINDOW = re.compile(r"([0-9]{1,4})(m|h|d)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

_SUFFERED = {
    Signal.ERROR_EXIT: "callers ended in an error",
    Signal.FLOW_DISCONNECT: "callers were hung up on",
    Signal.CALLER_HANGUP: "callers hung up",
    Signal.RECOGNITION: "callers were not understood",
    Signal.STUCK: "callers found no way out",
    Signal.OUTCOME_FAILED: "callers did not get what they called for",
    Signal.ROUTING_SHIFT: "callers were sent to one target",
    Signal.ACTION_FAILURE: "data actions failed",
    Signal.ACTION_SLOW: "data actions were slow",
}


@dataclass(frozen=True, slots=True)
class Wording:
    """What a person reads: a line, and the sentences."""

    title: str
    body: str

    @property
    def text(self) -> str:
        """Both, for where there is one field."""
        return self.body or self.title


def worded(event: Mapping[str, Any], zone: tzinfo) -> Wording:
    """The event for people, with times in `zone`. Any mapping gives a title."""
    return _Told(event, zone).wording()


def moment_of(facts: Any, name: str) -> datetime | None:
    """A time among the facts; None if there is none, or it cannot be read."""
    told = facts.get(name) if isinstance(facts, Mapping) else None
    try:
        read = datetime.fromisoformat(told) if isinstance(told, str) else None
        return None if read is None or read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class _Told:
    """One event while it is put into words."""

    event: Mapping[str, Any]
    zone: tzinfo

    def wording(self) -> Wording:
        kind = kind_of(self.event.get("incident_type"))
        if kind is None:
            return Wording(self._word("incident_type") or "Something happened", self._word("reason"))
        if kind is IncidentType.TEST:
            said = self._word("reason") or "nothing has happened"
            return Wording("Test of the notifications", f"Test of the notifications: {said}.")
        about = [] if kind is IncidentType.ALERT_PATH_SILENT else [self._accusation()]
        parts = [
            *about,
            *self._outcome(kind),
            *self._changes(),
            *self._besides(),
            *self._differences(),
            *self._dependents(),
            *self._orders(),
            self._clock(),
        ]
        return Wording(self._title(kind), " ".join(part for part in parts if part))

    def _title(self, kind: IncidentType) -> str:
        target = self._word("target_version_id") or "an earlier version"
        did = {
            IncidentType.AUTO_ROLLBACK_TRIGGERED: f"being rolled back to {target}",
            IncidentType.ROLLBACK_SUCCEEDED: f"rolled back to {target}",
            IncidentType.ROLLBACK_FAILED: f"rollback to {target} FAILED",
            IncidentType.ROLLBACK_INEFFECTIVE: f"rolled back to {target}, which FAILS TOO",
            IncidentType.ROLLBACK_UNVERIFIED: f"rolled back to {target}, not known whether it helps",
            IncidentType.ROLLBACK_SUPPRESSED: "fails, and is NOT rolled back",
            IncidentType.APPROVAL_REQUESTED: f"roll back to {target}?",
            IncidentType.UNDO_SUCCEEDED: f"{target} is live again (undo)",
            IncidentType.UNDO_FAILED: f"undo, {target} live again, FAILED",
            IncidentType.DEPENDENT_PUBLISHED: "published once more",
            IncidentType.DEPENDENT_NOT_PUBLISHED: "NOT published once more",
            IncidentType.WOULD_HAVE_ROLLED_BACK: f"would have been rolled back to {target} (observing)",
            IncidentType.ALERT_PATH_SILENT: "No alerts reach the rollback receiver",
            IncidentType.KNOWN_BAD_DEPLOYED: "is known bad, and live",
            IncidentType.TEST: "",
        }[kind]
        return did if kind is IncidentType.ALERT_PATH_SILENT else f"{self._flow()}: {did}"

    def _flow(self) -> str:
        """`Main IVR (Retail) 14.0`."""
        name = self._word("flow_name") or self._word("flow_id") or "A flow"
        kind = self._word("object_type").replace("_", " ")
        name = f"{kind} {name}" if kind else name
        place = self._word("division") or self._word("org")
        version = self._word("accused_version_id")
        return " ".join(part for part in (name, f"({place})" if place else "", version) if part)

    def _accusation(self) -> str:
        published = self._published()
        failing = self._failing()
        return f"{self._flow()}{f', {published}' if published else ''}{f': {failing}' if failing else ''}."

    def _published(self) -> str:
        at = self._time(self.event, "published_at")
        by = self._word("deployed_by") or self._word("published_by")
        commit = self._word("commit")[:_COMMIT_CHARS]
        who = " ".join(part for part in (by, commit) if part)
        verb = "changed" if self._word("object_type") else "published"
        parts = (verb if at or who else "", at, f"by {who}" if who else "")
        return " ".join(part for part in parts if part)

    def _failing(self) -> str:
        """`41 of 96 callers ended in an error since 02:43 (allowed 5 %)`."""
        errors, volume = self._number("errors"), self._number("volume")
        if errors is None or volume is None:
            return ""
        signal = next((one for one in Signal if one.value == self.event.get("signal")), None)
        target = self._word("transfer_target")
        suffered = f"callers were sent to {target}" if target else "callers were hit"
        if signal is not None and not (signal is Signal.ROUTING_SHIFT and target):
            suffered = _SUFFERED[signal]
        since, allowed = self._since(), self._allowed()
        parts = (f"{errors:g} of {volume:g} {suffered}", f"since {since}" if since else "", allowed)
        return " ".join(part for part in parts if part)

    def _since(self) -> str:
        """Where the judged window begins: not before the version was live."""
        story = self.event.get(STORY)
        end, window = moment_of(story, "data_end"), _WINDOW.fullmatch(self._word("window"))
        starts = [moment_of(story, "live_since")]
        if end is not None and window is not None:
            starts.append(end - timedelta(**{_UNITS[window[2]]: int(window[1])}))
        known = [start for start in starts if start is not None]
        return self._shown(max(known)) if known else ""

    def _allowed(self) -> str:
        threshold = self._number("threshold_breach")
        return "" if threshold is None else f"(allowed {threshold * 100:.3g} %)"

    def _outcome(self, kind: IncidentType) -> list[str]:
        target = self._word("target_version_id") or "An earlier version"
        reason = self._word("reason") or "nobody knows why"
        thing = "the object" if self._word("object_type") else "the flow"
        live = self._made_live(target)
        return {
            IncidentType.AUTO_ROLLBACK_TRIGGERED: [f"{target} is being made live."],
            IncidentType.ROLLBACK_SUCCEEDED: [f"{live}; {reason} since."],
            IncidentType.ROLLBACK_FAILED: [f"The rollback to {target} failed: {reason}. Look at {thing}."],
            IncidentType.ROLLBACK_INEFFECTIVE: [f"{live}, but it fails too: {reason}. It is held: look at it."],
            IncidentType.ROLLBACK_UNVERIFIED: [f"{live}; nobody knows whether it helps: {reason}. Look at {thing}."],
            IncidentType.ROLLBACK_SUPPRESSED: [f"Not rolled back ({self._word('verdict') or 'held back'}): {reason}."],
            IncidentType.APPROVAL_REQUESTED: [f"Roll back to {target}? You are asked because of: {reason}."],
            IncidentType.UNDO_SUCCEEDED: [f"{live}, by undo{self._ordered()}."],
            IncidentType.UNDO_FAILED: [f"The undo{self._ordered()} failed: {reason}. Look at {thing}."],
            IncidentType.DEPENDENT_PUBLISHED: [f"It was published once more{self._module()}."],
            IncidentType.DEPENDENT_NOT_PUBLISHED: [
                f"It was NOT published once more{self._module()}: {reason}. Publish it in Architect."
            ],
            IncidentType.WOULD_HAVE_ROLLED_BACK: [f"Observing only: it would have been rolled back to {target}."],
            IncidentType.ALERT_PATH_SILENT: [f"No alerts reach the rollback receiver: {reason}."],
            IncidentType.KNOWN_BAD_DEPLOYED: [f"It is {reason}."],
            IncidentType.TEST: [],
        }[kind]

    def _made_live(self, target: str) -> str:
        at = self._time(self.event.get(STORY), "confirmed_at")
        return f"{target} made live{f' {at}' if at else ''}, confirmed"

    def _ordered(self) -> str:
        by = self._word("ordered_by")
        return f" of {by}" if by else ""

    def _module(self) -> str:
        module = self._word("module_name")
        return f" because another version of {module or 'a module'}, which it uses, was made live"

    def _besides(self) -> list[str]:
        newer, members = self._word("overwrote_newer"), self.event.get("members")
        others = len(members) - 1 if isinstance(members, list) else 0
        original = self._word("copy_of")
        return [
            f"Somebody published {newer} meanwhile, which is overwritten." if newer else "",
            f"{self._word('target_version_id')} is {original}, deployed anew." if original else "",
            f"{self._word('ways_in_vain')} had no effect before." if self._word("ways_in_vain") else "",
            f"{others} more flow{'s' if others > 1 else ''} of the same deployment." if others > 0 else "",
        ]

    def _differences(self) -> list[str]:
        """Of what is no flow: what the accused version has, and what would be, or is, written."""
        count, told = self.event.get("differences_count"), self.event.get("differences")
        if not isinstance(count, int) or not isinstance(told, list):
            return []
        first = [_Told(one, self.zone) for one in told[:_MAX_CHANGES] if isinstance(one, Mapping)]
        named = "; ".join(
            f"{one._word('path')}: {one._word('accused') or 'nothing'} becomes {one._word('target') or 'nothing'}"
            for one in first
        )
        more = f"; and {count - len(first)} more" if count > len(first) else ""
        return [f"What is written: {named}{more}."]

    def _dependents(self) -> list[str]:
        """Which flows use a common module: what is done to it publishes them again only where that is configured."""
        count, told = self.event.get("dependents_count"), self.event.get("dependents")
        if self._word("dependents_problem"):
            return ["Nobody could tell which flows use this module; none of them is published again."]
        if not isinstance(count, int) or not isinstance(told, list):
            return []
        if count == 0:
            return ["No published flow uses this module."]
        first = [_Told(one, self.zone) for one in told[:_MAX_CHANGES] if isinstance(one, Mapping)]
        named = ", ".join(one._word("flow_name") or one._word("flow_id") for one in first)
        more = f" and {count - len(first)} more" if count > len(first) else ""
        if self._number("dependents_to_publish"):
            return [f"Used by {named}{more}: they are published once more, as they are, once the module is live."]
        return [f"Used by {named}{more}: what is done to the module does not publish them again."]

    def _changes(self) -> list[str]:
        """What else was changed before, the most likely first; that the version was published is said already."""
        changes = self.event.get("changes")
        told = [one for one in changes if isinstance(one, Mapping)] if isinstance(changes, list) else []
        others = [_Told(one, self.zone) for one in told if not self._is_accused(one)]
        if not others:
            return []
        named = "; ".join(one.change(self._time(one.event, "at")) for one in others[:_MAX_CHANGES])
        more = len(others) - _MAX_CHANGES
        return [f"Also changed before: {named}{f'; {more} more' if more > 0 else ''}."]

    def _is_accused(self, change: Mapping[str, Any]) -> bool:
        accused = (self.event.get("flow_id"), self.event.get("accused_version_id"))
        return (change.get("object_id"), change.get("version")) == accused

    def change(self, at: str) -> str:
        """`queue Sales, 02:41 by Ann (Admin)`, of an event that is a change."""
        what = " ".join(part for part in (self._word("object_type"), self._word("object_name")) if part)
        version, by, application = self._word("version"), self._word("by"), self._word("application")
        parts = (
            version,
            f", {at}" if at else "",
            f" by {by}" if by else "",
            f" ({application})" if application else "",
        )
        return f"{what or 'something'}{' ' if version else ''}{''.join(parts)}"

    def _orders(self) -> list[str]:
        """What can be done now, as a line for the terminal, and the page on which it is a button."""
        rollback, url = self._word("rollback_id"), self._word("console_url")
        can_be = [
            f"Approve: rollbackctl approve {rollback} (or deny)." if self.event.get("approve_url") else "",
            f"Undo: rollbackctl undo {rollback} --reason WHY." if self.event.get("undo_url") else "",
        ]
        return [*(can_be if rollback else []), f"On the console: {url}" if url else ""]

    def _clock(self) -> str:
        zone = getattr(self.zone, "key", None) or "UTC"
        return f"(Times: {zone})"

    def _time(self, facts: Any, name: str) -> str:
        at = moment_of(facts, name)
        return "" if at is None else self._shown(at)

    def _shown(self, at: datetime) -> str:
        """`02:43`, with the day if it is another one than the event's."""
        told = moment_of(self.event, "timestamp")
        try:
            local = at.astimezone(self.zone)
            same = told is not None and told.astimezone(self.zone).date() == local.date()
        except (ValueError, OverflowError):  # at an end of the calendar
            return ""
        return f"{local:%H:%M}" if same else f"{local:%Y-%m-%d %H:%M}"

    def _word(self, name: str) -> str:
        """Text from elsewhere in one line; empty if there is none."""
        value = self.event.get(name)
        if not isinstance(value, str):
            return ""
        return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:_MAX_CHARS]

    def _number(self, name: str) -> float | None:
        value = self.event.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:
            return None
