"""The whole loop in dialect `guide`, with what its versions tell and without."""

from pathlib import Path

import pytest

from tests.acceptance.looking import (
    FOLLOWS_WITHIN_S,
    assert_held_back,
    await_firing,
    decisions,
    held_back_by,
    rollbacks,
    told,
    until,
)
from tests.acceptance.loops import LOOPS, assert_succeeds, names_of
from tests.acceptance.stacks import StartStack

pytestmark = pytest.mark.acceptance

HELD_BACK_S = 180.0  # simulated


@pytest.mark.parametrize("name", names_of("guide"))
def test_a_bad_version_is_rolled_back_by_one_patch(start_stack: StartStack, tmp_path: Path, name: str) -> None:
    assert_succeeds(LOOPS[name].run(start_stack, tmp_path))


def test_a_receiver_that_saw_a_version_without_dates_live_before_it_was_killed_makes_it_live_again(
    start_stack: StartStack, tmp_path: Path
) -> None:
    stack = LOOPS["guide without dates"].run(start_stack, tmp_path)
    stack.processes["receiver"].kill()
    stack.start("receiver")
    assert_succeeds(stack)


def test_a_receiver_that_has_not_seen_a_version_without_dates_live_leaves_the_flow_to_people(
    start_stack: StartStack, tmp_path: Path
) -> None:
    stack = LOOPS["guide without dates"].run(start_stack, tmp_path)
    stack.processes["receiver"].kill()
    for file in stack.folder.glob("rollback.db*"):
        file.unlink()  # what the one before saw is lost with its ledger
    stack.start("receiver")
    await_firing(stack)
    newest = until(
        lambda: decisions(stack, "no_eligible_target"), "the refusal is explained", within_s=FOLLOWS_WITHIN_S
    )[0]
    unseen = "never live, or Genesys Cloud gives no dates for it"
    assert held_back_by(newest) == {"no_eligible_target": f"none: 13.0: {unseen}; 12.0: {unseen}"}
    assert_held_back(stack, simulated_s=HELD_BACK_S)
    assert rollbacks(stack) == []
    assert set(told(stack)) == {"ROLLBACK_SUPPRESSED"}
    assert [event["reason"] for event in stack.sink.received if event["verdict"] == newest["verdict"]] == [
        held_back_by(newest)["no_eligible_target"]
    ]
