"""What nobody has proved on a live organization may turn out either way: the loop ends as it should all the same."""

from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest

from simulator.vocabulary import Switches
from tests.acceptance.loops import LOOPS, Loop, assert_fails, assert_succeeds, names_of
from tests.acceptance.stacks import StartStack

POSITIONS = {
    (name, value)
    for name, field in Switches.model_fields.items()
    if name
    != "dependency_tracking"  # of common modules, and in no loop's way: tests/integration/test_receiver_dependents
    for value in get_args(field.annotation) or ("false", "true")
}
PREVENT_IT = {("republish", "refused"), ("republish", "nothing")}
ONLY_GUIDE = {"guide_metrics", "guide_dates"}
OF_TRANSFERS = {"transfer_target", "unset_dimensions"}
OF_ACTIONS = {"action_no_error", "action_views"}
ONLY_PLATFORM = {
    *("n_flow_exit_reason", "transfer_target", "unset_dimensions", "extra_group_keys"),
    *("published_after", "configuration", "outcome_version"),
    *OF_ACTIONS,
}

STATUS = {"works": 200, "ignored": 200, "refused": 400}


@pytest.mark.acceptance
@pytest.mark.parametrize("name", names_of("platform"))
def test_a_bad_version_is_rolled_back_once_whatever_the_switches_say(
    start_stack: StartStack, tmp_path: Path, name: str
) -> None:
    loop = LOOPS[name]
    stack = loop.run(start_stack, tmp_path)
    assert_succeeds(stack)
    by_date = [asked["status"] for asked in stack.sim("GET", "requests") if "publishedAfter=" in asked["query"]]
    assert set(by_date) == {STATUS[loop.world.switches["published_after"]]}
    if 400 in by_date:
        assert len(by_date) == 1, "from then on the list is read whole"
    if "data_actions" in loop.world.analytics:
        asked = [one["status"] for one in stack.sim("GET", "requests") if "/analytics/actions/" in one["path"]]
        assert (400 in asked) == (loop.world.switches["action_views"] == "refused")
        assert asked.count(400) <= 2, "of exporter and receiver each once"
        assert asked.count(200) > 5


@pytest.mark.acceptance
@pytest.mark.parametrize("name", names_of("platform", failing=True))
def test_where_an_older_version_cannot_be_made_live_the_rollback_fails_and_people_are_told(
    start_stack: StartStack, tmp_path: Path, name: str
) -> None:
    loop = LOOPS[name]
    assert loop.failure is not None
    assert_fails(loop.run(start_stack, tmp_path), loop.failure)


def test_every_position_of_every_switch_occurs_in_a_loop() -> None:
    assert met(LOOPS.values()) == POSITIONS


def test_every_position_that_does_not_prevent_it_occurs_in_a_loop_that_succeeds() -> None:
    assert met(loop for loop in LOOPS.values() if loop.failure is None) == POSITIONS - PREVENT_IT


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_names_only_switches_that_its_world_meets(name: str) -> None:
    loop = LOOPS[name]
    foreign = ONLY_GUIDE if loop.world.dialect == "platform" else ONLY_PLATFORM
    assert not loop.world.switches.keys() & foreign
    assert loop.many_flows == ("published_after" in loop.world.switches)
    assert bool(loop.world.analytics.get("transfers")) == bool(OF_TRANSFERS & loop.world.switches.keys())
    assert bool(loop.world.analytics.get("outcomes")) == ("outcome_version" in loop.world.switches)
    assert bool(loop.world.analytics.get("data_actions")) == bool(OF_ACTIONS & loop.world.switches.keys())


def met(loops: Iterable[Loop]) -> set[tuple[str, str]]:
    return {position for loop in loops for position in loop.world.switches.items()}
