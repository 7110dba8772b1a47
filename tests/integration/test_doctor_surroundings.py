"""What the doctor says of database, webhook, Alertmanager and Prometheus, with good and bad answers.

Alertmanager and Prometheus are an application that answers in their form; the real ones are met in acceptance.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from receiver.doctor import prometheus, surroundings
from receiver.doctor.examination import Finding, State, examine
from receiver.metrics import ReceiverMetrics
from receiver.outbound import Outbound
from receiver.policy import CONTRACT
from receiver.store import watchdog
from receiver.store.database import Store, clock
from receiver.web.app import create_app
from tests.receiver_world import listening, opened, settings_of

PROVED, NOT_PROVED, FAILED, SKIPPED = State.PROVED, State.NOT_PROVED, State.FAILED, State.SKIPPED
NOBODY = "http://127.0.0.1:1"


class Neighbours:
    """Alertmanager and Prometheus on one port, as sound as can be until a test changes an answer."""

    def __init__(self) -> None:
        labels = {"genesys_contract": CONTRACT}
        rules = [
            {"name": "GenesysFlowFailing", "health": "ok", "labels": labels | {"genesys_action": "rollback"}},
            {"name": "GenesysWatchdog", "health": "ok", "labels": labels | {"genesys_action": "watchdog"}},
            {"name": "flow:started:rate5m", "health": "ok"},
        ]
        self.rules = rules
        targets = [{"labels": {"job": job}, "health": "up"} for job in prometheus.JOBS]
        self.targets = targets
        self.peers = [{"url": "http://alertmanager:9093/api/v2/alerts"}]
        self.answers: dict[str, Any] = {
            "/api/v1/rules": {"groups": [{"name": "genesys-rollback", "rules": rules}]},
            "/api/v1/targets": {"activeTargets": targets},
            "/api/v1/alertmanagers": {"activeAlertmanagers": self.peers},
        }
        self.listed: Any = [{"receivers": [{"name": "rollback-receiver"}], "status": {"state": "active"}}]
        self.app = Flask("neighbours")
        self.app.add_url_rule("/api/v2/status", "status", lambda: {"versionInfo": {"version": "0.27.0"}})
        self.app.add_url_rule("/api/v2/alerts", "alerts", lambda: self.listed)
        for path in self.answers:
            self.app.add_url_rule(path, path, lambda path=path: {"status": "success", "data": self.answers[path]})


@pytest.fixture
def neighbours() -> Neighbours:
    return Neighbours()


@pytest.fixture
def http() -> Iterator[Outbound]:
    with closing(Outbound(2.0)) as made:
        yield made


def told(steps: list[Any]) -> dict[str, Finding]:
    return {one.step: one for one in examine("x", steps, lambda *_: None)}


def around_of(folder: Path, http: Outbound, **changes: Any) -> surroundings.Around:
    return surroundings.Around(settings_of(folder, **changes), ["retail", "bank"], http, time.time)


# Prometheus ----------------------------------------------------------------------------------------------------------


def of_prometheus(neighbours: Neighbours, http: Outbound) -> dict[str, Finding]:
    with listening(neighbours.app) as port:
        return told(prometheus.steps(http, f"http://127.0.0.1:{port}/"))


def test_a_sound_prometheus_is_proved(neighbours: Neighbours, http: Outbound) -> None:
    found = of_prometheus(neighbours, http)
    assert {one.state for one in found.values()} == {PROVED}
    assert CONTRACT in found["contract of the rules"].seen


@pytest.mark.parametrize(
    ("change", "step", "seen"),
    [
        (lambda one: one.rules.pop(0), "rules loaded", "no rule with genesys_action rollback"),
        (lambda one: one.rules[0]["labels"].update(genesys_contract="9"), "contract of the rules", "contract 9"),
        (lambda one: one.rules[0]["labels"].pop("genesys_contract"), "contract of the rules", "contract none"),
        (lambda one: one.rules[2].update(health="err", lastError="boom"), "health of the rules", "boom"),
        (lambda one: one.targets[0].update(health="down"), "scrapes both programs", "genesys-exporter down"),
        (lambda one: one.targets.pop(), "scrapes both programs", "rollback-receiver is no job"),
        (
            lambda one: one.answers["/api/v1/alertmanagers"]["activeAlertmanagers"].clear(),
            "has an Alertmanager",
            "none",
        ),
        (lambda one: one.answers.update({"/api/v1/rules": {"groups": [{"name": 1}]}}), "rules loaded", "without name"),
    ],
)
def test_what_is_wrong_with_prometheus_is_named(
    neighbours: Neighbours, http: Outbound, change: Any, step: str, seen: str
) -> None:
    change(neighbours)
    found = of_prometheus(neighbours, http)[step]
    assert (found.state, seen in found.seen, bool(found.cure)) == (FAILED, True, True)


# Alertmanager --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "state", "seen"),
    [
        (None, PROVED, "goes to rollback-receiver"),
        ([], FAILED, "does not fire"),
        ([{"receivers": [{"name": "people"}], "status": {"state": "suppressed"}}], FAILED, "silenced"),
        ([{"receivers": "?"}], FAILED, "without receivers"),
    ],
)
def test_alertmanager_must_have_the_watchdog(
    neighbours: Neighbours, http: Outbound, tmp_path: Path, listed: Any, state: State, seen: str
) -> None:
    neighbours.listed = neighbours.listed if listed is None else listed
    with listening(neighbours.app) as port:
        around = around_of(tmp_path, http, alertmanagers=[f"http://127.0.0.1:{port}/"])
        ((_, steps),) = surroundings.alertmanagers(around)
        found = told(steps)
    assert found["reached"].seen == "Alertmanager 0.27.0"
    assert (found["has the watchdog"].state, seen in found["has the watchdog"].seen) == (state, True)


def test_a_peer_that_does_not_answer_is_told_and_no_peer_at_all_too(http: Outbound, tmp_path: Path) -> None:
    ((_, steps),) = surroundings.alertmanagers(around_of(tmp_path, http, alertmanagers=[NOBODY]))
    assert [one.state for one in told(steps).values()] == [FAILED, SKIPPED]
    ((_, steps),) = surroundings.alertmanagers(around_of(tmp_path, http))
    assert [one.state for one in told(steps).values()] == [NOT_PROVED]


# Database and webhook ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ago_s", "state"), [(None, FAILED), (30.0, PROVED), (700.0, FAILED)])
def test_alerts_arrive_if_the_watchdog_did(http: Outbound, tmp_path: Path, ago_s: float | None, state: State) -> None:
    around = around_of(tmp_path, http)
    with opened(around.settings) as store:
        if ago_s is not None:
            with store.begin() as tx:
                watchdog.arrived(tx, now=clock(tx) - ago_s)
        found = told(surroundings.database(around))
    assert found["alerts arrive"].state is state
    assert {found[step].state for step in ("database", "its clock")} == {PROVED}


@pytest.mark.parametrize(
    ("ago_s", "state", "seen"),
    [
        ({}, FAILED, "retail, bank"),
        ({"retail": 30.0, "bank": 700.0}, FAILED, "flows of bank"),
        ({"retail": 30.0, "bank": 60.0}, PROVED, "retail, bank"),
    ],
)
def test_flows_are_watched_if_the_watchdog_of_each_organization_arrived(
    http: Outbound, tmp_path: Path, ago_s: Mapping[str, float], state: State, seen: str
) -> None:
    around = around_of(tmp_path, http)
    with opened(around.settings) as store:
        with store.begin() as tx:
            for org, ago in {"": 30.0, **ago_s}.items():
                watchdog.arrived(tx, now=clock(tx) - ago, org=org)
        found = told(surroundings.database(around))["flows are watched"]
    assert (found.state, seen in found.seen) == (state, True)


def test_a_clock_that_differs_from_the_databases_is_told(http: Outbound, tmp_path: Path) -> None:
    around = surroundings.Around(settings_of(tmp_path), [], http, lambda: time.time() + 60)
    with opened(around.settings):
        assert told(surroundings.database(around))["its clock"].state is FAILED


def test_without_its_database_nothing_is_made(http: Outbound, tmp_path: Path) -> None:
    found = told(surroundings.database(around_of(tmp_path, http)))
    assert [one.state for one in found.values()] == [FAILED, SKIPPED, SKIPPED, SKIPPED]
    assert not (tmp_path / "rollback.db").exists()


@pytest.mark.parametrize(
    ("problems", "tokens", "states"),
    [
        ((), None, [PROVED, PROVED]),
        (("the worker is silent",), None, [FAILED, SKIPPED]),
        ((), [{"name": "new", "roles": ["alertmanager"], "token_env": "SINK_TOKEN"}], [PROVED, FAILED]),
    ],
)
def test_the_webhook_takes_alertmanagers_token(
    http: Outbound, tmp_path: Path, problems: tuple[str, ...], tokens: Any, states: list[State]
) -> None:
    running = settings_of(tmp_path)
    with opened(running) as store:
        app = create_app(store, running, ["retail"], ReceiverMetrics(store, running, ["retail"]), lambda: problems)
        with listening(app) as port:
            more = {} if tokens is None else {"tokens": tokens}
            around = around_of(tmp_path, http, external_url=f"http://127.0.0.1:{port}/", **more)
            found = told(surroundings.webhook(around))
        assert [one.state for one in found.values()] == states
        assert nothing_stored(store)


def nothing_stored(store: Store) -> bool:
    with store.begin() as tx:
        return watchdog.last_seen(tx) is None


@pytest.mark.parametrize(
    ("listen", "base"),
    [("0.0.0.0:9743", "127.0.0.1:9743"), ("[::]:9743", "[::1]:9743"), ("10.0.0.1:80", "10.0.0.1:80")],
)
def test_without_an_external_url_it_is_asked_where_it_listens(
    http: Outbound, tmp_path: Path, listen: str, base: str
) -> None:
    assert surroundings.base_of(settings_of(tmp_path, listen=listen)) == f"http://{base}"
