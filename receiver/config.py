"""`receiver.yml`: what the receiver may do, for which flows, and whom it tells; the one place of its defaults."""

import ssl
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from genesys.objects import ObjectType
from genesys.selectors import Selectors
from genesys.settings import Address, Count, Listen, Ratio, Seconds, Secret, Settings, Text
from genesys.sources import Places
from genesys.thresholds import Judging
from receiver.addresses import Bearer, HttpUrl
from receiver.feeds.settings import Feeds
from receiver.notify.settings import Notifications, SinkSettings, Webhook
from receiver.objects.settings import ObjectPolicy
from receiver.situation import Mode
from receiver.strategy import Strategy


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


class InDoubt(StrEnum):
    """What is done where a rollback of the flow alone may be wrong."""

    ACT = "act"
    APPROVE = "approve"


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


def _file(path: object, info: ValidationInfo) -> Path:
    """Relative to the configuration file."""
    if not isinstance(path, str) or not path:
        raise ValueError("must be the path of a file")
    return (info.context.directory if isinstance(info.context, Places) else Path()) / path


def _reason(problem: Exception) -> str:
    return getattr(problem, "reason", None) or getattr(problem, "strerror", None) or "the key may need a password"


def token_name(name: str) -> str:
    """The name. Raises ValueError for one that people or feeds could have."""
    if name.startswith(("proxy:", "basic:", "shell:", "feed:")):
        raise ValueError(
            "must not begin with proxy:, basic:, shell: or feed: - that is how people and feeds are called"
        )
    return name


def _no_comma(text: str) -> str:
    if "," in text or text != text.strip():
        raise ValueError("must be without commas, and spaces around it: groups_header is a list with commas")
    return text


def _each_once(ways: tuple[Strategy, ...]) -> tuple[Strategy, ...]:
    if Strategy.RESTORE in ways:
        raise ValueError("restore is for what is named in objects; a flow goes back by republish or redeploy")
    if Strategy.ANEW in ways:
        raise ValueError("anew brings no earlier version back; see republish_dependents")
    if len(set(ways)) < len(ways):
        raise ValueError("each way back can be gone once only")
    return ways


def _no_colon(text: str) -> str:
    if ":" in text:
        raise ValueError("must be without a colon: Basic ends the name with one")
    return text


TokenName = Annotated[Text, AfterValidator(token_name)]
HeaderName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9-]+$")]
File = Annotated[Path, BeforeValidator(_file)]
DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
Organizations = Annotated[tuple[Text, ...], Field(min_length=1)] | None
"""Those in which the roles are had; without it in every one."""
Divisions = Annotated[tuple[Text, ...], Field(min_length=1)] | None
"""Over whose flows the roles are had, by id or name; without it over all flows, and what concerns no flow alone."""


class Token(Settings):
    """A bearer token of the API; two with the same roles allow a rotation without a gap."""

    name: TokenName  # who it is in the audit
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]  # what it may do
    organizations: Organizations = None  # where it may; without it in every one
    divisions: Divisions = None  # only over flows of these, by id or name; without it over the whole organization
    token: Bearer  # the text that is sent


class Group(Settings):
    """What people may do whom the proxy says to be of this group; several groups add up."""

    group: Annotated[Text, AfterValidator(_no_comma)]  # as the proxy calls it
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]  # what its people may do
    organizations: Organizations = None  # where they may; without it in every one
    divisions: Divisions = None  # only over flows of these, by id or name; without it over the whole organization


class Proxy(Settings):
    """A reverse proxy that knows who people are and says so in headers; it must remove what clients say in them."""

    addresses: Annotated[tuple[IPv4Network | IPv6Network, ...], Field(min_length=1)]  # others are not believed
    user_header: HeaderName  # in which it says who somebody is
    groups_header: HeaderName  # in which it lists the groups, with commas
    groups: Annotated[tuple[Group, ...], Field(min_length=1)]  # those that may do something


class Person(Settings):
    """Somebody who may use Basic, on the receiver's own host."""

    name: Annotated[Text, AfterValidator(_no_colon)]  # in the audit with `basic:` before it
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]  # what they may do
    organizations: Organizations = None  # where they may; without it in every one
    divisions: Divisions = None  # only over flows of these, by id or name; without it over the whole organization
    password: Secret  # as good as the roles for everybody on the host who knows it


class Tls(Settings):
    """HTTPS instead of HTTP. With `client_ca` every connection needs a certificate of it, that of Prometheus too."""

    certificate: File  # the server's, with its chain; relative to this file
    key: File  # the certificate's, without a password
    client_ca: File | None = None  # who has signed the certificates of clients

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")  # never asks for one
        except (OSError, ValueError) as problem:
            raise ValueError(f"certificate and key cannot be used together ({_reason(problem)})") from None
        try:
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
        except OSError as problem:
            raise ValueError(f"client_ca cannot be used ({_reason(problem)})") from None
        return self


class Links(Settings):
    """Where the console sends people for more: the bases of Prometheus and Grafana as their browsers reach them."""

    prometheus: HttpUrl | None = None  # its base URL
    grafana: HttpUrl | None = None  # its base URL; the shipped dashboards are linked by their uid


class Repoint(Settings):
    """Where callers of a flow are led when it fails, and by what: for those who keep a known-good flow beside it."""

    type: ObjectType  # ivr: the call route that leads to the flow; emergency_group: one that is switched on
    id: Text  # the object's id
    flow_id: Text  # the flow that is known to be good; an emergency group has to lead to it already

    @model_validator(mode="after")
    def _is_written(self) -> Self:
        if self.type not in (ObjectType.IVR, ObjectType.EMERGENCY_GROUP):
            raise ValueError("type: must be ivr or emergency_group")
        return self


class FlowPolicy(Judging):
    """What applies to the flows that the selector matches; the mode has no default: it must be said."""

    mode: Mode  # do nothing, say what would be done, ask a person first, or act
    threshold_ratio: Ratio = 0.05  # as in exporter.yml: the receiver reads the evidence itself
    owner: str = ""  # whose the flow is, in notifications; sinks may be narrowed by it
    # How an earlier version is made live again, in this order: the next one has its turn once the one before is proved
    # to have had no effect. `redeploy` needs more permissions, see docs/security.md.
    ways_back: Annotated[tuple[Strategy, ...], Field(min_length=1), AfterValidator(_each_once)] = (Strategy.REPUBLISH,)
    repoint: Repoint | None = None  # where the way back `repoint` leads callers
    # Of a common module: publish the flows that use it once more, as they are, when another version of it was made
    # live, and again when that is undone. Else they are named, and go on with what they were published with.
    republish_dependents: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _knows_where_to_lead(self) -> Self:
        if (Strategy.REPOINT in self.ways_back) != (self.repoint is not None):
            raise ValueError("repoint: needed with repoint among ways_back, and only then")
        return self


class Timing(Settings):
    """How long things take at most; the defaults are the design's."""

    tick_s: Seconds = 2.0  # one round of the loop
    lease_s: Seconds = 30.0  # after a crash another receiver takes over this much later
    permit_s: Seconds = 5.0  # between the permit and the first byte sent
    publish_deadline_s: Seconds = 180.0  # Genesys Cloud's asynchronous publish (voice, message, e-mail, workflow)
    bot_publish_deadline_s: Seconds = 900.0  # the same for bots, digital bots and voice surveys: they train meanwhile
    redeploy_deadline_s: Seconds = 960.0  # how long the job of a way back `redeploy` may take, before the publish
    approval_s: Seconds = 1800.0  # for people to approve a rollback; later the facts are others
    rollback_deadline_s: Seconds = 900.0  # from planned to confirmed
    verify_deadline_s: Seconds = 1800.0  # from confirmed to the verdict over the target
    lockout_s: Seconds = 900.0  # after a rollback has started no other one does
    evidence_max_age_s: Seconds = 300.0  # older figures of Genesys Cloud accuse nobody
    alertmanager_max_age_s: Seconds = 60.0  # for so long Alertmanager's last answer counts while no peer can be reached
    reconcile_s: Seconds = 15.0  # between two looks at Alertmanager's list; the webhook of an alert may take as long
    # An alert that nobody has listed or delivered for so long is over: twice the shipped repeat_interval, and longer
    # than the 4 min for which Alertmanager keeps what Prometheus has stopped sending.
    unlisted_s: Seconds = 600.0
    watchdog_silent_s: Seconds = 600.0  # without the watchdog, which comes every minute or two, people are told so
    flows_s: Seconds = 600.0  # between two listings of all flows, for `GET /flows` and genesys_rollback_armed
    ledger_s: Seconds = 3600.0  # between two readings of the history into the ledger; its buckets settle as often
    ledger_keep_s: Seconds = 7776000.0  # 90 days: a version that ended before is no target by its record any more
    target_min_live_s: Seconds = 86400.0  # a version is trusted as target that was live for so long
    objects_s: Seconds = 300.0  # between two readings of an object that nobody is known to have changed
    audit_s: Seconds = 60.0  # between two calls to the audit, of one of its three services each
    changes_s: Seconds = 3600.0  # so long before the accused version went live changes are listed with its alert
    # A version is on probation until it has had traffic for so long, within its threshold, 500 ended conversations.
    probation_busy_s: Seconds = 7200.0
    probation_quiet_s: Seconds = 14400.0  # the same with 50 ended conversations
    probation_max_s: Seconds = 1209600.0  # what has been live for so long has left probation whatever it did
    deployment_s: Seconds = 600.0  # between two publications of the same client that are one deployment, at most
    resolve_s: Seconds = 3600.0  # for how long the versions of a registered deployment are looked for
    budget_s: Seconds = 86400.0  # in which budget_per_flow and budget_per_org count
    call_timeout_s: Seconds = 5.0  # to Alertmanager, the sinks and the feeds
    # Every table but the audit is bounded by it; what is open, or a guard still needs, stays. See store/retention.py.
    retention_s: Seconds = 7776000.0
    retry_s: Seconds = 10.0  # after a read of Genesys Cloud that failed, or a publish that met a busy flow
    outbox_retry_s: Seconds = 5.0  # first pause after a failed delivery; doubles up to outbox_retry_max_s
    outbox_retry_max_s: Seconds = 300.0  # the longest pause between two tries to deliver a notification


class ReceiverSettings(Settings):
    """The whole of `receiver.yml`."""

    listen: Listen = Address("127.0.0.1", 9743)  # where webhook, API and `/metrics` are served
    # One host: a file, relative to where the receiver is started. Several: `postgresql+psycopg://user@host/name`.
    database_url: DatabaseUrl = "sqlite:///rollback.db"
    external_url: HttpUrl | None = None  # where people reach the receiver: the base of links in notifications
    links: Links = Links()  # where the console leads to
    alertmanagers: tuple[HttpUrl, ...] = ()  # every peer: silences and inhibitions of any are obeyed
    tokens: Annotated[tuple[Token, ...], Field(min_length=1)]  # one at least has the role `alertmanager`
    tls: Tls | None = None  # HTTPS instead of HTTP
    proxy: Proxy | None = None  # people by what a reverse proxy says of them
    people: tuple[Person, ...] = ()  # people by Basic, from the receiver's own host
    webhooks: tuple[Webhook, ...] = ()  # sinks: one JSON document per event
    notifications: Notifications = Notifications()  # all other sinks
    feeds: Feeds = Feeds()  # whose announcements become windows
    lease_scope: Scope = Scope.ORG  # one rollback at a time in an organization, or over `all`; `flow` is refused
    lockout_scope: Scope = Scope.ORG  # what is locked out after a rollback has started
    # So many rollbacks of a flow start in `timing.budget_s` at most; what was provably refused does not count.
    budget_per_flow: Annotated[Count, Field(ge=1)] = 2
    budget_per_org: Annotated[Count, Field(ge=1)] = 6  # the same of an organization
    common_cause_ratio: Ratio = 0.3  # when this share of the flows with traffic fails, no deployment is to blame
    common_cause_min_flows: Annotated[Count, Field(ge=2)] = 4  # with traffic; among fewer a share says nothing
    verify_min_conversations: Annotated[Count, Field(ge=1)] = 20  # on the target must have ended, before it is judged
    # The largest delivery that is taken: ten thousand alerts of 1.3 kB.
    max_body_bytes: Annotated[Count, Field(ge=1024)] = 16 * 1024 * 1024
    # Ask Genesys Cloud's audit who changed what, for records and notifications: a call a minute and organization. The
    # OAuth client needs audits:audit:view. Without it only what becomes live between two listings is seen.
    audit: Annotated[bool, Field(strict=True)] = False
    # What is done about a failing version if others changed something else after it went live and before it failed:
    # `approve`, ask a person first, which needs `audit` and is what is done with it; or `act` as without, with the list
    # in the record.
    ambiguous: InDoubt | None = None
    # What is done about a failing version that was deployed together with data tables or data actions, which an earlier
    # version may not fit: `approve`, ask a person first; or `act` as without.
    coupled: InDoubt = InDoubt.APPROVE
    timing: Timing = Timing()  # how long things take at most
    flows: Selectors[FlowPolicy]  # what applies to which flow, in order
    objects: tuple[ObjectPolicy, ...] = ()  # of which other configuration objects snapshots are kept

    @model_validator(mode="after")
    def _is_coherent(self) -> Self:
        problems = []
        for kind, names in (
            ("tokens", [token.name for token in self.tokens]),
            ("people", [person.name for person in self.people]),
            ("webhooks", [webhook.name for webhook in self.webhooks]),
            ("notifications", [sink.name for sink in self.notifications.sinks]),
            ("feeds", [feed.name for feed in self.feeds.all]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                problems.append(f"{kind}: the name {', '.join(twice)} is given twice; names must be unique")
        shared = {webhook.name for webhook in self.webhooks} & {sink.name for sink in self.notifications.sinks}
        if shared:
            told = ", ".join(sorted(shared))
            problems.append(f"notifications: a webhook has the name {told} too; names must be unique")
        secrets = [token.token.get_secret_value() for token in self.tokens]
        if len(set(secrets)) < len(secrets):
            problems.append("tokens: two of them have the same secret; nobody could tell who calls")
        if self.ambiguous is InDoubt.APPROVE and not self.audit:
            problems.append("ambiguous: approve needs audit: true; without it nobody sees what else was changed")
        ids = [one.id for one in self.objects if not one.is_filter]
        if twice := sorted({object_id for object_id in ids if ids.count(object_id) > 1}):
            problems.append(f"objects: the id {', '.join(twice)} is given twice; ids must be unique")
        filters = [(one.org, one.type, one.name) for one in self.objects if one.is_filter]
        if again := sorted({name for org, of, name in filters if filters.count((org, of, name)) > 1}):
            problems.append(f"objects: the name {', '.join(again)} is given twice for one type; remove one")
        if self.lease_scope is Scope.FLOW:
            problems.append("lease_scope: must be org or all: at most one rollback at a time in an organization")
        if not any(Role.ALERTMANAGER in token.roles for token in self.tokens):
            problems.append("tokens: none has the role alertmanager, so no alert could be delivered; add one")
        if any(one.divisions is not None and Role.ALERTMANAGER in one.roles for one in self.granted):
            problems.append("divisions: not with the role alertmanager: a flow may fail before anybody has listed it")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def of(self, org: str) -> Self:
        """The same for one organization: `objects` are its own."""
        return self.model_copy(update={"objects": tuple(one for one in self.objects if one.org == org)})

    @property
    def asks_when_ambiguous(self) -> bool:
        """Whether a person is asked where something else may be to blame."""
        return self.audit if self.ambiguous is None else self.ambiguous is InDoubt.APPROVE

    @property
    def granted(self) -> tuple[Token | Person | Group, ...]:
        """Everybody who may do something."""
        return (*self.tokens, *self.people, *(() if self.proxy is None else self.proxy.groups))

    @property
    def sinks(self) -> tuple[SinkSettings, ...]:
        """Everybody who is told, each by a name of its own."""
        return (*self.webhooks, *self.notifications.sinks)
