"""The rows of the fault table in which people approve, deny or undo, as what they do and what happens meanwhile."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from receiver.store import alerts
from receiver.store.rollbacks import ENDS, State
from tests.integration.fault_cases import DEACTIVATE, DELETE_TARGET, LOCK, NEWER, Arrange, publish_meets
from tests.integration.fault_table import Outcome, told_in
from tests.integration.ordering import ASKING, approve, deny, undo, waiting
from tests.integration.receiver_world import alert_of
from tests.integration.simulated_world import ACCUSED, SimulatedScene, simulated_scene

Do = Callable[[SimulatedScene], object]
Meanwhile = Callable[[SimulatedScene], None]

_MOST_ROUNDS = 400
DELETE_ACCUSED = {"event": "delete_version", "flow": "flow-1", "version": ACCUSED}


@dataclass(frozen=True)
class Ordered:
    """What people do once they are asked, or once a rollback is confirmed; and what happens right before or after."""

    when_asked: Do | None = None
    when_confirmed: Do | None = None
    settings: Mapping[str, Any] = field(default_factory=lambda: {"flows": ASKING})


def happen(event: dict[str, Any]) -> Do:
    return lambda here: here.genesys.happen(event)


def meets(arrange: Arrange) -> Do:
    return lambda here: arrange(here.genesys)


def in_turn(*done: Do) -> Do:
    def do(here: SimulatedScene) -> None:
        for one in done:
            one(here)

    return do


def shows_at_once(here: SimulatedScene) -> None:
    """What is published."""
    here.genesys.set(effect_delay=0.0)


def nothing(_: SimulatedScene) -> None:
    """Nobody comes."""


def is_over(here: SimulatedScene) -> None:
    with here.store.begin() as tx:
        alerts.record(tx, [alert_of(firing=False)], here.time.now)


def undone(*before: Do) -> Ordered:
    return Ordered(when_confirmed=in_turn(*before, undo), settings={})


def asked(*done: Do) -> Ordered:
    return Ordered(when_asked=in_turn(*done))


ORDERED: dict[str, Ordered] = {
    "approved": asked(approve),
    "denied": asked(deny),
    "approval-expires": asked(nothing),
    "approval-over": asked(is_over),
    "approval-newer": asked(shows_at_once, happen(NEWER)),
    "approval-deactivated": asked(happen(DEACTIVATE)),
    "approved-newer": asked(shows_at_once, happen(NEWER), approve),
    "approved-locked": asked(happen(LOCK), approve),
    "approved-target-deleted": asked(happen(DELETE_TARGET), approve),
    "approved-lost": asked(meets(publish_meets({"kind": "drop_before", "times": 1})), approve),
    "undone": undone(),
    "undone-lost": undone(meets(publish_meets({"kind": "drop_before", "times": 1}))),
    "undone-lost-after-effect": undone(meets(publish_meets({"kind": "drop_after", "times": 1}))),
    "undone-newer": undone(shows_at_once, happen(NEWER)),
    "undone-locked": undone(happen(LOCK)),
    "undone-deactivated": undone(happen(DEACTIVATE)),
    "undone-version-deleted": undone(happen(DELETE_ACCUSED)),
}


def see(folder: Path, name: str) -> Outcome:
    """Let people do it, and tell how the newest rollback, which is the undo where there is one, has ended.

    Fails if a lease is left, or a version is in quarantine that the bridge was told to put back.
    """
    case = ORDERED[name]
    with simulated_scene(folder, **case.settings) as here:
        here.deliver()
        receiver = here.receiver()
        to_do = [(_is_asked, case.when_asked), (_is_confirmed, case.when_confirmed)]
        for number in range(_MOST_ROUNDS):
            receiver.tick()
            for due, do in list(to_do):
                if do is not None and due(here):
                    do(here)
                    to_do.remove((due, do))
            ended = [one for one in here.rollbacks() if one.state in ENDS]
            if ended and len(ended) == len(here.rollbacks()):
                break
            here.time.pass_(2.0 if number < 10 else 10.0)
        last = ended[-1]
        assert not here.leases()
        reason = f" ({last.reason})" if last.state is State.FAILED else ""
        sent = f"{len(here.genesys.publishes())} ({len(here.genesys.effects())})"
        return Outcome(f"{last.state.value}{reason}", told_in(here), sent)


def _is_asked(here: SimulatedScene) -> bool:
    return bool(waiting(here))


def _is_confirmed(here: SimulatedScene) -> bool:
    return any(one.confirmed_at is not None for one in here.rollbacks())
