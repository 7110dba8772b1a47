"""The commands that decide about one rollback: approve, deny, undo."""

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


def _order(session: Session, rollback_id: str, action: str, reason: str | None) -> None:
    document = session.api.post_to("rollbacks", rollback_id, action, {"reason": reason})
    session.show(document, lambda clock: render.rollbacks([document], clock))
