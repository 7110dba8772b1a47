"""`rollback-receiver doctor`: what is proved of a real organization and its surroundings, and what is not."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from ssl import SSLContext

import click

from genesys.organizations import Organization
from receiver.config import ReceiverSettings
from receiver.configured import both_of
from receiver.ctl import render
from receiver.doctor import cloud, details, divisions, figures, objects, prometheus, reaching, surroundings, versions
from receiver.doctor.examination import Finding, State, Step, examine, skipped
from receiver.outbound import Outbound
from receiver.strategy import Strategy
from receiver.tls_options import context_of, tls_options

_path = click.Path(path_type=Path, dir_okay=False)
_ONLY_PLATFORM = "only dialect platform is examined"


@click.command()
@click.option("--organizations", type=_path, required=True, help="Which Genesys Cloud organizations there are.")
@click.option("--config", type=_path, required=True, help="The receiver's: database, webhook, Alertmanagers.")
@click.option("--org", "orgs", multiple=True, metavar="NAME", help="Only this organization; repeatable.")
@click.option("--prometheus", "prometheus_url", metavar="URL", help="Also look at Prometheus and its rules.")
@click.option(
    "--watch",
    "watch_s",
    type=click.FloatRange(min=0.0),
    default=0.0,
    metavar="SECONDS",
    help="Watch for so long which minutes still change: what analytics.settle_s has to be.",
)
@tls_options()
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def doctor(
    *,
    organizations: Path,
    config: Path,
    orgs: tuple[str, ...],
    prometheus_url: str | None,
    watch_s: float,
    cacert: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
    output: str,
) -> None:
    """Look at everything that the bridge rests on, and say what is proved, what is not, and what to do.

    Genesys Cloud is only read: anything but a GET, a query of analytics or audit, or the
    request for a token is refused before it is sent. The receiver's webhook is
    given a delivery without an alert. The database is read.

    The certificates are those with which the receiver, Alertmanager and
    Prometheus are asked.

    Exits with 0, with 1 if something failed, with 2 for wrong usage or a wrong
    file. What only a publish can prove, `rollback-receiver drill` proves.

    \b
    Example: rollback-receiver doctor --organizations organizations.yml --config receiver.yml
    """
    tls = context_of(cacert, client_cert, client_key)
    settings, known = both_of(organizations, config)
    chosen = chosen_of(known.organizations, orgs)
    found = list(_examined(settings, chosen, prometheus_url, watch_s, tls))
    click.echo(
        json.dumps({"findings": [asdict(one) for one in found]}, indent=2) if output == "json" else text_of(found)
    )
    sys.exit(1 if any(one.state is State.FAILED for one in found) else 0)


def chosen_of(known: Sequence[Organization], names: Sequence[str]) -> list[Organization]:
    """The organizations of these names, or all without any; click.UsageError for a name that nobody has."""
    unknown = sorted(set(names) - {one.name for one in known})
    if unknown:
        named = ", ".join(one.name for one in known)
        raise click.UsageError(f"--org: {', '.join(unknown)} is not in organizations.yml, which has {named}")
    return [one for one in known if not names or one.name in names]


def _examined(
    settings: ReceiverSettings,
    chosen: Sequence[Organization],
    prometheus_url: str | None,
    watch_s: float,
    tls: SSLContext | None,
) -> Iterator[Finding]:
    for organization in chosen:
        yield from _organization(settings, organization, watch_s)
    with closing(Outbound(settings.timing.call_timeout_s, tls=tls)) as http:
        around = surroundings.Around(settings, [one.name for one in chosen], http, time.time)
        yield from _told("database", surroundings.database(around))
        yield from _told("receiver", surroundings.webhook(around))
        for url, steps in surroundings.alertmanagers(around):
            yield from _told(url, steps)
        if prometheus_url is None:
            look = skipped("not asked for", "--prometheus URL")
            yield from _told("prometheus", [Step(prometheus.RULES, lambda: look)])
        else:
            yield from _told(prometheus_url, prometheus.steps(http, prometheus_url))


def _organization(settings: ReceiverSettings, organization: Organization, watch_s: float) -> Iterator[Finding]:
    if organization.dialect != "platform":
        yield from _told(organization.name, [Step(reaching.CREDENTIALS, lambda: skipped(_ONLY_PLATFORM))])
        return
    redeploys = any(Strategy.REDEPLOY in policy.ways_back for policy in settings.flows)
    with cloud.opened_to_read(organization, watch_s=watch_s, redeploys=redeploys) as opened:
        may_ask = [
            *reaching.steps(opened),
            *reaching.audit_steps(opened, wanted=settings.audit),
            *divisions.steps(opened, settings.granted),
        ]
        steps = [
            *may_ask,
            *figures.steps(opened),
            *details.steps(opened),
            *versions.steps(opened),
            *objects.steps(opened, settings.objects, settings.flows),
        ]
        yield from _told(organization.name, steps)


def _told(subject: str, steps: Sequence[Step]) -> Iterator[Finding]:
    """The findings, each told on stderr as soon as it is there."""
    for one in examine(subject, steps, _begin):
        click.echo(one.state.value, err=True)
        yield one


def _begin(subject: str, step: str) -> None:
    click.echo(f"{render.plain(subject)}: {step} … ", err=True, nl=False)


def text_of(found: Sequence[Finding]) -> str:
    """A table of what was seen, then what is to be done about it."""
    rows = [(one.state.value, one.subject, one.step, one.seen) for one in found]
    cures = [f"  {render.plain(one.subject)}, {one.step}: {render.plain(one.cure)}" for one in found if one.cure]
    counts = ", ".join(f"{sum(one.state is state for one in found)} {state.value}" for state in State)
    table = render.table(("STATE", "OF", "STEP", "SEEN"), rows, empty="nothing")
    return "\n\n".join([table, *(["\n".join(["To do:", *cures])] if cures else []), counts])
