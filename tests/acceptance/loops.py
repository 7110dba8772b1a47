"""Whole loops that together meet every position of the simulator's switches, and how each loop must end.

A loop begins in a calm world, in which the bad version is then published. Its
switches are those that its world really meets: another dialect, or a list of
flows that is read whole at every poll, would pass whatever they say.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from demo.stack import Stack, World
from exporter.listing import WHOLE_UP_TO_FLOWS
from simulator import scenario
from tests.acceptance.looking import (
    ALERT,
    BAD,
    FLOW,
    FOLLOWS_WITHIN_S,
    GOOD,
    assert_held_back,
    at_alertmanager,
    await_end,
    await_firing,
    await_told,
    decisions,
    held_back_by,
    is_firing,
    live_version,
    the_rollback,
    until,
)
from tests.acceptance.stacks import StartStack

HELD_BACK_S = 300.0  # simulated
PUBLISHES_BY = {"platform": "POST", "guide": "PATCH"}

# A version without dates is known as far as the receiver has looked: once a bucket, and its history in buckets of two
# minutes, so that minutes are enough for a target to earn it.
SEEN = {"flows_s": 60.0, "ledger_s": 60.0, "target_min_live_s": 300.0}
SEEN_IN: dict[str, float] = {"history_bucket_s": 120}
LOOK_UP = [{"action_id": "custom_-_3b0d5a41-6f5e-4d0c-9a53-52c8c1a7e101", "flow_id": FLOW}]  # only that flow runs it
UNTIL_SEEN_S = 480.0  # at least three whole buckets of the history, with some 180 calls


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the rollback failed, and which guards hold back all that follows."""

    reason: str
    held_back_by: frozenset[str]


@dataclass(frozen=True, slots=True)
class Loop:
    """One world and its end; `failure` is None where the rollback succeeds."""

    world: World
    failure: Failure | None = None
    many_flows: bool = False  # only then are lists limited by date
    calm_s: float = 0.0  # simulated seconds before the bad version is published

    def run(self, start_stack: StartStack, folder: Path) -> Stack:
        """The stack, with the bad version just published."""
        world = replace(self.world, scenario=_with_many_flows(folder)) if self.many_flows else self.world
        stack = start_stack(world)
        time.sleep(stack.seconds(self.calm_s))
        publish = {"event": "publish", "flow": FLOW, "version": BAD, "error_ratio": 0.45}
        stack.sim("POST", "events", publish)
        return stack


def _loop(
    dialect: str,
    *,
    timing: dict[str, float] | None = None,
    analytics: dict[str, Any] | None = None,
    failure: Failure | None = None,
    many_flows: bool = False,
    calm_s: float = 0.0,
    **switches: str,
) -> Loop:
    world = World(scenario="calm", dialect=dialect, switches=switches, timing=timing or {}, analytics=analytics or {})
    return Loop(world, failure, many_flows, calm_s)


LOOPS: Mapping[str, Loop] = MappingProxyType(
    {
        "as the documents have it": _loop(
            "platform",
            republish="works",
            date_published="moves",
            n_flow_exit_reason="false",
            extra_group_keys="true",
            published_after="works",
            configuration="given",
            outcome_version="true",
            transfer_target="named",
            unset_dimensions="true",
            action_no_error="none",
            action_views="works",
            analytics={"transfers": True, "outcomes": True, "data_actions": LOOK_UP},
            many_flows=True,
        ),
        "all that can be otherwise": _loop(
            "platform",
            republish="works",
            date_published="stays",
            n_flow_exit_reason="true",
            extra_group_keys="false",
            published_after="ignored",
            configuration="labelled",
            outcome_version="false",
            transfer_target="absent",
            action_no_error="absent",
            action_views="ignored",
            analytics={"transfers": True, "outcomes": True, "data_actions": LOOK_UP},
            many_flows=True,
        ),
        "no list by date, no contents, and no views": _loop(
            "platform",
            republish="works",
            published_after="refused",
            configuration="absent",
            action_views="refused",
            analytics={"data_actions": LOOK_UP},
            many_flows=True,
        ),
        "contents that we may not see": _loop(
            "platform",
            republish="works",
            published_after="works",
            configuration="refused",
            transfer_target="address",
            unset_dimensions="false",
            many_flows=True,
            analytics={"transfers": True},
        ),
        "an older version is refused": _loop(
            "platform",
            republish="refused",
            failure=Failure("publish_refused", frozenset({"lockout"})),
        ),
        "an older version stays as it is": _loop(
            "platform",
            republish="nothing",
            timing={"lockout_s": 60.0},  # over before the end of the rollback: it is not what holds back
            failure=Failure("no_effect", frozenset({"already_rolled_back"})),
        ),
        "guide with dates": _loop(
            "guide", republish="works", date_published="stays", guide_metrics="both", guide_dates="true"
        ),
        "guide without dates": _loop(
            "guide",
            republish="works",
            guide_metrics="one",
            guide_dates="false",
            timing=SEEN,
            analytics=SEEN_IN,
            calm_s=UNTIL_SEEN_S,
        ),
    }
)


def names_of(dialect: str, *, failing: bool = False) -> list[str]:
    return [
        name for name, loop in LOOPS.items() if (loop.world.dialect, loop.failure is not None) == (dialect, failing)
    ]


def assert_succeeds(stack: Stack) -> None:
    """One publish, a success that was measured, an alert that ends, and people who know."""
    await_firing(stack)
    rollback = await_end(stack)
    assert (rollback["accused_version"], rollback["target_version"]) == (BAD, GOOD)
    assert (rollback["state"], rollback["confirmed_at"] is not None) == ("succeeded", True)
    measured = rollback["facts"]["verification"]
    assert measured["ended"] >= 20  # verify_min_conversations
    assert measured["errors"] <= measured["threshold_ratio"] * measured["ended"]
    until(lambda: not is_firing(stack), f"{ALERT} ends in Prometheus", within_s=FOLLOWS_WITHIN_S)
    until(lambda: not at_alertmanager(stack), f"{ALERT} ends in Alertmanager", within_s=FOLLOWS_WITHIN_S)
    await_told(stack, "AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED")
    sent = [(sent["method"], sent["flow_id"], sent["version"]) for sent in stack.publishes()]
    assert sent == [(PUBLISHES_BY[stack.world.dialect], FLOW, GOOD)]
    assert live_version(stack) == GOOD


def assert_fails(stack: Stack, failure: Failure) -> None:
    """One publish without effect, its reason told, and nothing more although the alert goes on firing."""
    await_firing(stack)
    rollback = await_end(stack)
    assert (rollback["state"], rollback["reason"], rollback["confirmed_at"]) == ("failed", failure.reason, None)
    await_told(stack, "AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_FAILED", "ROLLBACK_SUPPRESSED")
    _, failed, suppressed = stack.sink.received
    assert (failed["reason"], failed["action_taken"]) == (failure.reason, "NONE")
    assert {suppressed["verdict"]} == failure.held_back_by
    assert_held_back(stack, simulated_s=HELD_BACK_S, refused=1)
    newest = decisions(stack, suppressed["verdict"])[0]
    assert set(held_back_by(newest)) == failure.held_back_by
    assert the_rollback(stack)["id"] == rollback["id"]


def _with_many_flows(folder: Path) -> str:
    """A calm world with so many flows that the exporter asks for those published of late; all but three have no calls.

    The path of its scenario.
    """
    calm = [flow.model_dump(mode="json") for flow in scenario.load("calm").flows]
    quiet = [
        {
            "id": f"quiet-{number}",
            "name": f"Quiet {number}",
            "type": "workflow",
            "calls_per_min": 0.0,
            "versions": [{"version": "1.0", "published_ago": 7200.0}],  # a short past: a long one is slow to draw
        }
        for number in range(WHOLE_UP_TO_FLOWS)
    ]
    path = folder / "many-flows.yml"
    path.write_text(yaml.safe_dump({"as": "calm", "flows": calm + quiet}), encoding="utf-8")
    return str(path)
