"""A simulated organization on an injected clock, and questions to its analytics."""

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from simulator.analytics import Query, answer, iso, read_query
from simulator.catalogue import (
    ACTION_DIMENSIONS,
    ACTION_METRICS,
    CONVERSATION_DIMENSIONS,
    CONVERSATION_METRICS,
    FLOW_METRICS,
    flow_dimensions,
)
from simulator.scenario import FlowSpec, Moment, Scenario, VersionSpec
from simulator.simulation import Simulation
from simulator.vocabulary import EVENT, Settings, Switches

START = 1_795_320_000.0  # a full hour, also when hours last six minutes
MAIN, SMALL = "flow-main", "flow-small"
MINUTE, HOUR, DAY = 60, 3600, 86400
BAD = ("FLOW_ERROR_DISCONNECT", "FLOW_ERROR_EXIT")
AT_ONCE = Settings(analytics_latency=0, analytics_jitter=0, analytics_late_ratio=0, publish_time=0, effect_delay=0)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Organization:
    """A simulation, its clock, and questions to it."""

    def __init__(
        self,
        *,
        settings: Settings = AT_ONCE,
        factor: float = 1.0,
        seed: int = 1,
        timeline: tuple[Moment, ...] = (),
        switches: Switches = Switches(),  # noqa: B008
    ) -> None:
        main = FlowSpec(
            id=MAIN,
            name="Main IVR",
            type="inboundcall",
            calls_per_min=30,
            versions=(
                VersionSpec(version="12.0", published_ago=9 * DAY, error_ratio=0.1),
                VersionSpec(version="13.0", published_ago=5 * DAY, error_ratio=0.02),
            ),
        )
        small = FlowSpec(
            id=SMALL,
            name="Small",
            type="workflow",
            calls_per_min=0.2,
            versions=(VersionSpec(version="1.0", published_ago=30 * DAY, error_ratio=0),),
        )
        self.scenario = Scenario(
            description="test", flows=(main, small), settings=settings, timeline=timeline, switches=switches
        )
        self.clock = Clock()
        self.factor = factor
        self.simulation = Simulation(self.scenario, factor=factor, seed=seed, clock=self.clock)

    def wait(self, simulated_s: float) -> None:
        self.clock.now += simulated_s / self.factor

    def happens(self, **event: object) -> None:
        with self.simulation.present() as now:
            self.simulation.apply(EVENT.validate_json(json.dumps(event)), now)

    def flows(self, start: float, end: float, granularity: str | None = "PT1M", **more: Any) -> list[dict[str, Any]]:
        """Results between two times, in simulated seconds from the start."""
        body = {"groupBy": ["flowId", "flowVersion", "exitReason"], "metrics": ["nFlow", "tFlow"], **more}
        dimensions = flow_dimensions({flow.id: flow for flow in self.scenario.flows})
        read = partial(read_query, metrics=FLOW_METRICS, dimensions=dimensions, switches=self.scenario.switches)
        return self._ask(start, end, granularity, body, read)

    def conversations(self, start: float, end: float, granularity: str = "PT1M") -> list[dict[str, Any]]:
        body = {"metrics": ["nConversations", "nOffered", "nConnected", "nError"]}
        read = partial(
            read_query,
            metrics=CONVERSATION_METRICS,
            dimensions=CONVERSATION_DIMENSIONS,
            switches=self.scenario.switches,
        )
        return self._ask(start, end, granularity, body, read)

    def actions(self, start: float, end: float, granularity: str = "PT1M", **more: Any) -> list[dict[str, Any]]:
        body = {"groupBy": ["actionId", "errorType", "responseStatus"], "metrics": ["tTotalExecution"], **more}
        read = partial(
            read_query, metrics=ACTION_METRICS, dimensions=ACTION_DIMENSIONS, switches=self.scenario.switches
        )
        return self._ask(start, end, granularity, body, read)

    def _ask(
        self, start: float, end: float, granularity: str | None, body: dict[str, Any], read: Callable[[Any], Query]
    ) -> list[dict[str, Any]]:
        times = [iso(round((START + at / self.factor) * 1000)) for at in (start, end)]
        asked = {"interval": "/".join(times), **({"granularity": granularity} if granularity else {}), **body}
        query = read(asked)
        with self.simulation.present():
            table = self.simulation.tabulate(query.span, query.selection)
            results: list[dict[str, Any]] = answer(query, table).get("results", [])
            return results


def counted(results: list[dict[str, Any]], *group: str) -> Counter[tuple[Any, ...]]:
    """Counts by metric and the named group keys, over all buckets and unasked keys."""
    counts: Counter[tuple[Any, ...]] = Counter()
    for result in results:
        for row in result["data"]:
            for metric in row["metrics"]:
                key = (metric["metric"], *(result["group"].get(name) for name in group))
                counts[key] += metric["stats"]["count"]
    return counts
