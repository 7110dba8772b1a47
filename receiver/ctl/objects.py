"""`rollbackctl object`: configuration objects other than flows, and what they were like when."""

import click

from receiver.ctl import render
from receiver.ctl.render import Clock, Json
from receiver.ctl.session import Session


@click.group("object")
def object_() -> None:
    """Data tables, data actions, call routes … of which snapshots are kept."""


@object_.command("list")
@click.option("--org", help="Only this organization.")
@click.pass_obj
def list_objects(session: Session, org: str | None) -> None:
    """Each object that receiver.yml names, and since when it is as it is."""
    document = session.api.get("objects", org=org)
    session.show(document, lambda clock: _listed(document["objects"], clock))


@object_.command("show")
@click.argument("org")
@click.argument("object_type", metavar="TYPE")
@click.argument("object_id", metavar="ID")
@click.option("--against", metavar="VERSION", help="Compare with this version instead of the one before.")
@click.pass_obj
def show_object(session: Session, org: str, object_type: str, object_id: str, against: str | None) -> None:
    """What an object was like when, and how it differs from the version before.

    To restore it see: rollbackctl rollback --help; its id stands in the place of a flow's.

    \b
    Example: rollbackctl object show retail data_action ID
    """
    document = session.api.get_one("objects", org, object_type, object_id, against=against)
    session.show(document, lambda clock: _shown(document, clock))


def _listed(objects: list[Json], clock: Clock) -> str:
    heads = ("ORG", "TYPE", "NAME", "VERSION", "SINCE", "MODE", "OWNER", "FLOW", "READ", "ID")
    rows = [
        (
            one["org"],
            one["object_type"],
            one["name"],
            one["live_version"] or "-",
            clock.show(one["live_since"]),
            one["mode"],
            one["owner"] or "-",
            one["flow_id"] or "-",
            f"{clock.show(one['read_at'])}{'; now: ' + one['problem'] if one['problem'] else ''}",
            one["object_id"],
        )
        for one in objects
    ]
    return render.table(heads, rows, empty="receiver.yml names no objects")


def _shown(document: Json, clock: Clock) -> str:
    versions = [
        (one["version"], clock.show(one["since"]), clock.show(one["seen_until"])) for one in document["versions"]
    ]
    differing = [(one["path"], one.get("accused", "-"), one.get("target", "-")) for one in document["differences"]]
    against = document["against"]
    return "\n\n".join(
        (
            _listed([document], clock),
            render.table(("VERSION", "SEEN FROM", "TO"), versions, empty="it was not read yet"),
            render.table(
                ("PLACE", f"NOW ({document['live_version'] or '-'})", f"IN {against or '-'}"),
                differing,
                empty="no difference" if against else "no other version is kept",
            ),
        )
    )
