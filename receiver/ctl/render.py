"""What a person reads: tables, times, the story of a rollback. Pure; click drops the colours in a pipe."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

import click

Json = Mapping[str, Any]

_SHORT = 8  # of an id: enough to see which rollbacks are of one attempt

_COLOURS = {
    "active": "yellow",
    "open": "red",
    "roll_back": "green",
    "succeeded": "green",
    "failed": "red",
    "ineffective": "red",
    "unverified": "yellow",
    "superseded": "yellow",
    "awaiting_approval": "yellow",
    "planned": "cyan",
    "publishing": "cyan",
    "confirming": "cyan",
    "verifying": "cyan",
}


@dataclass(frozen=True, slots=True)
class Clock:
    """The moment and the time zone of the reader; no zone is the machine's own, which needs no name."""

    now: datetime
    zone: tzinfo | None = None

    def show(self, moment: str | None) -> str:
        """An RFC 3339 time in the reader's zone, with its date unless it is today, and how long ago or ahead it is."""
        return self._shown(moment, "%H:%M")

    def exact(self, moment: str | None) -> str:
        """The same to the second."""
        return self._shown(moment, "%H:%M:%S")

    def _shown(self, moment: str | None, form: str) -> str:
        if moment is None:
            return "-"
        local = datetime.fromisoformat(moment).astimezone(self.zone)
        day = "" if local.date() == self.now.astimezone(self.zone).date() else f"{local:%Y-%m-%d} "
        zone = "" if self.zone is None else f" {local:%Z}"
        return f"{day}{local:{form}}{zone} ({_relative((local - self.now).total_seconds())})"


def _relative(ahead_s: float) -> str:
    length = duration(abs(ahead_s))
    return f"in {length}" if ahead_s > 0 else f"{length} ago"


def duration(seconds: float) -> str:
    """The two largest units: `2 h 5 min`."""
    whole = round(seconds)
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> str:
    """Aligned columns under their heads, or `empty`; words that stand for a state are coloured."""
    cells = [[plain(cell) for cell in row] for row in rows]
    if not cells:
        return empty
    widths = [max(len(row[column]) for row in [list(heads), *cells]) for column in range(len(heads))]
    lines = [_line(heads, widths, bold=True), *(_line(row, widths, bold=False) for row in cells)]
    return "\n".join(lines)


def plain(value: object) -> str:
    """Text from elsewhere in one line, without anything that a terminal would obey."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(character if character.isprintable() else " " for character in text)


def _line(cells: Sequence[str], widths: Sequence[int], *, bold: bool) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    padded[-1] = padded[-1].rstrip()
    if bold:
        return click.style("  ".join(padded), bold=True)
    return "  ".join(_coloured(text) for text in padded)


def _coloured(text: str) -> str:
    colour = _COLOURS.get(text.strip())
    return text if colour is None else click.style(text, fg=colour)


def alerts(found: Iterable[Json], clock: Clock) -> str:
    rows = [
        (
            alert["org"],
            alert["flow_id"],
            alert["flow_version"],
            alert["signal"],
            "open" if alert["open"] else "closed",
            alert["verdict"] or "not decided yet",
            clock.show(alert["starts_at"]),
            alert["annotations"].get("summary"),
        )
        for alert in found
    ]
    return table(("ORG", "FLOW", "VERSION", "SIGNAL", "STATE", "VERDICT", "SINCE", "SUMMARY"), rows, empty="no alerts")


def decisions(found: Iterable[Json], clock: Clock) -> str:
    rows = [
        (
            clock.show(decision["at"]),
            decision["org"],
            decision["flow_id"],
            decision["flow_version"],
            decision["verdict"],
            _reason(decision),
            decision["rollback_id"],
        )
        for decision in found
    ]
    return table(("AT", "ORG", "FLOW", "VERSION", "VERDICT", "BECAUSE", "ROLLBACK"), rows, empty="no decisions")


def _reason(decision: Json) -> str:
    """What the guard that gave the verdict found."""
    named = [guard["value"] for guard in decision["guards"] if guard["guard"] == decision["verdict"]]
    return named[0] if named else "nothing held back"


def explained(found: Iterable[Json], clock: Clock) -> str:
    """Each decision with every guard: what was found, and what would have been allowed."""
    return "\n\n".join(_explained(decision, clock) for decision in found) or "no decisions"


def _explained(decision: Json, clock: Clock) -> str:
    head = (
        f"{clock.show(decision['at'])}  {plain(decision['org'])}  {plain(decision['flow_id'])}  "
        f"version {plain(decision['flow_version'])}: {_coloured(plain(decision['verdict']))}"
    )
    rows = [(_effect(guard), guard["guard"], guard["value"], guard["limit"]) for guard in decision["guards"]]
    return f"{head}\n{table(('', 'GUARD', 'FOUND', 'ALLOWED'), rows, empty='no guards')}"


def _effect(guard: Json) -> str:
    if guard.get("overridden"):
        return "overridden"
    return "HOLDS BACK" if guard["holds_back"] else "passes"


def waiting(found: Iterable[Json], clock: Clock) -> str:
    """Rollbacks that a person has to approve, with the time that is left for it."""
    rows = [
        (
            rollback["org"],
            rollback["flow_id"],
            _versions(rollback),
            clock.show(rollback["deadline"]),
            rollback["reason"],
            rollback["id"],
        )
        for rollback in found
    ]
    return table(("ORG", "FLOW", "VERSIONS", "UNTIL", "BECAUSE", "ID"), rows, empty="no rollback waits for approval")


def rollbacks(found: Iterable[Json], clock: Clock) -> str:
    rows = [
        (
            clock.show(rollback["created_at"]),
            rollback["org"],
            rollback["flow_id"],
            _versions(rollback),
            rollback["state"],
            rollback["reason"],
            rollback["attempt_id"][:_SHORT],
            rollback["id"],
        )
        for rollback in found
    ]
    return table(("AT", "ORG", "FLOW", "VERSIONS", "STATE", "REASON", "ATTEMPT", "ID"), rows, empty="no rollbacks")


def _versions(rollback: Json) -> str:
    return plain(f"{rollback['accused_version']} -> {rollback['target_version']}")


def story(rollback: Json, clock: Clock) -> str:
    """One rollback from its plan to its end, with its steps and permits."""
    observed = ", only observed" if rollback["shadow"] else ""
    reason = f" ({plain(rollback['reason'])})" if rollback["reason"] else ""
    facts = [(name, value) for name, value in rollback["facts"].items() if not isinstance(value, dict | list)]
    steps = [
        (clock.exact(step["at"]), step["state"], step["event"], _detail(step["detail"])) for step in rollback["steps"]
    ]
    permits = [
        (
            permit["number"],
            permit["strategy"],
            permit["target_version"],
            clock.exact(permit["valid_until"]),
            permit["answer"] or "not known",
        )
        for permit in rollback["permits"]
    ]
    return "\n".join(
        (
            f"{plain(rollback['kind'])} {plain(rollback['id'])}, try {rollback['try']}{observed}",
            f"flow     {plain(rollback['flow_id'])} of {plain(rollback['org'])}: {_versions(rollback)}",
            f"state    {_coloured(plain(rollback['state']))}{reason}",
            f"planned  {clock.show(rollback['created_at'])}",
            f"ended    {clock.show(rollback['ended_at'])}",
            *(f"{plain(name)}: {plain(value)}" for name, value in facts),
            *_attempt(rollback),
            *_changes(rollback, clock),
            *_differences(rollback["facts"]),
            *_dependents(rollback["facts"]),
            "",
            table(("AT", "STATE", "STEP", "DETAIL"), steps, empty="no steps yet"),
            "",
            table(
                ("PERMIT", "WAY BACK", "VERSION", "VALID UNTIL", "ANSWER"),
                permits,
                empty="no permit to publish was given",
            ),
        )
    )


def _changes(rollback: Json, clock: Clock) -> list[str]:
    """What was changed before, the most likely first, if anything was seen."""
    told = rollback["facts"].get("changes") or ()
    rows = [
        (
            f"{one['object_type']} {one['object_name'] or one['object_id']}",
            " ".join(word for word in (one["action"], one["version"]) if word),
            clock.show(one["at"]),
            one["by"],
            one["why"],
        )
        for one in told
    ]
    return ["", table(("CHANGED BEFORE", "ACTION", "AT", "BY", "WHY HERE"), rows, empty="")] if rows else []


def _differences(facts: Json) -> list[str]:
    """Of what is no flow: what is written."""
    rows = [(one["path"], one.get("accused", "-"), one.get("target", "-")) for one in facts.get("differences") or ()]
    return ["", table(("WHAT IS WRITTEN", "ACCUSED", "TARGET"), rows, empty="")] if rows else []


def _dependents(facts: Json) -> list[str]:
    """Which flows use the common module that it is about."""
    rows = [
        (one["flow_name"] or one["flow_id"], one["version"] or "not known") for one in facts.get("dependents") or ()
    ]
    return ["", table(("USED BY (NOT PUBLISHED AGAIN)", "VERSION"), rows, empty="")] if rows else []


def _attempt(rollback: Json) -> list[str]:
    """The flows of the same change set, if there is more than this one."""
    if len(rollback["members"]) == 1:
        return []
    rows = [
        (
            one["flow_name"] or one["flow_id"],
            f"{one['accused_version_id']} -> {one['target_version_id']}",
            one["state"],
            one["reason"],
            one["rollback_id"],
        )
        for one in rollback["members"]
    ]
    head = f"attempt  {plain(rollback['attempt_state'])}, {len(rows)} flows of one change set"
    return ["", head, table(("FLOW", "VERSIONS", "STATE", "REASON", "ROLLBACK"), rows, empty="")]


def _detail(detail: Json) -> str:
    return ", ".join(f"{name} {value}" for name, value in detail.items())


def flows(found: Iterable[Json], listings: Iterable[Json], clock: Clock) -> str:
    """Each live flow with what applies to it; below, what is wrong with the listing itself."""
    rows = [
        (
            flow["org"],
            flow["flow_id"],
            flow["name"],
            flow["type"],
            flow["division"],
            flow["live_version"],
            flow["mode"] if not flow["mode_note"] else f"{flow['mode']} {flow['mode_note']}",
            "armed" if flow["armed"] else "-",
            "; ".join(flow["stopped_by"]),
            flow["owner"],
            clock.show(flow["last_rollback"]["created_at"]) if flow["last_rollback"] else "-",
        )
        for flow in found
    ]
    heads = ("ORG", "FLOW", "NAME", "TYPE", "DIVISION", "LIVE", "MODE", "ARMED", "STOPPED BY", "OWNER", "ROLLED BACK")
    notes = [
        f"{plain(listing['org'])}: listed {clock.show(listing['listed_at'])}"
        + (f"; now: {plain(listing['problem'])}" if listing["problem"] else "")
        for listing in listings
        if listing["problem"] or listing["listed_at"] is None
    ]
    return "\n".join((table(heads, rows, empty="no flows were listed yet"), *notes))


def pauses(found: Iterable[Json], clock: Clock) -> str:
    rows = [
        (
            "every organization" if pause["org"] == "*" else pause["org"],
            clock.show(pause["paused_at"]),
            pause["paused_by"],
            pause["reason"],
        )
        for pause in found
    ]
    return table(("PAUSED", "SINCE", "BY", "REASON"), rows, empty="not paused")


def holds(found: Iterable[Json], clock: Clock) -> str:
    rows = [
        (
            hold["org"],
            hold["flow_id"] or "every flow",
            hold["owner"],
            clock.show(hold["held_at"]),
            hold["held_by"],
            hold["reason"],
        )
        for hold in found
    ]
    return table(("HELD", "FLOW", "FOR", "SINCE", "BY", "REASON"), rows, empty="no holds")


def quarantines(found: Iterable[Json], clock: Clock) -> str:
    rows = [
        (
            quarantine["org"],
            quarantine["flow_id"],
            quarantine["version"],
            clock.show(quarantine["quarantined_at"]),
            quarantine["rollback_id"],
            "-"
            if quarantine["lifted_at"] is None
            else f"{clock.show(quarantine['lifted_at'])} by {quarantine['lifted_by']}",
            quarantine["id"],
        )
        for quarantine in found
    ]
    return table(
        ("ORG", "FLOW", "VERSION", "SINCE", "ROLLBACK", "LIFTED", "ID"), rows, empty="no version is in quarantine"
    )


def tried(found: Iterable[Json]) -> str:
    rows = [(one["sink"], "taken" if one["taken"] else "failed", one["detail"]) for one in found]
    return table(("SINK", "RESULT", "WHAT CAME BACK"), rows, empty="no sinks: see notifications in receiver.yml")
