"""Every way back but `republish`, gone and undone, whatever nobody has proved about Genesys Cloud.

One switch of the simulator at a time is in another position than usual; what is written is counted there. For
`republish`, for which some of them mean another end, see `tests/acceptance/loops.py`.
"""

from pathlib import Path
from typing import Any, get_args

import pytest

from receiver import orders
from receiver.store.rollbacks import State
from receiver.strategy import Strategy
from simulator.scenario import parse
from simulator.vocabulary import Switches
from tests.integration import test_receiver_objects as restoring
from tests.integration import test_receiver_repoint as leading
from tests.integration.fault_cases import ways
from tests.integration.object_world import MAIN, ObjectScene, object_scene
from tests.integration.ordering import undo
from tests.integration.simulated_world import ACCUSED, simulated_scene


def positions() -> list[dict[str, Any]]:
    """Each position that no switch has by itself; those of the other dialect, which knows none of these ways, aside."""
    return [
        {name: position}
        for name, field in Switches.model_fields.items()
        if not name.startswith("guide_")
        for position in (get_args(field.annotation) or (True, False))
        if position != field.default
    ]


whatever = pytest.mark.parametrize(
    "switches", positions(), ids=[f"{name} {value}" for one in positions() for name, value in one.items()]
)


def test_every_position_is_met() -> None:
    assert {"republish": "nothing"} in positions()
    assert {"extra_group_keys": False} in positions()
    assert len(positions()) > len(Switches.model_fields)


@whatever
def test_a_redeployment_and_its_undo(tmp_path: Path, switches: dict[str, Any]) -> None:
    with simulated_scene(tmp_path, **ways("redeploy")) as here:
        here.genesys.switch(**switches)
        here.deliver()
        done = here.run_to_the_end(here.receiver())
        assert done is not None
        assert (done.state, done.strategy) == (State.SUCCEEDED, Strategy.REDEPLOY)
        assert here.genesys.history() == [ACCUSED, "15.0"]
        undo(here, done)
        here.run(here.receiver(), 120.0)
        undone = here.rollbacks()[-1]
        assert (undone.is_undo, undone.state) == (True, State.SUCCEEDED)
        assert here.genesys.history() == [ACCUSED, "15.0", "16.0"]
        assert len(here.genesys.effects()) == 2


@whatever
def test_callers_are_led_elsewhere_and_back(tmp_path: Path, switches: dict[str, Any]) -> None:
    world, settings = parse(leading.WORLD), leading.settings(leading.ROUTE, "repoint")
    with object_scene(tmp_path, scenario=world, **settings) as here:
        turn(here, switches)
        here.happen({"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.6})
        here.time.pass_(961.0)
        leading.accuse(here)
        before = leading.slots(here)
        done = leading.ended(here)
        assert (done.state, done.strategy) == (State.SUCCEEDED, Strategy.REPOINT)
        assert leading.slots(here) != before
        regret(here)
        assert (leading.slots(here), len(here.writes()), leading.publishes(here)) == (before, 2, [])


@whatever
@pytest.mark.parametrize("object_id", restoring.RESTORABLE)
def test_an_object_is_restored_and_that_undone(tmp_path: Path, object_id: str, switches: dict[str, Any]) -> None:
    with object_scene(tmp_path) as here:
        turn(here, switches)
        changed, done = restoring.changed_and_restored(here, object_id)
        assert done.state is State.SUCCEEDED, done.reason
        assert here.content(object_id) == here.before[object_id]
        regret(here)
        assert here.content(object_id) == changed
        assert len(here.writes()) == 2 * len(restoring.WRITES[object_id])


def turn(here: ObjectScene, switches: dict[str, Any]) -> None:
    with here.simulation.present():
        here.simulation.change_switches(here.simulation.world.switches.model_copy(update=switches))


def regret(here: ObjectScene) -> None:
    """A person takes the newest rollback back, and that is done."""
    first = here.rollbacks()[-1]
    with here.store.begin() as tx:
        orders.undo(tx, first, here.settings, by="ann", reason="was right", now=here.time.now)
    undone = here.run_to_the_end(here.receiver())
    assert (undone.state, undone.is_undo) == (State.SUCCEEDED, True)
