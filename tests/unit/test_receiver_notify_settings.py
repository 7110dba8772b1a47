"""The sinks in receiver.yml: what is accepted, and what is refused with its cure."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from genesys.settings import SettingsError, load
from receiver.config import ReceiverSettings

ENVIRON = {
    "S": "a-secret",
    "CHAT": "json://127.0.0.1:9/",
    "NONSENSE": "nonsense",
    "SEVERAL": "mailto://example.org?user=u&pass=p&to=a@example.org,b@example.org",
}
PAGERDUTY = {"name": "pd", "routing_key_env": "S"}
SERVICENOW = {"name": "sn", "url": "https://instance.example.org"}
GRAFANA = {"name": "gf", "url": "http://grafana:3000", "token_env": "S"}


def read(folder: Path, **notifications: Any) -> ReceiverSettings:
    file = folder / "receiver.yml"
    values = {
        "tokens": [{"name": "am", "roles": ["alertmanager"], "token_env": "S"}],
        "flows": [{"match": "*", "mode": "observe"}],
        "webhooks": [{"name": "hook", "url": "http://127.0.0.1:9/"}],
        "notifications": notifications,
    }
    file.write_text(yaml.safe_dump(values))
    return load(file, ReceiverSettings, environ=ENVIRON)


def test_each_kind_of_sink_is_one_of_those_who_are_told(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        time_zone="Europe/Berlin",
        pagerduty=[PAGERDUTY],
        servicenow=[SERVICENOW | {"api_key_env": "S"}],
        grafana=[GRAFANA],
        chat=[{"name": "team", "url_env": "CHAT", "events": ["ROLLBACK_FAILED"]}],
    )
    assert [sink.name for sink in settings.sinks] == ["hook", "pd", "sn", "gf", "team"]
    assert str(settings.notifications.zone) == "Europe/Berlin"
    assert "a-secret" not in repr(settings)
    assert "127.0.0.1:9/'" not in repr(settings.notifications), "a chat's address is a secret"


@pytest.mark.parametrize(
    ("notifications", "said"),
    [
        ({"time_zone": "Europe/Nowhere"}, "notifications.time_zone: Europe/Nowhere is no time zone of this machine"),
        ({"time_zone": "../etc"}, "notifications.time_zone: ../etc is no time zone"),
        ({"pagerduty": [{"name": "pd"}]}, "notifications.pagerduty[0].routing_key"),
        ({"pagerduty": [PAGERDUTY] * 2}, "notifications: the name pd is given twice"),
        ({"pagerduty": [PAGERDUTY | {"name": "hook"}]}, "notifications: a webhook has the name hook too"),
        ({"pagerduty": [PAGERDUTY | {"events": ["OOPS"]}]}, "notifications.pagerduty[0].events[0]"),
        ({"servicenow": [SERVICENOW]}, "give either username and password, or api_key"),
        ({"servicenow": [SERVICENOW | {"username": "u"}]}, "give either username and password, or api_key"),
        (
            {"servicenow": [SERVICENOW | {"username": "u", "password_env": "S", "api_key_env": "S"}]},
            "give either username and password, or api_key",
        ),
        (
            {"servicenow": [SERVICENOW | {"api_key_env": "S", "fields": {"correlation_id": "x"}}]},
            "correlation_id: the receiver writes it itself; leave it out",
        ),
        ({"grafana": [GRAFANA | {"panel_id": 3}]}, "panel_id needs dashboard_uid"),
        (
            {"chat": [{"name": "c", "url_env": "SEVERAL"}]},
            "notifications.chat[0].url: this address has several targets",
        ),
        ({"chat": [{"name": "c", "url_env": "NONSENSE"}]}, "notifications.chat[0].url: Apprise does not understand"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_with_its_cure(tmp_path: Path, notifications: Any, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, **notifications)
    assert said in str(refused.value)
    assert "nonsense" not in str(refused.value)
    assert "a-secret" not in str(refused.value)


def test_without_apprise_a_chat_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    read(tmp_path, pagerduty=[PAGERDUTY])
    with pytest.raises(SettingsError, match=r"pip install 'genesys-rollback-bridge\[chat\]'"):
        read(tmp_path, chat=[{"name": "c", "url_env": "CHAT"}])
