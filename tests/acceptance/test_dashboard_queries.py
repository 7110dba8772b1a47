"""After an incident every query of the dashboards has something to show, on a real Prometheus."""

import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import httpx
import pytest

from demo.lapse import shorten_promql
from demo.stack import ORG, Stack, World
from tests.acceptance.looking import (
    BAD,
    FLOW,
    FOLLOWS_WITHIN_S,
    GOOD,
    Json,
    await_end,
    await_firing,
    is_firing,
    moment,
    the_rollback,
    until,
)
from tests.acceptance.stacks import stacks
from tests.project.dashboard import (
    Query,
    annotations,
    filled_in,
    label_values,
    panel_queries,
    panel_query,
    panels,
    query_result,
    texts,
    variables,
)

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("dashboard_queries")]  # one incident for all

Parameters = dict[str, str | float]
Samples = list[tuple[float, float]]
STEP_S = 1.0
RATE_S = 75.0  # simulated: Grafana takes four scrape intervals and one step
DIVISION = "Home"


@dataclass(frozen=True, slots=True)
class Incident:
    """A bad version came and was rolled back between two moments (Unix seconds): the dashboard's time range."""

    stack: Stack
    began: float
    ended: float

    def over_time(self, expression: str) -> list[tuple[Json, Samples]]:
        """Labels and samples of each series of a range query."""
        asked: Parameters = {"query": self._ours(expression), "start": self.began, "end": self.ended, "step": STEP_S}
        answer = self._ask("query_range", asked)["result"]
        return [(one["metric"], [(at, float(value)) for at, value in one["values"]]) for one in answer]

    def at_the_end(self, expression: str) -> list[tuple[Json, float]]:
        answer = self._ask("query", {"query": self._ours(expression), "time": self.ended})["result"]
        return [(one["metric"], float(one["value"][1])) for one in answer]

    def values_of_label(self, matching: str, label: str) -> list[str]:
        asked: Parameters = {"match[]": self._ours(matching), "start": self.began, "end": self.ended}
        found: list[str] = self._ask(f"label/{label}/values", asked)
        return found

    def _ours(self, expression: str) -> str:
        """As Grafana sends it, in our time-lapse; the dashboard's range is as long as the incident."""
        lapsed = shorten_promql(expression, self.stack.world.factor)
        values = {"org": ORG, "division": DIVISION, "flow_id": FLOW}
        values["__range"] = f"{self.ended - self.began:.0f}s"
        values["__rate_interval"] = f"{1000 * self.stack.seconds(RATE_S):.0f}ms"
        return filled_in(lapsed, values)

    def _ask(self, path: str, parameters: Parameters) -> Any:
        answer = httpx.get(f"{self.stack.urls['prometheus']}/api/v1/{path}", params=parameters, timeout=10)
        assert answer.is_success, answer.text
        return answer.json()["data"]


@pytest.fixture(scope="module")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Incident]:
    began = time.time()
    with stacks(tmp_path_factory) as start:
        stack = start(World(receiver={"audit": True}))
        await_firing(stack)
        await_end(stack)
        until(lambda: not is_firing(stack), "the alert ends", within_s=FOLLOWS_WITHIN_S)
        seen = f'genesys_rollback_attempt_state{{flow_id="{FLOW}",state="succeeded"}} == 1'
        until(lambda: stack.prometheus(seen), "Prometheus sees the end", within_s=FOLLOWS_WITHIN_S)
        time.sleep(stack.seconds(30))  # the rules are evaluated once more, and the range has a step after all that
        yield Incident(stack, began, time.time())


@pytest.mark.parametrize("query", panel_queries(), ids=str)
def test_a_panel_has_data(incident: Incident, query: Query) -> None:
    found = incident.at_the_end(query.expression) if query.instant else incident.over_time(query.expression)
    assert found
    for labels, _ in found:
        assert set(re.findall(r"\{\{(\w+)\}\}", query.legend)) <= labels.keys()


def last(values: list[float]) -> float:
    return values[-1]


def within(lowest: float, highest: float) -> object:
    return pytest.approx((lowest + highest) / 2, abs=(highest - lowest) / 2)


# What `bad-deploy` implies for a panel: dashboard, panel, query, labels of the series, which of its values, and the
# value. Of 45 % errors the threshold of 5 % is a ninth; a poll is 6 s, of which each asks once for the list of flows.
IMPLIED: list[tuple[str, str, str, Json, Callable[[list[float]], float], object]] = [
    ("overview", "Flows that fail", "A", {}, max, 1),
    ("overview", "Flows that fail", "A", {}, last, 0),
    ("overview", "Flows watched", "A", {}, last, 3),
    ("overview", "Armed now", "A", {}, last, 1),
    ("overview", "Paused", "A", {}, max, 0),
    ("overview", "Lockouts", "A", {}, max, 1),
    ("overview", "Known bad, live", "A", {}, max, 0),
    ("overview", "Accused flows", "A", {"org": ORG, "flow_name": "Main IVR", "signal": "error_exit"}, min, 1),
    ("overview", "Accused flows", "A", {"org": ORG, "flow_name": "Main IVR", "signal": "error_exit"}, max, 2),
    ("overview", "Alerts that page", "A", {"alertname": "GenesysWatchdog"}, max, 0),
    ("overview", "Ratio against threshold", "A", {"flow_name": "Main IVR", "flow_version": BAD}, max, within(6, 12)),
    ("overview", "Ratio against threshold", "A", {"flow_name": "Support"}, max, within(0, 1)),
    (
        "overview",
        "Nearest to their threshold",
        "A",
        {"flow_name": "Main IVR", "flow_version": GOOD},
        last,
        within(0, 1),
    ),
    (
        "overview",
        "Nearest to their threshold",
        "B",
        {"flow_name": "Main IVR", "flow_version": GOOD},
        last,
        within(0, 0.05),
    ),
    ("overview", "Armed", "A", {"flow_name": "Main IVR"}, last, within(0.5, 1)),
    ("overview", "Armed", "B", {"flow_name": "Main IVR"}, last, 1),
    ("overview", "Errors of the whole organization", "A", {"org": ORG}, max, within(0.02, 0.45)),
    ("overview", "Hands off", "A", {"org": ORG}, max, 0),
    ("overview", "Hands off", "B", {"org": ORG}, max, 0),
    ("overview", "Hands off", "C", {"org": ORG}, max, 0),
    ("overview", "Hands off", "D", {"org": ORG}, max, 1),
    ("overview", "Newest rollbacks", "B", {"flow_name": "Main IVR", "state": "succeeded"}, last, 1),
    ("bridge", "Programs that answer", "A", {"job": "genesys-exporter"}, last, 1),
    ("bridge", "Programs that answer", "A", {"job": "rollback-receiver"}, last, 1),
    ("bridge", "Watchdog", "A", {}, last, within(0, 60)),
    ("bridge", "Database", "A", {}, last, 1),
    ("bridge", "Rule failures", "A", {}, last, 0),
    ("bridge", "Rule failures", "B", {}, last, 0),
    ("bridge", "Exporter's polls", "A", {"org": ORG}, last, 1),
    ("bridge", "Credentials of the receiver", "A", {"org": ORG}, min, 1),
    ("bridge", "Age of the data", "A", {"org": ORG}, last, within(6, 60)),
    ("bridge", "Receiver's last round", "A", {"org": ORG}, last, within(0, 12)),
    ("bridge", "Calls of Genesys Cloud", "A", {"endpoint": "flows", "code": "200"}, max, within(1 / 12, 1 / 2)),
    ("bridge", "Duration of calls", "A", {"endpoint": "flows"}, max, within(0.001, 10)),
    ("bridge", "Rate limit", "A", {"org": ORG}, max, within(0.001, 0.5)),
    ("bridge", "How late figures settle", "A", {"org": ORG}, last, within(1, 600)),
    ("bridge", "How late figures settle", "B", {"org": ORG}, last, within(1, 600)),
    ("bridge", "What arrives at the receiver", "A", {"outcome": "stored"}, max, within(0.05, 2)),
    ("bridge", "What arrives at the receiver", "A", {"outcome": "malformed"}, max, 0),
    ("bridge", "Decisions", "A", {"verdict": "roll_back"}, max, within(0.5, 3)),
    ("bridge", "Rollbacks that ended", "A", {"state": "succeeded"}, last, within(0.8, 1.4)),
    ("bridge", "Rollbacks that ended", "A", {"state": "failed"}, last, 0),
    ("bridge", "Duration of rollbacks", "A", {"step": "confirm"}, last, within(0.1, 90)),
    ("bridge", "Duration of rollbacks", "A", {"step": "verify"}, last, within(0.1, 180)),
    ("bridge", "Duration of rollbacks", "B", {}, last, within(0.2, 270)),
    ("bridge", "Leases", "A", {"org": ORG}, last, 0),
    ("bridge", "Outbox", "A", {"sink": "people"}, last, 0),
    ("bridge", "Oldest notification", "A", {"sink": "people"}, last, 0),
    ("bridge", "Deliveries", "A", {"result": "delivered"}, max, within(0.05, 2)),
    ("bridge", "Deliveries", "A", {"result": "failed"}, max, 0),
    ("bridge", "Evaluation of the rules", "A", {}, max, within(0, 3)),
    ("bridge", "Evaluation of the rules", "B", {}, last, 3),
    ("bridge", "Duration of scrapes", "A", {"job": "genesys-exporter"}, last, within(0, 1)),
]
MOMENTS = {"Newest rollbacks", "Last decisions", "Versions that became live"}  # each has a test below


@pytest.mark.parametrize(
    ("dashboard", "panel", "ref", "labels", "fold", "value"),
    [
        pytest.param(*row, id=f"{row[0]}: {row[1]}, {row[2]}, {' '.join(row[3].values())} {row[4].__name__}")
        for row in IMPLIED
    ],
)
def test_a_panel_shows_what_the_scenario_implies(
    incident: Incident,
    dashboard: str,
    panel: str,
    ref: str,
    labels: Json,
    fold: Callable[[list[float]], float],
    value: object,
) -> None:
    query = panel_query(dashboard, panel, ref)
    if query.instant:
        found = [(of, [(0.0, value)]) for of, value in incident.at_the_end(query.expression)]
    else:
        found = incident.over_time(query.expression)
    samples = [sample for of, samples in found if labels.items() <= of.items() for sample in samples]
    values = [number for _, number in sorted(samples) if not math.isnan(number)]
    assert fold(values) == value


def test_each_panel_of_the_overview_and_of_the_bridge_is_compared_with_the_scenario() -> None:
    compared = {(dashboard, panel) for dashboard, panel, *_ in IMPLIED} | {("overview", panel) for panel in MOMENTS}
    assert compared == {(name, panel["title"]) for name in ("overview", "bridge") for panel in panels(name)}


def test_the_overview_tells_when_the_incident_was_decided_and_over(incident: Incident) -> None:
    def newest(panel: str, **labels: str) -> float:
        found = incident.at_the_end(panel_query("overview", panel).expression)
        (at_ms,) = [at for of, at in found if {"flow_name": "Main IVR", **labels}.items() <= of.items()]
        return at_ms / 1000

    decided = newest("Last decisions", verdict="roll_back")
    started, live = newest("Newest rollbacks"), newest("Versions that became live", flow_version=GOOD)
    assert incident.began < started <= live < incident.ended
    assert started <= decided + FOLLOWS_WITHIN_S
    assert started == pytest.approx(moment(the_rollback(incident.stack)["started_at"]), abs=1)


def test_the_overview_marks_versions_and_rollbacks_by_the_name_of_their_flow(incident: Incident) -> None:
    live = incident.over_time(annotations("overview")["Live version"])
    assert {(labels["flow_name"], labels["flow_version"]) for labels, _ in live} >= {
        ("Main IVR", BAD),
        ("Main IVR", GOOD),
    }
    for name in ("overview", "bridge"):
        ((labels, _),) = incident.over_time(annotations(name)["Rollback"])
        assert labels["flow_id"] == FLOW


def test_the_variables_of_the_overview_offer_organizations_and_divisions(incident: Incident) -> None:
    assert incident.values_of_label(*label_values("overview", "org")) == [ORG]
    assert incident.values_of_label(*label_values("overview", "division")) == [DIVISION]
    assert incident.values_of_label(*label_values("bridge", "org")) == [ORG]


def test_the_ratio_of_the_bad_version_is_above_its_threshold_while_it_is_live(incident: Incident) -> None:
    panel = "Error ratio of the live version"
    ((_, threshold),) = incident.over_time(panel_query("flow", panel, "B").expression)
    ratios = incident.over_time(panel_query("flow", panel, "A").expression)
    bad = [sample for labels, samples in ratios if labels["flow_version"] == BAD for sample in samples]
    ended = incident.stack.publishes()[0]["effect_at"]
    limits = dict(threshold)
    assert any(ratio > limits[at] for at, ratio in bad if at in limits and at < ended)
    good = [sample for labels, samples in ratios if labels["flow_version"] == GOOD for sample in samples]
    assert all(ratio <= limits[at] for at, ratio in good if at in limits)
    assert max(at for at, _ in good) > max(at for at, _ in bad)


def test_the_evidence_convicts_the_bad_version_only(incident: Incident) -> None:
    strength = incident.over_time(panel_query("flow", "Strength of the evidence").expression)
    assert {labels["flow_version"] for labels, samples in strength if max(samples, key=_value)[1] > 0} == {BAD}
    breached = incident.over_time(panel_query("flow", "Breach minutes").expression)
    assert {labels["flow_version"] for labels, samples in breached if max(samples, key=_value)[1] >= 3} == {BAD}


def test_the_alert_is_pending_then_firing_then_over(incident: Incident) -> None:
    ((_, samples),) = incident.over_time(panel_query("flow", "Alert").expression)
    states = [state for _, state in samples]
    changes = [new for old, new in zip([None, *states], states, strict=False) if new != old]
    assert changes == [0, 1, 2, 0]


def test_callers_move_from_version_to_version(incident: Incident) -> None:
    volume = incident.over_time(panel_query("flow", "Volume by version").expression)
    assert {labels["flow_version"] for labels, samples in volume if max(samples, key=_value)[1] > 0} == {GOOD, BAD}


def test_the_live_version_and_the_newest_rollback_are_those_of_the_incident(incident: Incident) -> None:
    ((live, since_ms),) = incident.at_the_end(panel_query("flow", "Live version").expression)
    ((_, rollback_ms),) = incident.at_the_end(panel_query("flow", "Newest rollback").expression)
    assert live["flow_version"] == GOOD
    assert incident.began < rollback_ms / 1000 <= since_ms / 1000 < incident.ended


def test_the_rollback_is_seen_up_to_its_end_and_the_lockout_after_it(incident: Incident) -> None:
    ((_, states),) = incident.over_time(panel_query("flow", "Rollback").expression)
    codes = [code for _, code in states]
    assert codes == sorted(codes)
    assert texts("flow", "Rollback")[f"{codes[-1]:g}"] == "succeeded"
    for ref, highest in (("A", 0), ("B", 0), ("C", 1)):  # never paused, no maintenance, a lockout
        ((_, samples),) = incident.over_time(panel_query("flow", "Hands off", ref).expression)
        assert max(value for _, value in samples) == highest


def test_the_decision_to_roll_back_is_among_the_last(incident: Incident) -> None:
    found = incident.at_the_end(panel_query("flow", "Last decisions").expression)
    decided = {labels["verdict"]: at for labels, at in found}
    assert incident.began < decided["roll_back"] / 1000 < incident.ended


def test_annotations_mark_each_change_of_the_live_version_and_the_rollback(incident: Incident) -> None:
    """Grafana takes the value (`useValueForTime`) as the moment, in milliseconds; the same one again is one event."""
    live = _events(incident, "Live version")
    # A scrape between plan and permit sees the first of them as well.
    *planned, start = sorted(_events(incident, "Rollback"), key=lambda one: one[1])
    assert len(planned) <= 1
    within = sorted((at, version) for version, at in live if incident.began < at < incident.ended)
    # Since when a version is judged may move on once, when a late minute shows that its predecessor still took calls.
    assert [version for version, _ in groupby(version for _, version in within)] == [BAD, GOOD]
    assert within[0][0] < start[1] <= within[-1][0]
    assert start[1] == pytest.approx(moment(the_rollback(incident.stack)["started_at"]), abs=1)


@pytest.mark.parametrize("name", ["flow", "overview"])
def test_an_annotation_marks_what_was_changed_by_whom(incident: Incident, name: str) -> None:
    found = incident.over_time(annotations(name)["Change"])
    ((labels, samples),) = [one for one in found if one[0]["object_name"] == "Main IVR"]
    (told,) = [one for one in the_rollback(incident.stack)["facts"]["changes"] if one["object_name"] == "Main IVR"]
    assert (labels["object_type"], labels["changed_by"]) == ("flow", told["by"])
    bad, began = {value / 1000 for _, value in samples}, incident.began
    assert len(bad) == 1
    assert began < min(bad) < moment(the_rollback(incident.stack)["started_at"])


def test_the_variables_offer_the_organization_and_each_flow_by_its_name(incident: Incident) -> None:
    assert incident.values_of_label(*label_values("flow", "org")) == [ORG]
    # Grafana runs the pattern over the text of each series; it finds the two groups in any order.
    pattern, flags = re.fullmatch(r"/(.+)/(g?)", variables("flow")["flow_id"]["regex"]).groups()  # type: ignore[union-attr]
    assert flags == "g"
    offered = {}
    for labels, value in incident.at_the_end(query_result("flow", "flow_id")):
        text = "{" + ",".join(f'{label}="{of}"' for label, of in labels.items()) + f"}} {value:g}"
        groups = [found.groupdict() for found in re.finditer(pattern.replace("(?<", "(?P<"), text)]
        (name,) = [group["text"] for group in groups if group["text"]]
        (flow_id,) = [group["value"] for group in groups if group["value"]]
        offered[name] = flow_id
    assert offered.keys() == {"Main IVR", "Support", "Order Status"}
    assert offered["Main IVR"] == FLOW


def _value(sample: tuple[float, float]) -> float:
    return sample[1]


def _events(incident: Incident, annotation: str) -> set[tuple[str, float]]:
    """Version (if the query keeps it) and moment of each event, in Unix seconds."""
    found = incident.over_time(annotations("flow")[annotation])
    return {(labels.get("flow_version", ""), value / 1000) for labels, samples in found for _, value in samples}
