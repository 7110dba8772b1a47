"""The commands of `rollbackctl`.

Exit codes: 0 done, 1 refused by the receiver, 2 wrong usage, 3 no receiver reached; `gate` and `watch` have their own.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from receiver.ctl import overview, render
from receiver.ctl.api import Api
from receiver.ctl.audit import audit
from receiver.ctl.changes import changes
from receiver.ctl.completion import completion
from receiver.ctl.deployments import deployments, gate
from receiver.ctl.flow import flow
from receiver.ctl.holds import hold, list_holds, quarantine, release
from receiver.ctl.notify import notify
from receiver.ctl.objects import object_
from receiver.ctl.options import after_option, end_of, length, limit_option, moment
from receiver.ctl.orders import approve, deny, start, undo
from receiver.ctl.report import report
from receiver.ctl.session import Session
from receiver.ctl.watch import watch
from receiver.outbound import Outbound
from receiver.tls_options import context_of, tls_options

DEFAULT_URL = "http://127.0.0.1:9743"
TIMEOUT_S = 30.0  # some calls ask Genesys Cloud, which may be slow
_NEWEST = 100  # rollbacks among which `status` looks for those under way: an organization has one at a time


_org = click.option("--org", help="Only this organization.")
_flow = click.option("--flow", metavar="ID", help="Only this flow.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="genesys-rollback-bridge")
@click.option(
    "--url",
    envvar="ROLLBACKCTL_URL",
    show_envvar=True,
    default=DEFAULT_URL,
    show_default=True,
    help="Where the receiver is.",
)
@click.option(
    "--token-file",
    envvar="ROLLBACKCTL_TOKEN_FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with your token, one of `tokens` in receiver.yml. Or put the token itself into ROLLBACKCTL_TOKEN.",
)
@click.option(
    "--idempotency-key",
    envvar="ROLLBACKCTL_IDEMPOTENCY_KEY",
    show_envvar=True,
    metavar="KEY",
    help="For a script that tries again: the same order with the same key has one effect, for a day.",
)
@tls_options("ROLLBACKCTL")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--utc", is_flag=True, help="Times of tables in UTC, not in the zone of this machine.")
@click.pass_context
def main(
    context: click.Context,
    *,
    url: str,
    token_file: Path | None,
    idempotency_key: str | None,
    cacert: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
    output: str,
    utc: bool,
) -> None:
    """Look at the rollback receiver, and stop it.

    \b
    What is going on?      rollbackctl status
    Stop every rollback:   rollbackctl pause --reason "major incident 4711"
    Go on again:           rollbackctl resume
    Hands off some flows:  rollbackctl hold --org retail --flow ID --reason "debugging"
    Let one begin, or not: rollbackctl approve ID; rollbackctl deny ID
    Roll back by hand:     rollbackctl rollback start retail ID --reason "callers hear silence"
    Take one back:         rollbackctl undo ID --reason "14.0 was right"
    Before a deployment:   rollbackctl maintenance open --org retail --for 2h --reason "release 12"
    May it be published?   rollbackctl gate --org retail --flow ID=DIGEST
    Was it rolled back?    rollbackctl watch --org retail --flow ID --for 15m
    What would happen now? rollbackctl flow explain retail ID
    Why was (not) rolled   rollbackctl decisions --guards --limit 1
    back?                  rollbackctl rollback show ID
    Does a page arrive?    rollbackctl notify test
    What would auto do?    rollbackctl report --since 14d

    Exit codes: 0 done, 1 refused by the receiver, 2 wrong usage, 3 no receiver reached; gate and watch have their own.
    """
    if os.environ.get("NO_COLOR"):  # see no-color.org; empty does not count
        context.color = False
    http = Outbound(TIMEOUT_S, tls=context_of(cacert, client_cert, client_key))
    context.call_on_close(http.close)
    api = Api(http, url, _token(token_file), idempotency_key)
    context.obj = Session(api, http, as_json=output == "json", zone=UTC if utc else None)


def _token(file: Path | None) -> str | None:
    """The token; without one, the receiver says what needs it."""
    if file is None:
        return os.environ.get("ROLLBACKCTL_TOKEN", "").strip() or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as problem:
        raise click.UsageError(f"--token-file cannot be read: {problem}") from None


@main.command()
@_org
@click.pass_obj
def status(session: Session, org: str | None) -> None:
    """What is going on now.

    Readiness, pauses, holds, maintenance windows, open alerts, rollbacks under way, and those that wait for approval.
    """
    problem = session.api.not_ready()
    document = {
        "ready": problem is None,
        "problem": problem,
        "pauses": session.api.get("pause")["pauses"],
        "holds": session.api.get("holds", org=org)["holds"],
        **session.api.get("maintenance", org=org),
        "alerts": session.api.get("alerts", open="true", org=org)["alerts"],
        "rollbacks": [
            rollback
            for rollback in session.api.get("rollbacks", org=org, limit=str(_NEWEST))["rollbacks"]
            if rollback["ended_at"] is None
        ],
    }
    session.show(document, lambda clock: overview.status(document, clock))


@main.command()
@_org
@click.pass_obj
def flows(session: Session, org: str | None) -> None:
    """Every live flow: its mode, whether it is armed, and if not, what stops it."""
    document = session.api.get("flows", org=org)
    session.show(document, lambda clock: render.flows(document["flows"], document["listings"], clock))


@main.command()
@_org
@click.option("--all", "also_closed", is_flag=True, help="Also those that are over.")
@limit_option
@after_option
@click.pass_obj
def alerts(session: Session, *, org: str | None, also_closed: bool, limit: int, after: str | None) -> None:
    """Alerts that are open."""
    document = session.api.get("alerts", org=org, open=None if also_closed else "true", limit=str(limit), after=after)
    session.show_page(document, lambda clock: render.alerts(document["alerts"], clock))


@main.command()
@_org
@_flow
@click.option("--verdict", help="Only these, for example lockout or roll_back.")
@click.option("--guards", is_flag=True, help="Each guard: what was found, and what would have been allowed.")
@limit_option
@after_option
@click.pass_obj
def decisions(
    session: Session,
    *,
    org: str | None,
    flow: str | None,
    verdict: str | None,
    guards: bool,
    limit: int,
    after: str | None,
) -> None:
    """What was decided, refusals included, and why."""
    document = session.api.get("decisions", org=org, flow_id=flow, verdict=verdict, limit=str(limit), after=after)
    shown = render.explained if guards else render.decisions
    session.show_page(document, lambda clock: shown(document["decisions"], clock))


@main.command()
@_org
@_flow
@limit_option
@after_option
@click.pass_obj
def rollbacks(session: Session, *, org: str | None, flow: str | None, limit: int, after: str | None) -> None:
    """Rollbacks, finished and under way."""
    document = session.api.get("rollbacks", org=org, flow_id=flow, limit=str(limit), after=after)
    session.show_page(document, lambda clock: render.rollbacks(document["rollbacks"], clock))


@main.group()
def rollback() -> None:
    """One rollback: begin it by hand, or see its story."""


rollback.add_command(start)


@rollback.command("show")
@click.argument("rollback_id", metavar="ID")
@click.pass_obj
def show_rollback(session: Session, rollback_id: str) -> None:
    """The story of one rollback: each step, and each permit to publish."""
    document = session.api.get_one("rollbacks", rollback_id)
    session.show(document, lambda clock: render.story(document, clock))


@main.command()
@click.option("--org", help="One organization; without it, every one.")
@click.option("--reason", required=True, help="For those who find it paused.")
@click.pass_obj
def pause(session: Session, org: str | None, reason: str) -> None:
    """Stop all rollbacks, until `resume`. A publish that was sent already is seen through.

    \b
    Example: rollbackctl pause --org retail --reason "analytics look wrong"
    """
    document = session.api.put("pause", {"org": org, "reason": reason})
    session.show(document, lambda clock: render.pauses([document], clock))


@main.command()
@click.option("--org", help="One organization; without it, the pause of every one.")
@click.pass_obj
def resume(session: Session, org: str | None) -> None:
    """End a pause. Open alerts are decided anew at once."""
    session.api.delete("pause", org=org)
    left = session.api.get("pause")
    session.show(left, lambda clock: render.pauses(left["pauses"], clock))


@main.group()
def maintenance() -> None:
    """Windows in which nothing is rolled back."""


@maintenance.command("open")
@click.option("--org", required=True)
@click.option("--flow", "flows", metavar="ID", multiple=True, help="May be repeated; without it, every flow.")
@click.option("--kind", type=click.Choice(["maintenance", "incident"]), default="maintenance", show_default=True)
@click.option("--from", "start", type=moment, metavar="TIME", help="RFC 3339; without it, now.")
@click.option("--for", "lasts", type=length, metavar="LENGTH", help="How long: 90m, 2h, 1h30m, 1d.")
@click.option("--until", type=moment, metavar="TIME", help="Instead of --for: RFC 3339 with offset.")
@click.option("--reason", required=True)
@click.option("--owner", help="Whom to ask about it.")
@click.pass_obj
def open_window(
    session: Session,
    *,
    org: str,
    flows: tuple[str, ...],
    kind: str,
    start: datetime | None,
    lasts: timedelta | None,
    until: datetime | None,
    reason: str,
    owner: str | None,
) -> None:
    """Open a window. Its end is required, and alerts still open then are decided anew.

    \b
    Examples:
      rollbackctl maintenance open --org retail --for 2h --reason "release 12"
      rollbackctl maintenance open --org retail --flow 8f0e… --until 2024-01-01T18:00:00+01:00 --reason tests
    """
    end = end_of(start or datetime.now(UTC), lasts, until)
    document = session.api.post(
        "maintenance",
        {
            "org": org,
            "flow_ids": list(flows) or None,
            "kind": kind,
            "starts_at": start.isoformat() if start else None,
            "ends_at": end.isoformat(),
            "reason": reason,
            "owner": owner,
        },
    )
    session.show(document, lambda clock: overview.windows([document], clock))


@maintenance.command("list")
@_org
@click.option("--ended", is_flag=True, help="Also those that are over.")
@click.pass_obj
def list_windows(session: Session, org: str | None, ended: bool) -> None:
    """Windows that are active or to come, and the feeds that announce some."""
    document = session.api.get("maintenance", org=org, ended="true" if ended else None)
    session.show(document, lambda clock: overview.maintenance(document, clock))


@maintenance.command("close")
@click.argument("window_id", metavar="ID")
@click.pass_obj
def close_window(session: Session, window_id: str) -> None:
    """End a window now."""
    session.api.delete_one("maintenance", window_id)
    left = session.api.get("maintenance")
    session.show(left, lambda clock: overview.windows(left["windows"], clock))


for command in (
    approve,
    audit,
    changes,
    completion,
    deny,
    deployments,
    flow,
    gate,
    hold,
    list_holds,
    notify,
    object_,
    quarantine,
    release,
    report,
    undo,
    watch,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
