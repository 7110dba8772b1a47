"""`rollbackctl audit`: what was decided, done and ordered, newest first."""

from collections.abc import Mapping
from typing import Any

import click

from receiver.ctl import render
from receiver.ctl.options import after_option, limit_option
from receiver.ctl.session import Session

_ABOUT = ("org", "flow_id", "object_id", "version", "verdict", "event", "target_version", "owner", "reason")


@click.command()
@click.option("--before", type=click.IntRange(min=1), metavar="NUMBER", help="The rows before this one.")
@limit_option
@after_option
@click.pass_obj
def audit(session: Session, before: int | None, limit: int, after: str | None) -> None:
    """Every decision, every step of a rollback, and everything that people have ordered.

    Whether nobody has touched it: `rollback-receiver audit verify`, beside the database.
    """
    number = None if before is None else str(before)
    document = session.api.get("audit", before=number, limit=str(limit), after=after)
    session.show_page(document, lambda clock: _text(document, clock))


def _text(document: Mapping[str, Any], clock: render.Clock) -> str:
    rows = [
        (row["number"], clock.show(row["at"]), row["actor"], row["kind"], _about(row["facts"]))
        for row in document["audit"]
    ]
    text = render.table(("NUMBER", "AT", "ACTOR", "KIND", "WHAT"), rows, empty="no rows")
    head = document["head"]
    return f"{text}\nhead {head['hash']} (row {head['number']})" if head else f"{text}\nno head: verify the audit"


def _about(facts: Mapping[str, Any]) -> str:
    """What people look for, in one line; `--output json` has everything."""
    told = (facts.get(name) for name in _ABOUT)
    return " ".join(str(value) for value in told if value)
