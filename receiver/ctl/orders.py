"""The commands that begin a rollback by hand, or decide about one: rollback start, approve, deny, undo."""

import click

from receiver.ctl import render
from receiver.ctl.session import Session

_id = click.argument("rollback_id", metavar="ID")
_said = click.option("--reason", help="For the record.")


@click.command()
@_id
@_said
@click.pass_obj
def approve(session: Session, rollback_id: str, reason: str | None) -> None:
    """Let a rollback begin that waits for approval. Everything is decided anew before it writes."""
    _order(session, rollback_id, "approve", reason)


@click.command()
@_id
@_said
@click.pass_obj
def deny(session: Session, rollback_id: str, reason: str | None) -> None:
    """End a rollback that waits for approval. You are asked again only when the alert fires anew."""
    _order(session, rollback_id, "deny", reason)


@click.command()
@_id
@click.option("--reason", required=True, help="For those who wonder why the version is back.")
@click.pass_obj
def undo(session: Session, rollback_id: str, reason: str) -> None:
    """Make the version live again that a rollback took away.

    Also in a lockout, a pause or a window; the version leaves quarantine, and the bridge does not take it away again.
    """
    _order(session, rollback_id, "undo", reason)


@click.command("start")
@click.argument("org")
@click.argument("flow_id", metavar="FLOW")
@click.option("--reason", required=True, help="For those who wonder.")
@click.option("--version", "accused", metavar="VERSION", help="Only if this one is live.")
@click.option("--signal", help="What it is accused of; without it, of error exits.")
@click.option("--override", "overrides", metavar="GUARD", multiple=True, help="May be repeated; it is recorded.")
@click.pass_obj
def start(
    session: Session,
    *,
    org: str,
    flow_id: str,
    reason: str,
    accused: str | None,
    signal: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Roll a flow back by hand, to the version that the bridge would choose.

    Also in a lockout, a pause or a window, and with a spent budget. Any other guard that holds back has to be named
    with --override; what says that it is not possible cannot be. See first: rollbackctl flow explain ORG FLOW

    \b
    Example: rollbackctl rollback start retail ID --reason "callers hear silence" --override not_confirmed
    """
    order = {
        "org": org,
        "flow_id": flow_id,
        "reason": reason,
        "accused_version": accused,
        "signal": signal,
        "override": list(overrides),
    }
    document = session.api.post("rollbacks", order)
    session.show(document, lambda clock: render.rollbacks([document], clock))


def _order(session: Session, rollback_id: str, action: str, reason: str | None) -> None:
    document = session.api.post_to("rollbacks", rollback_id, action, {"reason": reason})
    session.show(document, lambda clock: render.rollbacks([document], clock))
