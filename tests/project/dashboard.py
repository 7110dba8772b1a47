"""The shipped dashboard as its tests see it: each query with its place, and variables filled in as Grafana does."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRAFANA = Path(__file__).resolve().parents[2] / "grafana"
FILE = GRAFANA / "dashboards" / "flow.json"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel; `instant` ones show only how things stand at the end of the time range."""

    panel: str
    ref: str
    expression: str
    legend: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.panel}, {self.ref}"


def dashboard() -> Json:
    content: Json = json.loads(FILE.read_text(encoding="utf-8"))
    return content


def panels() -> list[Json]:
    found: list[Json] = dashboard()["panels"]
    return found


def panel_queries() -> list[Query]:
    return [
        Query(panel["title"], target["refId"], target["expr"], target.get("legendFormat", ""), target["instant"])
        for panel in panels()
        for target in panel["targets"]
    ]


def panel_query(panel: str, ref: str = "A") -> Query:
    (found,) = [query for query in panel_queries() if (query.panel, query.ref) == (panel, ref)]
    return found


def texts(panel: str) -> dict[str, str]:
    """What a panel writes for its values."""
    (found,) = [each for each in panels() if each["title"] == panel]
    (mapping,) = found["fieldConfig"]["defaults"]["mappings"]
    return {value: shown["text"] for value, shown in mapping["options"].items()}


def annotations() -> dict[str, str]:
    """Expressions of the annotations that ask Prometheus, by name."""
    return {each["name"]: each["expr"] for each in dashboard()["annotations"]["list"] if "expr" in each}


def variables() -> dict[str, Json]:
    return {each["name"]: each for each in dashboard()["templating"]["list"]}


def label_values(variable: str) -> tuple[str, str]:
    """Series and label of a variable's `label_values(series, label)`."""
    expression, label = _parts(variable, r"label_values\((.+), (\w+)\)")
    return expression, label


def query_result(variable: str) -> str:
    """Expression of a variable's `query_result(expression)`."""
    (expression,) = _parts(variable, r"query_result\((.+)\)")
    return expression


def filled_in(expression: str, values: Mapping[str, str]) -> str:
    """The expression without Grafana's variables. Raises KeyError if it has one that is not in `values`."""
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)


def _parts(variable: str, form: str) -> tuple[str, ...]:
    found = re.fullmatch(form, variables()[variable]["query"]["query"])
    assert found, f"{variable} is not {form}"
    parts: tuple[str, ...] = found.groups()
    return parts
