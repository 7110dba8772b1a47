"""A receiver may die at every step; another one, which remembers nothing, brings the rollback to its right end."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from receiver.desk import Desk, Order
from receiver.policy import Verdict
from receiver.store.rollbacks import State
from tests.integration.crashing import Crash, People, Run, crashes, nobody, run
from tests.integration.fault_cases import CASES, Arrange, ways
from tests.integration.ordering import ASKING, approve, undo, waiting
from tests.integration.simulated_world import FLOW_ID, SimulatedScene

BETWEEN_DELIVERY_AND_ITS_RECORD = {
    "POST AUTO_ROLLBACK_TRIGGERED to the sink",
    "POST ROLLBACK_SUCCEEDED to the sink",
    "POST ROLLBACK_FAILED to the sink",
    "POST APPROVAL_REQUESTED to the sink",
    "POST UNDO_SUCCEEDED to the sink",
    "commit of Deliverer._deliver",
}  # there it is sent again, with the same event id
ENDS = {State.SUCCEEDED: "ROLLBACK_SUCCEEDED", State.FAILED: "ROLLBACK_FAILED"}


@dataclass(frozen=True)
class Story:
    """A rollback, how it may end, and how many publishes may be sent at most."""

    arrange: Arrange
    ends: frozenset[tuple[State, str]]
    publishes: int
    effects: int = 1  # of one that works
    people: People = nobody
    told: tuple[str, ...] = ("AUTO_ROLLBACK_TRIGGERED",)  # before the end
    settings: Mapping[str, Any] = field(default_factory=dict)


def they_approve(here: SimulatedScene) -> bool:
    """Once they have heard of it."""
    if here.untold() or not waiting(here):
        return False
    approve(here)
    return True


def they_undo(here: SimulatedScene) -> bool:
    """As soon as it is confirmed."""
    (first, *undone) = here.rollbacks() or [None]
    if first is None or first.confirmed_at is None or undone:
        return False
    undo(here, first)
    return True


def they_roll_back(here: SimulatedScene) -> bool:
    """Once, although the bridge ignores the flow."""
    if any(one.is_by_hand for one in here.rollbacks()):
        return False
    desk = Desk(here.receiver("desk").tools["retail"], Lock())
    order = Order("callers hear silence", overrides=[Verdict.IGNORED, Verdict.OBSERVING])
    desk.roll_back("retail", FLOW_ID, order, lambda tx, plan: plan(tx), by="ann")
    return True


SUCCESS = (State.SUCCEEDED, "")
STORIES = {
    "it works": Story(lambda _: None, frozenset({SUCCESS}), 1),
    # Whoever finds a second permit without an answer cannot know that it was not used, and there is no third one.
    "the publish is lost": Story(CASES["dropped-unsent"], frozenset({SUCCESS, (State.FAILED, "no_effect")}), 2),
    "the operation fails": Story(CASES["operation-fails"], frozenset({(State.FAILED, "publish_failed")}), 2),
    "the publish is refused for a while": Story(CASES["throttled"], frozenset({SUCCESS}), 3),
    "it is deployed anew": Story(lambda _: None, frozenset({SUCCESS}), 1, settings=ways("redeploy")),
    # A publish whose answer nobody has written down is sent once more before it is given up.
    "publishing does nothing, and it is deployed anew": Story(
        CASES["next-republish-without-effect"], frozenset({SUCCESS}), 3, settings=ways("republish", "redeploy")
    ),
    "a redeployment is undone": Story(
        lambda _: None, frozenset({SUCCESS}), 2, effects=2, people=they_undo, settings=ways("redeploy")
    ),
    "people have to approve": Story(
        lambda _: None,
        frozenset({SUCCESS}),
        1,
        people=they_approve,
        told=("APPROVAL_REQUESTED", "AUTO_ROLLBACK_TRIGGERED"),
        settings={"flows": ASKING},
    ),
    "people undo it": Story(lambda _: None, frozenset({SUCCESS}), 2, effects=2, people=they_undo),
    "people roll back by hand": Story(
        lambda _: None,
        frozenset({SUCCESS}),
        1,
        people=they_roll_back,
        settings={"flows": [{"match": "*", "mode": "ignore"}]},
    ),
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Each story as it goes without a crash."""
    return {name: tell(tmp_path_factory.mktemp("undisturbed"), story) for name, story in STORIES.items()}


def tell(folder: Path, story: Story, crash: Crash | None = None) -> Run:
    return run(folder, story.arrange, crash, people=story.people, **story.settings)


def crashes_of(name: str, undisturbed: dict[str, Run]) -> Iterator[Crash]:
    """Those that the stories before it do not have."""
    earlier = list(STORIES)[: list(STORIES).index(name)]
    known = {step for one in earlier for step in undisturbed[one].done}
    yield from crashes(undisturbed[name].done, known=known)


def problems(story: Story, crash: Crash, after: Run) -> list[str]:
    """What is wrong with the end of a rollback in which somebody died."""
    end = (after.end.state, after.end.reason if after.end.state is State.FAILED else "")
    found = [] if end in story.ends else [f"ended as {end}"]
    if after.effects != (story.effects if end == SUCCESS else 0):
        found.append(f"{after.effects} effects")
    if after.publishes > story.publishes:
        found.append(f"{after.publishes} publishes")
    events = list(dict.fromkeys(after.deliveries))
    told = [kind for kind, _ in events if kind != "ROLLBACK_SUPPRESSED"]
    if told != [*story.told, "UNDO_SUCCEEDED" if after.end.is_undo else ENDS.get(end[0])]:
        found.append(f"told {told}")
    if len(after.deliveries) > len(events) and crash.name.split(" (")[0] not in BETWEEN_DELIVERY_AND_ITS_RECORD:
        found.append("an event was delivered twice")
    return [f"killed {crash}: {problem}" for problem in found]


@pytest.mark.parametrize("name", STORIES)
def test_whoever_dies_at_any_step_another_one_finishes_with_one_effect_and_tells_it_once(
    tmp_path: Path, undisturbed: dict[str, Run], name: str
) -> None:
    story = STORIES[name]
    found = []
    for number, crash in enumerate(crashes_of(name, undisturbed)):
        folder = tmp_path / str(number)
        folder.mkdir()
        found += problems(story, crash, tell(folder, story, crash))

    assert not found


def test_the_recorded_steps_are_those_that_matter(undisturbed: dict[str, Run]) -> None:
    """The seams see the arrows of the state machine, the publish between two of them, and the deliveries."""
    done = undisturbed["it works"].done
    landmarks = [
        "commit of Worker._decide_open (planned)",
        "commit of publish (publishing)",
        "POST /api/v2/flows/actions/publish (publishing)",
        "commit of publish (confirming)",
        "POST AUTO_ROLLBACK_TRIGGERED to the sink (confirming)",
        "commit of confirm (verifying)",
        "commit of _verify (succeeded)",
        "POST ROLLBACK_SUCCEEDED to the sink (succeeded)",
    ]
    assert [step for step in done if step in landmarks] == landmarks


def test_a_redeployment_has_steps_of_its_own(undisturbed: dict[str, Run]) -> None:
    done = undisturbed["it is deployed anew"].done
    landmarks = [
        "POST /api/v2/flows/export/jobs (planned)",
        "GET /storage/exports/{id} (planned)",
        "POST /api/v2/flows/jobs (planned)",
        "commit of publish (publishing)",
        "PUT /storage/uploads/{id} (publishing)",
        "commit of publish (confirming)",
        "commit of confirm (verifying)",
    ]
    assert [step for step in dict.fromkeys(done) if step in landmarks] == landmarks
    handed_over = undisturbed["publishing does nothing, and it is deployed anew"].done
    assert "commit of confirm (planned in vain)" in handed_over
    assert "PUT /storage/uploads/{id} (publishing in vain)" in handed_over


def test_a_rollback_by_hand_has_steps_of_its_own(undisturbed: dict[str, Run]) -> None:
    by_hand = undisturbed["people roll back by hand"]

    assert "commit of publish (by hand publishing)" in by_hand.done
    assert "POST /api/v2/flows/actions/publish (by hand publishing)" in by_hand.done
    assert by_hand.earlier == []


def test_an_approval_and_an_undo_have_steps_of_their_own(undisturbed: dict[str, Run]) -> None:
    approved, undone = (undisturbed[name] for name in ("people have to approve", "people undo it"))

    assert "commit of Worker._decide_open (awaiting_approval)" in approved.done
    assert "POST /api/v2/flows/actions/publish (approved publishing)" in approved.done
    assert "POST /api/v2/flows/actions/publish (undo publishing)" in undone.done
    assert "commit of confirm (undo succeeded)" in undone.done
    (first,) = undone.earlier
    assert (first.state, first.reason) == (State.SUPERSEDED, "undone by ann")
