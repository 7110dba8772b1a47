"""Ten minutes in which nobody can be told: a rollback takes no longer, and afterwards people hear of everything."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from receiver.metrics import ReceiverMetrics
from receiver.notify.delivery import Deliverer
from receiver.notify.sinks import sinks_of
from receiver.outbound import Outbound
from receiver.process import Process
from receiver.store.rollbacks import LEASED, Rollback
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.memory import in_memory
from tests.campaigns.sinks import DEAD, Sink, Way, sinks
from tests.integration.fault_cases import CASES
from tests.integration.simulated_world import SimulatedScene, simulated_scene
from tests.receiver_world import organizations_of

DEAD_S = 600.0
CALL_TIMEOUT_S = 0.2  # real: what a sink that hangs takes of the test's time at each try
RETRY_MAX_S = 300.0
REAL_PATIENCE_S = 300.0  # real, and far more than an idle machine needs
INCIDENTS = ("operation-60s", "throttled", "ok-nothing", "newer-after-effect", "dropped-effect-5s")  # and their events


@dataclass(frozen=True)
class Story:
    """One incident, and what each sink has of it. Times are seconds after the alert."""

    confirmed_s: float | None
    ended_s: float
    told_by_s: float
    tried: dict[str, list[dict[str, Any]]]
    taken: dict[str, list[dict[str, Any]]]

    def events(self, sink: str) -> set[tuple[Any, ...]]:
        """What it was told, without what is random."""
        names = ("incident_type", "action_taken", "verdict", "timestamp", "target_version_id")
        return {tuple(event[name] for name in names) for event in self.taken[sink]}

    @property
    def ids(self) -> dict[str, set[str]]:
        """The ids under which each event was tried, at whichever sink."""
        found: dict[str, set[str]] = {}
        for event in (event for tried in self.tried.values() for event in tried):
            found.setdefault(f"{event['incident_type']} {event['verdict']}", set()).add(event["event_id"])
        return found


def story(name: str, seed: int, ways: Sequence[Way]) -> Story:
    """The incident `name` of the fault table; sinks that are dead are so for ten minutes from the alert on."""
    timing = {"call_timeout_s": CALL_TIMEOUT_S, "outbox_retry_max_s": RETRY_MAX_S}
    with (
        in_memory() as folder,
        sinks(ways) as made,
        simulated_scene(folder, seed=seed, webhooks=[one.settings for one in made], timing=timing) as here,
        closing(Outbound(CALL_TIMEOUT_S)) as http,
    ):
        metrics = ReceiverMetrics(here.store, here.settings, ["retail"])
        deliverer = Deliverer(
            here.store, sinks_of(here.settings, http), metrics, here.settings.timing, clock=lambda _: here.time.now
        )
        alerted_at = here.time.now
        here.deliver()
        CASES[name](here.genesys)
        _work(here, deliverer, alerted_at + DEAD_S)
        for one in made:
            one.revive()
        while here.untold() or here.rollbacks()[0].ended_at is None:
            _work(here, deliverer, here.time.now + 10.0)
            assert here.time.now < alerted_at + 2 * 3600.0, here.rollbacks()
        (rollback,) = here.rollbacks()
        return Story(
            None if rollback.confirmed_at is None else rollback.confirmed_at - alerted_at,
            (rollback.ended_at or 0.0) - alerted_at,
            here.time.now - alerted_at,
            {one.way.value: one.tried for one in made},
            {one.way.value: one.taken for one in made},
        )


def _work(here: SimulatedScene, deliverer: Deliverer, until: float) -> None:
    """The loop and the deliveries side by side, in the steps of the loop while a publish is looked for."""
    receiver = here.receiver()
    while here.time.now < until:
        receiver.tick()
        deliverer.deliver_due()
        found = here.rollbacks()
        here.time.pass_(2.0 if not found or found[-1].state in LEASED else 10.0)


def test_a_rollback_is_as_fast_with_dead_sinks_and_people_hear_of_all_of_it(size: Size, figures: Figures) -> None:
    names = size.of(short=INCIDENTS[:2], full=INCIDENTS * 6)
    pairs = [
        tuple(story(name, seed, ways) for ways in ((Way.ALIVE,), DEAD)) for seed, name in enumerate(names, start=1)
    ]
    slower = [dead.ended_s - living.ended_s for living, dead in pairs]
    events = [event for _, dead in pairs for taken in dead.taken.values() for event in taken]
    tries = sum(len(tried) for _, dead in pairs for tried in dead.tried.values())
    figures(
        f"dead sinks: {len(pairs)} incidents, each with {', '.join(DEAD)} sinks for {DEAD_S:.0f} s and with a living "
        f"one; slower by {max(slower):g} s at most; {len(events)} deliveries afterwards, after {tries - len(events)} "
        f"in vain that arrived, the last {max(dead.told_by_s for _, dead in pairs) - DEAD_S:.0f} s after the revival"
    )
    for living, dead in pairs:
        assert (dead.confirmed_s, dead.ended_s) == (living.confirmed_s, living.ended_s)
        assert all(len(ids) == 1 for ids in dead.ids.values()), dead.ids
        for sink in DEAD:
            assert dead.events(sink) == living.events(Way.ALIVE)
        assert dead.told_by_s <= max(DEAD_S, dead.ended_s) + RETRY_MAX_S + 20.0


def test_the_loop_does_not_wait_for_a_delivery_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole receiver with its threads: a rollback ends while the first notification is still in a sink's hands."""
    timing = {"call_timeout_s": REAL_PATIENCE_S, "tick_s": 0.02}
    with (
        sinks(DEAD) as made,
        simulated_scene(tmp_path, webhooks=[one.settings for one in made], timing=timing) as here,
    ):
        monkeypatch.setattr(time, "time", lambda: here.time.now)
        monkeypatch.setattr("receiver.process.open_organization", lambda _: here.cloud())
        process = Process(here.settings, organizations_of(tmp_path, ["retail"]))
        hanging = next(one for one in made if one.way is Way.HANGING)
        here.deliver()
        process.start()
        try:
            assert hanging.holds.wait(REAL_PATIENCE_S)
            rollback = _pass_until_it_ends(here)
            assert rollback.confirmed_at is not None
            assert len(hanging.tried) == 1
            assert not any(one.taken for one in made)

            for one in made:
                one.revive()
            _pass_until_told(here)
            for one in made:
                assert _types(one) == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"]
        finally:
            process.stop(REAL_PATIENCE_S)


def _types(sink: Sink) -> list[str]:
    return sorted(event["incident_type"] for event in sink.taken)


def _pass_until_it_ends(here: SimulatedScene) -> Rollback:
    give_up_at = time.monotonic() + REAL_PATIENCE_S
    while time.monotonic() < give_up_at:
        here.time.pass_(1.0)
        time.sleep(0.02)
        (rollback,) = here.rollbacks()
        if rollback.ended_at is not None:
            return rollback
    raise AssertionError(f"not at an end: {here.rollbacks()}")


def _pass_until_told(here: SimulatedScene) -> None:
    give_up_at = time.monotonic() + REAL_PATIENCE_S
    while here.untold():
        assert time.monotonic() < give_up_at
        here.time.pass_(1.0)
        time.sleep(0.02)
