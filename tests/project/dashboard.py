"""The shipped dashboards as their tests see them: queries with their places, and variables filled in as in Grafana."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).resolve().parents[2] / "grafana"
NAMES = ("overview", "flow", "bridge")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel; `instant` ones show only how things stand at the end of the time range."""

    dashboard: str
    panel: str
    ref: str
    expression: str
    legend: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel}, {self.ref}"


def file(name: str) -> Path:
    return GRAFANA / "dashboards" / f"{name}.json"


def dashboard(name: str) -> Json:
    content: Json = json.loads(file(name).read_text(encoding="utf-8"))
    return content


def panels(name: str) -> list[Json]:
    found: list[Json] = dashboard(name)["panels"]
    return found


def panel_queries() -> list[Query]:
    return [
        Query(name, panel["title"], target["refId"], target["expr"], target.get("legendFormat", ""), target["instant"])
        for name in NAMES
        for panel in panels(name)
        for target in panel["targets"]
    ]


def panel_query(name: str, panel: str, ref: str = "A") -> Query:
    (found,) = [one for one in panel_queries() if (one.dashboard, one.panel, one.ref) == (name, panel, ref)]
    return found


def texts(name: str, panel: str) -> dict[str, str]:
    """What a panel writes for its values."""
    (found,) = [each for each in panels(name) if each["title"] == panel]
    (mapping,) = found["fieldConfig"]["defaults"]["mappings"]
    return {value: shown["text"] for value, shown in mapping["options"].items()}


def annotations(name: str) -> dict[str, str]:
    """Expressions of the annotations that ask Prometheus, by name."""
    return {each["name"]: each["expr"] for each in dashboard(name)["annotations"]["list"] if "expr" in each}


def variables(name: str) -> dict[str, Json]:
    return {each["name"]: each for each in dashboard(name)["templating"]["list"]}


def label_values(name: str, variable: str) -> tuple[str, str]:
    """Series and label of a variable's `label_values(series, label)`."""
    expression, label = _parts(name, variable, r"label_values\((.+), (\w+)\)")
    return expression, label


def query_result(name: str, variable: str) -> str:
    """Expression of a variable's `query_result(expression)`."""
    (expression,) = _parts(name, variable, r"query_result\((.+)\)")
    return expression


def filled_in(expression: str, values: Mapping[str, str]) -> str:
    """The expression without Grafana's variables. Raises KeyError if it has one that is not in `values`."""
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)


def _parts(name: str, variable: str, form: str) -> tuple[str, ...]:
    found = re.fullmatch(form, variables(name)[variable]["query"]["query"])
    assert found, f"{variable} is not {form}"
    parts: tuple[str, ...] = found.groups()
    return parts
