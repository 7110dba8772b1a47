"""What the parts share by name only: metrics, labels, label values, jobs, addresses, the alert contract.

No import ties a rule to a program, so nothing but these tests breaks when one of the two is renamed.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from flask import Flask
from werkzeug.test import Client

from exporter.config import ExporterConfig
from exporter.metrics import CATALOGUE as EXPORTED
from exporter.page import Board
from exporter.process import ProcessMetrics
from exporter.web import application
from genesys.evidence import WINDOWS, Signal
from genesys.settings import load
from receiver.catalogue import CATALOGUE as RECEIVED
from receiver.config import ReceiverSettings, Timing
from receiver.ctl.cli import DEFAULT_URL
from receiver.metrics import Outcome, ReceiverMetrics, Sending, Step
from receiver.payload import ACTION, MAX_KEY_CHARS, REQUIRED_LABELS, WATCHDOG
from receiver.policy import CONTRACT, Verdict
from receiver.store.database import Store
from receiver.store.rollbacks import State
from receiver.web.app import create_app
from tests.project.promql import groupings, selectors
from tests.project.shipped import (
    ROOT,
    SHIPPED,
    Rule,
    content,
    labels_of,
    metrics,
    name_of,
    queries,
    rules,
    series,
    unknown_names,
)

README = ROOT / "README.md"
METRICS = ROOT / "docs" / "metrics.md"
JOBS = {"genesys-exporter", "rollback-receiver"}
VALUES: Mapping[str, set[str]] = {
    "outcome": set(Outcome),
    "result": set(Sending),
    "signal": set(Signal),
    "state": set(State),
    "step": set(Step),
    "verdict": set(Verdict),
    "window": set(WINDOWS),
    "job": JOBS,
}
RULES = {f"{name_of(rule)}-{number}": rule for number, rule in enumerate(rules())}
ALERTS = {name: rule for name, rule in RULES.items() if "alert" in rule}
SERIES = series()


# Rules and catalogues ------------------------------------------------------------------------------------------------


def test_no_metric_is_published_by_both_programs() -> None:
    assert not EXPORTED.keys() & RECEIVED.keys()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_asks_only_for_series_that_exist(rule: Rule) -> None:
    for query in queries(rule):
        for selector in selectors(query):
            assert not unknown_names(selector, SERIES), query


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_matches_and_groups_by_labels_that_exist(rule: Rule) -> None:
    """Of our own metrics; `exported_org` is what Prometheus makes of an `org` that a target label replaced."""
    for query in queries(rule):
        for selector in selectors(query):
            for metric in selector.metrics:
                if metric in SERIES:
                    assert selector.labels <= SERIES[metric] | {"exported_org"}, f"{metric} in {query}"
        for labels, inner in groupings(query):
            names = [metric for selector in inner for metric in selector.metrics if metric in SERIES]
            if names:
                assert labels <= frozenset[str]().union(*(SERIES[name] for name in names)), query


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_compares_labels_with_values_that_exist(rule: Rule) -> None:
    for query in queries(rule):
        for selector in selectors(query):
            for label, _, value in selector.matchers:
                if value and label in VALUES:
                    assert set(value.split("|")) <= VALUES[label], f"{label} in {query}"


@pytest.mark.parametrize("rule", ALERTS.values(), ids=ALERTS)
def test_an_alerts_texts_use_labels_that_it_has(rule: Rule) -> None:
    used = {label for text in rule["annotations"].values() for label in re.findall(r"\$labels\.(\w+)", text)}
    asked = [metric for selector in selectors(rule["expr"]) for metric in selector.metrics]
    if asked and asked[0] in SERIES:
        assert used <= labels_of(rule["expr"], SERIES)


# Documents -----------------------------------------------------------------------------------------------------------


def rows(first_cell: str) -> list[list[str]]:
    """Rows of the tables of metrics whose first cell looks so."""
    lines = METRICS.read_text(encoding="utf-8").splitlines()
    return [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in lines
        if re.match(rf"\| {first_cell} \|", line)
    ]


def test_the_document_lists_every_metric_with_its_type_and_labels_and_no_other() -> None:
    listed = [(row[0].strip("`"), row[1], tuple(row[2].strip("`–").split())) for row in rows(r"`genesys_\w+`")]
    assert sorted(listed) == sorted(metrics())


def test_the_readme_says_why_each_dependency_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    names = [re.split(r"[>\[]", line)[0] for line in lines]
    section = README.read_text(encoding="utf-8").partition("## Dependencies")[2].partition("\n## ")[0]
    assert re.findall(r"^\| ([a-z0-9-]+)(?: \(.*?\))? \|", section, flags=re.MULTILINE) == names


# What people read, and the texts of /metrics.
DOCUMENTS = (
    README,
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(SHIPPED.glob("*.*")),
    *sorted(ROOT.glob("*/*.example.yml")),
    ROOT / "exporter" / "metrics.py",
    ROOT / "receiver" / "catalogue.py",
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_people_are_pointed_only_to_metrics_and_labels_that_exist(document: Path) -> None:
    words = set(re.findall(r"(?<![:\w/-])genesys_[a-z_]+[a-z]\b(?![:-])", document.read_text(encoding="utf-8")))
    assert words <= {*SERIES, *EXPORTED, *RECEIVED, "genesys_action", "genesys_contract"}


# The alert contract --------------------------------------------------------------------------------------------------


def failing(action: str) -> Rule:
    (rule,) = [
        rule
        for rule in rules()
        if rule.get("alert") == "GenesysFlowFailing" and rule["labels"]["genesys_action"] == action
    ]
    return rule


def alert_labels(rule: Rule) -> set[str]:
    """Labels of the alert; a static one that is empty takes its label away."""
    static = rule["labels"]
    return {label for label in {*labels_of(rule["expr"], SERIES), *static} if static.get(label) != ""}


@pytest.mark.parametrize("action", [ACTION, "page"])
def test_the_alert_has_every_label_that_the_receiver_requires(action: str) -> None:
    """And no label that changes while the same version fails: the alert would start anew."""
    rule = failing(action)
    assert alert_labels(rule) == {*REQUIRED_LABELS, "severity", "genesys_action", "genesys_contract"}
    assert rule["labels"]["genesys_contract"] == CONTRACT
    assert max(len(value) for value in rule["labels"].values()) <= MAX_KEY_CHARS


def test_the_watchdog_has_the_action_by_which_the_receiver_knows_it() -> None:
    watchdogs = [rule for rule in rules() if rule.get("labels", {}).get("genesys_action") == WATCHDOG]
    assert [rule["alert"] for rule in watchdogs] == ["GenesysWatchdog", "GenesysDataWatchdog"]
    assert {rule["labels"]["genesys_contract"] for rule in watchdogs} == {CONTRACT}
    assert alert_labels(watchdogs[1]) >= {"org"}


def test_the_rules_call_the_path_silent_when_the_receiver_does() -> None:
    (rule,) = [rule for rule in rules() if rule.get("alert") == "GenesysAlertPathSilent"]
    assert f"> {Timing().watchdog_silent_s:.0f}  # seconds" in rule["expr"]


def test_the_alert_has_every_annotation_that_the_receiver_reads() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "receiver").rglob("*.py"))
    read = set(re.findall(r'annotations(?:\.get\(|\[|"\]\.get\()"(\w+)"', sources))
    assert read
    assert read <= failing(ACTION)["annotations"].keys()


def test_alertmanager_groups_and_inhibits_by_labels_that_the_alerts_have() -> None:
    configured = content("alertmanager.yml")
    target = alert_labels(failing(ACTION))
    to_us = [route for route in configured["route"]["routes"] if route["receiver"] == "rollback-receiver"]
    assert [each["matchers"] for each in to_us] == [[f'genesys_action="{action}"'] for action in (ACTION, WATCHDOG)]
    route = to_us[0]
    assert set(route["group_by"]) <= set(REQUIRED_LABELS)
    alerts = {rule["alert"]: rule for rule in rules() if "alert" in rule}
    for inhibition in configured["inhibit_rules"]:
        (source,) = inhibition["source_matchers"]
        found = re.fullmatch(r'alertname="(\w+)"', source)
        assert found
        assert set(inhibition["equal"]) <= target & alert_labels(alerts[found[1]])


def test_alertmanager_names_only_alerts_that_exist() -> None:
    named = set(re.findall(r"\bGenesys[A-Z]\w+", yaml.safe_dump(content("alertmanager.yml"))))
    assert named <= {rule["alert"] for rule in rules() if "alert" in rule}


# Addresses -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Flask]:
    """The receiver's application with the shortest configuration there is."""
    file = tmp_path / "receiver.yml"
    token = {"name": "alertmanager", "roles": ["alertmanager"], "token_env": "TOKEN"}
    file.write_text(yaml.safe_dump({"tokens": [token], "flows": [{"match": "*", "mode": "observe"}]}))
    settings = load(file, ReceiverSettings, environ={"TOKEN": "a-token-of-some-length"})
    store = Store(f"sqlite:///{tmp_path / 'rollback.db'}")
    yield create_app(store, settings, ["retail"], ReceiverMetrics(store, settings, ["retail"]), lambda: ())
    store.close()


def served(app: Flask) -> set[tuple[str, str]]:
    return {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or ()}


def targets(job: str) -> list[str]:
    (found,) = [each for each in content("prometheus.yml")["scrape_configs"] if each["job_name"] == job]
    assert found["honor_labels"] is True
    assert "metrics_path" not in found  # so it is /metrics
    return [target for static in found["static_configs"] for target in static["targets"]]


def test_prometheus_scrapes_both_programs_where_they_listen_by_default() -> None:
    assert targets("genesys-exporter") == [str(ExporterConfig().listen)]
    assert targets("rollback-receiver") == [str(ReceiverSettings.model_fields["listen"].default)]


def test_alertmanager_delivers_where_the_receiver_takes_alerts(receiver: Flask) -> None:
    webhooks = [hook for each in content("alertmanager.yml")["receivers"] for hook in each.get("webhook_configs", ())]
    (url,) = [urlsplit(hook["url"]) for hook in webhooks]
    assert url.netloc == str(ReceiverSettings.model_fields["listen"].default)
    assert ("POST", url.path) in served(receiver)


def test_rollbackctl_looks_for_the_receiver_where_it_listens_by_default() -> None:
    listens = ReceiverSettings.model_fields["listen"].default
    assert urlsplit(DEFAULT_URL).netloc == str(listens)


def test_both_programs_serve_metrics_and_their_health(receiver: Flask) -> None:
    board = Board(["retail"], ProcessMetrics(), stale_after_s=180, clock=lambda: 0.0)
    for path in ("/metrics", "/-/healthy", "/-/ready"):
        assert ("GET", path) in served(receiver)
        assert Client(application(board)).get(path).status_code != HTTPStatus.NOT_FOUND


def test_the_jobs_of_the_rules_are_those_of_the_configuration() -> None:
    assert {each["job_name"] for each in content("prometheus.yml")["scrape_configs"]} >= JOBS
    asked = [selector for rule in rules() for query in queries(rule) for selector in selectors(query)]
    assert {value for selector in asked for label, _, value in selector.matchers if label == "job"} == JOBS
