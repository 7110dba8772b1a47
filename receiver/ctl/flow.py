"""One flow as `rollbackctl` shows it: what applies to it, what the ledger knows of it, and what would happen now."""

from collections.abc import Iterator
from typing import Any

import click

from receiver.ctl import render
from receiver.ctl.render import Clock, Json
from receiver.ctl.session import Session


@click.group()
def flow() -> None:
    """One flow."""


@flow.command("show")
@click.argument("org")
@click.argument("flow_id", metavar="ID")
@click.pass_obj
def show_flow(session: Session, org: str, flow_id: str) -> None:
    """What applies to a flow, and the record of each version.

    When it was live, as far as that was seen or is dated, and how the conversations on it ended. A version earns
    with it to be made live again.
    """
    document = session.api.get_one("flows", org, flow_id)
    session.show(document, lambda clock: _shown(document, clock))


@flow.command("explain")
@click.argument("org")
@click.argument("flow_id", metavar="ID")
@click.option("--signal", default="error_exit", show_default=True, help="What the live version would be accused of.")
@click.pass_obj
def explain_flow(session: Session, org: str, flow_id: str, signal: str) -> None:
    """What would happen now if the live version were accused: each guard.

    Genesys Cloud is asked for it, and nothing is written.
    """
    document = session.api.get_one("flows", org, flow_id, "explain", signal=signal)
    session.show(document, lambda clock: _explained(document, clock))


def _explained(document: Json, clock: Clock) -> str:
    accused = "nobody accuses it" if document["alert_id"] is None else f"alert {document['alert_id']} accuses it"
    target = document["target_version"] or "none"
    return "\n\n".join(
        (
            render.explained([document], clock),
            f"{accused} of {render.plain(document['signal'])}; it would go back to: {render.plain(target)}",
            render.table(
                ("VERSION", "NO TARGET BECAUSE"),
                [(one["version"], one["reason"]) for one in document["considered"]],
                empty="no earlier version was considered",
            ),
        )
    )


def _shown(document: Json, clock: Clock) -> str:
    ledger = document["ledger"]
    note = f"ledger read {clock.show(ledger['read_at'])}"
    if ledger["problem"]:
        note += f"; now: {render.plain(ledger['problem'])}"
    heads = ("VERSION", "LIVE FOR", "LAST FROM", "LAST TO", "SIGNAL", "ERRORS", "VOLUME", "EXITS", "RATIO")
    rows = [row for version in ledger["versions"] for row in _rows(version, clock)]
    known_bad = f"KNOWN BAD: {render.plain(document['known_bad'])}"
    return "\n\n".join(
        (
            render.flows([document], [], clock),
            *((known_bad,) if document["known_bad"] else ()),
            render.table(heads, rows, empty="nothing is on record of its versions yet"),
            note,
        )
    )


def _rows(version: Json, clock: Clock) -> Iterator[tuple[Any, ...]]:
    last = version["live"][-1] if version["live"] else {"from": None, "to": None}
    # Error exits always; of the other signals those that have occurred.
    for one in (one for one in version["signals"] if one["errors"] or one["signal"] == "error_exit"):
        yield (
            version["version"],
            render.duration(version["live_s"]) if version["live"] else "-",
            clock.show(last["from"]),
            clock.show(last["to"]),
            one["signal"],
            one["errors"],
            one["volume"],
            one["exits"],
            "-" if one["ratio"] is None else f"{one['ratio']:.2%}",
        )
