"""Nothing hangs for ever: every state of a rollback has a last moment, and people hear of the end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from genesys.errors import Unavailable
from genesys.flows import Operation
from receiver.store.rollbacks import UNDER_WAY, Rollback, State
from receiver.store.schema import rollbacks as table
from tests.integration.receiver_world import CALL_TIMEOUT_S, TIMEOUT, Reaction, Scene, alert_of, scene

SILENT = Unavailable("no answer", 503)
RUNNING = Operation("somebody-elses", complete=False, action="PUBLISH", status="STARTED")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        made.deliver()
        yield made


def last_moment(here: Scene) -> float:
    """Of a rollback before it is confirmed, from its planning on: its deadline, and a proof that begins at it."""
    timing = here.settings.timing
    return timing.rollback_deadline_s + timing.permit_s + CALL_TIMEOUT_S + timing.publish_deadline_s


def watch(here: Scene, seconds: float, *, step_s: float = 10.0) -> dict[State, float]:
    """Let time pass; when each state was first seen, in seconds since the planning."""
    seen: dict[State, float] = {}
    until = here.time.now + seconds
    while here.time.now < until:
        here.run(step_s, step_s=step_s)
        newest = min(here.rollbacks(), key=lambda one: one.try_number)
        seen.setdefault(newest.state, here.time.now - newest.created_at)
    return seen


def first(here: Scene) -> Rollback:
    return min(here.rollbacks(), key=lambda one: one.try_number)


# Genesys Cloud never answers ------------------------------------------------------------------------------------------


def test_planned_ends_at_its_deadline(here: Scene) -> None:
    def silent_once_planned() -> None:
        here.genesys.down = SILENT if here.rollbacks() else None

    here.genesys.before_read = silent_once_planned
    seen = watch(here, last_moment(here) + 120)

    assert seen.keys() == {State.PLANNED, State.FAILED}
    assert seen[State.FAILED] <= here.settings.timing.rollback_deadline_s + 20
    assert here.published() == []
    assert "ROLLBACK_SUPPRESSED" in here.told_types()


def test_publishing_ends_at_its_deadline_and_people_are_told(here: Scene) -> None:
    here.genesys.reactions = [Reaction(raises=TIMEOUT, effect_after_s=None)]
    here.genesys.before_publish = lambda: setattr(here.genesys, "down", SILENT)
    seen = watch(here, last_moment(here) + 120)

    assert seen.keys() == {State.PUBLISHING, State.FAILED}
    assert seen[State.FAILED] <= here.settings.timing.rollback_deadline_s + 20
    assert first(here).reason == "outcome_unknown"
    assert "ROLLBACK_FAILED" in here.told_types()


def test_publishing_ends_although_an_operation_is_under_way_for_ever(here: Scene) -> None:
    here.genesys.reactions = [Reaction(raises=TIMEOUT, effect_after_s=None)]
    here.genesys.before_publish = lambda: setattr(here.genesys.of(), "operation", RUNNING)
    seen = watch(here, last_moment(here) + 120)

    assert seen[State.FAILED] <= last_moment(here) + 20
    assert first(here).reason == "outcome_unknown"
    assert "ROLLBACK_FAILED" in here.told_types()


def test_confirming_ends_at_the_publish_deadline_although_the_operation_never_completes(here: Scene) -> None:
    here.genesys.reactions = [Reaction(effect_after_s=None)]
    here.genesys.before_publish = lambda: setattr(here.genesys.of(), "operation", RUNNING)
    seen = watch(here, last_moment(here) + 120)

    assert seen.keys() == {State.CONFIRMING, State.FAILED}
    assert seen[State.FAILED] <= here.settings.timing.publish_deadline_s + 20
    assert first(here).reason == "publish_unfinished"
    assert "ROLLBACK_FAILED" in here.told_types()


def test_confirming_ends_at_its_deadline_although_nothing_can_be_read(here: Scene) -> None:
    here.genesys.before_publish = lambda: setattr(here.genesys, "down", SILENT)
    seen = watch(here, last_moment(here) + 120)

    assert seen.keys() == {State.CONFIRMING, State.FAILED}
    assert seen[State.FAILED] <= here.settings.timing.rollback_deadline_s + 20
    assert first(here).reason == "outcome_unknown"
    assert "ROLLBACK_FAILED" in here.told_types()


def test_verifying_ends_unverified_at_its_deadline_although_nothing_can_be_read(here: Scene) -> None:
    here.run(10)
    assert here.the_rollback().state is State.VERIFYING
    here.genesys.down = SILENT
    seen = watch(here, here.settings.timing.verify_deadline_s + 120)

    assert seen.keys() == {State.VERIFYING, State.UNVERIFIED}
    assert seen[State.UNVERIFIED] <= here.settings.timing.verify_deadline_s + 30
    assert first(here).reason.startswith("unread: ")
    assert "ROLLBACK_UNVERIFIED" in here.told_types()


# A receiver that was away, and one that cannot do its step -----------------------------------------------------------


def test_a_rollback_that_was_planned_before_everything_stood_still_is_told_as_failed(here: Scene) -> None:
    here.genesys.before_read = lambda: setattr(here.genesys, "down", SILENT if here.rollbacks() else None)
    here.receiver.tick()
    assert here.the_rollback().state is State.PLANNED
    here.genesys.before_read = lambda: None
    here.genesys.down = None
    here.time.pass_(here.settings.timing.rollback_deadline_s)
    here.receiver = here.another_receiver("receiver-2")
    here.receiver.tick()

    assert (first(here).state, first(here).reason) == (State.FAILED, "deadline")
    assert here.told_types()[0] == "ROLLBACK_FAILED"


def test_an_effect_that_is_found_long_after_every_deadline_is_still_verified(here: Scene) -> None:
    """No receiver ran for hours: what is true is read before anything is given up."""
    here.genesys.before_publish = lambda: setattr(here.genesys, "down", SILENT)
    here.receiver.tick()
    here.genesys.down = None
    here.time.pass_(4 * 3600)
    here.receiver = here.another_receiver("receiver-2")
    here.receiver.tick()

    assert here.the_rollback().state is State.VERIFYING


STUCK: dict[State, tuple[State, str]] = {
    State.PLANNED: (State.FAILED, "ROLLBACK_FAILED"),
    State.PUBLISHING: (State.FAILED, "ROLLBACK_FAILED"),
    State.CONFIRMING: (State.FAILED, "ROLLBACK_FAILED"),
    State.VERIFYING: (State.UNVERIFIED, "ROLLBACK_UNVERIFIED"),
}


@pytest.mark.parametrize("state", sorted(UNDER_WAY - {State.AWAITING_APPROVAL}))  # that one expires
def test_a_rollback_whose_step_always_fails_is_ended_as_stuck_after_its_last_moment(here: Scene, state: State) -> None:
    """Whatever comes from Genesys Cloud meets a fault of the program."""
    stand_in(here, state)
    here.genesys.down = RuntimeError("no GenesysError")
    timing = here.settings.timing
    allowed_s = timing.verify_deadline_s if state is State.VERIFYING else last_moment(here)
    here.run(allowed_s - 60, step_s=20)
    assert first(here).state is state

    here.run(timing.lease_s + 100, step_s=20)
    ended, told = STUCK[state]
    assert (first(here).state, first(here).reason) == (ended, "stuck")
    assert told in here.told_types()


@pytest.mark.parametrize("state", sorted(UNDER_WAY - {State.AWAITING_APPROVAL}))  # that one expires
def test_a_rollback_of_an_organization_that_is_no_longer_configured_ends_too(here: Scene, state: State) -> None:
    stand_in(here, state)
    here.alertmanager.list()
    here.deliver(alert_of(firing=False))  # nothing else is to be done
    here.store.transact(lambda tx: tx.execute(sa.update(table).values(org="gone")) and None)
    here.run(60, step_s=20)
    assert [one.state for one in here.rollbacks() if one.org == "gone"] == [state], "somebody else may know it"

    timing = here.settings.timing
    here.run(timing.rollback_deadline_s + timing.verify_deadline_s, step_s=30)
    ended, told = STUCK[state]
    (gone,) = [one for one in here.rollbacks() if one.org == "gone"]
    assert (gone.state, gone.reason) == (ended, "stuck")
    assert ("gone", told) in [(one["org"], one["incident_type"]) for one in here.told()]


def stand_in(here: Scene, state: State) -> None:
    """A rollback that has just come to this state."""
    until: dict[State, Callable[[], None]] = {
        State.PLANNED: lambda: setattr(here.genesys, "before_read", lambda: _silent_once_planned(here)),
        State.PUBLISHING: lambda: setattr(here.genesys, "reactions", [Reaction(raises=TIMEOUT, effect_after_s=None)]),
        State.CONFIRMING: lambda: setattr(here.genesys, "reactions", [Reaction(effect_after_s=None)]),
        State.VERIFYING: lambda: None,
    }
    until[state]()
    here.receiver.tick()
    if state is State.VERIFYING:
        here.run(6)
    assert here.the_rollback().state is state
    here.genesys.before_read = lambda: None
    here.genesys.down = None


def _silent_once_planned(here: Scene) -> None:
    here.genesys.down = SILENT if here.rollbacks() else None
