"""`receiver.yml`: what the receiver may do, for which flows, and whom it tells; the one place of its defaults."""

from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from genesys.selectors import Selectors
from genesys.settings import Address, Count, Listen, Ratio, Seconds, Secret, Settings, Text
from genesys.thresholds import Judging
from receiver.situation import Mode


class Role(StrEnum):
    """What a token may do; see the table of the API in the README."""

    ALERTMANAGER = "alertmanager"  # deliver alerts, nothing else
    VIEWER = "viewer"  # read
    OPERATOR = "operator"  # read, pause, hold, open and close windows, lift quarantines, approve, deny, undo
    CI = "ci"  # register deployments, ask whether one may be published, open windows for named flows


class Scope(StrEnum):
    """Over what one rollback excludes others."""

    FLOW = "flow"
    ORG = "org"
    ALL = "all"


def _database_url(url: str) -> str:
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):  # no text of theirs: it may hold a part of the password
        raise ValueError("must be a URL like sqlite:///rollback.db or postgresql+psycopg://user@host/name") from None
    if parts.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ValueError(f"{parts.drivername} is not supported; use sqlite:/// or postgresql+psycopg://")
    if parts.drivername == "sqlite" and parts.database in (None, "", ":memory:"):
        raise ValueError("must name a file, like sqlite:///rollback.db: a database in memory forgets what was accepted")
    try:
        parts.get_dialect().import_dbapi()
    except ImportError:
        raise ValueError("PostgreSQL needs psycopg: pip install 'genesys-rollback-bridge[postgresql]'") from None
    return url


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise ValueError("must be a URL like https://pager.example.org/hook")
    return url


def _sendable(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a token is sent in a header: it must be printable ASCII without spaces")
    return token


DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Bearer = Annotated[Secret, AfterValidator(_sendable)]


class Token(Settings):
    """A bearer token of the API; two with the same roles allow a rotation without a gap."""

    name: Text
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    token: Bearer


class Webhook(Settings):
    """A sink of the generic webhook; with a token it is sent as `Authorization: Bearer`."""

    name: Text
    url: HttpUrl
    token: Bearer | None = None


class FlowPolicy(Judging):
    """What applies to the flows that the selector matches; the mode has no default: it must be said."""

    mode: Mode
    threshold_ratio: Ratio = 0.05  # as in exporter.yml: the receiver reads the evidence itself
    owner: str = ""


class Timing(Settings):
    """How long things take at most; the defaults are the design's."""

    tick_s: Seconds = 2.0  # one round of the loop
    lease_s: Seconds = 30.0  # after a crash another receiver takes over this much later
    permit_s: Seconds = 5.0  # between the permit and the first byte sent
    publish_deadline_s: Seconds = 180.0  # Genesys Cloud's asynchronous publish (voice, message, e-mail, workflow)
    bot_publish_deadline_s: Seconds = 900.0  # the same for bots, digital bots and voice surveys: they train meanwhile
    approval_s: Seconds = 1800.0  # for people to approve a rollback; later the facts are others
    rollback_deadline_s: Seconds = 900.0  # from planned to confirmed
    verify_deadline_s: Seconds = 1800.0  # from confirmed to the verdict over the target
    lockout_s: Seconds = 900.0
    evidence_max_age_s: Seconds = 300.0
    alertmanager_max_age_s: Seconds = 60.0
    reconcile_s: Seconds = 15.0  # between two looks at Alertmanager's list; the webhook of an alert may take as long
    # An alert that nobody has listed or delivered for so long is over: twice the shipped repeat_interval, and longer
    # than the 4 min for which Alertmanager keeps what Prometheus has stopped sending.
    unlisted_s: Seconds = 600.0
    watchdog_silent_s: Seconds = 600.0  # the watchdog comes every minute or two
    flows_s: Seconds = 600.0  # between two listings of all flows, for `GET /flows` and genesys_rollback_armed
    ledger_s: Seconds = 3600.0  # between two readings of the history into the ledger; its buckets settle as often
    ledger_keep_s: Seconds = 7776000.0  # 90 days: a version that ended before is no target by its record any more
    target_min_live_s: Seconds = 86400.0
    probation_busy_s: Seconds = 7200.0  # of traffic, within its threshold, with 500 ended conversations
    probation_quiet_s: Seconds = 14400.0  # the same with 50
    probation_max_s: Seconds = 1209600.0  # what has been live for so long has left probation whatever it did
    deployment_s: Seconds = 600.0  # between two publications of the same client that are one deployment
    resolve_s: Seconds = 3600.0  # for how long the versions of a registered deployment are looked for
    budget_s: Seconds = 86400.0  # in which budget_per_flow and budget_per_org count
    call_timeout_s: Seconds = 5.0  # to Alertmanager and the sinks
    # Every table but the audit is bounded by it; what is open, or a guard still needs, stays. See store/retention.py.
    retention_s: Seconds = 7776000.0
    retry_s: Seconds = 10.0  # after a read of Genesys Cloud that failed, or a publish that met a busy flow
    outbox_retry_s: Seconds = 5.0  # first pause after a failed delivery; doubles up to outbox_retry_max_s
    outbox_retry_max_s: Seconds = 300.0


class ReceiverSettings(Settings):
    """The whole of `receiver.yml`."""

    listen: Listen = Address("127.0.0.1", 9743)
    database_url: DatabaseUrl = "sqlite:///rollback.db"
    external_url: HttpUrl | None = None  # where people reach the receiver: the base of links in notifications
    alertmanagers: tuple[HttpUrl, ...] = ()
    tokens: Annotated[tuple[Token, ...], Field(min_length=1)]
    webhooks: tuple[Webhook, ...] = ()
    lease_scope: Scope = Scope.ORG
    lockout_scope: Scope = Scope.ORG
    budget_per_flow: Annotated[Count, Field(ge=1)] = 2  # rollbacks that started and were not provably refused
    budget_per_org: Annotated[Count, Field(ge=1)] = 6
    common_cause_ratio: Ratio = 0.3  # of the flows with traffic; from there on it is not the deployment
    common_cause_min_flows: Annotated[Count, Field(ge=2)] = 4  # with traffic; among fewer a share says nothing
    verify_min_conversations: Annotated[Count, Field(ge=1)] = 20
    max_body_bytes: Annotated[Count, Field(ge=1024)] = 16 * 1024 * 1024  # ten thousand alerts of 1.3 kB
    timing: Timing = Timing()
    flows: Selectors[FlowPolicy]

    @model_validator(mode="after")
    def _is_coherent(self) -> Self:
        problems = []
        for kind, names in (
            ("tokens", [token.name for token in self.tokens]),
            ("webhooks", [webhook.name for webhook in self.webhooks]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                problems.append(f"{kind}: the name {', '.join(twice)} is given twice; names must be unique")
        secrets = [token.token.get_secret_value() for token in self.tokens]
        if len(set(secrets)) < len(secrets):
            problems.append("tokens: two of them have the same secret; nobody could tell who calls")
        if self.lease_scope is Scope.FLOW:
            problems.append("lease_scope: must be org or all: at most one rollback at a time in an organization")
        if not any(Role.ALERTMANAGER in token.roles for token in self.tokens):
            problems.append("tokens: none has the role alertmanager, so no alert could be delivered; add one")
        if problems:
            raise ValueError("; ".join(problems))
        return self
