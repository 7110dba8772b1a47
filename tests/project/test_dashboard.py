"""The dashboards ask for series that exist, fold each as its HELP says, and tell people what they see."""

import json
import re
from collections.abc import Iterator
from itertools import combinations

import pytest
import yaml

from exporter.metrics import CATALOGUE as EXPORTED
from receiver.catalogue import CATALOGUE as RECEIVED
from receiver.store.rollbacks import State
from tests.project.dashboard import (
    GRAFANA,
    NAMES,
    Json,
    Query,
    annotations,
    dashboard,
    file,
    filled_in,
    label_values,
    panel_queries,
    panel_query,
    panels,
    query_result,
    texts,
    variables,
)
from tests.project.promql import code, groupings, selectors
from tests.project.shipped import SHIPPED, content, rules, series, unknown_names

CORE_PANELS = {"stat", "state-timeline", "table", "timeseries"}
VALUES = {"org": "retail", "division": "Home", "flow_id": "ce677f29", "__range": "3h", "__rate_interval": "1m"}
CHOSEN = {"org": "org", "division_name": "division", "flow_id": "flow_id"}  # the variable that chooses each label
ALERT_LABELS = {"alertname", "alertstate", "severity", "org", "flow_id", "flow_version", "signal"}
OF_PROMETHEUS = {
    "ALERTS": frozenset(ALERT_LABELS),
    "up": frozenset({"job", "instance"}),
    "scrape_duration_seconds": frozenset({"job", "instance"}),
    "prometheus_rule_evaluation_failures_total": frozenset({"job", "instance", "rule_group"}),
    "prometheus_rule_group_last_duration_seconds": frozenset({"job", "instance", "rule_group"}),
    "prometheus_rule_group_interval_seconds": frozenset({"job", "instance", "rule_group"}),
    "prometheus_notifications_dropped_total": frozenset({"job", "instance"}),
}
SERIES = series() | OF_PROMETHEUS
PANELS = [pytest.param(panel, id=f"{name}: {panel['title']}") for name in NAMES for panel in panels(name)]
VARIABLES = [(name, each) for name in NAMES for each in variables(name) if each not in ("datasource", "flow_id")]
EXPRESSIONS = {
    **{str(query): query.expression for query in panel_queries()},
    **{f"{name}: annotation {title}": asked for name in NAMES for title, asked in annotations(name).items()},
    "flow: variable flow_id": query_result("flow", "flow_id"),
}
EXPRESSIONS = {place: filled_in(expression, VALUES) for place, expression in EXPRESSIONS.items()}
LABELS_OF = [filled_in(label_values(name, variable)[0], VALUES) for name, variable in VARIABLES]


# What people see -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: Json) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["type"] in CORE_PANELS


@pytest.mark.parametrize("query", [query for query in panel_queries() if "{{" in query.legend], ids=str)
def test_a_legend_uses_labels_that_the_query_keeps(query: Query) -> None:
    kept, _ = next(groupings(filled_in(query.expression, VALUES)))  # of the first operand, which names the result
    brought = re.findall(r"group_left \((\w+)\)", query.expression)
    assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= kept.union(brought)


def test_the_rollback_panel_tells_every_state_by_its_name() -> None:
    """A state is a number there, so that one row shows it; an observed rollback is in no metric."""
    numbered = re.findall(r'state="(\w+)"}\) \* (\d+)', panel_query("flow", "Rollback").expression)
    assert {number: state for state, number in numbered} == texts("flow", "Rollback")
    assert [state for state, _ in numbered] == [state.value for state in State if state is not State.OBSERVED]


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_lasting_ids_and_do_not_overlap(name: str) -> None:
    assert [panel["id"] for panel in panels(name)] == list(range(1, len(panels(name)) + 1))
    for one, other in combinations([panel["gridPos"] for panel in panels(name)], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], (one, other)
    assert max(panel["gridPos"]["x"] + panel["gridPos"]["w"] for panel in panels(name)) <= 24


def test_the_addresses_of_the_dashboards_stay() -> None:
    """Alerts, runbooks and people's bookmarks have them."""
    assert {path.stem for path in (GRAFANA / "dashboards").iterdir()} == set(NAMES)
    assert [dashboard(name)["uid"] for name in NAMES] == ["genesys-overview", "genesys-flow", "genesys-bridge"]


def test_alerts_link_to_the_dashboard_with_its_variables() -> None:
    links = [rule["annotations"]["dashboard_url"] for rule in rules() if "dashboard_url" in rule.get("annotations", {})]
    assert links
    for link in links:
        path, _, parameters = link.partition("?")
        assert path == f"/d/{dashboard('flow')['uid']}"
        assert set(re.findall(r"var-(\w+)=", parameters)) == {"org", "flow_id"} == chosen_by_people("flow")


def chosen_by_people(name: str) -> set[str]:
    return variables(name).keys() - {"datasource"}


@pytest.mark.parametrize("name", NAMES)
def test_each_dashboard_leads_to_the_others_and_to_the_runbook(name: str) -> None:
    others, runbook = dashboard(name)["links"]
    assert others["type"] == "dashboards"
    assert others["includeVars"]
    assert set(others["tags"]) <= set.intersection(*(set(dashboard(other)["tags"]) for other in NAMES))
    assert runbook["url"].endswith("alert_rules/RUNBOOK.md")


def test_a_panel_leads_to_a_section_of_the_runbook() -> None:
    text = (SHIPPED / "RUNBOOK.md").read_text(encoding="utf-8")
    sections = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    links = [link["url"] for name in NAMES for panel in panels(name) for link in panel.get("links", [])]
    assert links
    assert {url.partition("#")[2] for url in links} <= sections


def test_the_name_of_a_flow_leads_to_its_dashboard() -> None:
    tables = [panel for panel in panels("overview") if panel["type"] == "table"]
    assert tables
    for table in tables:
        properties = [each for override in table["fieldConfig"]["overrides"] for each in override["properties"]]
        ((link,),) = [each["value"] for each in properties if each["id"] == "links"]
        path, _, parameters = link["url"].partition("?")
        assert path == f"/d/{dashboard('flow')['uid']}"
        assert dict(re.findall(r"var-(\w+)=\$\{__data\.fields\.(\w+)\}", parameters)) == {
            "org": "org",
            "flow_id": "flow_id",
        }
        (organized,) = [each["options"] for each in table["transformations"] if each["id"] == "organize"]
        assert not {"org", "flow_id"} & (organized["excludeByName"].keys() | organized["renameByName"].keys())


@pytest.mark.parametrize("name", NAMES)
def test_the_data_source_is_always_the_one_that_was_chosen(name: str) -> None:
    def sources(node: object) -> Iterator[object]:
        if isinstance(node, dict):
            yield from (node["datasource"] for _ in range("datasource" in node))
            node = list(node.values())
        if isinstance(node, list):
            for each in node:
                yield from sources(each)

    built_in = {"type": "grafana", "uid": "-- Grafana --"}
    asked = [source for source in sources(dashboard(name)) if source != built_in]
    assert asked
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in asked)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_kept_tidy(name: str) -> None:
    """As `json.dumps` writes it, so that a change shows only itself."""
    assert file(name).read_text(encoding="utf-8") == json.dumps(dashboard(name), indent=2, ensure_ascii=False) + "\n"


# What is asked -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [*EXPRESSIONS.values(), *LABELS_OF],
    ids=[*EXPRESSIONS, *(" variable ".join(each) for each in VARIABLES)],
)
def test_a_query_asks_only_for_series_and_labels_that_exist(expression: str) -> None:
    for selector in selectors(expression):
        assert not unknown_names(selector, SERIES)
        for metric in selector.metrics:
            assert selector.labels <= SERIES[metric]
    for labels, inner in groupings(expression):
        assert labels <= frozenset[str]().union(*(SERIES[name] for selector in inner for name in selector.metrics))


@pytest.mark.parametrize("query", panel_queries(), ids=str)
def test_a_panel_asks_only_about_what_was_chosen(query: Query) -> None:
    """Each selector compares each label for which there is a variable; of alerts some have no organization."""
    offered = chosen_by_people(query.dashboard)
    for selector in selectors(filled_in(query.expression, VALUES)):
        (metric,) = selector.metrics
        if ("alertname", "=", "GenesysWatchdog") in selector.matchers:
            continue  # it has none
        operator = "=~" if variables(query.dashboard)["org"]["multi"] else "="
        wanted = {label for label in SERIES[metric] & CHOSEN.keys() if CHOSEN[label] in offered}
        compared = {label: (how, value.removesuffix("|")) for label, how, value in selector.matchers}
        assert {label: compared.get(label) for label in wanted} == {
            label: (operator, VALUES[CHOSEN[label]]) for label in wanted
        }


def folding(expression: str) -> Iterator[tuple[str, str]]:
    """Each metric of an expression with the innermost aggregation around it; an empty text where there is none."""
    around: list[str] = []
    opening, in_braces = "", False
    for word in code(expression):
        if word.text in ("{", "}"):
            in_braces = word.text == "{"
        elif word.text in ("sum", "min", "max", "count", "avg", "topk", "bottomk"):
            opening = word.text
        elif word.text in ("by", "without", "on", "ignoring", "group_left", "group_right"):
            around.append("labels")  # until its bracket closes; the aggregation's own bracket comes after it
        elif word.text == "(":
            if not (around and around[-1] == "labels"):
                around.append(opening)
                opening = ""
            else:
                around[-1] = "labels("
        elif word.text == ")":
            around.pop()
        elif word.kind == "name" and word.text in SERIES and not in_braces and "labels(" not in around:
            yield next((name for name in reversed(around) if name), ""), word.text


def allowed(metric: str) -> set[str]:
    """A process counts for itself; shared state is the same everywhere; several exporters or rules see one world."""
    published = EXPORTED.get(metric) or RECEIVED.get(metric)
    if metric.endswith(("_bucket", "_sum", "_count", "_total")) or (published and published.type == "counter"):
        return {"sum"}
    if metric in ("up", "genesys_rollback_store_up"):  # how many processes there are
        return {"sum"}
    if metric == "ALERTS" or (published and "aggregate with max" in published.help):
        return {"max"}
    return {"min", "max"}


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_a_second_exporter_or_receiver_doubles_nothing(expression: str) -> None:
    found = list(folding(expression))
    assert found
    assert [(name, metric) for name, metric in found if name not in allowed(metric)] == []


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        pytest.param("genesys_up", [("", "genesys_up")], id="not at all"),
        pytest.param("sum(max by (org) (genesys_up))", [("max", "genesys_up")], id="twice"),
        pytest.param("max(ALERTS) and on (org) genesys_up", [("max", "ALERTS"), ("", "genesys_up")], id="two operands"),
        pytest.param("max(last_over_time(genesys_up[3h])) * 2", [("max", "genesys_up")], id="inside a function"),
    ],
)
def test_folding(expression: str, found: list[tuple[str, str]]) -> None:
    assert list(folding(expression)) == found


# How Grafana gets it -------------------------------------------------------------------------------------------------


def test_the_provisioned_data_source_is_the_shipped_prometheus() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    prometheus = content("prometheus.yml")
    (job,) = [job for job in prometheus["scrape_configs"] if job["job_name"] == "prometheus"]
    assert source["url"] == f"http://{job['static_configs'][0]['targets'][0]}"
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]


def test_the_provisioned_dashboards_are_files_that_hands_cannot_change() -> None:
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/genesys.yml").read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
    assert not provider["options"]["path"].startswith("/")
