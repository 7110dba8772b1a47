"""`rollbackctl deployments` and `rollbackctl gate`: what pipelines register, and whether they may publish."""

import sys
from typing import Any

import click

from receiver.ctl import render
from receiver.ctl.api import CallError
from receiver.ctl.options import after_option, digest_of, limit_option
from receiver.ctl.render import Clock, Json
from receiver.ctl.session import Session

_ALLOWED, _REFUSED, _UNKNOWN = 0, 1, 2  # exit codes of `gate`

_flows = click.option(
    "--flow",
    "flows",
    metavar="ID=DIGEST",
    multiple=True,
    required=True,
    type=digest_of,
    help="A flow and the SHA-256 of what is deployed. May be repeated.",
)


@click.group()
def deployments() -> None:
    """What pipelines have deployed."""


@deployments.command("list")
@click.option("--org", help="Only this organization.")
@click.option("--flow", metavar="ID", help="Only those with this flow.")
@limit_option
@after_option
@click.pass_obj
def list_deployments(session: Session, *, org: str | None, flow: str | None, limit: int, after: str | None) -> None:
    """Registered deployments, the newest first."""
    document = session.api.get("deployments", org=org, flow_id=flow, limit=str(limit), after=after)
    session.show_page(document, lambda clock: _table(document["deployments"], clock))


@deployments.command("register")
@click.option("--org", required=True)
@_flows
@click.option(
    "--object",
    "objects",
    metavar="TYPE:ID=DIGEST",
    multiple=True,
    help="What else was deployed: data_table:ID=SHA-256. Its flows are then not rolled back without a person.",
)
@click.option("--version", "versions", metavar="ID=VERSION", multiple=True, help="If known; else the live one counts.")
@click.option("--commit", required=True, help="What was deployed.")
@click.option("--actor", help="Who deployed it.")
@click.option("--link", metavar="URL", help="Where the pipeline's run is seen.")
@click.option("--rollback", type=click.Choice(["auto", "ask", "never"]), default="auto", show_default=True)
@click.pass_obj
def register(
    session: Session,
    *,
    org: str,
    flows: tuple[tuple[str, str], ...],
    objects: tuple[str, ...],
    versions: tuple[str, ...],
    commit: str,
    actor: str | None,
    link: str | None,
    rollback: str,
) -> None:
    """Register a deployment, after its publish.

    \b
    Example: rollbackctl deployments register --org retail --commit "$SHA" \\
               --flow "8f0e…=$(sha256sum main.yaml | cut -d' ' -f1)"
    """
    known = _versions(versions, {flow_id for flow_id, _ in flows})
    told: list[Json] = [
        {"flow_id": flow_id, "source_digest": digest} | ({"version": known[flow_id]} if flow_id in known else {})
        for flow_id, digest in flows
    ]
    order: dict[str, Any] = {
        "org": org,
        "flows": told,
        "commit": commit,
        "actor": actor,
        "url": link,
        "rollback": rollback,
    }
    if objects:
        order["objects"] = [_object(text) for text in objects]
    document = session.api.post("deployments", order)
    session.show(document, lambda clock: _table([document], clock))


@deployments.command("good")
@click.argument("deployment_id", metavar="ID")
@click.pass_obj
def good(session: Session, deployment_id: str) -> None:
    """Call a deployment good: its versions may be made live again without having been live for long."""
    document = session.api.post_to("deployments", deployment_id, "good")
    session.show(document, lambda clock: _table([document], clock))


@click.command()
@click.option("--org", required=True)
@_flows
@click.pass_obj
def gate(session: Session, org: str, flows: tuple[tuple[str, str], ...]) -> None:
    """Ask whether flows may be published now.

    Exit codes: 0 allowed, 1 refused, 2 not known: wrong usage, or no receiver that could tell. A pipeline goes on
    only after 0.

    \b
    Example: rollbackctl gate --org retail --flow "8f0e…=$(sha256sum main.yaml | cut -d' ' -f1)"
    """
    asked = [{"flow_id": flow_id, "source_digest": digest} for flow_id, digest in flows]
    try:
        allowed, document = session.api.ask("gate", {"org": org, "flows": asked})
    except CallError as problem:
        problem.show()
        sys.exit(_UNKNOWN)
    session.show(document, lambda _: "allowed" if allowed else _refusals(document))
    sys.exit(_ALLOWED if allowed else _REFUSED)


def _versions(given: tuple[str, ...], flow_ids: set[str]) -> dict[str, str]:
    found = {}
    for text in given:
        flow_id, _, version = text.rpartition("=")
        if not flow_id or not version or flow_id not in flow_ids:
            raise click.UsageError(f"--version {text}: write ID=VERSION, with an ID that is given by --flow too")
        found[flow_id] = version
    return found


def _object(text: str) -> Json:
    named, _, digest = text.rpartition("=")
    object_type, _, object_id = named.partition(":")
    if not object_type or not object_id or not digest:
        raise click.UsageError(f"--object {text}: write TYPE:ID=DIGEST, such as data_table:ID=SHA-256")
    return {"object_type": object_type, "object_id": object_id, "source_digest": digest}


def _refusals(document: Json) -> str:
    rows = [(error.get("flow_id"), error.get("reason"), error.get("detail")) for error in document.get("errors", ())]
    return render.table(("FLOW", "REFUSED", "BECAUSE"), rows, empty=render.plain(document.get("detail")))


def _table(found: list[Json], clock: Clock) -> str:
    rows = [_row(one, member, clock) for one in found for member in (*one["flows"], *map(_as_member, one["objects"]))]
    heads = ("AT", "ORG", "FLOW OR OBJECT", "VERSION", "COMMIT", "BY", "ROLLBACK", "GOOD", "ID")
    return render.table(heads, rows, empty="no deployments")


def _as_member(thing: Json) -> Json:
    return {"flow_id": f"{thing['object_type']} {thing['object_id']}", "version": "-"}


def _row(one: Json, flow: Json, clock: Clock) -> tuple[Any, ...]:
    return (
        clock.show(one["registered_at"]),
        one["org"],
        flow["flow_id"],
        flow["version"] or "not known yet",
        one["commit"],
        one["actor"] or one["registered_by"],
        one["rollback"],
        "-" if one["good_at"] is None else f"{clock.show(one['good_at'])} by {one['good_by']}",
        one["id"],
    )
