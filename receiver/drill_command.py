"""`rollback-receiver drill`: proves on a workflow that nobody calls what only a publish can prove."""

import getpass
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Event
from types import FrameType

import click

from genesys.errors import GenesysError
from genesys.organizations import Organization, Organizations
from receiver.config import ReceiverSettings
from receiver.configured import both_of
from receiver.ctl import render
from receiver.doctor.cloud import Cloud, opened_to_publish
from receiver.doctor.examination import Finding
from receiver.doctor_command import chosen_of, text_of
from receiver.drill.exercise import Means, Report, exercise, look
from receiver.drill.fence import Fence, NotNow
from receiver.drill.ground import Ground, NotAWorkflow
from receiver.store import quarantines
from receiver.store.database import Store, StoreUnavailable
from receiver.store.leases import LeaseLost
from receiver.store.migration import SchemaMismatch

READS_BETWEEN = 4  # of Genesys Cloud, at most, between two renewals of the lease
NOT_AS_BEFORE = 3  # the exit code that asks for a person at once
MAX_EXECUTIONS_S = 1800.0  # no rollback of the organization begins meanwhile

_path = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--organizations", type=_path, required=True, help="Which Genesys Cloud organizations there are.")
@click.option("--config", type=_path, required=True, help="The receiver's, for its database and its deadlines.")
@click.option("--org", required=True, metavar="NAME", help="The organization of the flow.")
@click.option("--flow", "flow_id", required=True, metavar="ID", help="A workflow with two published versions.")
@click.option(
    "--executions",
    "executions_s",
    type=click.FloatRange(min=0.0, max=MAX_EXECUTIONS_S),
    default=0.0,
    metavar="SECONDS",
    help="Wait for so long for executions that you start, to see how late they are told and how they end.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def drill(
    *,
    organizations: Path,
    config: Path,
    org: str,
    flow_id: str,
    executions_s: float,
    yes: bool,
    output: str,
) -> None:
    """Publish an older version of a workflow, see what becomes of it, and put the flow back.

    Shows whether this OAuth client may publish, whether an older version
    becomes live again, after how long, and whether its date moves. Any other
    type of flow is refused: callers meet it. While it runs, no rollback of this
    organization begins. Ctrl-C ends it early; the flow is put back first. Every
    step is in the audit.

    Exits with 0, with 1 if something failed or is in the way, with 2 for wrong
    usage, a wrong file or another type of flow, and with 3 if the flow is not
    as it was.

    \b
    Example: rollback-receiver drill --organizations organizations.yml --config receiver.yml --org retail --flow ID
    """
    settings, known = both_of(organizations, config)
    (organization,) = chosen_of(known.organizations, [org])
    if organization.dialect != "platform":
        raise click.UsageError("only an organization of dialect platform can be drilled")
    try:
        with _store(settings) as store, opened_to_publish(organization) as cloud:
            ground = look(cloud, flow_id, _quarantined(store, org, flow_id))
            _explain(ground, settings)
            if not yes:
                click.confirm("Do it?", abort=True, err=True)
            with _stoppable() as stop:
                report = _drill(settings, known, organization, store, cloud, ground, executions_s, stop)
    except NotAWorkflow as problem:
        click.echo(str(problem), err=True)
        sys.exit(2)
    except (NotNow, LeaseLost, GenesysError, StoreUnavailable, SchemaMismatch) as problem:
        click.echo(f"nothing was published: {problem}", err=True)
        sys.exit(1)
    _show(report, org, output)
    sys.exit((1 if report.has_failed else 0) if report.is_as_before else NOT_AS_BEFORE)


def _explain(ground: Ground, settings: ReceiverSettings) -> None:
    """What will be done, before anybody is asked."""
    name, within_s = render.plain(ground.name), settings.timing.publish_deadline_s
    click.echo(
        f"{name} ({render.plain(ground.flow_id)}): version {ground.older} will be published over {ground.live}, which "
        f"is live now, and then {ground.live} again. Whatever starts the workflow meanwhile meets {ground.older}. Each "
        f"publish may take {within_s:.0f} s; no rollback of the organization begins before the end. Both versions get "
        "new dates, so that the flow is on probation again.",
        err=True,
    )


def _drill(
    settings: ReceiverSettings,
    known: Organizations,
    organization: Organization,
    store: Store,
    cloud: Cloud,
    ground: Ground,
    executions_s: float,
    stop: Event,
) -> Report:
    names = [one.name for one in known.organizations]
    owner = f"drill:{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    lease_s = settings.timing.lease_s + READS_BETWEEN * organization.deadline_s
    fence = Fence(store, settings, org=organization.name, orgs=names, owner=owner, lease_s=lease_s)
    means = Means(
        cloud,
        fence,
        deadline_s=settings.timing.publish_deadline_s,
        retry_s=settings.timing.retry_s,
        executions_s=executions_s,
        stopped=stop.is_set,
        tell=lambda text: click.echo(render.plain(text), err=True),
    )
    fence.take(ground.flow_id)
    report: Report | None = None
    try:
        report = exercise(means, ground)
    finally:
        _end(fence, ground, report)
    return report


def _end(fence: Fence, ground: Ground, report: Report | None) -> None:
    found = {} if report is None else {step: one.seen for step, one in report.found.items()}
    live = None if report is None else report.live
    facts = {"flow_id": ground.flow_id, "step": "ended", "before": ground.live, "live": live, "found": found}
    try:
        fence.give_back(facts)
    except StoreUnavailable as problem:
        click.echo(f"the end of the drill is not in the audit: {problem}", err=True)


def _show(report: Report, org: str, output: str) -> None:
    ground = report.ground
    found = [Finding(org, step, one.state, one.seen, one.cure) for step, one in report.found.items()]
    if output == "json":
        told = {"flow_id": ground.flow_id, "before": ground.live, "live": report.live}
        findings = {"is_as_before": report.is_as_before, "findings": [asdict(one) for one in found]}
        click.echo(json.dumps(told | findings, indent=2))
    else:
        click.echo(text_of(found))
    if not report.is_settled and report.live == ground.live:
        name = f"{render.plain(ground.name)} ({render.plain(ground.flow_id)})"
        click.secho(f"\nTHE FLOW MAY CHANGE YET: {name}; look at it again.", fg="red", bold=True, err=True)
    elif not report.is_as_before:
        click.secho(
            f"\nTHE FLOW IS NOT AS IT WAS: {render.plain(ground.name)} ({render.plain(ground.flow_id)}) had version "
            f"{ground.live}; {'it cannot be read' if report.live is None else f'version {report.live} is live'} now.",
            fg="red",
            bold=True,
            err=True,
        )


@contextmanager
def _store(settings: ReceiverSettings) -> Iterator[Store]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container, users may have no name
        user = "somebody"
    actor = f"drill by {user}@{socket.gethostname()}"
    with closing(Store(settings.database_url, actor=actor)) as store:
        store.check_schema()
        yield store


def _quarantined(store: Store, org: str, flow_id: str) -> frozenset[str]:
    found = store.transact(quarantines.in_force, org, flow_id)
    return frozenset(one.version for one in found)


@contextmanager
def _stoppable() -> Iterator[Event]:
    """Whoever interrupts sets the event; what was sent is never cut off, and the flow is put back."""
    stop = Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        with suppress(OSError):  # a terminal that is gone
            os.write(2, b"stopping: the flow is put back first, wait\n")  # in the midst of another write, click may not

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
