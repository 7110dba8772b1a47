"""Whether we may ask: credentials, each permission, limits, clocks."""

from collections.abc import Callable
from contextlib import suppress

from genesys.audit import SERVICES, Audit
from genesys.errors import Gone, NotAllowed
from genesys.jobs import Job, Jobs
from receiver.doctor.cloud import HOUR_S, Cloud
from receiver.doctor.examination import Found, Step, failed, not_proved, proved, skipped

CREDENTIALS = "credentials"
FLOWS = "architect:flow:view"
AUDIT = "audits:audit:view"
FLOW_FIGURES = "analytics:flowAggregate:view"
CALLS_A_MINUTE = 30  # both programs of one client: five of the exporter, and a rollback that reads every two seconds
NO_JOB = "00000000-0000-0000-0000-000000000000"
MAX_SKEW_S = 5.0  # the header has whole seconds; and the newest minutes are left out for settle_s, 60 by default


def steps(cloud: Cloud) -> list[Step]:
    return [
        Step(CREDENTIALS, lambda: _credentials(cloud)),
        Step(FLOWS, lambda: _flows(cloud), needs=CREDENTIALS),
        Step(FLOW_FIGURES, lambda: _flow_figures(cloud), needs=CREDENTIALS),
        Step("analytics:conversationAggregate:view", lambda: _conversations(cloud), needs=CREDENTIALS),
        Step("architect:flow:publish", _publish, needs=CREDENTIALS),
        *(_steps_of_redeploy(cloud.genesys.jobs) if cloud.redeploys and cloud.genesys.jobs is not None else ()),
        Step("rate limit", lambda: _limit(cloud), needs=CREDENTIALS),
        Step("clock of Genesys Cloud", lambda: _clock(cloud), needs=CREDENTIALS),
    ]


def _credentials(cloud: Cloud) -> Found:
    cloud.session.sign_in()
    return proved(f"{cloud.settings.endpoints.login_url} gives a token")


def _flows(cloud: Cloud) -> Found:
    cloud.flows = cloud.genesys.flows()
    if not cloud.live:
        cure = "give the client's role the divisions of the flows; an organization without flows needs no bridge"
        return failed(f"{len(cloud.flows)} flows, none of them with a live version", cure)
    divisions = {flow.division_name or flow.division_id for flow in cloud.live}
    return proved(f"{len(cloud.live)} flows with a live version, in {len(divisions)} division(s); others are not seen")


def _flow_figures(cloud: Cloud) -> Found:
    start, end = _last_hour(cloud)
    told = cloud.genesys.evidence(start, end, bucket_s=cloud.settings.analytics.bucket_s)
    flows = {flow_id for flow_id, _ in told.outcomes}
    return proved(f"answered; {len(flows)} flows had conversations in the last hour")


def _conversations(cloud: Cloud) -> Found:
    start, end = _last_hour(cloud)
    told = cloud.genesys.conversations(start, end, bucket_s=cloud.settings.analytics.bucket_s)
    return proved(f"answered; {sum(volume for _, volume in told.values())} conversations in the last hour")


def audit_steps(cloud: Cloud, *, wanted: bool) -> list[Step]:
    """Whether the audit tells who changed what; nobody needs that but `audit: true`."""
    return [Step(AUDIT, lambda: _audit(cloud) if wanted else skipped("audit is not on"), needs=CREDENTIALS)]


def _audit(cloud: Cloud) -> Found:
    audit = Audit(cloud.session, api_url=cloud.settings.endpoints.api_url)
    now = cloud.clock.now()
    try:
        told = [len(audit.changes(service, now - HOUR_S, now)) for service in SERVICES]
    except NotAllowed as problem:
        if problem.status != 403:
            raise
        return not_proved(
            f"{problem}; records do not tell who changed what",
            "give the client's role audits:audit:view, or remove audit from receiver.yml; rollbacks go on without",
        )
    counts = ", ".join(f"{service} {count}" for service, count in zip(SERVICES, told, strict=True))
    return proved(f"answered; changes in the last hour: {counts}")


def _publish() -> Found:
    return not_proved(
        "only a publish can show it, and here nothing is written",
        "`rollback-receiver drill` on a workflow that nobody calls; a rollback without it ends as publish_refused",
    )


def _steps_of_redeploy(jobs: Jobs) -> list[Step]:
    """Only for who has configured it: what it needs besides."""
    return [
        Step("architect:jobExport:view", lambda: _is_let_in(jobs.exported), needs=CREDENTIALS),
        Step("architect:job:view", lambda: _is_let_in(jobs.deployed), needs=CREDENTIALS),
        Step("architect:jobExport:create, job:create, flow:edit", _redeploy, needs=CREDENTIALS),
    ]


def _is_let_in(ask: Callable[[str], Job]) -> Found:
    """Who may not look is refused before anybody looks whether there is such a job."""
    with suppress(Gone):
        ask(NO_JOB)
    return proved("answered: no such job")


def _redeploy() -> Found:
    return not_proved(
        "only a redeployment can show it, and here nothing is written",
        "compare the client's role with docs/security.md; a rollback without them ends as redeploy_refused",
    )


def _limit(cloud: Cloud) -> Found:
    limit = cloud.connection.rate_limit
    if limit is None:
        return not_proved("Genesys Cloud sends no inin-ratelimit headers", "nothing: a 429 is waited out")
    seen = f"{limit.allowed} requests a minute, {limit.used} used"
    if limit.allowed - limit.used < CALLS_A_MINUTE:
        cure = f"give the bridge an OAuth client of its own: it needs up to {CALLS_A_MINUTE} in a minute"
        return failed(seen, cure)
    return proved(seen)


def _clock(cloud: Cloud) -> Found:
    ahead_s = cloud.connection.ahead_s
    if ahead_s is None:
        return not_proved("its answers have no Date", "nothing, if this host's clock is kept by NTP")
    if abs(ahead_s) > MAX_SKEW_S:
        way = "ahead of" if ahead_s > 0 else "behind"
        cure = "let NTP keep this host's clock: wrong minutes are asked for"
        return failed(f"{abs(ahead_s):.0f} s {way} this host's", cure)
    return proved(f"within {MAX_SKEW_S:.0f} s of this host's")


def _last_hour(cloud: Cloud) -> tuple[int, int]:
    end = cloud.settings.analytics.settled_end(cloud.clock.now())
    bucket_s = cloud.settings.analytics.bucket_s
    return end - max(1, HOUR_S // bucket_s) * bucket_s, end
