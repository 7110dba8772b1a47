"""`genesys-exporter`: reads two configuration files, wires everything together, serves until it is told to stop."""

import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import click

from exporter.backtest_command import backtest
from exporter.baselines import BaselineKeeper
from exporter.config import ExporterConfig
from exporter.configured import EXISTING_FILE, both_of
from exporter.memory import collect_seldom, return_large_blocks
from exporter.page import Board
from exporter.poller import EACH_S, Poller, share_of, spread_s
from exporter.process import ProcessMetrics
from exporter.reader import OrganizationReader
from exporter.web import Server, application, bind
from genesys.budget import Budget
from genesys.evidence import Signal
from genesys.flows import Flow
from genesys.log import LEVELS, configure, event
from genesys.organizations import Organization, Organizations, open_organization
from genesys.resolve import resolve as resolve_flows

log = logging.getLogger(__name__)

STOP_WITHIN_S = 2.0  # a poll that ends in this time closes its connections itself

SWITCH_INTERVAL_S = 0.0005  # a scrape takes turns with polls some ten times, each time after up to so long


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--organizations",
    "organizations_file",
    type=EXISTING_FILE,
    help="organizations.yml: which Genesys Cloud organizations there are, and how each is reached.",
)
@click.option(
    "--config",
    "config_file",
    type=EXISTING_FILE,
    help="exporter.yml: where to listen, how often to poll, which threshold applies to which flow.",
)
@click.option("--check-config", is_flag=True, help="Only check both files: exit 0, or 2 and everything that is wrong.")
@click.option("--resolve", is_flag=True, help="With --check-config: also list every live flow with what applies to it.")
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@click.pass_context
def main(
    context: click.Context,
    organizations_file: Path | None,
    config_file: Path | None,
    check_config: bool,
    resolve: bool,
    log_level: str,
) -> None:
    """Publish each Genesys Cloud flow's errors and volume to Prometheus.

    Polls every organization once a minute in the background and serves the last
    finished poll under /metrics; a scrape never calls Genesys Cloud.

    \b
    Example:
      genesys-exporter --organizations organizations.yml --config exporter.yml --check-config
      genesys-exporter --organizations organizations.yml --config exporter.yml
      curl http://127.0.0.1:9742/metrics

    --check-config --resolve asks Genesys Cloud, and exits with 1 if an organization cannot be read.
    """
    if resolve and not check_config:
        raise click.UsageError("--resolve needs --check-config")
    if context.invoked_subcommand is not None:
        return
    missing = next((option for option in context.command.params if context.params.get(option.name or "") is None), None)
    if missing is not None or organizations_file is None or config_file is None:
        raise click.MissingParameter(ctx=context, param=missing)
    organizations, config = both_of(organizations_file, config_file)
    if check_config:
        for warning in organizations.warnings():
            click.echo(f"warning: {organizations_file}: {warning}", err=True)
        click.echo(_summary(organizations, config))
        if resolve:
            _resolve(organizations, config)
        return
    configure(log_level, "exporter", "genesys")
    run(organizations, config)


main.add_command(backtest)


def _summary(organizations: Organizations, config: ExporterConfig) -> str:
    return (
        f"configuration is fine: organizations {organizations.told}; {len(config.flows)} flow selectors; "
        f"polls every {config.poll_interval_s:g} s; listens on {config.listen}"
    )


def _resolve(organizations: Organizations, config: ExporterConfig) -> None:
    """Print what applies to each live flow; exit 1 if an organization cannot be read."""

    def applies(flow: Flow) -> tuple[str, ...]:
        policy = config.policy_for(flow)
        pages_only = set(policy.signals) - policy.act_on
        return policy.told, ", ".join(sorted(policy.act_on)), ", ".join(sorted(pages_only)), policy.owner

    heads = ("THRESHOLD", "ACTS ON", "PAGES ONLY", "OWNER")
    table, problems = resolve_flows(organizations.organizations, heads, applies)
    click.echo(table)
    if problems:
        click.echo("\n".join(problems), err=True)
        sys.exit(1)


def run(organizations: Organizations, config: ExporterConfig) -> None:
    """Poll and serve until SIGTERM or SIGINT; exits with 1 when the listen address cannot be had."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return_large_blocks()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    process = ProcessMetrics()
    names = [organization.name for organization in organizations.organizations]
    board = Board(names, process, stale_after_s=config.stale_after_s, clock=time.time)
    server = _bind(config, board)
    pollers = [
        _started(f"poll-{organization.name}", partial(_poll, organization, len(names), config, board, process, stop))
        for organization in organizations.organizations
    ]
    _started("serve", server.serve_forever)
    event(log, logging.INFO, "listening", address=server.address, organizations=len(names))
    collect_seldom(stop.wait)
    event(log, logging.INFO, "stopping")
    server.shutdown()
    server.server_close()
    for poller in pollers:
        poller.join(STOP_WITHIN_S / len(pollers))


def _bind(config: ExporterConfig, board: Board) -> Server:
    try:
        return bind(config.listen, application(board))
    except OSError as error:
        cure = "stop what listens there, or change `listen` in exporter.yml"
        event(log, logging.ERROR, "cannot_listen", address=config.listen, error=error.strerror or error, cure=cure)
        sys.exit(1)


def _poll(
    organization: Organization,
    organizations: int,
    config: ExporterConfig,
    board: Board,
    process: ProcessMetrics,
    stop: threading.Event,
) -> None:
    """The work of the thread of one of so many organizations, until `stop` is set."""
    org, analytics = organization.name, organization.analytics
    # Several exporters may poll one organization: another host or another port is another name.
    share = share_of(f"{org} {socket.gethostname()} {config.listen}")
    if stop.wait(share * EACH_S * organizations):  # the first polls are the longest, and would all begin at once
        return
    transfers = Signal.ROUTING_SHIFT in config.signals
    with closing(open_organization(organization, observe=process.observer(org), transfers=transfers)) as cloud:
        reader = OrganizationReader(org, cloud, analytics, tell_revisions=partial(process.add_revisions, org))
        baselines = BaselineKeeper(org, cloud, analytics, interval_s=config.baseline_interval_s, signals=config.signals)
        offset_s = share * spread_s(organizations, config.poll_interval_s)
        budget = Budget(org, lambda: cloud.rate_limit, reserve_ratio=organization.reserve_ratio, now=time.time)
        put_off_s = partial(process.count_put_off, org, budget.put_off_s)
        poller = Poller(
            org, cloud, reader, baselines, config=config, board=board, offset_s=offset_s, put_off_s=put_off_s
        )
        poller.run(clock=time.time, wait=stop.wait)


def _started(name: str, work: Callable[[], None]) -> threading.Thread:
    # A daemon: a poll that waits for an answer must not keep the process from ending; it writes nothing anywhere.
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


if __name__ == "__main__":
    main()
