"""The shipped rule files are valid, tested alert by alert, and lead the person on call to the runbook."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from receiver.policy import FINAL, Verdict
from tests.rules.conftest import ROOT, Run
from tests.rules.flow_cases import CASES

SHIPPED = ROOT / "alert_rules"
RULE_FILES = (SHIPPED / "rollback.rules.yml", SHIPPED / "health.rules.yml")
CASE_FILES = sorted((Path(__file__).parent / "promtool").glob("*.yml"))
RUNBOOK_URL = "https://github.com/genesys-rollback-bridge/genesys-rollback-bridge/blob/main/alert_rules/RUNBOOK.md#"


def _rules() -> Iterator[dict[str, Any]]:
    for file in RULE_FILES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from group["rules"]


ALERTS = [rule for rule in _rules() if "alert" in rule]


def _static_labels(rule: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in rule["labels"].items() if value}


def _checks() -> Iterator[dict[str, Any]]:
    """Every `alert_rule_test` of the files and of the modelled cases."""
    for document in [yaml.safe_load(file.read_text()) for file in CASE_FILES] + [case.document() for case in CASES]:
        for test in document["tests"]:
            yield from test.get("alert_rule_test", ())


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda file: file.name)
def test_a_rule_file_is_valid(file: Path, promtool: Run) -> None:
    promtool("check", "rules", "--lint-fatal", file)


def test_the_prometheus_configuration_is_valid_and_loads_every_rule_file(promtool: Run) -> None:
    promtool("check", "config", SHIPPED / "prometheus.yml")
    configured = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    assert configured["rule_files"] == [file.name for file in RULE_FILES]


@pytest.mark.parametrize("file", CASE_FILES, ids=lambda file: file.stem)
def test_rules_give_what_the_file_says(file: Path, promtool: Run) -> None:
    promtool("test", "rules", file)


def test_every_alert_fires_in_one_case_and_is_silent_in_another() -> None:
    fires: list[tuple[str, dict[str, str]]] = []
    silent: set[str] = set()
    for check in _checks():
        fires.extend((check["alertname"], alert["exp_labels"]) for alert in check["exp_alerts"])
        if not check["exp_alerts"]:
            silent.add(check["alertname"])
    for rule in ALERTS:
        labels = _static_labels(rule).items()
        assert any(name == rule["alert"] and labels <= found.items() for name, found in fires), f"{rule} never fires"
        assert rule["alert"] in silent or rule["expr"] == "vector(1)", f"{rule['alert']} is never shown to be silent"


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']} {_static_labels(rule)}")
def test_an_alert_tells_people_what_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"] == RUNBOOK_URL + rule["alert"].lower()


def test_each_alert_has_one_section_in_the_runbook_that_answers_six_questions() -> None:
    parts = re.split(r"^### (\w+)$", (SHIPPED / "RUNBOOK.md").read_text(), flags=re.MULTILINE)
    titles, texts = parts[1::2], parts[2::2]
    assert sorted(titles) == sorted({rule["alert"] for rule in ALERTS})
    for title, text in zip(titles, texts, strict=True):
        for question in ("Means.", "How bad.", "Check.", "Do.", "Silence.", "False alarm?"):
            assert f"**{question}**" in text, f"{title}: {question}"


def test_the_runbook_explains_every_verdict() -> None:
    table = (SHIPPED / "RUNBOOK.md").read_text().partition("## Verdicts")[2]
    kinds = {verdict: "final" if verdict in FINAL else "passing" for verdict in Verdict} | {Verdict.ROLL_BACK: "–"}
    listed = re.findall(r"^\| `(\w+)` \| (\S+) \|", table, flags=re.MULTILINE)
    assert listed == [(verdict.value, kind) for verdict, kind in kinds.items()]


def test_the_rollback_alert_is_kept_by_nothing_but_new_data() -> None:
    failing = [rule for rule in ALERTS if rule["alert"] == "GenesysFlowFailing"]
    assert {rule["labels"]["genesys_action"] for rule in failing} == {"rollback", "page"}
    for rule in failing:
        assert rule["for"] == "3m"
        assert "keep_firing_for" not in rule


def test_the_rollback_rules_know_no_label_of_a_prometheus_and_what_they_send_has_none() -> None:
    """So two servers send the same alert: their external label `replica` is dropped on the way."""
    configured = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    assert {"action": "labeldrop", "regex": "replica"} in configured["alerting"]["alert_relabel_configs"]
    assert not any("replica" in rule["expr"] for rule in _rules())


@pytest.mark.parametrize("rule", list(_rules()), ids=lambda rule: rule.get("record", rule.get("alert")))
def test_a_number_that_is_a_time_stands_alone_and_says_so(rule: dict[str, Any]) -> None:
    """Time-lapse divides durations (`3m`) and these numbers; a range inside an annotation it would not find."""
    marked = re.findall(r"^ *[<>]=? \d+ +# seconds: \S.*$", rule["expr"], flags=re.MULTILINE)
    if re.search(r"time\(\)|offset|age_seconds", rule["expr"]):
        assert len(marked) == len(re.findall(r"[<>]=?", re.sub(r"#.*", "", rule["expr"])))
    assert len(marked) == rule["expr"].count("# seconds:")
    assert not any(re.search(r"\[\d+[smhd]", text) for text in rule.get("annotations", {}).values())
