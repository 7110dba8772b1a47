"""The source of each feed that is configured, ready to be read."""

from receiver.feeds.announcement import Http, Source
from receiver.feeds.calendars import CalendarSource
from receiver.feeds.pagerduty import PagerDutySource
from receiver.feeds.servicenow import ServiceNowSource
from receiver.feeds.settings import Calendar, FeedSettings, PagerDuty, ServiceNow
from receiver.feeds.statuspage import StatusPageSource


def source_of(feed: FeedSettings, http: Http) -> Source:
    """What the feed is read from."""
    match feed:
        case Calendar():
            return CalendarSource(feed, http)
        case ServiceNow():
            return ServiceNowSource(feed, http)
        case PagerDuty():
            return PagerDutySource(feed, http)
        case _:
            return StatusPageSource(feed, http)
