"""`genesys-exporter backtest`: what the alert would have done in an organization's own past. It writes nowhere."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from exporter.backtest import Judged, judge
from exporter.backtest_report import Report, as_json, as_text
from exporter.config import ExporterConfig
from exporter.configured import EXISTING_FILE, both_of
from exporter.past import Found, PastReader, Span
from genesys.dialect import Call
from genesys.errors import GenesysError
from genesys.evidence import Signal
from genesys.organizations import Organization, Organizations, open_organization

_UNITS = {"h": "hours", "d": "days"}

DAY_S = 86400
MOST_DAYS = 366  # each day is a call or more


def moment(text: str) -> datetime:
    """`30d` or `12h` ago, or an RFC 3339 time with its offset. Raises click.BadParameter."""
    if found := re.fullmatch(r"([0-9]{1,4})([hd])", text):
        return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise click.BadParameter(f"{text!r} is neither like 30d or 12h nor a time like 2024-01-01T13:00:00+01:00")
    return read


@click.command()
@click.option(
    "--organizations", "organizations_file", type=EXISTING_FILE, required=True, help="organizations.yml, as to serve."
)
@click.option("--config", "config_file", type=EXISTING_FILE, required=True, help="exporter.yml, for its thresholds.")
@click.option("--org", help="Name of the organization; may be left out where there is only one.")
@click.option(
    "--since", type=moment, metavar="TIME", default="30d", show_default=True, help="30d, 12h, or a time in RFC 3339."
)
@click.option("--flow", "flow_ids", multiple=True, metavar="ID", help="Only this flow; may be given several times.")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
def backtest(
    organizations_file: Path,
    config_file: Path,
    org: str | None,
    since: datetime,
    flow_ids: tuple[str, ...],
    format_: str,
) -> None:
    """Say which publishes of the past would have been accused, and with what evidence.

    Reads real publish dates and figures from Genesys Cloud, and replays them
    minute by minute through the test of the shipped rules. Only reads, and
    leaves half of the rate limit to others; progress goes to stderr.

    Exits with 0 whatever is found, with 1 if the organization cannot be read.

    \b
    Example:
      genesys-exporter backtest --organizations organizations.yml --config exporter.yml --since 30d
    """
    organizations, config = both_of(organizations_file, config_file)
    organization = _chosen(organizations, org)
    now = time.time()
    if not now - MOST_DAYS * DAY_S <= since.timestamp() < now:
        raise click.BadParameter(f"must lie in the last {MOST_DAYS} days", param_hint="--since")
    span = Span(since.timestamp(), now)
    try:
        report = run(organization, config, span, flow_ids)
    except GenesysError as problem:
        click.echo(f"{organization.name}: cannot be read: {problem}", err=True)
        sys.exit(1)
    click.echo(as_json(report) if format_ == "json" else as_text(report))


def run(organization: Organization, config: ExporterConfig, span: Span, flow_ids: tuple[str, ...]) -> Report:
    """The whole backtest of one organization. Raises `GenesysError`."""
    calls: list[Call] = []
    transfers = any(Signal.ROUTING_SHIFT in policy.act_on for policy in config.flows)
    with closing(open_organization(organization, observe=calls.append, transfers=transfers)) as cloud:
        reader = PastReader(cloud, organization.analytics, config, sleep=time.sleep, say=_say)
        found = reader.find(span, flow_ids)
        judged = tuple(_judged(reader, found, config, organization, span))
    return Report(organization.name, span, found, judged, len(calls))


def _judged(
    reader: PastReader, found: Found, config: ExporterConfig, organization: Organization, span: Span
) -> Iterator[Judged]:
    pasts = reader.read(found.publishes, span)
    for number, publish in enumerate(found.publishes, start=1):
        if number % 50 == 0:
            _say(f"replayed {number} of {len(found.publishes)} publishes")
        policy = config.policy_for(publish.flow)
        yield judge(publish, pasts[publish.flow.id], policy, organization.analytics)


def _chosen(organizations: Organizations, org: str | None) -> Organization:
    known = {organization.name: organization for organization in organizations.organizations}
    if org is None and len(known) > 1:
        raise click.UsageError(f"name one with --org: {', '.join(known)}")
    name = org or next(iter(known))
    if name not in known:
        raise click.BadParameter(f"{name} is not one of {', '.join(known)}", param_hint="--org")
    if known[name].dialect != "platform":
        raise click.UsageError(f"{name} speaks dialect guide, whose figures know no versions: nothing to replay")
    return known[name]


def _say(progress: str) -> None:
    click.echo(progress, err=True)
