"""`rollbackctl changes`: who changed what in Genesys Cloud, newest first."""

from collections.abc import Mapping
from typing import Any

import click

from receiver.ctl import render
from receiver.ctl.options import after_option, limit_option
from receiver.ctl.session import Session


@click.command()
@click.option("--org", help="Only this organization.")
@click.option("--object", "object_id", metavar="ID", help="Only this flow, queue, data action …")
@limit_option
@after_option
@click.pass_obj
def changes(session: Session, org: str | None, object_id: str | None, limit: int, after: str | None) -> None:
    """What became live, and what Genesys Cloud's audit tells where the receiver has `audit: true`.

    The bridge's own changes are there too, and marked: they accuse nobody.
    """
    document = session.api.get("changes", org=org, object_id=object_id, limit=str(limit), after=after)
    session.show_page(document, lambda clock: _text(document, clock))


def _text(document: Mapping[str, Any], clock: render.Clock) -> str:
    rows = [
        (
            clock.show(one["at"]),
            one["org"],
            f"{one['object_type']} {one['object_name'] or one['object_id']}",
            " ".join(word for word in (one["action"], one["version"]) if word),
            f"{one['by']}{' (the bridge)' if one['own'] else ''}",
            one["application"] or "",
        )
        for one in document["changes"]
    ]
    return render.table(("AT", "ORG", "WHAT", "ACTION", "BY", "APPLICATION"), rows, empty="no changes were seen")
