"""Whether Prometheus evaluates the rules of this release, scrapes both programs, and has an Alertmanager."""

from collections.abc import Mapping
from typing import Any

from receiver.doctor.examination import Found, Step, failed, proved
from receiver.outbound import Outbound, OutboundError
from receiver.payload import ACTION, WATCHDOG
from receiver.policy import CONTRACT

RULES = "rules loaded"
JOBS = ("genesys-exporter", "rollback-receiver")  # as the shipped rules and prometheus.yml call them
_LOAD = "load rollback.rules.yml and health.rules.yml of this release (rule_files in prometheus.yml)"

Rule = Mapping[str, Any]


def steps(http: Outbound, url: str) -> list[Step]:
    base = url.rstrip("/")
    return [
        Step(RULES, lambda: _loaded(http, base)),
        Step("contract of the rules", lambda: _contract(http, base), needs=RULES),
        Step("health of the rules", lambda: _health(http, base), needs=RULES),
        Step("scrapes both programs", lambda: _targets(http, base), needs=RULES),
        Step("has an Alertmanager", lambda: _alertmanagers(http, base), needs=RULES),
    ]


def _loaded(http: Outbound, base: str) -> Found:
    groups = _groups(http, base)
    actions = {_label(rule, "genesys_action") for group in groups for rule in group["rules"]}
    missing = [action for action in (ACTION, WATCHDOG) if action not in actions]
    if missing:
        return failed(f"no rule with genesys_action {' or '.join(missing)} among {len(groups)} group(s)", _LOAD)
    return proved(f"groups {', '.join(sorted(group['name'] for group in groups if _is_ours(group)))}")


def _contract(http: Outbound, base: str) -> Found:
    rules = [rule for group in _groups(http, base) for rule in group["rules"]]
    ours = [rule for rule in rules if _label(rule, "genesys_action") in (ACTION, WATCHDOG)]
    others = {_label(rule, "genesys_contract") or "none" for rule in ours} - {CONTRACT}
    if others:
        return failed(f"contract {', '.join(sorted(others))}; this receiver obeys {CONTRACT} and refuses others", _LOAD)
    return proved(f"contract {CONTRACT}, which this receiver obeys")


def _health(http: Outbound, base: str) -> Found:
    ours = [rule for group in _groups(http, base) if _is_ours(group) for rule in group["rules"]]
    sick = [rule for rule in ours if rule["health"] != "ok"]
    if sick:
        first = sick[0]
        why = first.get("lastError") or "not evaluated yet"
        cure = "wait for an evaluation and run this again, or see Prometheus' page of rules"
        return failed(f"{len(sick)} of {len(ours)} rules are not ok; {first['name']}: {why}", cure)
    return proved(f"all {len(ours)} rules are ok")


def _targets(http: Outbound, base: str) -> Found:
    told = _data(http, f"{base}/api/v1/targets", {"state": "active"})
    try:
        health = {target["labels"]["job"]: target["health"] for target in told["activeTargets"]}
    except (KeyError, TypeError):
        raise OutboundError(f"{base} answers targets without job or health") from None
    down = [job for job in JOBS if health.get(job) != "up"]
    if down:
        seen = ", ".join(f"{job} {health.get(job, 'is no job')}" for job in down)
        return failed(seen, "start it, and scrape it as the shipped prometheus.yml does")
    return proved(f"{' and '.join(JOBS)} are up")


def _alertmanagers(http: Outbound, base: str) -> Found:
    told = _data(http, f"{base}/api/v1/alertmanagers", {})
    try:
        urls = [one["url"] for one in told["activeAlertmanagers"]]
    except (KeyError, TypeError):
        raise OutboundError(f"{base} answers alertmanagers without url") from None
    if not urls:
        return failed("none", "name it under `alerting` in prometheus.yml")
    return proved(", ".join(urls))


def _groups(http: Outbound, base: str) -> list[Mapping[str, Any]]:
    told = _data(http, f"{base}/api/v1/rules", {})
    try:
        groups = list(told["groups"])
        complete = all(isinstance(group["name"], str) and all(map(_is_rule, group["rules"])) for group in groups)
    except (KeyError, TypeError):
        complete = False
    if not complete:
        raise OutboundError(f"{base} answers rules without name, health or labels")
    return groups


def _is_rule(rule: Any) -> bool:
    return (
        isinstance(rule["name"], str) and isinstance(rule["health"], str) and isinstance(rule.get("labels", {}), dict)
    )


def _data(http: Outbound, url: str, params: Mapping[str, str]) -> Any:
    told = http.get_json(url, params)
    if not isinstance(told, dict) or told.get("status") != "success":
        raise OutboundError(f"{url} does not answer as Prometheus does; check --prometheus")
    return told.get("data")


def _label(rule: Rule, name: str) -> str:
    return str(rule.get("labels", {}).get(name, ""))


def _is_ours(group: Mapping[str, Any]) -> bool:
    """By what the shipped groups and alerts are called; somebody may have put the rules into other groups."""
    return group["name"].startswith("genesys") or any(rule["name"].startswith("Genesys") for rule in group["rules"])
