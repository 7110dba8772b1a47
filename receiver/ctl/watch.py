"""`rollbackctl watch`: flows are watched for a while, and the exit code says whether they were rolled back."""

import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import click

from receiver.ctl.api import Api, CallError, NotReachable, Refused
from receiver.ctl.doubts import Look
from receiver.ctl.options import length
from receiver.ctl.render import Json, plain
from receiver.ctl.session import Session
from receiver.ctl.watched import Event, Lost, Outcome, Result, Watch

_NEWEST = "100"  # decisions and rollbacks of one flow: more are not made between two looks
_PAGE = "50"  # deployments, of up to a thousand flows each; the one that is watched is among the newest
_PATIENCE = timedelta(minutes=1)
_SHORTEST = timedelta(seconds=1)  # between two looks


@click.command()
@click.option("--org", required=True)
@click.option("--flow", "flow_ids", metavar="ID", multiple=True, help="May be repeated.")
@click.option("--deployment", "deployment_id", metavar="ID", help="Instead: the flows of one, since its registration.")
@click.option("--for", "lasts", type=length, metavar="LENGTH", required=True, help="How long: 15m, 1h30m.")
@click.option(
    "--patience",
    type=length,
    metavar="LENGTH",
    help="How long the receiver may be out of reach, or a flow not armed at the beginning: 1m, or half of --for.",
)
@click.option("--every", type=length, metavar="LENGTH", default="10s", show_default=True, help="Between two looks.")
@click.pass_obj
def watch(
    session: Session,
    *,
    org: str,
    flow_ids: tuple[str, ...],
    deployment_id: str | None,
    lasts: timedelta,
    patience: timedelta | None,
    every: timedelta,
) -> None:
    """Watch flows, tell each change, and say with the exit code whether they were rolled back.

    Exit codes: 0 nothing was rolled back, and the bridge was armed; 1 rolled back, or it waits for approval; 2 cannot
    tell: not armed (mode, pause, hold, window), no alert or no figures arrive, accused and held back, out of reach,
    another version live, wrong usage.
    It ends at once after a rollback, and waits for the end of one that is under way. It needs the role viewer.

    \b
    Examples:
      rollbackctl watch --org retail --deployment ID --for 15m
      rollbackctl --output json watch --org retail --flow 8f0e… --for 1h     a line of JSON for each change
    """
    if bool(flow_ids) == (deployment_id is not None):
        raise click.UsageError("give either --flow or --deployment")
    if every < _SHORTEST:
        raise click.UsageError("--every is too short: a second is the least")
    if patience is not None and patience >= lasts:
        raise click.UsageError("--patience must be shorter than --for: else nothing need be armed at any time")
    patience_s = (min(_PATIENCE, lasts / 2) if patience is None else patience).total_seconds()

    def look() -> Look | Lost:
        return look_at(session.api, org, flow_ids, deployment_id)

    made = Watch(lasts_s=lasts.total_seconds(), patience_s=patience_s)
    try:
        outcome = follow(made, look, lambda event: _tell(session, event), every_s=every.total_seconds())
    except CallError as problem:
        problem.show()
        sys.exit(Result.CANNOT_TELL)
    except KeyboardInterrupt:
        click.echo("interrupted: nobody can tell", err=True)
        sys.exit(Result.CANNOT_TELL)
    except Exception:  # noqa: BLE001
        # Python would end with 1, which says that it was rolled back.
        traceback.print_exc()
        click.echo("this should not happen: nobody can tell", err=True)
        sys.exit(Result.CANNOT_TELL)
    sys.exit(outcome.result)


def follow(
    made: Watch,
    look: Callable[[], Look | Lost],
    tell: Callable[[Event], None],
    *,
    every_s: float,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Look again and again until the watch has ended; what `look` raises ends it too."""
    while True:
        seen, now_s = look(), monotonic()
        for event in made.see(seen, now_s):
            tell(event)
        if made.outcome is not None:
            return made.outcome
        left_s = made.left_s(now_s)
        sleep(min(every_s, left_s) if left_s > 0 else every_s)


def look_at(api: Api, org: str, flow_ids: Sequence[str], deployment_id: str | None) -> Look | Lost:
    """One look at the flows, or at those of the deployment. Raises Refused where looking again cannot help."""
    try:
        problem = api.not_ready()
        if problem is not None:
            return Lost(problem)
        deployment = None if deployment_id is None else _deployment(api, org, deployment_id)
        watched = flow_ids if deployment is None else [flow["flow_id"] for flow in deployment["flows"]]
        since = None if deployment is None else deployment["registered_at"]
        return Look(
            org=org,
            flows={flow_id: _flow(api, org, flow_id) for flow_id in watched},
            alerts=list(api.every("alerts", org=org, open="true")),
            decisions=_of_each(api, "decisions", org, watched, since),
            # Read last: what the bridge has begun while the others were read is seen at the latest now.
            rollbacks=_of_each(api, "rollbacks", org, watched, None),
            registered={} if deployment is None else {one["flow_id"]: one["version"] for one in deployment["flows"]},
            since=None if since is None else datetime.fromisoformat(since),
            consent="auto" if deployment is None else deployment["rollback"],
            in_part=deployment is not None and deployment.get("in_part", False),
        )
    except NotReachable as problem:
        return Lost(problem.message)
    except Refused as problem:
        if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return Lost(problem.message)


def _deployment(api: Api, org: str, deployment_id: str) -> Json:
    after = None
    while True:
        page = api.get("deployments", org=org, limit=_PAGE, after=after)
        for one in page["deployments"]:
            if one["id"] == deployment_id:
                return dict(one)
        after = page["next"]
        if after is None:
            raise Refused(f"no deployment {deployment_id} of {org} is registered", HTTPStatus.NOT_FOUND)


def _of_each(api: Api, collection: str, org: str, flow_ids: Sequence[str], since: str | None) -> list[Json]:
    """Those of the flows, the newest ids first: all since then, or the newest of each flow."""
    found: list[Json] = []
    for flow_id in flow_ids:
        asked = {"org": org, "flow_id": flow_id}
        if since is None:
            found += api.get(collection, **asked, limit=_NEWEST)[collection]
        else:
            found += api.every(collection, **asked, since=since)
    return sorted(found, key=lambda one: one.get("at") or one["created_at"], reverse=True)


def _flow(api: Api, org: str, flow_id: str) -> Json | None:
    try:
        return api.get_one("flows", org, flow_id)
    except Refused as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
        return None  # Genesys Cloud is listed every few minutes, and a flow may be new


def _tell(session: Session, event: Event) -> None:
    now = datetime.now(UTC)
    if session.as_json:
        at = now.isoformat(timespec="seconds")
        click.echo(json.dumps({"at": at, "event": event.what.value, "text": event.text, "facts": dict(event.facts)}))
    else:
        click.echo(f"{now.astimezone():%H:%M:%S}  {event.what.value:<9}  {plain(event.text)}")
