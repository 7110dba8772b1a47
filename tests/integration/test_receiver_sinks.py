"""Every kind of event to PagerDuty, ServiceNow, Grafana, a signed webhook and a chat, over real HTTP."""

import hmac
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.wrappers import Request, Response

from genesys.settings import load
from receiver.config import ReceiverSettings
from receiver.metrics import ReceiverMetrics
from receiver.notify.delivery import Deliverer
from receiver.notify.events import put_end, put_suppressed, put_triggered
from receiver.notify.kinds import STORY, IncidentType
from receiver.notify.sinks import sinks_of
from receiver.notify.webhook import SIGNATURE
from receiver.outbound import Outbound
from receiver.policy import Decision, Guard, Verdict
from receiver.store import outbox, rollbacks
from receiver.store.database import Store
from receiver.store.rollbacks import State
from receiver.tools import telling_of
from tests.integration.sink_services import KEY, GrafanaService, PagerDutyService, ServiceNowService
from tests.receiver_world import ORGS, TOKENS, listening, opened, put_alert, put_rollback

NOW = 1_795_349_000.0
CONSOLE = "https://rollback.example.org/console"
SECRETS = {
    "PD": KEY,
    "SN": "secret-of-the-user",
    "GRAFANA": "token-of-grafana",
    "HOOK": "secret-of-the-hook",
}
FACTS = {
    "flow_name": "Main IVR",
    "division": "Retail",
    "owner": "voice-team",
    "signal": "error_exit",
    "errors": 41,
    "volume": 96,
    "window": "5m",
    "threshold_ratio": 0.05,
    "commit": "a1b2c3d4e5f6",
    "deployed_by": "cx-as-code",
}


class Hook:
    """A generic webhook that keeps what arrives, byte for byte."""

    def __init__(self) -> None:
        self.requests: list[tuple[Mapping[str, str], bytes]] = []

    @Request.application
    def app(self, request: Request) -> Response:
        self.requests.append((dict(request.headers), request.get_data()))
        return Response(status=200)


@dataclass
class World:
    """One receiver with one sink of each kind."""

    store: Store
    settings: ReceiverSettings
    http: Outbound
    metrics: ReceiverMetrics
    pagerduty: PagerDutyService
    servicenow: ServiceNowService
    grafana: GrafanaService
    hook: Hook
    at: float = NOW

    def put(self, kind: IncidentType, subject: str = "", **changes: Any) -> None:
        event = {"incident_type": kind.value, "timestamp": "2026-11-22T13:23:20Z", "reason": "why", **changes}
        with self.store.begin() as tx:
            telling = telling_of(self.settings)
            outbox.put(tx, telling.to(event), subject or kind.value, event, now=self.at)

    def deliver(self) -> int:
        sinks = sinks_of(self.settings, self.http)
        return Deliverer(self.store, sinks, self.metrics, self.settings.timing, clock=lambda _: self.at).deliver_due()

    def pending(self) -> dict[str, int]:
        with self.store.begin() as tx:
            return {sink: waiting.pending for sink, waiting in outbox.backlog(tx).items()}

    def counted(self, sink: str) -> dict[str, float]:
        families = text_string_to_metric_families(self.metrics.page().decode())
        family = next(family for family in families if family.name == "genesys_rollback_notifications")
        return {one.labels["result"]: one.value for one in family.samples if one.labels["sink"] == sink}


@contextmanager
def world_of(folder: Path, **more: Any) -> Iterator[World]:
    pagerduty, servicenow, grafana, hook = PagerDutyService(), ServiceNowService(), GrafanaService(), Hook()
    with ExitStack() as stack:
        urls = [
            f"http://127.0.0.1:{stack.enter_context(listening(one.app))}"
            for one in (pagerduty, servicenow, grafana, hook)
        ]
        over = {"state": "6", "close_code": "Solution provided"}
        user = {"username": "rollback", "password_env": "SN", "fields": {"urgency": "2"}, "fields_when_over": over}
        values = {
            "database_url": f"sqlite:///{folder / 'rollback.db'}",
            "external_url": "https://rollback.example.org",
            "tokens": [{"name": "am", "roles": ["alertmanager"], "token_env": "AM"}],
            "flows": [{"match": "*", "mode": "observe"}],
            "webhooks": [{"name": "hook", "url": f"{urls[3]}/hook", "secret_env": "HOOK"}],
            "timing": {"call_timeout_s": 10.0},
            "notifications": {
                "pagerduty": [{"name": "pd", "routing_key_env": "PD", "url": urls[0]} | more.get("pagerduty", {})],
                "servicenow": [{"name": "sn", "url": urls[1]} | user | more.get("servicenow", {})],
                "grafana": [{"name": "gf", "url": urls[2], "token_env": "GRAFANA"} | more.get("grafana", {})],
            },
        }
        file = folder / "receiver.yml"
        file.write_text(yaml.safe_dump(values))
        settings = load(file, ReceiverSettings, environ=SECRETS | {"AM": TOKENS["alertmanager"]} | more.get("env", {}))
        store = stack.enter_context(opened(settings))
        http = stack.enter_context(closing(Outbound(10.0)))
        yield World(store, settings, http, ReceiverMetrics(store, settings, ORGS), pagerduty, servicenow, grafana, hook)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with world_of(tmp_path) as made:
        yield made


def fail(world: World, *, state: State, name: str = "r1") -> None:
    """One rollback from its trigger to its end, told as the receiver tells it."""
    telling = telling_of(world.settings)
    with world.store.begin() as tx:
        alert = put_alert(tx, now=NOW)
        running = put_rollback(tx, alert, name, now=NOW, facts=FACTS)
        put_triggered(tx, telling, running, now=NOW)
    with world.store.begin() as tx:
        times = {"started_at": NOW, "confirmed_at": NOW + 30, "ended_at": NOW + 600}
        ended = rollbacks.change(tx, running, state=state.value, reason="0 errors of 22 ended conversations", **times)
        put_end(tx, telling, ended, now=NOW + 600)
    world.at = NOW + 600


def test_a_rollback_that_goes_well_wakes_nobody_and_is_a_change_an_incident_that_is_over_and_a_region(
    world: World,
) -> None:
    fail(world, state=State.SUCCEEDED)
    world.deliver()

    assert world.pending() == {}
    assert world.pagerduty.pages == []
    (change,) = world.pagerduty.changes
    assert "41 of 96 callers ended in an error" in change
    assert "0 errors of 22 ended conversations since" in change
    (incident,) = world.servicenow.incidents
    assert (incident["correlation_id"], incident["urgency"], incident["state"]) == ("r1", "2", "6")
    assert "13.0 made live" in incident["close_notes"]
    (region,) = world.grafana.annotations
    assert (region["time"], region["timeEnd"]) == (int(NOW * 1000), int((NOW + 600) * 1000))
    assert {"genesys-rollback", "ROLLBACK_SUCCEEDED", "flow_id:flow-1"} <= set(region["tags"])


def test_people_are_led_to_the_console_and_programs_to_the_api(world: World) -> None:
    fail(world, state=State.FAILED)
    world.deliver()
    page = f"{CONSOLE}/rollbacks/r1"
    (paged,) = world.pagerduty.events
    assert (paged["client_url"], [link["href"] for link in paged["links"]]) == (page, [page])
    (incident,), (region,) = world.servicenow.incidents, world.grafana.annotations
    assert page in incident["description"]
    assert page in region["text"]
    assert "/api/v1/" not in json.dumps([paged, incident, region])
    sent = json.loads(world.hook.requests[-1][1])
    record = "https://rollback.example.org/api/v1/rollbacks/r1"
    assert (sent["explain_url"], sent["undo_url"], sent["console_url"]) == (record, f"{record}/undo", page)


def test_an_incident_that_may_not_be_changed_keeps_those_of_others_from_nothing(world: World) -> None:
    world.put(IncidentType.AUTO_ROLLBACK_TRIGGERED, "r1", rollback_id="r1", **FACTS)
    world.deliver()
    world.servicenow.update_status = 403
    world.put(IncidentType.ROLLBACK_SUCCEEDED, "r1 succeeded", rollback_id="r1", **FACTS)
    world.put(IncidentType.ROLLBACK_FAILED, "r2", rollback_id="r2", **FACTS)
    world.deliver()
    assert [one["correlation_id"] for one in world.servicenow.incidents] == ["r1", "r2"]
    assert world.pending() == {}
    assert world.counted("sn")["refused"] == 1


def test_an_answer_that_holds_up_one_incident_holds_up_no_other_and_people_are_told(world: World) -> None:
    world.put(IncidentType.AUTO_ROLLBACK_TRIGGERED, "r1", rollback_id="r1", **FACTS)
    world.deliver()
    world.servicenow.update_status = 409
    world.put(IncidentType.ROLLBACK_FAILED, "r1 failed", rollback_id="r1", **FACTS)
    world.put(IncidentType.ROLLBACK_FAILED, "r2", rollback_id="r2", **FACTS)
    world.at += 1
    world.deliver()
    assert [one["correlation_id"] for one in world.servicenow.incidents] == ["r1", "r2"]
    assert world.pending() == {"sn": 1}

    with world.store.begin() as tx:
        oldest_at = outbox.backlog(tx)["sn"].oldest_at
    assert oldest_at == NOW, "by its age GenesysOutboxNotDraining fires"
    world.servicenow.update_status = 0
    world.at += 5
    world.deliver()
    assert world.pending() == {}
    assert len(world.servicenow.incidents[0]["notes"]) == 1


@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_change_that_is_not_taken_keeps_no_page_open_and_none_waiting(tmp_path: Path, status: int) -> None:
    with world_of(tmp_path, pagerduty={"page_at_start": True}) as world:
        world.pagerduty.change_status = status
        fail(world, state=State.SUCCEEDED)
        world.deliver()
        assert world.pending() == {}
        assert world.pagerduty.alerts == {"r1": "resolved"}
        assert world.pagerduty.changes == []


def test_page_at_start_pages_once_and_resolves_when_it_has_gone_well(tmp_path: Path) -> None:
    with world_of(tmp_path, pagerduty={"page_at_start": True}) as world:
        fail(world, state=State.SUCCEEDED)
        world.deliver()
        assert world.pagerduty.pages == ["r1"]
        assert world.pagerduty.alerts == {"r1": "resolved"}


@pytest.mark.parametrize("state", [State.FAILED, State.INEFFECTIVE, State.UNVERIFIED], ids=str)
def test_a_rollback_that_does_not_help_is_one_page_and_one_incident_that_stay_open(world: World, state: State) -> None:
    fail(world, state=state)
    world.deliver()
    assert world.pagerduty.pages == ["r1"]
    assert world.pagerduty.alerts == {"r1": "triggered"}
    (incident,) = world.servicenow.incidents
    assert "state" not in incident
    assert len(incident["notes"]) == 1


def test_what_was_held_back_first_and_rolled_back_later_leaves_no_page_open(world: World) -> None:
    guard = Guard(Verdict.MAINTENANCE, True, "release 12", "no window")
    with world.store.begin() as tx:
        alert = put_alert(tx, now=NOW)
        for verdict in (Verdict.MAINTENANCE, Verdict.PAUSED):
            decision = Decision(verdict, (Guard(verdict, True, "found", "allowed"), guard))
            put_suppressed(tx, telling_of(world.settings), alert, decision, FACTS, now=NOW)
    world.deliver()
    assert world.pagerduty.pages == ["retail/flow-1/14.0"]
    assert {one["client_url"] for one in world.pagerduty.events} == {f"{CONSOLE}/flows/retail/flow-1"}

    fail(world, state=State.SUCCEEDED)
    world.deliver()
    assert world.pagerduty.alerts == {"retail/flow-1/14.0": "resolved"}
    assert len(world.pagerduty.pages) == 1


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({}, id="nothing is known"),
        pytest.param({"org": "retail", "flow_id": "f" * 300, "accused_version_id": "14.0"}, id="a long id"),
        pytest.param({"rollback_id": "r1", "org": "retail", "reason": "long " * 1000, **FACTS}, id="a long reason"),
        pytest.param(
            {
                "rollback_id": "a^b=c",
                "flow_name": "\u0000\u202e" + "N" * 3000,
                "division": "D" * 3000,
                "reason": "R" * 3000,
            },
            id="odd characters",
        ),
    ],
)
def test_every_event_is_taken_by_every_service(world: World, event: dict[str, Any]) -> None:
    for kind in IncidentType:
        world.put(kind, **event)
    world.deliver()
    assert world.pending() == {}
    for sink in ("pd", "sn", "gf", "hook"):
        assert world.counted(sink) == {"delivered": len(IncidentType), "failed": 0, "refused": 0}, sink


@pytest.mark.parametrize("status", [429, 503])
def test_pagerduty_is_tried_again_when_it_is_busy_and_an_end_does_not_overtake_its_beginning(
    world: World, status: int
) -> None:
    world.pagerduty.status = status
    world.put(IncidentType.ROLLBACK_FAILED, "r1/failed", rollback_id="r1")
    world.put(IncidentType.ROLLBACK_SUCCEEDED, "r1/succeeded", rollback_id="r1")
    world.deliver()
    assert world.pagerduty.requests == 1, "the second event was sent while the first waits"
    assert world.pending() == {"pd": 2}

    world.pagerduty.status = 202
    world.at += 5
    world.deliver()
    assert world.pagerduty.alerts == {"r1": "resolved"}
    assert world.pending() == {}


def test_what_pagerduty_will_never_take_is_given_up_logged_and_counted_and_holds_up_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "f" * 32
    with world_of(tmp_path, env={"PD": wrong}) as world:
        world.put(IncidentType.ROLLBACK_FAILED, rollback_id="r1")
        world.put(IncidentType.ROLLBACK_UNVERIFIED, rollback_id="r2")
        world.deliver()
        assert world.counted("pd") == {"delivered": 0, "failed": 0, "refused": 2}
        assert world.pending() == {}
        world.at += 10_000
        world.deliver()
        assert world.pagerduty.requests == 2
    lines = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert len(lines) == 2
    assert "PagerDuty answered HTTP 400" in lines[0]
    assert "'routing_key' is invalid" in lines[0]
    assert wrong not in caplog.text


def test_a_wrong_password_is_tried_again_until_somebody_has_corrected_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with world_of(tmp_path, env={"SN": "another-password"}) as world:
        world.put(IncidentType.ROLLBACK_FAILED, rollback_id="r1")
        world.deliver()
        assert world.pending() == {"sn": 1}
        world.servicenow.user = "rollback:another-password"
        world.at += 5
        world.deliver()
        assert len(world.servicenow.incidents) == 1
    assert "ServiceNow answered HTTP 401: User Not Authenticated" in caplog.text
    assert "another-password" not in caplog.text


def test_an_event_that_comes_twice_is_one_page_one_incident_and_one_annotation(world: World) -> None:
    event = {"incident_type": "ROLLBACK_FAILED", "timestamp": "2026-11-22T13:23:20Z", "rollback_id": "r1"}
    for sink in sinks_of(world.settings, world.http):
        sink.send(event, "event-1")
        sink.send(event, "event-1")
    assert world.pagerduty.pages == ["r1"]
    assert len(world.servicenow.incidents) == 1
    assert len(world.grafana.annotations) == 1


def test_a_flow_that_is_held_back_again_after_its_incident_was_closed_gets_a_new_one(world: World) -> None:
    event = {"org": "retail", "flow_id": "flow-1", "accused_version_id": "14.0"}
    world.put(IncidentType.ROLLBACK_SUPPRESSED, "paused", **event)
    world.put(IncidentType.ROLLBACK_SUPPRESSED, "held", **event)
    world.deliver()
    (incident,) = world.servicenow.incidents
    incident["active"] = "false"
    world.put(IncidentType.ROLLBACK_SUPPRESSED, "maintenance", **event)
    world.deliver()
    assert [one["correlation_id"] for one in world.servicenow.incidents] == ["retail/flow-1/14.0"] * 2


def test_an_annotation_of_one_panel_is_drawn_once_too(tmp_path: Path) -> None:
    with world_of(tmp_path, grafana={"dashboard_uid": "rollback", "panel_id": 7, "tags": ["cc"]}) as world:
        event = {"incident_type": "ROLLBACK_FAILED", "timestamp": "2026-11-22T13:23:20Z"}
        sink = next(one for one in sinks_of(world.settings, world.http) if one.name == "gf")
        assert [sink.send(event, "e1"), sink.send(event, "e1")] == ["annotation added", "annotation was there"]
        (found,) = world.grafana.annotations
        assert (found["dashboardUID"], found["panelId"]) == ("rollback", 7)
        assert "cc" in found["tags"]


def test_a_signed_webhook_can_be_verified_and_has_none_of_our_own_notes(world: World) -> None:
    fail(world, state=State.SUCCEEDED)
    world.deliver()
    for headers, content in world.hook.requests:
        moment, _, digest = headers[SIGNATURE].partition(",")
        expected = hmac.new(b"secret-of-the-hook", moment[2:].encode() + b"." + content, sha256).hexdigest()
        assert hmac.compare_digest(digest, f"sha256={expected}")
        assert STORY not in json.loads(content)
        assert headers["Content-Type"] == "application/json"
    assert len(world.hook.requests) == 2


def test_a_sink_hears_only_of_what_it_asks_for(tmp_path: Path) -> None:
    narrowed = {"events": ["ROLLBACK_FAILED"], "orgs": ["retail"], "divisions": ["Retail"], "owners": ["voice-team"]}
    with world_of(tmp_path, pagerduty=narrowed) as world:
        good = {"org": "retail", "division": "Retail", "owner": "voice-team"}
        for number, change in enumerate(({"org": "bank"}, {"division": "Home"}, {"owner": "web"})):
            world.put(IncidentType.ROLLBACK_FAILED, f"no-{number}", rollback_id=f"no-{number}", **good | change)
        world.put(IncidentType.ROLLBACK_UNVERIFIED, "other", rollback_id="no-3", **good)
        world.put(IncidentType.ROLLBACK_FAILED, "yes", rollback_id="yes", **good)
        world.put(IncidentType.ROLLBACK_FAILED, "unknown", rollback_id="unknown-owner", org="retail")
        world.deliver()
        assert world.pagerduty.pages == ["yes", "unknown-owner"]
