"""`rollback-receiver feeds`: what each feed announces, and which windows that would be. Nothing is stored."""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click

from receiver.configured import both_of
from receiver.ctl import render
from receiver.feeds.announcement import Reading
from receiver.feeds.plan import HORIZON_S, Wanted, plan
from receiver.feeds.settings import FeedSettings
from receiver.feeds.sources import source_of
from receiver.outbound import Outbound, OutboundError

_path = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--organizations", type=_path, required=True, help="Which Genesys Cloud organizations there are.")
@click.option("--config", type=_path, required=True, help="The receiver's configuration, for its feeds.")
def feeds(organizations: Path, config: Path) -> None:
    """Read every feed once, and show the windows that it asks for now and in the next seven days.

    Needs no running receiver and no database, and changes nothing anywhere. Flows are not looked up: a window with
    selectors is shown as one for every flow.

    Exits with 0, with 1 if a feed cannot be read or not all of it is understood, with 2 for a wrong file.

    \b
    Example: rollback-receiver feeds --organizations organizations.yml --config receiver.yml
    """
    settings, _ = both_of(organizations, config)
    with closing(Outbound(settings.timing.call_timeout_s)) as http:
        found = [(feed, _read(feed, http, time.time)) for feed in settings.feeds.all]
    click.echo("\n\n".join(_told(feed, reading) for feed, reading in found) or f"no feeds in {config}")
    sys.exit(1 if any(reading.problem for _, reading in found) else 0)


def _read(feed: FeedSettings, http: Outbound, clock: Callable[[], float]) -> Reading:
    now = clock()
    try:
        return source_of(feed, http).read(now, now + HORIZON_S)
    except OutboundError as problem:
        return Reading((), str(problem))


def _told(feed: FeedSettings, reading: Reading) -> str:
    state = f"problem: {render.plain(reading.problem)}" if reading.problem else "read"
    made = plan(feed, reading, (), {}, now=time.time())
    if made.lapsed:
        state += f"; {made.lapsed} open in the source for more than a week, without a window"
    rows = [(one.org, _at(one.starts_at), _at(one.ends_at), one.reason) for one in sorted(made.opened, key=_by_start)]
    shown = render.table(("ORG", "FROM", "UNTIL", "REASON"), rows, empty="no windows")
    return f"{feed.name} ({feed.kind.value}): {state}\n{shown}"


def _by_start(one: Wanted) -> tuple[float, str, str]:
    return one.starts_at, one.org, one.uid


def _at(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
