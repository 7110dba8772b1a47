"""Safeties that the demo can take out, to show that it would notice: `BREAK=rules make demo` must fail.

Configuration files are changed after they were written for the demo, `lease` gives
each receiver a database of its own, and two breaks replace a function of the
receiver in its process. The product has no switch for any of them.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml


class Break(StrEnum):
    """What is taken out; each has the scenario that depends on it."""

    RULES = "rules"
    INHIBIT = "inhibit"
    LEASE = "lease"
    READBACK = "readback"
    EVIDENCE = "evidence"


SCENARIOS = {
    Break.RULES: "low-traffic",  # the plain ratio accuses a version for one failed call at night
    Break.INHIBIT: "maintenance",
    Break.LEASE: "two-receivers",  # each with a database of its own
    Break.READBACK: "bad-deploy",  # against a Genesys Cloud that answers 200 and does nothing
    Break.EVIDENCE: "forged-alert",
}


def break_files(folder: Path, broken: Break) -> None:
    """Take a safety out of the files of a stack, if it is one that is in a file."""
    if broken is Break.RULES:
        _edit(folder / "rollback.rules.yml", _plain_ratio)
    elif broken is Break.INHIBIT:
        _edit(folder / "alertmanager.yml", _without_inhibition)


def _edit(path: Path, change: Callable[[Any], None]) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False, width=1000), encoding="utf-8")


def _plain_ratio(rules: Any) -> None:
    """The rule that everybody writes first."""
    alert = next(rule for rule in rules["groups"][0]["rules"] if rule.get("alert") == "GenesysFlowFailing")
    alert["expr"] = 'org_flow:genesys_flow_error_ratio{window="5m"} > 0.05'


def _without_inhibition(configuration: Any) -> None:
    configuration["inhibit_rules"] = []
