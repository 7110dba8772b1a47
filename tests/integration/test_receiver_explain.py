"""What would happen now: the loop's own guards, on a fresh reading, and nothing is written."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.test import TestResponse

from genesys.errors import Gone, Unavailable
from receiver.ctl.cli import main
from receiver.desk import Desk
from receiver.metrics import ReceiverMetrics
from receiver.policy import Verdict
from receiver.store import controls, flows
from receiver.web import create_app
from tests.integration.receiver_world import ALERTMANAGER, FLOW_ID, Scene, alert_of, fingerprint, scene
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, listening


class Asked:
    """A scene, and the API of its receiver."""

    def __init__(self, here: Scene, turn: "Lock | None" = None) -> None:
        self.here = here
        desk = Desk(here.another_receiver("asked").tools["retail"], turn or Lock())
        metrics = ReceiverMetrics(here.store, here.settings, ORGS)
        self.app = create_app(here.store, here.settings, ORGS, metrics, lambda: (), {"retail": desk})
        held_to_its_document(self.app)

    def call(self, path: str = f"/flows/retail/{FLOW_ID}/explain") -> TestResponse:
        headers = {"Authorization": f"Bearer {TOKENS['viewer']}"}
        return self.app.test_client().get(f"/api/v1{path}", headers=headers)

    def explain(self, query: str = "") -> Any:
        answer = self.call(f"/flows/retail/{FLOW_ID}/explain{query}")
        assert answer.status_code == 200, answer.text
        return answer.get_json()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path, alertmanagers=[ALERTMANAGER]) as made:
        made.alertmanager.list()
        yield made


def test_every_guard_is_there_with_what_was_found_and_what_is_allowed(here: Scene) -> None:
    shown = Asked(here).explain()

    assert [guard["guard"] for guard in shown["guards"]] == [one.value for one in Verdict if one != Verdict.ROLL_BACK]
    assert all(guard["value"] and guard["limit"] for guard in shown["guards"])
    assert (shown["verdict"], shown["flow_version"], shown["target_version"]) == ("roll_back", "14.0", "13.0")
    assert shown["alert_id"] is None
    assert shown["considered"][0] == {"version": "13.0", "reason": ""}
    assert shown["facts"]["flow_name"] == "Main IVR"


def test_it_says_what_the_loop_says(here: Scene) -> None:
    """Of the same moment, guard by guard; contents that nobody has read yet are not compared for it."""
    here.deliver()
    here.alertmanager.list(alert_of())
    with here.store.begin() as tx:
        controls.pause(tx, "retail", by="bob", reason="storm", now=here.time.now)
    here.receiver.tick()
    shown = Asked(here).explain()

    (decided,) = here.decisions()
    assert (shown["verdict"], decided.verdict) == ("paused", "paused")
    assert shown["guards"] == decided.guards
    assert shown["alert_id"] == decided.alert_id


def test_a_silence_of_the_open_alert_counts(here: Scene) -> None:
    here.deliver()
    here.alertmanager.list(alert_of())
    here.alertmanager.silenced = {fingerprint(): ["s1"]}

    assert Asked(here).explain()["verdict"] == "silenced"


def test_nothing_is_written(here: Scene, tmp_path: Path) -> None:
    def everything() -> list[str]:
        with closing(sqlite3.connect(tmp_path / "rollback.db")) as file:
            return list(file.iterdump())

    here.deliver()
    here.alertmanager.list(alert_of())
    asked = Asked(here)
    before = everything()
    assert asked.explain()["verdict"] == "roll_back"

    assert everything() == before
    assert here.published() == []


def test_the_reading_is_no_older_than_a_minute_and_costs_no_calls_until_then(here: Scene) -> None:
    asked = Asked(here)
    assert asked.explain()["flow_version"] == "14.0"
    here.genesys.make_live("15.0")
    assert asked.explain()["flow_version"] == "14.0"
    here.time.now += 60
    assert asked.explain()["flow_version"] == "15.0"


def test_the_signal_may_be_named(here: Scene) -> None:
    shown = Asked(here).explain("?signal=stuck")
    assert shown["signal"] == "stuck"
    assert "not_confirmed" in [one["guard"] for one in shown["guards"] if one["holds_back"]]
    assert Asked(here).call(f"/flows/retail/{FLOW_ID}/explain?signal=sound").status_code == 400


@pytest.mark.parametrize(
    "path", ["/flows/bank/flow-1/explain", "/flows/other/flow-1/explain", "/flows/retail/%00/explain"]
)
def test_a_flow_that_nobody_can_be_asked_about_is_404(here: Scene, path: str) -> None:
    assert Asked(here).call(path).status_code == 404


def test_a_flow_that_does_not_exist_is_404(here: Scene) -> None:
    answer = Asked(here).call("/flows/retail/flow-99/explain")
    assert answer.status_code == 404
    assert "flow-99" in answer.get_json()["detail"]


def test_a_listed_flow_that_cannot_be_read_is_503(here: Scene) -> None:
    with here.store.begin() as tx:
        flows.claim(tx, "retail", now=here.time.now, next_at=here.time.now + 600)
        flows.replace(tx, "retail", here.genesys.flows(), now=here.time.now)
    here.genesys.down = Unavailable("no answer", 503)
    answer = Asked(here).call()

    assert answer.status_code == 503
    assert "no answer" in answer.get_json()["detail"]


def test_what_could_not_be_read_holds_back(here: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def versions(_: str) -> Any:
        raise Gone("no versions", 404)

    monkeypatch.setattr(here.genesys, "versions", versions)
    shown = Asked(here).explain()
    assert [one["guard"] for one in shown["guards"] if one["unknown"]] == ["no_eligible_target", "awaiting_approval"]
    assert (shown["verdict"], shown["target_version"]) == ("no_eligible_target", None)


def test_questions_have_one_turn_so_that_a_slow_genesys_cloud_takes_one_thread(
    here: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.desk.TURN_WITHIN_S", 0.0)
    turn = Lock()
    asked = Asked(here, turn)
    with turn:
        answer = asked.call()
    assert answer.status_code == 503
    assert "ask again" in answer.get_json()["detail"]
    assert asked.call().status_code == 200


def test_rollbackctl_shows_it(here: Scene) -> None:
    with listening(Asked(here).app) as port:
        command = ["--url", f"http://127.0.0.1:{port}", "flow", "explain", "retail"]
        environ = {"ROLLBACKCTL_TOKEN": TOKENS["viewer"]}
        shown = CliRunner().invoke(main, [*command, FLOW_ID], env=environ)
        unknown = CliRunner().invoke(main, [*command, "flow-99"], env=environ)
    assert shown.exit_code == 0, shown.output
    assert "version 14.0: roll_back" in shown.output
    assert "nobody accuses it of error_exit; it would go back to: 13.0" in shown.output
    assert "COMMON_CAUSE" in shown.output.upper()
    assert unknown.exit_code == 1
