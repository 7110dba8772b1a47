"""What is going on now: windows with the feeds that announce some, and everything together. Pure."""

from collections.abc import Iterable

import click

from receiver.ctl import render


def windows(found: Iterable[render.Json], clock: render.Clock) -> str:
    rows = [
        (
            window["org"],
            ", ".join(window["flow_ids"] or ["every flow"]),
            window["kind"],
            window["state"],
            clock.show(window["starts_at"]),
            clock.show(window["closed_at"] or window["ends_at"]),
            window["reason"],
            window["created_by"],
            window["id"],
        )
        for window in found
    ]
    return render.table(
        ("ORG", "FLOWS", "KIND", "STATE", "FROM", "UNTIL", "REASON", "BY", "ID"), rows, empty="no maintenance windows"
    )


def maintenance(document: render.Json, clock: render.Clock) -> str:
    """The windows, and the feeds that announce some."""
    shown = windows(document["windows"], clock)
    rows = [
        (
            feed["name"],
            feed["kind"],
            "current" if feed["current"] else "NOT CURRENT",
            clock.show(feed["read_at"]),
            _remark(feed),
        )
        for feed in document.get("feeds", ())  # an older receiver has none
    ]
    told = render.table(("FEED", "KIND", "STATE", "READ", "REMARK"), rows, empty="")
    return f"{shown}\n\n{told}" if rows else shown


def _remark(feed: render.Json) -> str:
    """What is wrong, and how much is open in the source that holds nothing back any more."""
    lapsed = feed.get("lapsed", 0)  # an older receiver does not say
    told = (feed["problem"], f"{lapsed} open in the source whose window is over" if lapsed else "")
    return "; ".join(filter(None, told))


def _of(document: render.Json, *, waits: bool) -> list[render.Json]:
    return [one for one in document["rollbacks"] if (one["state"] == "awaiting_approval") is waits]


def status(document: render.Json, clock: render.Clock) -> str:
    """What somebody wants to know at three in the morning, the worst first."""
    ready = (
        click.style("ready", fg="green")
        if document["ready"]
        else f"{click.style('NOT READY', fg='red')}: {render.plain(document['problem'])}"
    )
    parts = (
        ("receiver", ready),
        ("pauses", render.pauses(document["pauses"], clock)),
        ("holds", render.holds(document["holds"], clock)),
        ("maintenance", maintenance(document, clock)),
        ("open alerts", render.alerts(document["alerts"], clock)),
        ("waiting for approval", render.waiting(_of(document, waits=True), clock)),
        ("rollbacks under way", render.rollbacks(_of(document, waits=False), clock)),
    )
    return "\n\n".join(f"{click.style(head.upper(), bold=True)}\n{text}" for head, text in parts)
