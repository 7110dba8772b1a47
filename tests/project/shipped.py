"""The shipped files as the tests of names see them: rules with their queries, and what the programs publish."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from exporter.metrics import CATALOGUE as EXPORTED
from receiver.catalogue import CATALOGUE as RECEIVED
from tests.project.promql import Selector, code, groupings, selectors

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "alert_rules"
PROMETHEUS_OWN = frozenset({"up", "ALERTS", "ALERTS_FOR_STATE"})
TARGET_LABELS = frozenset({"job", "instance"})

Rule = dict[str, Any]


def content(name: str) -> Any:
    """A YAML file of alert_rules/."""
    return yaml.safe_load((SHIPPED / name).read_text(encoding="utf-8"))


def rules() -> list[Rule]:
    return [
        rule
        for file in sorted(SHIPPED.glob("*.rules.yml"))
        for group in content(file.name)["groups"]
        for rule in group["rules"]
    ]


def name_of(rule: Rule) -> str:
    return str(rule.get("record") or rule["alert"])


def queries(rule: Rule) -> Iterator[str]:
    """What a rule asks Prometheus: its expression, and what its annotations look up."""
    yield rule["expr"]
    for text in rule.get("annotations", {}).values():
        for query in re.findall(r'printf "((?:[^"\\]|\\.)*)"[^|}]*\| query', text):
            yield query.replace("%q", '""')


def metrics() -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, type and labels of every metric of the two programs."""
    exported = [(metric.name, str(metric.type), metric.labels) for metric in EXPORTED.values()]
    return exported + [(metric.name, str(metric.type), metric.labels) for metric in RECEIVED.values()]


def published() -> dict[str, frozenset[str]]:
    """Every series that the two programs publish, with its labels and those of the target."""
    found: dict[str, frozenset[str]] = {}
    for name, type_, own in metrics():
        labels = TARGET_LABELS.union(own)
        if type_ == "histogram":
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[name] = labels
    return found


def series() -> dict[str, frozenset[str]]:
    """What the two programs publish and what the rules record, with the labels of each."""
    known = published()
    for rule in rules():
        if "record" in rule:
            known[rule["record"]] = labels_of(rule["expr"], known) | frozenset(rule.get("labels", {}))
    return known


def labels_of(expression: str, known: dict[str, frozenset[str]]) -> frozenset[str]:
    """Labels of an expression's result, for what the rules are made of.

    An aggregation that stands first says them itself. Anything else (set
    operators, arithmetic, many-to-one matching) keeps those of its first operand.
    """
    words = [word.text for word in code(expression) if word.text != "("]
    if words[0] in ("min", "max", "sum", "count", "avg") and words[1] == "by":
        return next(iter(groupings(expression)))[0]
    return known[selectors(expression)[0].metrics[0]]


def unknown_names(selector: Selector, known: dict[str, frozenset[str]]) -> list[str]:
    """Metrics of a selector that neither a program publishes, nor a rule records, nor Prometheus has by itself."""
    return [
        metric
        for metric in selector.metrics
        if metric not in known and metric not in PROMETHEUS_OWN and not metric.startswith("prometheus_")
    ]
