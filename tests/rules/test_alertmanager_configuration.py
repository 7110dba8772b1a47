"""The shipped Alertmanager configuration sends each alert where it belongs."""

from typing import Any

import pytest
import yaml

from receiver.config import ReceiverSettings
from tests.rules.conftest import ROOT, Run

FILE = ROOT / "alert_rules" / "alertmanager.yml"


def _configuration() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


def test_it_is_valid(amtool: Run) -> None:
    amtool("check-config", FILE)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        pytest.param(
            ("alertname=GenesysFlowFailing", "genesys_action=rollback", "severity=critical", "org=retail"),
            "rollback-receiver",
            id="the rollback alert goes to the receiver only",
        ),
        pytest.param(
            ("alertname=GenesysFlowFailing", "genesys_action=page", "severity=critical", "org=retail"),
            "people",
            id="a signal that does not act goes to people",
        ),
        pytest.param(
            ("alertname=GenesysWatchdog", "genesys_action=watchdog", "genesys_contract=1", "severity=info"),
            "rollback-receiver",
            id="the watchdog goes to the receiver only",
        ),
        pytest.param(
            ("alertname=GenesysFlowFailingUndecided", "severity=critical", "org=retail", "flow_id=f1"),
            "people",
            id="the backstop goes to people",
        ),
        pytest.param(("alertname=GenesysAlertPathSilent", "severity=critical"), "people", id="so does a silent path"),
        pytest.param(("alertname=GenesysReceiverDown", "severity=critical"), "people", id="health goes to people"),
        pytest.param(("alertname=GenesysMaintenance", "severity=info"), "nobody", id="maintenance only inhibits"),
        pytest.param(("alertname=GenesysOrgMaintenance", "severity=info"), "nobody", id="so does an organization's"),
    ],
)
def test_a_route(labels: tuple[str, ...], receiver: str, amtool: Run) -> None:
    amtool("config", "routes", "test", f"--config.file={FILE}", f"--verify.receivers={receiver}", *labels)


def test_the_rollback_route_waits_for_nothing_and_groups_by_what_can_be_rolled_back() -> None:
    route = _configuration()["route"]["routes"][0]
    assert route["matchers"] == ['genesys_action="rollback"']
    assert route["group_by"] == ["org", "flow_id", "flow_version"]
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("0s", "1m", "5m")
    assert not route.get("continue", False)


def test_the_watchdog_is_repeated_often_enough_to_be_missed() -> None:
    (route,) = [route for route in _configuration()["route"]["routes"] if "watchdog" in route["matchers"][0]]
    assert route["matchers"] == ['genesys_action="watchdog"']
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("0s", "1m", "50s")
    assert ReceiverSettings.model_fields["timing"].default.watchdog_silent_s > 5 * 60


def test_flow_and_organization_windows_inhibit_by_different_names() -> None:
    """With one name and `equal: [org]` a window on one flow mutes all the others of its organization."""
    rules = {tuple(rule["source_matchers"]): rule["equal"] for rule in _configuration()["inhibit_rules"]}
    assert rules == {
        ('alertname="GenesysMaintenance"',): ["org", "flow_id"],
        ('alertname="GenesysOrgMaintenance"',): ["org"],
    }
    assert all(rule["target_matchers"] == ['genesys_action="rollback"'] for rule in _configuration()["inhibit_rules"])


def test_the_token_is_read_from_a_file() -> None:
    receivers = {receiver["name"]: receiver for receiver in _configuration()["receivers"]}
    (webhook,) = receivers["rollback-receiver"]["webhook_configs"]
    assert webhook["url"] == "http://127.0.0.1:9743/api/v1/alerts"
    assert webhook["http_config"]["authorization"]["credentials_file"] == "rollback-receiver.token"
    assert webhook["send_resolved"] is True
