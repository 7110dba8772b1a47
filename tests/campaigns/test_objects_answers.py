"""Genesys Cloud at its worst while an object is restored, or callers are led elsewhere: one effect, as it counts.

Genesys Cloud numbers the changes of a call route and of a data action; a data table is compared row by row.
"""

from collections import Counter
from dataclasses import dataclass

import pytest

from receiver import orders
from receiver.store.rollbacks import ENDS, LEASED, Rollback, State
from simulator.scenario import parse
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.memory import in_memory
from tests.campaigns.test_answers import AT_ITS_WORST
from tests.integration.object_world import ACTION, IVR, MAIN, TABLE, TYPES, ObjectScene, object_scene
from tests.integration.receiver_world import Receiver
from tests.integration.test_receiver_repoint import ROUTE, WORLD, accuse, settings

SEED = 7_000
LIMIT_S = 4 * 3600.0
QUIET_S = 300.0  # after the last end: nothing more may be sent


@dataclass(frozen=True)
class Incident:
    """What came of one: `effects` as Genesys Cloud has counted them."""

    attempts: list[Rollback]
    effects: int
    writes: int
    is_as_before: bool
    is_as_broken: bool

    @property
    def ends(self) -> list[str]:
        return [f"{one.state.value}{f' ({one.reason})' if one.state is State.FAILED else ''}" for one in self.attempts]


def numbered(here: ObjectScene, object_type: str, object_id: str) -> int:
    with here.simulation.present():
        return int(here.simulation.objects.read(object_type, object_id).get("version", 0))


def live_through(here: ObjectScene, receiver: Receiver) -> None:
    """From the alert until nothing more can come of it; a person agrees to whatever is asked."""
    until, quiet_since = here.time.now + LIMIT_S, None
    while here.time.now < until:
        receiver.tick()
        found = here.rollbacks()
        for waiting in (one for one in found if one.state is State.AWAITING_APPROVAL):
            with here.store.begin() as tx:
                orders.approve(tx, waiting, here.settings, by="ann", reason="", now=here.time.now)
        over = bool(found) and found[-1].state in ENDS and (found[-1].wrote or len(found) == 3)
        quiet_since = (here.time.now if quiet_since is None else quiet_since) if over else None
        if quiet_since is not None and here.time.now - quiet_since >= QUIET_S:
            return
        here.time.pass_(2.0 if found and found[-1].state in LEASED else 15.0)
    raise AssertionError(f"not at an end after {LIMIT_S} s: {here.rollbacks()}")


def restored(object_id: str, seed: int) -> Incident:
    with in_memory() as folder, object_scene(folder, seed=seed) as here:
        here.break_it(object_id)
        broken, before = here.content(object_id), numbered(here, TYPES[object_id].value, object_id)
        here.accuse(object_id)
        here.fault(*AT_ITS_WORST)
        live_through(here, here.receiver())
        effects = numbered(here, TYPES[object_id].value, object_id) - before
        now = here.content(object_id)
        return Incident(here.rollbacks(), effects, len(here.writes()), now == here.before[object_id], now == broken)


def led_elsewhere(seed: int) -> Incident:
    with (
        in_memory() as folder,
        object_scene(folder, seed=seed, scenario=parse(WORLD), **settings(ROUTE, "repoint")) as here,
    ):
        here.happen({"event": "publish", "flow": MAIN, "version": "14.0", "error_ratio": 0.6})
        here.time.pass_(961.0)
        accuse(here)
        broken, before = here.content_of("ivr", ROUTE), numbered(here, "ivr", ROUTE)
        here.fault(*AT_ITS_WORST)
        live_through(here, here.receiver())
        now = here.content_of("ivr", ROUTE)
        return Incident(
            here.rollbacks(), numbered(here, "ivr", ROUTE) - before, len(here.writes()), now != broken, now == broken
        )


def line_of(what: str, incidents: list[Incident]) -> str:
    ends = Counter(end for one in incidents for end in one.ends)
    return (
        f"answers at their worst, {what}: {len(incidents)} incidents; "
        f"{', '.join(f'{count} {end}' for end, count in ends.most_common())}; "
        f"{sum(one.writes for one in incidents)} writes, {sum(one.effects for one in incidents)} effects, "
        f"{sum(one.effects > 1 for one in incidents)} second effects (seed {SEED})"
    )


@pytest.mark.parametrize("what", [ACTION, IVR, "repoint"])
def test_what_is_written_has_one_effect(size: Size, figures: Figures, what: str) -> None:
    seeds = [SEED + number for number in range(size.of(short=6, full=120))]
    incidents = [led_elsewhere(seed) if what == "repoint" else restored(what, seed) for seed in seeds]
    figures(line_of(what, incidents))
    for one in incidents:
        assert one.effects <= 1, one
        assert (one.is_as_before, one.is_as_broken) == (one.effects == 1, one.effects == 0), one
        assert any(attempt.state is State.SUCCEEDED for attempt in one.attempts) == (one.effects == 1), one
        assert all(attempt.state in (State.SUCCEEDED, State.FAILED) for attempt in one.attempts), one


def test_a_table_is_as_it_was_or_people_are_told(size: Size, figures: Figures) -> None:
    """Row by row: what is restored in part, or may be, is said to be; people may have the rest restored then."""
    incidents = [restored(TABLE, SEED + number) for number in range(size.of(short=6, full=120))]
    figures(line_of("data table", incidents))
    for one in incidents:
        assert one.is_as_before == any(attempt.state is State.SUCCEEDED for attempt in one.attempts), one
        in_part = not one.is_as_before and not one.is_as_broken
        assert not in_part or {"failed (publish_failed)", "failed (outcome_unknown)"} & set(one.ends), one
