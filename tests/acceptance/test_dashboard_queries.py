"""After an incident every query of the dashboard has something to show, on a real Prometheus."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
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
    query_result,
    texts,
    variables,
)

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("dashboard_queries")]  # one incident for all

Parameters = dict[str, str | float]
Samples = list[tuple[float, float]]
STEP_S = 1.0


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
        return filled_in(lapsed, {"org": ORG, "flow_id": FLOW, "__range": f"{self.ended - self.began:.0f}s"})

    def _ask(self, path: str, parameters: Parameters) -> Any:
        answer = httpx.get(f"{self.stack.urls['prometheus']}/api/v1/{path}", params=parameters, timeout=10)
        assert answer.is_success, answer.text
        return answer.json()["data"]


@pytest.fixture(scope="module")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Incident]:
    began = time.time()
    with stacks(tmp_path_factory) as start:
        stack = start(World())
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


def test_the_ratio_of_the_bad_version_is_above_its_threshold_while_it_is_live(incident: Incident) -> None:
    panel = "Error ratio of the live version"
    ((_, threshold),) = incident.over_time(panel_query(panel, "B").expression)
    ratios = incident.over_time(panel_query(panel, "A").expression)
    bad = [sample for labels, samples in ratios if labels["flow_version"] == BAD for sample in samples]
    ended = incident.stack.publishes()[0]["effect_at"]
    limits = dict(threshold)
    assert any(ratio > limits[at] for at, ratio in bad if at in limits and at < ended)
    good = [sample for labels, samples in ratios if labels["flow_version"] == GOOD for sample in samples]
    assert all(ratio <= limits[at] for at, ratio in good if at in limits)
    assert max(at for at, _ in good) > max(at for at, _ in bad)


def test_the_evidence_convicts_the_bad_version_only(incident: Incident) -> None:
    strength = incident.over_time(panel_query("Strength of the evidence").expression)
    assert {labels["flow_version"] for labels, samples in strength if max(samples, key=_value)[1] > 0} == {BAD}
    breached = incident.over_time(panel_query("Breach minutes").expression)
    assert {labels["flow_version"] for labels, samples in breached if max(samples, key=_value)[1] >= 3} == {BAD}


def test_the_alert_is_pending_then_firing_then_over(incident: Incident) -> None:
    ((_, samples),) = incident.over_time(panel_query("Alert").expression)
    states = [state for _, state in samples]
    changes = [new for old, new in zip([None, *states], states, strict=False) if new != old]
    assert changes == [0, 1, 2, 0]


def test_callers_move_from_version_to_version(incident: Incident) -> None:
    volume = incident.over_time(panel_query("Volume by version").expression)
    assert {labels["flow_version"] for labels, samples in volume if max(samples, key=_value)[1] > 0} == {GOOD, BAD}


def test_the_live_version_and_the_newest_rollback_are_those_of_the_incident(incident: Incident) -> None:
    ((live, since_ms),) = incident.at_the_end(panel_query("Live version").expression)
    ((_, rollback_ms),) = incident.at_the_end(panel_query("Newest rollback").expression)
    assert live["flow_version"] == GOOD
    assert incident.began < rollback_ms / 1000 <= since_ms / 1000 < incident.ended


def test_the_rollback_is_seen_up_to_its_end_and_the_lockout_after_it(incident: Incident) -> None:
    ((_, states),) = incident.over_time(panel_query("Rollback").expression)
    codes = [code for _, code in states]
    assert codes == sorted(codes)
    assert texts("Rollback")[f"{codes[-1]:g}"] == "succeeded"
    for ref, highest in (("A", 0), ("B", 0), ("C", 1)):  # never paused, no maintenance, a lockout
        ((_, samples),) = incident.over_time(panel_query("Hands off", ref).expression)
        assert max(value for _, value in samples) == highest


def test_the_decision_to_roll_back_is_among_the_last(incident: Incident) -> None:
    decided = {labels["verdict"]: at for labels, at in incident.at_the_end(panel_query("Last decisions").expression)}
    assert incident.began < decided["roll_back"] / 1000 < incident.ended


def test_annotations_mark_each_change_of_the_live_version_and_the_rollback(incident: Incident) -> None:
    """Grafana takes the value (`useValueForTime`) as the moment, in milliseconds; the same one again is one event."""
    live = _events(incident, "Live version")
    (start,) = _events(incident, "Rollback")
    within = sorted((at, version) for version, at in live if incident.began < at < incident.ended)
    assert [version for _, version in within] == [BAD, GOOD]
    assert within[0][0] < start[1] <= within[1][0]
    assert start[1] == pytest.approx(moment(the_rollback(incident.stack)["started_at"]), abs=1)


def test_the_variables_offer_the_organization_and_each_flow_by_its_name(incident: Incident) -> None:
    assert incident.values_of_label(*label_values("org")) == [ORG]
    # Grafana runs the pattern over the text of each series; it finds the two groups in any order.
    pattern, flags = re.fullmatch(r"/(.+)/(g?)", variables()["flow_id"]["regex"]).groups()  # type: ignore[union-attr]
    assert flags == "g"
    offered = {}
    for labels, value in incident.at_the_end(query_result("flow_id")):
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
    found = incident.over_time(annotations()[annotation])
    return {(labels.get("flow_version", ""), value / 1000) for labels, samples in found for _, value in samples}
