"""`organizations.yml`: which Genesys Cloud organizations there are, and how each is reached.

Both programs read the same schema; `open_organization` is the one door to an
organization and the only place that knows which dialects there are.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from genesys.access import Session, open_session
from genesys.actions import VIEWS, DataAction
from genesys.dialect import GenesysCloud, Observer
from genesys.guide import Guide, NamedFlow, calls_per_poll
from genesys.http import Connection
from genesys.platform import Platform
from genesys.settings import Ratio, Seconds, Secret, Settings, Text, TextOrSource, WholeSeconds


class Endpoints(NamedTuple):
    """Base URLs of an organization, without a slash at the end."""

    api_url: str
    login_url: str


_DOMAINS = (
    "mypurecloud.com",
    "use2.us-gov-pure.cloud",
    "usw2.pure.cloud",
    "cac1.pure.cloud",
    "sae1.pure.cloud",
    "mxc1.pure.cloud",
    "mypurecloud.ie",
    "euw2.pure.cloud",
    "mypurecloud.de",
    "euc2.pure.cloud",
    "edee1.eusc-pure.cloud",
    "mypurecloud.jp",
    "apne2.pure.cloud",
    "apne3.pure.cloud",
    "aps1.pure.cloud",
    "apse1.pure.cloud",
    "mypurecloud.com.au",
    "mec1.pure.cloud",
)

REGIONS: Mapping[str, Endpoints] = MappingProxyType(
    {domain: Endpoints(f"https://api.{domain}", f"https://login.{domain}") for domain in _DOMAINS}
)


def _known_region(region: str) -> str:
    if region not in REGIONS:
        raise ValueError(f"unknown region; known are {', '.join(REGIONS)}; for any other give api_url and login_url")
    return region


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError("must be a URL like https://api.mypurecloud.ie")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must be a URL without path, query and fragment, like https://api.mypurecloud.ie")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("must begin with https://; http:// would send the secret in the clear")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


Region = Annotated[str, AfterValidator(_known_region)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
# Part of paths and labels as it stands.
OrganizationName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]


class Credentials(Settings):
    """An OAuth client of the grant type client credentials."""

    client_id: TextOrSource  # the OAuth client's id
    client_secret: Secret  # the OAuth client's secret


class WatchedAction(Settings):
    """A data action that accuses a flow, because no other runs it: Genesys Cloud does not tell who ran an action."""

    action_id: Text  # the data action's id, as Genesys Cloud writes it
    flow_id: Text  # the only flow that runs it
    slow_s: Seconds = 3.0  # an execution is slow that takes as long; from here on callers notice the silence


class Analytics(Settings):
    """How Genesys Cloud's figures are asked for: lengths in seconds."""

    bucket_s: WholeSeconds = 60  # one bucket of figures; the rules expect minutes
    settle_s: Annotated[float, Field(strict=True, ge=0)] = 60.0  # newest stretch that is still changing: left out
    history_bucket_s: WholeSeconds = 3600  # one bucket of the history; a multiple of bucket_s
    # How far back the history goes from which a flow's own earlier ratio comes: a week, for contact centres live by the
    # weekday.
    history_s: WholeSeconds = 604800
    outcomes: Annotated[bool, Field(strict=True)] = False  # ask for flow outcomes as well: one call more each time
    transfers: Annotated[bool, Field(strict=True)] = False  # ask where exits go to: no call more, but longer answers
    data_actions: tuple[WatchedAction, ...] = ()  # ask for these as well: one call more each time, however many

    @model_validator(mode="after")
    def _is_coherent(self) -> Self:
        wrong = [
            f"{longer} must be a multiple of {shorter}"
            for longer, length, shorter, part in (
                ("history_bucket_s", self.history_bucket_s, "bucket_s", self.bucket_s),
                ("history_s", self.history_s, "history_bucket_s", self.history_bucket_s),
            )
            if length % part
        ]
        wrong += self._problems_with_actions()
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _problems_with_actions(self) -> list[str]:
        ids = [action.action_id for action in self.data_actions]
        twice = sorted({action_id for action_id in ids if ids.count(action_id) > 1})
        problems = []
        if twice:
            problems.append(
                f"data_actions: the action_id {', '.join(twice)} is given twice; name only actions that one flow alone "
                "runs, each once, because nobody can tell for which flow an action was run"
            )
        if len({action.slow_s for action in self.data_actions}) >= VIEWS:  # one view more counts them all
            problems.append(
                f"data_actions: more than {VIEWS - 1} different slow_s; Genesys Cloud counts no more at once"
            )
        return problems

    @property
    def asked_for(self) -> str:
        """What exporter and receiver have to ask for alike, in words; empty if it is nothing besides the usual."""
        flow_count = len({action.flow_id for action in self.data_actions})
        actions = f"{len(self.data_actions)} data action(s) of {flow_count} flow(s)" if self.data_actions else ""
        return " and ".join(part for part in ("flow outcomes" if self.outcomes else "", actions) if part)

    def settled_end(self, now: float) -> int:
        """End of the newest bucket whose figures have settled at `now`."""
        return int((now - self.settle_s) // self.bucket_s) * self.bucket_s

    def history_end(self, now: float) -> int:
        """End of the newest history bucket whose figures have settled at `now`."""
        return int((now - self.settle_s) // self.history_bucket_s) * self.history_bucket_s


class GuideFlow(Settings):
    """A flow, as nothing in the dialect `guide` tells it; `division` is an id or a name."""

    id: Text  # the flow's id
    name: Text  # the flow's name, for people and selectors
    type: Text  # the flow's type
    division: str = ""  # its id or its name


class Organization(Settings):
    """One organization: `name` is the label `org`."""

    name: OrganizationName  # becomes the label `org`, and stands in paths: letters, digits, `_`, `.` and `-`
    region: Region | None = None  # where the organization lives, by its domain; or give both URLs instead
    api_url: BaseUrl | None = None  # where the API is, without a path; https, but on loopback
    login_url: BaseUrl | None = None  # where tokens are given out; the same holds
    dialect: Literal["platform", "guide"] = "platform"  # whose calls are spoken; `guide` is for gateways
    credentials: Credentials  # an OAuth client of the grant type client credentials
    timeout_s: Seconds = 10.0  # one call
    deadline_s: Seconds = 30.0  # one read with all its pages and repetitions; shorter than a poll
    # So much of the rate limit is left to rollbacks and to others: what can wait is put off meanwhile.
    reserve_ratio: Ratio = 0.3
    analytics: Analytics = Analytics()  # how Genesys Cloud's figures are asked for
    flows: tuple[GuideFlow, ...] = ()  # only `guide`, which cannot list them

    @model_validator(mode="after")
    def _is_coherent(self) -> Self:
        problems = []
        urls = (self.api_url is not None, self.login_url is not None)
        if (self.region is not None) == any(urls) or any(urls) != all(urls):
            problems.append("give either region, or both api_url and login_url")
        if self.deadline_s < self.timeout_s:
            problems.append(f"deadline_s ({self.deadline_s:g}) must not be shorter than timeout_s ({self.timeout_s:g})")
        if self.analytics.outcomes and self.dialect == "guide":
            problems.append("analytics.outcomes: dialect guide tells no flow outcomes; remove it")
        if self.analytics.data_actions and self.dialect == "guide":
            problems.append("analytics.data_actions: dialect guide tells nothing of data actions; remove them")
        problems += self._problems_with_flows()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems_with_flows(self) -> list[str]:
        if self.dialect == "platform":
            listed = "flows: belongs to dialect guide; remove it, because Genesys Cloud lists its flows itself"
            return [listed] if self.flows else []
        if not self.flows:
            return ["flows: name every flow as {id, name, type, division}: dialect guide cannot list them"]
        ids = [flow.id for flow in self.flows]
        twice = sorted({flow_id for flow_id in ids if ids.count(flow_id) > 1})
        return [f"flows: the id {', '.join(twice)} is given twice; ids must be unique"] if twice else []

    @property
    def endpoints(self) -> Endpoints:
        if self.api_url is not None and self.login_url is not None:
            return Endpoints(self.api_url, self.login_url)
        return REGIONS[self.region or ""]


class Organizations(Settings):
    """The whole of `organizations.yml`."""

    organizations: Annotated[tuple[Organization, ...], Field(min_length=1)]  # each with a name of its own

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [organization.name for organization in self.organizations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"organizations: the name {', '.join(twice)} is given twice; names must be unique")
        return self

    @property
    def told(self) -> str:
        """Each organization and what is asked of it besides the usual: exporter and receiver must say the same."""
        return ", ".join(
            f"{organization.name} (asks for {asked})"
            if (asked := organization.analytics.asked_for)
            else organization.name
            for organization in self.organizations
        )

    def warnings(self) -> list[str]:
        """What can be used, but should be thought over; for `--check-config`."""
        return [
            f"organizations[{position}].dialect: no Genesys Cloud organization is known to answer the paths of dialect "
            f"guide; use platform unless yours does. For {len(organization.flows)} flow(s) the exporter makes up to "
            f"{calls_per_poll(len(organization.flows))} calls in each poll. Where versions have no dates, the receiver "
            f"knows only what it has seen live: set timing.flows_s in receiver.yml to {organization.analytics.bucket_s}"
            for position, organization in enumerate(self.organizations)
            if organization.dialect == "guide"
        ]


def session_of(
    settings: Organization, *, observe: Observer | None = None, connection: Connection | None = None
) -> Session:
    """Calls to an organization as its OAuth client; nothing is sent before the first one."""
    return open_session(
        login_url=settings.endpoints.login_url,
        client_id=settings.credentials.client_id,
        client_secret=settings.credentials.client_secret.get_secret_value(),
        timeout_s=settings.timeout_s,
        deadline_s=settings.deadline_s,
        observe=observe,
        connection=connection,
    )


def open_organization(
    settings: Organization,
    *,
    observe: Observer | None = None,
    transfers: bool = True,
    session: Session | None = None,
) -> GenesysCloud:
    """Connect to an organization in its dialect; nothing is sent before the first call. Close it when done.

    Without `transfers` exits are not told by transfer target, whatever the settings say: nobody here looks at them.
    With a `session` the calls go through that one.
    """
    session = session or session_of(settings, observe=observe)
    if settings.dialect == "platform":
        analytics = settings.analytics
        return Platform(
            session,
            api_url=settings.endpoints.api_url,
            outcomes=analytics.outcomes,
            transfers=transfers and analytics.transfers,
            data_actions=[DataAction(one.action_id, one.flow_id, one.slow_s) for one in analytics.data_actions],
        )
    return Guide(
        session,
        api_url=settings.endpoints.api_url,
        flows=[NamedFlow(flow.id, flow.name, flow.type, flow.division) for flow in settings.flows],
        bucket_s=settings.analytics.bucket_s,
    )
