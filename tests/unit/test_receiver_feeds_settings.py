"""`feeds` in receiver.yml: what is wrong is said with its path and its cure."""

import sys
from pathlib import Path
from typing import Any

import pytest

from genesys.settings import SettingsError
from receiver.config import ReceiverSettings, token_name
from receiver.feeds.settings import DAY_S
from tests.receiver_world import settings_of

COVERS = [{"org": "retail"}]
CALENDAR = {"name": "changes", "url_env": "OPERATOR", "covers": COVERS}  # any variable that is set
SECRET_CALENDAR = {"name": "changes", "url_file": "calendar.url", "covers": COVERS}
TABLE = {
    "name": "work",
    "url": "https://instance.example.org",
    "username": "rollback",
    "password_env": "OPERATOR",
    "table": "change_request",
    "query": "state=-1",
    "covers": COVERS,
}
PAGES = {"name": "outages", "token_env": "OPERATOR", "services": ["P1"], "covers": COVERS}
STATUS = {"name": "genesys", "url": "https://status.example.org", "covers": COVERS}


def settings(folder: Path, **feeds: Any) -> ReceiverSettings:
    return settings_of(folder, feeds=feeds)


def test_every_feed_has_a_kind_and_a_longest_window(tmp_path: Path) -> None:
    incidents = TABLE | {"name": "incidents", "table": "incident", "max_window_s": 60.0}
    found = settings(tmp_path, servicenow=[TABLE, incidents], pagerduty=[PAGES], statuspage=[STATUS]).feeds.all
    assert [(feed.name, feed.kind, feed.longest_s) for feed in found] == [
        ("work", "maintenance", DAY_S),
        ("incidents", "incident", 60.0),
        ("outages", "incident", 14400.0),
        ("genesys", "incident", 14400.0),
    ]


@pytest.mark.parametrize(
    ("feeds", "said"),
    [
        pytest.param({"servicenow": [TABLE | {"covers": []}]}, "feeds.servicenow[0].covers", id="for nobody"),
        pytest.param(
            {"servicenow": [TABLE | {"covers": [*COVERS, *COVERS]}]},
            "covers: retail is given twice; put all flows into one entry",
            id="an organization twice",
        ),
        pytest.param(
            {"servicenow": [TABLE], "statuspage": [STATUS | {"name": "work"}]},
            "feeds: the name work is given twice; names must be unique",
            id="a name twice",
        ),
        pytest.param(
            {"servicenow": [TABLE | {"max_window_s": 8 * DAY_S}]}, "servicenow[0].max_window_s", id="longer than a week"
        ),
        pytest.param({"servicenow": [TABLE | {"query": "a=1^NQb=2"}]}, "must not have ^NQ", id="a query of two parts"),
        pytest.param({"servicenow": [TABLE | {"table": "problem"}]}, "servicenow[0].table", id="another table"),
        pytest.param(
            {"servicenow": [TABLE | {"username": None}]}, "give either username and password, or api_key", id="nobody"
        ),
        pytest.param({"pagerduty": [PAGES | {"services": []}]}, "pagerduty[0].services", id="every service"),
        pytest.param({"pagerduty": [PAGES | {"token": "abc"}]}, "a secret must not stand in this file", id="a secret"),
        pytest.param({"statuspage": [STATUS | {"impacts": ["bad"]}]}, "statuspage[0].impacts", id="an unknown impact"),
        pytest.param({"icalendar": [CALENDAR]}, "must be a URL like", id="a calendar that is nowhere"),
        pytest.param({"icalendar": [CALENDAR | {"time_zone": "Mars"}]}, "Mars is no time zone", id="no time zone"),
        pytest.param(
            {"icalendar": [SECRET_CALENDAR | {"username": "u"}]},
            "give username and password, or token, or none of them",
            id="half a user",
        ),
        pytest.param({"rss": []}, "feeds.rss: unknown key", id="an unknown source"),
    ],
)
def test_what_is_wrong_is_said(feeds: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "calendar.url").write_text("https://calendar.example.org/secret.ics")
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, **feeds)
    assert said in str(caught.value)
    assert "secret.ics" not in str(caught.value)


def test_a_calendar_without_the_libraries_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "calendar.url").write_text("https://calendar.example.org/secret.ics")
    (calendar,) = settings(tmp_path, icalendar=[SECRET_CALENDAR]).feeds.icalendar
    assert "secret.ics" not in repr(calendar)
    monkeypatch.setitem(sys.modules, "icalendar", None)
    with pytest.raises(SettingsError, match=r"pip install 'genesys-rollback-bridge\[calendar\]'"):
        settings(tmp_path, icalendar=[SECRET_CALENDAR])


def test_no_token_has_the_name_under_which_feeds_open_windows() -> None:
    with pytest.raises(ValueError, match="must not begin with"):
        token_name("feed:changes")
