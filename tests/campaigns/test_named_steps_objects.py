"""A receiver dies at every named step while an object is restored, callers are led elsewhere, or a flow published anew.

As in tests/integration/test_crashes.py: nobody lists the steps, and another receiver, which remembers nothing, goes on.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from receiver import orders
from receiver.store import leases, rollbacks
from receiver.store.rollbacks import ENDS, Rollback, State
from simulator.scenario import Scenario, parse
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.memory import in_memory
from tests.integration import test_receiver_repoint as leading
from tests.integration.crashing import Crash, Killed, MortalStore, MortalTransport, Steps, crashes
from tests.integration.object_world import ACTION, IVR, MAIN, OLD, SCENARIO, TABLE, ObjectScene, object_scene
from tests.integration.receiver_world import Receiver

MOST_ROUNDS = 400
SUCCESS = (State.SUCCEEDED, "")
IN_PART = (State.FAILED, "publish_failed")  # of a data table
NO_EFFECT = (State.FAILED, "no_effect")  # two permits without an answer, and nobody knows that one was not used
WITH_A_MODULE = """
description: a common module, and a flow that uses it
settings: {analytics_late_ratio: 0}
flows:
  - id: flow-1
    name: Hours
    type: commonmodule
    calls_per_min: 6
    versions: [{version: "12.0", published_ago: 2592000}, {version: "13.0", published_ago: 864000}]
  - id: flow-2
    name: Old IVR
    type: inboundcall
    calls_per_min: 1
    uses: [flow-1]
    versions: [{version: "3.0", published_ago: 2592000}]
"""
MODULES = {"match": {"type": "commonmodule"}, "mode": "approve", "republish_dependents": True}


@dataclass(frozen=True)
class Story:
    """What happens, what is true in Genesys Cloud once it is done, and at most how many writes that takes."""

    break_it: Callable[[ObjectScene], None]
    is_done: Callable[[ObjectScene], bool]
    writes: int
    is_untouched: Callable[[ObjectScene], bool] = lambda _: False
    scenario: Scenario = SCENARIO
    settings: Mapping[str, Any] = field(default_factory=dict)
    undo: bool = False
    ends: frozenset[tuple[State, str]] = frozenset({SUCCESS, NO_EFFECT})


def broken(object_id: str, here: ObjectScene) -> None:
    here.break_it(object_id)
    here.accuse(object_id)


def is_as_before(object_id: str, here: ObjectScene) -> bool:
    return bool(here.content(object_id) == here.before[object_id])


def is_changed(object_id: str, here: ObjectScene) -> bool:
    with here.simulation.present():
        (found,) = [one for one in here.simulation.objects.as_json() if one["id"] == object_id]
    return bool(found["changed"]) and here.content(object_id) != here.before[object_id]


def bad_version(here: ObjectScene) -> None:
    here.happen({"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.6})
    here.time.pass_(961.0)
    leading.accuse(here)


def leads_to(flow_id: str, here: ObjectScene) -> bool:
    return leading.slots(here)[0] == flow_id


def bad_module(here: ObjectScene) -> None:
    here.happen({"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.6})
    here.happen({"event": "publish", "flow": OLD, "version": "3.0"})
    here.time.pass_(961.0)
    leading.accuse(here)


def uses(version: str, here: ObjectScene) -> bool:
    with here.simulation.present():
        return here.simulation.world.flows[OLD].bound == {MAIN: version}


LED = {"scenario": parse(leading.WORLD), "settings": leading.settings(leading.ROUTE, "repoint")}
STORIES = {
    "a data action is restored": Story(
        partial(broken, ACTION), partial(is_as_before, ACTION), 2, is_untouched=partial(is_changed, ACTION)
    ),
    "a call route is restored, and that undone": Story(
        partial(broken, IVR), partial(is_changed, IVR), 4, is_untouched=partial(is_as_before, IVR), undo=True
    ),
    "a data table is restored": Story(
        partial(broken, TABLE),
        partial(is_as_before, TABLE),
        6,
        is_untouched=partial(is_changed, TABLE),
        ends=frozenset({SUCCESS, NO_EFFECT, IN_PART}),
    ),
    "callers are led elsewhere": Story(
        bad_version, partial(leads_to, OLD), 2, is_untouched=partial(leads_to, MAIN), **LED
    ),
    "callers are led elsewhere, and back": Story(
        bad_version, partial(leads_to, MAIN), 4, is_untouched=partial(leads_to, OLD), undo=True, **LED
    ),
    "a flow is published because of its module": Story(
        bad_module,
        partial(uses, "13.0"),
        4,
        is_untouched=partial(uses, "14.0"),
        scenario=parse(WITH_A_MODULE),
        settings={"flows": [MODULES, {"match": "*", "mode": "auto"}], "objects": []},
    ),
}


@dataclass(frozen=True)
class Run:
    """What came of a story, whoever finished it."""

    done: list[str]  # steps of the first process
    ends: list[tuple[State, str]]
    writes: int
    is_done: bool
    is_untouched: bool
    left: list[str]  # leases, and permits with which somebody could send


def tell(name: str, crash: Crash | None = None) -> Run:
    story = STORIES[name]
    with in_memory() as folder, object_scene(folder, scenario=story.scenario, **story.settings) as here:
        story.break_it(here)
        steps = Steps(crash)
        with process(here, "receiver-1", steps) as first:
            survived = survives(first, here, story)
        assert survived == (crash is None)
        if not survived:
            with process(here, "receiver-2", Steps()) as second:
                assert survives(second, here, story)
        here.time.pass_(here.settings.timing.lease_s)
        found = here.rollbacks()
        ends = [(one.state, one.reason if one.state is State.FAILED else "") for one in found]
        return Run(steps.done, ends, sent(here), story.is_done(here), story.is_untouched(here), left_over(here, found))


@contextmanager
def process(here: ObjectScene, name: str, steps: Steps) -> Iterator[Receiver]:
    store = MortalStore(here.settings.database_url, steps)
    try:
        yield here.receiver(name, store=store, wrapped=lambda inner: MortalTransport(steps, inner))
    finally:
        store.close()


def survives(receiver: Receiver, here: ObjectScene, story: Story) -> bool:
    """Let it work until all is at an end; False if it dies before that."""
    for _ in range(MOST_ROUNDS):
        try:
            receiver.tick()
        except Killed:
            return False
        ordered = people(here, story)
        found = here.rollbacks()
        if found and all(one.state in ENDS for one in found) and not ordered:
            return True
        here.time.pass_(20.0 if any(one.state is State.VERIFYING for one in found) else 2.0)
    raise AssertionError(f"not at an end: {here.rollbacks()}")


def people(here: ObjectScene, story: Story) -> bool:
    """They approve what waits, and undo what is confirmed, once."""
    found = here.rollbacks()
    for one in found:
        if one.state is State.AWAITING_APPROVAL:
            with here.store.begin() as tx:
                orders.approve(tx, one, here.settings, by="ann", reason="", now=here.time.now)
            return True
    if story.undo and len(found) == 1 and found[0].confirmed_at is not None:
        with here.store.begin() as tx:
            orders.undo(tx, found[0], here.settings, by="ann", reason="was right", now=here.time.now)
        return True
    return False


def sent(here: ObjectScene) -> int:
    """Writes that arrived, of objects and of flows."""
    with here.simulation.present():
        return sum(bool(one.publish or one.object_write) for one in here.simulation.requests.newest())


def left_over(here: ObjectScene, found: list[Rollback]) -> list[str]:
    with here.store.begin() as tx:
        usable = [
            f"{one.id}: permit {permit.number}"
            for one in found
            for permit in rollbacks.permits_of(tx, one.id)
            if permit.valid_until >= here.time.now
        ]
        return [*leases.held(tx, now=here.time.now), *usable]


def problems(story: Story, crash: Crash, after: Run) -> list[str]:
    end = after.ends[-1]
    found = [] if end in story.ends else [f"ended as {after.ends}"]
    if (end == SUCCESS) != after.is_done:
        found.append(f"ended as {after.ends}, and that {'is' if after.is_done else 'is not'} so")
    if end == NO_EFFECT and not after.is_untouched:
        found.append("it had an effect")
    if after.writes > story.writes:
        found.append(f"{after.writes} writes")
    return [f"{crash}: {problem}" for problem in [*found, *after.left]]


@pytest.mark.parametrize("name", STORIES)
def test_whoever_dies_at_any_step_another_one_finishes(name: str, size: Size, figures: Figures) -> None:
    every = size.of(short=11, full=1)
    begun = time.monotonic()
    undisturbed = tell(name)
    assert undisturbed.is_done
    assert set(undisturbed.ends) <= {SUCCESS, (State.SUPERSEDED, "")}
    found, runs = [], []
    for crash in crashes(undisturbed.done)[::every]:
        runs.append(tell(name, crash))
        found += problems(STORIES[name], crash, runs[-1])
    without = sum(not one.is_done for one in runs)
    figures(
        f"named steps, {name}: {len(runs)} deaths, one a time; {sum(one.writes for one in runs)} writes, "
        f"{len(runs) - without} done, {without} not and told so; {time.monotonic() - begun:.0f} s"
    )
    assert not found
