"""The report as people read it: in short, each rollback, each flow. Pure."""

from collections.abc import Iterable

import click

from receiver.ctl.hindsight import Auto, Outcome
from receiver.ctl.render import Clock, Json, duration, table

_LEAST_ARMED = 50  # flows; there may be thousands, and --output json has them all
_ROLES = {
    Auto.BEGAN: "began",
    Auto.WOULD_BEGIN: "would have begun",
    Auto.WOULD_ASK: "would have asked",
    Auto.WOULD_NOT: "held back at last",
    Auto.WAITS: "wait",
    Auto.BY_HAND: "by hand",
    Auto.UNDO: "undo",
}


def text_of(document: Json, clock: Clock) -> str:
    parts = [
        ("in short", _in_short(document, clock)),
        ("rollbacks, and how it went on", _rollbacks(document["rollbacks"], clock)),
        ("verdicts by flow", _flows(document["flows"])),
    ]
    if document["armed"] is not None:
        parts.append(("armed in the last 7 days", _armed(document["armed"])))
    return "\n\n".join(f"{click.style(head.upper(), bold=True)}\n{text}" for head, text in parts)


def _in_short(document: Json, clock: Clock) -> str:
    summary = document["summary"]
    roles = summary["rollbacks"]
    lines = [f"From {clock.show(document['since'])} until now."]
    lines.append(
        f"Mode auto would have begun {roles.get(Auto.WOULD_BEGIN, 0)} rollback(s) that were not begun, and asked for "
        f"{roles.get(Auto.WOULD_ASK, 0)} more."
    )
    outcomes = summary["not_begun_went_on"]
    if outcomes:
        lines.append(
            f"Of these versions {outcomes.get(Outcome.REPLACED, 0)} were replaced by people, "
            f"{outcomes.get(Outcome.ROLLED_BACK_LATER, 0)} were rolled back later by the bridge itself, "
            f"{outcomes.get(Outcome.STILL_LIVE, 0)} are live still (was it a false alarm? see the evidence), "
            f"and of {outcomes.get(Outcome.NOT_KNOWN, 0)} it is not known."
        )
    ends = ", ".join(f"{count} {state}" for state, count in summary["ends"].items())
    lines.append(f"{roles.get(Auto.BEGAN, 0)} were begun{': ' if ends else ''}{ends}. {summary['undone']} were undone.")
    others = [f"{roles[role]} {_ROLES[role]}" for role in (Auto.BY_HAND, Auto.WOULD_NOT, Auto.WAITS) if role in roles]
    return "\n".join([*lines, *([f"Besides: {', '.join(others)}."] if others else [])])


def _rollbacks(rows: Iterable[Json], clock: Clock) -> str:
    cells = [
        (
            clock.show(row["at"]),
            row["org"],
            row["name"] or row["flow_id"],
            f"{row['accused_version']} -> {row['target_version']}",
            _ROLES[Auto(row["auto"])],
            row["state"],
            _evidence(row["evidence"]),
            "-" if row["alert_ended_at"] is None else clock.show(row["alert_ended_at"]),
            _went_on(row["went_on"], clock),
            row["id"],
        )
        for row in rows
    ]
    heads = ("AT", "ORG", "FLOW", "VERSIONS", "AUTO", "STATE", "EVIDENCE", "ALERT ENDED", "WENT ON", "ID")
    return table(heads, cells, empty="no rollbacks, and none would have been begun")


def _evidence(facts: Json) -> str:
    if facts["errors"] is None or facts["volume"] is None:
        return "not on record"
    ratio, threshold = facts["error_ratio"], facts["threshold_ratio"]
    return (
        f"{facts['signal']}: {facts['errors']} of {facts['volume']} in {facts['window']}"
        + ("" if ratio is None else f" ({ratio:.1%})")
        + ("" if threshold is None else f", allowed {threshold:.1%}")
    )


def _went_on(course: Json, clock: Clock) -> str:
    after = "" if course["after_s"] is None else duration(course["after_s"])
    if course["outcome"] == Outcome.ROLLED_BACK:
        undone = f", undone by {course['undone_by']}" if course["undone_by"] else ""
        return f"rolled back after {after}{undone}"
    if course["outcome"] in (Outcome.REPLACED, Outcome.ROLLED_BACK_LATER):
        return f"replaced after {after} by {course['by']}"
    if course["outcome"] == Outcome.STILL_LIVE:
        return f"live still after {after}, as listed {clock.show(course['at'])}"
    return "not known"


def _flows(rows: Iterable[Json]) -> str:
    cells = [
        (
            row["org"],
            row["flow_id"],
            row["name"],
            row["mode"] or "not listed",
            ", ".join(f"{count} {_ROLES[Auto(role)]}" for role, count in row["rollbacks"].items()),
            ", ".join(f"{count} {verdict}" for verdict, count in row["verdicts"].items()),
        )
        for row in rows
    ]
    return table(("ORG", "FLOW", "NAME", "MODE", "ROLLBACKS", "VERDICTS"), cells, empty="nothing was decided")


def _armed(rows: list[Json]) -> str:
    """Flows without mode auto have no share: nothing would roll them back by itself."""
    cells = [
        (row["org"], row["flow_id"], f"{row['share']:.1%}", f"{row['seen']:.1%} of it") for row in rows[:_LEAST_ARMED]
    ]
    shown = table(("ORG", "FLOW", "ARMED", "SEEN"), cells, empty="Prometheus knows no flow with mode auto")
    rest = rows[_LEAST_ARMED:]
    return f"{shown}\nand {len(rest)} more, each at least {rest[0]['share']:.1%}" if rest else shown
