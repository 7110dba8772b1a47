"""Whom the receiver tells: the settings of each sink. Every secret stands in a file or an environment variable."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr, model_validator

from genesys.settings import Secret, Settings, Text
from receiver.addresses import Bearer, HttpUrl, ServiceNowAccess
from receiver.notify import chat
from receiver.notify.audience import Audience

OWN_FIELDS = frozenset(  # of a ServiceNow incident: the sink writes them itself
    {"correlation_id", "correlation_display", "short_description", "description", "work_notes", "close_notes"}
)


def _zone(name: str) -> str:
    zone_of(name)
    return name


def zone_of(name: str) -> tzinfo:
    """The time zone of that name. Raises ValueError."""
    if name == "UTC":
        return UTC  # also where no time zones are installed
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # whatever it is that makes the name unusable
        raise ValueError(
            f"{name} is no time zone of this machine; write one like Europe/Berlin, or install tzdata"
        ) from None


def _chat_address(url: SecretStr) -> SecretStr:
    chat.check(url.get_secret_value())
    return url


def _free_fields(fields: Mapping[str, str]) -> Mapping[str, str]:
    taken = sorted(OWN_FIELDS & fields.keys())
    if taken:
        raise ValueError(f"{', '.join(taken)}: the receiver writes it itself; leave it out")
    return fields


Zone = Annotated[Text, AfterValidator(_zone)]
ChatAddress = Annotated[Secret, AfterValidator(_chat_address)]
Fields = Annotated[Mapping[str, str], Field(default_factory=dict), AfterValidator(_free_fields)]


class Webhook(Audience):
    """The generic webhook. With a token it is sent as `Authorization: Bearer`, with a secret each body is signed."""

    name: Text  # the sink's name: the label `sink`
    url: HttpUrl  # each event is a POST to it
    token: Bearer | None = None  # sent as `Authorization: Bearer`
    secret: Secret | None = None  # signs each body


class PagerDuty(Audience):
    """A PagerDuty service, by the integration key of its Events API v2 integration."""

    name: Text  # the sink's name: the label `sink`
    routing_key: Secret  # the integration key
    url: HttpUrl = "https://events.pagerduty.com"  # the service region's
    page_at_start: bool = False  # also before anybody is needed: when a rollback starts


class ServiceNow(Audience, ServiceNowAccess):
    """A ServiceNow instance, and what its incidents have to say."""

    name: Text  # the sink's name: the label `sink`
    fields: Fields  # of a new incident: assignment_group, urgency, …
    fields_when_over: Fields  # when it has ended well: state, close_code, …; without any, people close it


class Grafana(Audience):
    """A Grafana, whose dashboards are to show what was done; without `dashboard_uid`, all that ask for the tags."""

    name: Text  # the sink's name: the label `sink`
    url: HttpUrl  # where the Grafana is
    token: Bearer  # a service account's, which may write annotations
    dashboard_uid: Text | None = None  # the only dashboard that shows it
    panel_id: Annotated[int, Field(strict=True, ge=1)] | None = None  # the only panel of that dashboard
    tags: tuple[Text, ...] = ()  # beside those that every annotation has

    @model_validator(mode="after")
    def _panel_has_a_dashboard(self) -> Self:
        if self.panel_id is not None and self.dashboard_uid is None:
            raise ValueError("panel_id needs dashboard_uid: panels are counted within a dashboard")
        return self


class Chat(Audience):
    """Slack, Teams, mail and whatever else Apprise reaches, by one of its URLs; each address is a sink of its own."""

    name: Text  # the sink's name: the label `sink`
    url: ChatAddress  # one of Apprise's URLs; the whole of it is a secret


SinkSettings = Webhook | PagerDuty | ServiceNow | Grafana | Chat


class Notifications(Settings):
    """Every sink but the generic webhook, and how times are written for people."""

    time_zone: Zone = "UTC"  # for the times in sentences
    pagerduty: tuple[PagerDuty, ...] = ()  # pages
    servicenow: tuple[ServiceNow, ...] = ()  # incidents
    grafana: tuple[Grafana, ...] = ()  # annotations
    chat: tuple[Chat, ...] = ()  # messages and mail, by Apprise

    @property
    def sinks(self) -> tuple[SinkSettings, ...]:
        return (*self.pagerduty, *self.servicenow, *self.grafana, *self.chat)

    @property
    def zone(self) -> tzinfo:
        return zone_of(self.time_zone)
