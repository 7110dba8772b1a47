"""The commands that take flows out of the bridge's hands, and give them back: holds and quarantines."""

import click

from receiver.ctl import render
from receiver.ctl.options import after_option
from receiver.ctl.session import Session

_org = click.option("--org", help="Only this organization.")


@click.command()
@click.option("--org", required=True)
@click.option("--flow", "flows", metavar="ID", multiple=True, help="May be repeated; without it, every flow.")
@click.option("--owner", help="For whom; without it, the owner of the token.")
@click.option("--reason", required=True, help="For those who find it held.")
@click.pass_obj
def hold(session: Session, org: str, flows: tuple[str, ...], owner: str | None, reason: str) -> None:
    """Keep the bridge's hands off flows, until `release`.

    \b
    Example: rollbackctl hold --org retail --flow 8f0e… --reason "we are debugging it"
    """
    order = {"org": org, "flow_ids": list(flows) or None, "owner": owner, "reason": reason}
    document = session.api.put("holds", order)
    session.show(document, lambda clock: render.holds(document["holds"], clock))


@click.command()
@click.option("--org", required=True)
@click.option("--flow", metavar="ID", help="Without it, the holds for every flow; not each flow's own.")
@click.option("--owner", help="Only the hold of this owner; the bridge's own are those of `bridge`.")
@click.pass_obj
def release(session: Session, org: str, flow: str | None, owner: str | None) -> None:
    """End holds. Open alerts are decided anew at once."""
    session.api.delete("holds", org=org, flow_id=flow, owner=owner)
    left = session.api.get("holds", org=org)
    session.show(left, lambda clock: render.holds(left["holds"], clock))


@click.command("holds")
@_org
@click.pass_obj
def list_holds(session: Session, org: str | None) -> None:
    """Flows that are held, and by whom; `bridge` holds what did not get better."""
    document = session.api.get("holds", org=org)
    session.show(document, lambda clock: render.holds(document["holds"], clock))


@click.group()
def quarantine() -> None:
    """Versions that were rolled back: no target, and not rolled back again."""


@quarantine.command("list")
@_org
@click.option("--flow", metavar="ID", help="Only this flow.")
@click.option("--lifted", is_flag=True, help="Also those that are lifted.")
@after_option
@click.pass_obj
def list_quarantines(session: Session, *, org: str | None, flow: str | None, lifted: bool, after: str | None) -> None:
    """Quarantines, the newest first."""
    also = "true" if lifted else None
    document = session.api.get("quarantines", org=org, flow_id=flow, lifted=also, after=after)
    session.show_page(document, lambda clock: render.quarantines(document["quarantines"], clock))


@quarantine.command("lift")
@click.argument("quarantine_id", metavar="ID")
@click.pass_obj
def lift(session: Session, quarantine_id: str) -> None:
    """Trust a version again."""
    session.api.delete_one("quarantines", quarantine_id)
    left = session.api.get("quarantines")
    session.show(left, lambda clock: render.quarantines(left["quarantines"], clock))
