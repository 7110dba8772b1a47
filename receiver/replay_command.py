"""`rollback-receiver replay`: what would be decided about recorded alerts, and why. It writes nowhere."""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from genesys.organizations import Organizations, open_organization
from receiver.config import ReceiverSettings
from receiver.configured import both_of
from receiver.ctl import render
from receiver.ctl.options import moment
from receiver.metrics import ReceiverMetrics
from receiver.objects.kept import open_objects
from receiver.outbound import Outbound
from receiver.recordings import RecordingError, read_recordings
from receiver.replay import Replayed
from receiver.replay import replay as replayed
from receiver.store.copying import copy_state
from receiver.store.database import Store, StoreUnavailable
from receiver.store.migration import SchemaMismatch
from receiver.tools import Tools, put_together
from receiver.web.fields import rfc3339

_path = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--organizations", type=_path, required=True, help="Which Genesys Cloud organizations there are.")
@click.option("--config", type=_path, required=True, help="The receiver's, for its database and what it may do.")
@click.option("--offline", is_flag=True, help="Ask nobody; guards that rest on an answer refuse, and say so.")
@click.option(
    "--at", type=moment, metavar="TIME", help="Decide as of this time: RFC 3339 with offset. Without it, now."
)
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def replay(
    *,
    files: tuple[str, ...],
    organizations: Path,
    config: Path,
    offline: bool,
    at: datetime | None,
    output: str,
) -> None:
    """Say what would be decided about recorded deliveries of Alertmanager, and why.

    FILE is a webhook payload as Alertmanager sends it, or has one in each
    line; - is standard input. Nothing is written: the decision is made on a
    copy of the database, and Genesys Cloud and Alertmanager are only read.
    With --at the evidence is that of the time; flows, versions, silences and
    the database are as they are now.

    \b
    Example: rollback-receiver replay --organizations organizations.yml --config receiver.yml alerts.json
    """
    settings, known = both_of(organizations, config)
    try:
        recordings = read_recordings(files)
    except RecordingError as problem:
        click.echo(str(problem), err=True)
        sys.exit(2)
    now = time.time() if at is None else at.timestamp()
    try:
        with _copy(settings) as copy, _tools(settings, known, copy, now) as tools:
            documents = [_document(one, now) for one in replayed(recordings, copy, tools, now=now, offline=offline)]
    except (StoreUnavailable, SchemaMismatch) as problem:
        click.echo(f"database_url: {problem}", err=True)
        sys.exit(1)
    click.echo(json.dumps({"decisions": documents}, indent=2) if output == "json" else _text(documents))


@contextmanager
def _copy(settings: ReceiverSettings) -> Iterator[Store]:
    """The configured database's state in one of our own, which is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="rollback-replay-") as folder,
        closing(Store(settings.database_url, read_only=True)) as source,
        closing(Store(f"sqlite:///{folder}/copy.db")) as copy,
    ):
        source.check_schema()
        copy.migrate()
        copy_state(source, copy)
        yield copy


@contextmanager
def _tools(settings: ReceiverSettings, known: Organizations, copy: Store, now: float) -> Iterator[dict[str, Tools]]:
    """What the loop of each organization works with; the copy is its store, and its clock stands still."""
    names = [organization.name for organization in known.organizations]
    with ExitStack() as opened:
        http = opened.enter_context(closing(Outbound(settings.timing.call_timeout_s)))
        metrics = ReceiverMetrics(copy, settings, names)
        objects = {
            organization.name: open_objects(organization, settings, copy, clock=lambda _: now)
            for organization in known.organizations
        }
        for kept in objects.values():
            if kept is not None:
                opened.callback(kept.close)
        yield {
            organization.name: put_together(
                organization,
                names,
                settings,
                store=copy,
                genesys=opened.enter_context(closing(open_organization(organization))),
                http=http,
                metrics=metrics,
                receiver="replay",
                objects=objects[organization.name],
                clock=lambda _: now,
            )
            for organization in known.organizations
        }


def _document(one: Replayed, now: float) -> dict[str, Any]:
    return {
        "recording": one.where,
        "at": rfc3339(now),
        "fingerprint": one.alert.fingerprint,
        "org": one.alert.org,
        "flow_id": one.alert.object_id,
        "flow_version": one.alert.version,
        "signal": one.alert.signal,
        "verdict": one.decision.verdict.value,
        "guards": [guard.as_json() for guard in one.decision.guards],
        "unknown": [guard.name.value for guard in one.decision.guards if guard.unknown],
    }


def _text(documents: list[dict[str, Any]]) -> str:
    """As `rollbackctl decisions --guards`, with what could not be evaluated in a line of its own."""
    clock = render.Clock(datetime.now(UTC))
    parts = []
    for document in documents:
        lines = [render.plain(document["recording"]), render.explained([document], clock)]
        if document["unknown"]:
            lines.append(f"could not be evaluated, so they hold back: {', '.join(document['unknown'])}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) or "no alerts"
