"""The sinks that are configured, ready to send."""

from receiver.config import ReceiverSettings
from receiver.notify.chat import ChatSink
from receiver.notify.grafana import GrafanaSink
from receiver.notify.pagerduty import PagerDutySink
from receiver.notify.servicenow import ServiceNowSink
from receiver.notify.settings import Grafana, PagerDuty, ServiceNow, SinkSettings, Webhook
from receiver.notify.sink import Http, Sink
from receiver.notify.webhook import WebhookSink


def sinks_of(settings: ReceiverSettings, http: Http) -> list[Sink]:
    """One for each that is configured, in the file's order."""
    return [_sink(one, settings, http) for one in settings.sinks]


def _sink(one: SinkSettings, settings: ReceiverSettings, http: Http) -> Sink:
    zone = settings.notifications.zone
    match one:
        case Webhook():
            return WebhookSink(one, http)
        case PagerDuty():
            return PagerDutySink(one, http, zone)
        case ServiceNow():
            return ServiceNowSink(one, http, zone)
        case Grafana():
            return GrafanaSink(one, http, zone)
        case _:
            return ChatSink(one.name, one.url.get_secret_value, zone)
