"""Writes what deploy/ has of the shipped files, so that no threshold and no route stands in two places by hand.

`python dev/deploy_files.py` after a change in alert_rules/ or grafana/; a test compares.
"""

from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
COMPOSE, KUBERNETES = Path("deploy/compose"), Path("deploy/kubernetes")
WEBHOOK = "http://127.0.0.1:9743/api/v1/alerts"

# In compose every program has a host of its own; Prometheus still finds itself on 127.0.0.1.
ADDRESSES = {
    "127.0.0.1:9742": "exporter:9742",
    "127.0.0.1:9743": "receiver:9743",
    "127.0.0.1:9093": "alertmanager:9093",
}
TOKEN = {"credentials_file: rollback-receiver.token": "credentials_file: /run/secrets/alertmanager-token"}
COMPOSED = {
    "prometheus.yml": ("alert_rules/prometheus.yml", ADDRESSES),
    "alertmanager.yml": (
        "alert_rules/alertmanager.yml",
        {"127.0.0.1:9743": ADDRESSES["127.0.0.1:9743"], "; relative to this file": ""} | TOKEN,
    ),
    "datasource.yml": (
        "grafana/provisioning/datasources/prometheus.yml",
        {"http://127.0.0.1:9090": "http://prometheus:9090"},
    ),
}
MADE_BY = "# Made by dev/deploy_files.py of {}; change that one.\n"


def made() -> dict[Path, str]:
    """Each file by its path in the project. Raises `ValueError` where a shipped file is not what is expected."""
    files = {COMPOSE / name: _replaced(source, words) for name, (source, words) in COMPOSED.items()}
    files[KUBERNETES / "prometheus-rule.yaml"] = _prometheus_rule()
    files[KUBERNETES / "alertmanager-config.yaml"] = _alertmanager_config()
    return files


def _replaced(source: str, words: dict[str, str]) -> str:
    text = (ROOT / source).read_text(encoding="utf-8")
    for old, new in words.items():
        if old not in text:
            raise ValueError(f"{source} has no {old}")
        text = text.replace(old, new)
    return MADE_BY.format(source) + text


def _prometheus_rule() -> str:
    """The rule files with their comments: one object, so that they are never half there."""
    head = MADE_BY.format("alert_rules/*.rules.yml") + (
        "#\n# `enforcedNamespaceLabel` of the Prometheus object would add a matcher to each expression: exclude this\n"
        "# namespace from it, or the rules find nothing.\n"
        "apiVersion: monitoring.coreos.com/v1\n"
        "kind: PrometheusRule\n"
        "metadata:\n"
        "  name: genesys-rollback-bridge\n"
        "spec:\n"
        "  groups:\n"
    )
    parts = []
    for path in sorted((ROOT / "alert_rules").glob("*.rules.yml")):
        before, key, after = path.read_text(encoding="utf-8").partition("groups:\n")
        if not key or before.strip() != "\n".join(line for line in before.splitlines() if line[:1] == "#"):
            raise ValueError(f"{path.name} has something beside its groups")
        parts.append(indent(f"# {path.name}\n#\n{before}", "  ") + indent(after, "  "))
    return head + "".join(parts)


ROUTE = {
    "group_by": "groupBy",
    "group_wait": "groupWait",
    "group_interval": "groupInterval",
    "repeat_interval": "repeatInterval",
}


def _alertmanager_config() -> str:
    shipped = yaml.safe_load((ROOT / "alert_rules" / "alertmanager.yml").read_text(encoding="utf-8"))
    (hook,) = [hook for each in shipped["receivers"] for hook in each.get("webhook_configs", ())]
    if hook["url"] != WEBHOOK:
        raise ValueError(f"alertmanager.yml delivers to {hook['url']}")
    webhook = {
        "url": WEBHOOK.replace("127.0.0.1", "rollback-receiver.rollback-bridge.svc"),
        "sendResolved": hook["send_resolved"],
        "httpConfig": {
            "authorization": {
                "type": "Bearer",
                "credentials": {"name": "rollback-receiver", "key": "alertmanager-token"},
            }
        },
    }
    spec = {
        "route": {
            "receiver": "nobody",
            "routes": [
                {"receiver": route["receiver"], "matchers": _matchers(route["matchers"])}
                | {new: route[old] for old, new in ROUTE.items() if old in route}
                for route in shipped["route"]["routes"]
            ],
        },
        "receivers": [{"name": "rollback-receiver", "webhookConfigs": [webhook]}, {"name": "nobody"}],
        "inhibitRules": [
            {
                "sourceMatch": _matchers(rule["source_matchers"]),
                "targetMatch": _matchers(rule["target_matchers"]),
                "equal": rule["equal"],
            }
            for rule in shipped["inhibit_rules"]
        ],
    }
    document = {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": "genesys-rollback-bridge"},
        "spec": spec,
    }
    head = MADE_BY.format("alert_rules/alertmanager.yml") + (
        "#\n"
        "# The Alertmanager object needs `alertmanagerConfigMatcherStrategy: {type: None}`: by default the operator\n"
        '# adds the matcher namespace="rollback-bridge" to every route and inhibition. Our alerts are folded by\n'
        "# organization and have no such label, so nothing would ever be delivered, nor inhibited.\n"
        "#\n"
        "# The operator lets what matched here go on to the other routes: people are told of a failing flow as well.\n"
    )
    return head + yaml.safe_dump(document, sort_keys=False, width=120)


def _matchers(matchers: list[str]) -> list[dict[str, Any]]:
    found = []
    for matcher in matchers:
        name, match_type, value = matcher.replace('"', "").partition("=~" if "=~" in matcher else "=")
        found.append({"name": name, "matchType": match_type, "value": value})
    return found


if __name__ == "__main__":
    for path, text in made().items():
        (ROOT / path).write_text(text, encoding="utf-8")
