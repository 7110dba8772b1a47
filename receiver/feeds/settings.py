"""Whose announcements become windows: the settings of each feed. Every secret stands in a file or a variable."""

from importlib.util import find_spec
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from genesys.selectors import Match
from genesys.settings import Seconds, Secret, Settings, Text
from receiver.addresses import Bearer, HttpUrl, SecretUrl, ServiceNowAccess
from receiver.feeds.announcement import LONGEST_S
from receiver.notify.settings import Zone
from receiver.store.controls import WindowKind

DAY_S = 86400.0
INCIDENT_S = 14400.0  # an outage that nobody closes for longer is more often forgotten than one


def _without_nq(query: str) -> str:
    if "^NQ" in query:  # what is added to the query would narrow its last part only
        raise ValueError("must not have ^NQ: make a feed of each part")
    return query


class Cover(Settings):
    """What a feed's windows are for: flows of an organization; without `flows`, every one."""

    org: Text  # an organization of organizations.yml
    flows: tuple[Match, ...] = ()  # one of them must match


class Feed(Settings):
    """What all feeds have. A window is never longer than `max_window_s`, whatever the source says."""

    name: Text  # the label `feed`; who renames a feed has its windows twice until they end
    covers: Annotated[tuple[Cover, ...], Field(min_length=1)]  # for whom its windows are
    poll_s: Seconds = 120.0  # from one reading to the next
    # No window is longer; a day by default, four hours of an incident.
    max_window_s: Annotated[float, Field(strict=True, gt=0, le=LONGEST_S)] | None = None

    @model_validator(mode="after")
    def _names_each_organization_once(self) -> Self:
        orgs = [cover.org for cover in self.covers]
        twice = sorted({org for org in orgs if orgs.count(org) > 1})
        if twice:
            raise ValueError(f"covers: {', '.join(twice)} is given twice; put all flows into one entry")
        return self

    @property
    def kind(self) -> WindowKind:
        return WindowKind.INCIDENT

    @property
    def longest_s(self) -> float:
        if self.max_window_s is not None:
            return self.max_window_s
        return INCIDENT_S if self.kind is WindowKind.INCIDENT else DAY_S


class Calendar(Feed):
    """An iCalendar document (RFC 5545) at a URL, which may be secret; user and password, or a token, if it wants them.

    `time_zone` is for all-day events and for times without a zone. `titles`: globs, one of them must match.
    """

    url: SecretUrl  # of the document; it may be secret
    username: Text | None = None  # for Basic
    password: Secret | None = None  # for Basic
    token: Bearer | None = None  # instead of both
    time_zone: Zone = "UTC"  # of all-day events and of times without a zone
    titles: tuple[Text, ...] = ()  # globs, one of them must match; none: all events

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if (self.username is None) != (self.password is None) or (self.username is not None and self.token is not None):
            raise ValueError("give username and password, or token, or none of them")
        if find_spec("icalendar") is None or find_spec("recurring_ical_events") is None:
            raise ValueError("calendars need icalendar: pip install 'genesys-rollback-bridge[calendar]'")
        return self

    @property
    def kind(self) -> WindowKind:
        return WindowKind.MAINTENANCE


class ServiceNow(Feed, ServiceNowAccess):
    """Change requests (windows of maintenance) or incidents of an instance, by a query of its list view."""

    table: Literal["change_request", "incident"]  # of the first come windows of maintenance
    query: Annotated[Text, AfterValidator(_without_nq)]  # encoded, as the list view copies it

    @property
    def kind(self) -> WindowKind:
        return WindowKind.MAINTENANCE if self.table == "change_request" else WindowKind.INCIDENT


class PagerDuty(Feed):
    """Open incidents of some services; never of the one to which the bridge or its alerts page."""

    token: Bearer  # a REST API key; a read-only one is enough
    services: Annotated[tuple[Text, ...], Field(min_length=1)]  # their ids
    urgencies: tuple[Literal["high", "low"], ...] = ("high",)  # of the incidents that count
    url: HttpUrl = "https://api.pagerduty.com"  # another one in the EU service region


class StatusPage(Feed):
    """Unresolved incidents of a status page. `components`: names or ids, one of them must be affected."""

    url: HttpUrl  # of the page itself
    components: tuple[Text, ...] = ()  # names or ids, one of them must be affected; none: all
    # Of the incidents that count.
    impacts: Annotated[tuple[Literal["none", "minor", "major", "critical"], ...], Field(min_length=1)] = (
        "major",
        "critical",
    )


FeedSettings = Calendar | ServiceNow | PagerDuty | StatusPage


class Feeds(Settings):
    """Every feed, by what it is read from."""

    icalendar: tuple[Calendar, ...] = ()  # calendars at a URL: windows of maintenance
    servicenow: tuple[ServiceNow, ...] = ()  # change requests or incidents
    pagerduty: tuple[PagerDuty, ...] = ()  # open incidents of services
    statuspage: tuple[StatusPage, ...] = ()  # unresolved incidents of status pages

    @property
    def all(self) -> tuple[FeedSettings, ...]:
        return (*self.icalendar, *self.servicenow, *self.pagerduty, *self.statuspage)
