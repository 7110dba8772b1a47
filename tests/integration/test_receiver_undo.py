"""A person takes a rollback back: on the same rails, past what a person may override, and once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genesys.errors import Unavailable
from receiver.orders import NotPossible
from receiver.store import audit, controls, flows, leases, rollbacks
from receiver.store.rollbacks import Kind, Rollback, State
from tests.integration.ordering import all_rollbacks, events_of, in_quarantine, state_of, undo
from tests.integration.receiver_world import (
    ALERTMANAGER,
    TIMEOUT,
    FlowInGenesys,
    GenesysInMemory,
    Reaction,
    Scene,
    alert_of,
    fingerprint,
    open_window,
    scene,
)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path, external_url="https://bridge.example.org") as made:
        yield made


def rolled_back(here: Scene) -> Rollback:
    """14.0 was taken away, and 13.0 is verified."""
    here.deliver()
    here.run(20)
    (rollback,) = here.rollbacks()
    assert rollback.state is State.VERIFYING
    return rollback


def succeeded(here: Scene) -> Rollback:
    here.deliver()
    return here.run_to_the_end()


def test_the_version_is_live_again_and_nothing_of_the_rollback_is_left(here: Scene) -> None:
    first = succeeded(here)
    assert in_quarantine(here) == ["14.0"]
    ordered = undo(here, by="ann")
    assert (ordered.kind, ordered.undoes, ordered.accused_version, ordered.target_version) == (
        Kind.UNDO,
        first.id,
        "13.0",
        "14.0",
    )
    assert ordered.attempt_id == ordered.id
    here.run(20)

    assert state_of(here, ordered) == (State.SUCCEEDED, "live again, as ann ordered")
    assert state_of(here, first)[0] is State.SUCCEEDED
    assert here.genesys.of().live == "14.0"
    assert here.published() == ["13.0", "14.0"]
    assert in_quarantine(here) == []
    assert here.told_types() == [
        *("AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"),
        *("UNDO_SUCCEEDED", "ROLLBACK_SUPPRESSED"),  # the alert still fires: made live by the bridge
    ]
    event = here.told()[2]
    assert (event["accused_version_id"], event["target_version_id"]) == ("13.0", "14.0")
    assert event["action_taken"] == "SWITCHED_TO_VERSION_14.0"
    assert "undo_url" not in event
    assert events_of(here, ordered) == ["planned", "permit", "accepted", "confirmed", "succeeded"]


def test_what_people_have_put_back_the_bridge_leaves_alone(here: Scene) -> None:
    succeeded(here)
    undo(here)
    here.run(20)
    here.run(here.settings.timing.lockout_s + 1200, step_s=20)

    assert here.published() == ["13.0", "14.0"]
    assert here.verdicts()[-1] == "restored_by_bridge"


@pytest.mark.parametrize("verifying", [True, False], ids=["while it is verified", "when it has ended"])
def test_a_rollback_that_is_undone_while_it_is_verified_ends_in_peace(here: Scene, verifying: bool) -> None:
    first = rolled_back(here)
    here.genesys.reactions = [Reaction(effect_after_s=30.0)]
    if not verifying:
        here.run_to_the_end()
    ordered = undo(here, first if not verifying else None)
    here.run(90)

    assert state_of(here, ordered)[0] is State.SUCCEEDED
    assert state_of(here, first) == ((State.SUPERSEDED, "undone by ann") if verifying else state_of(here, first))
    assert in_quarantine(here) == []
    assert [kind for kind in here.told_types() if "FAILED" in kind or "UNVERIFIED" in kind] == []
    with here.store.begin() as tx:
        assert controls.list_holds(tx) == []


def pause(here: Scene) -> None:
    with here.store.begin() as tx:
        controls.pause(tx, "retail", by="bob", reason="storm", now=here.time.now)


def hold(here: Scene) -> None:
    with here.store.begin() as tx:
        controls.hold(tx, "retail", ["flow-1"], owner="bob", reason="x", by="bob", now=here.time.now)


@pytest.mark.parametrize(
    ("stop", "verdict"),
    [
        pytest.param(pause, "paused", id="paused"),
        pytest.param(hold, "held", id="held"),
        pytest.param(open_window, "maintenance", id="in a window"),
        pytest.param(lambda _: None, "lockout", id="in a lockout"),
        pytest.param(lambda here: here.deliver(alert_of(firing=False)), "resolved", id="the alert is over"),
    ],
)
def test_what_stops_the_bridge_does_not_stop_a_person_and_is_recorded(
    here: Scene, stop: Callable[[Scene], None], verdict: str
) -> None:
    rolled_back(here)
    stop(here)
    ordered = undo(here)
    here.run(20)

    assert state_of(here, ordered)[0] is State.SUCCEEDED
    (decided,) = [one for one in here.decisions() if one.rollback_id == ordered.id]
    guard = next(one for one in decided.guards if one["guard"] == verdict)
    assert (guard["holds_back"], guard["overridden"]) == (True, True)
    assert (decided.verdict, decided.version, decided.facts["overridden_by"]) == ("roll_back", "13.0", "ann")


def test_a_silence_does_not_stop_a_person(tmp_path: Path) -> None:
    with scene(tmp_path, alertmanagers=[ALERTMANAGER]) as here:
        rolled_back(here)
        here.alertmanager.silenced = {fingerprint(): ["s1"]}
        ordered = undo(here)
        here.run(20)

        assert state_of(here, ordered)[0] is State.SUCCEEDED


# What even a person cannot order


@pytest.mark.parametrize(
    ("change", "end"),
    [
        pytest.param(
            lambda here: here.genesys.make_live("15.0"), (State.SUPERSEDED, "refused_superseded"), id="a newer version"
        ),
        pytest.param(
            lambda here: setattr(here.genesys.of(), "active", False),
            (State.FAILED, "refused_inactive"),
            id="deactivated",
        ),
        pytest.param(
            lambda here: setattr(here.genesys.of(), "locked_by", "bob"),
            (State.FAILED, "refused_locked_in_architect"),
            id="locked",
        ),
        pytest.param(
            lambda here: here.genesys.of().timeline.pop(-2), (State.FAILED, "refused_no_eligible_target"), id="deleted"
        ),
    ],
)
def test_what_is_not_possible_fails_and_people_hear_why(
    here: Scene, change: Callable[[Scene], object], end: tuple[State, str]
) -> None:
    succeeded(here)
    ordered = undo(here)
    change(here)
    here.run(20)

    assert state_of(here, ordered) == end
    assert here.published() == ["13.0"]
    (event,) = [event for event in here.told() if event["incident_type"] == "UNDO_FAILED"]
    assert event["reason"] == end[1]
    assert in_quarantine(here) == ["14.0"]


@pytest.mark.parametrize(
    ("reaction", "reason", "publishes"),
    [
        pytest.param(Reaction(operation_fails=True), "publish_failed", 1, id="the operation fails"),
        pytest.param(Reaction(effect_after_s=None), "no_effect", 1, id="accepted without effect"),
    ],
)
def test_an_undo_that_fails_leaves_no_hold_and_no_quarantine_and_may_be_repeated(
    here: Scene, reaction: Reaction, reason: str, publishes: int
) -> None:
    first = succeeded(here)
    for number in (1, 2):
        here.genesys.reactions = [reaction]
        ordered = undo(here, first)
        here.run(400, step_s=10)
        assert (state_of(here, ordered), ordered.try_number) == ((State.FAILED, reason), number)
    with here.store.begin() as tx:
        assert controls.list_holds(tx) == []
    assert in_quarantine(here) == ["14.0"]
    assert len(here.published()) == 1 + 2 * publishes

    undo(here, first)
    here.run(20)
    assert here.genesys.of().live == "14.0"


def test_a_lost_undo_is_sent_again_only_when_it_is_proved_lost(here: Scene) -> None:
    succeeded(here)
    here.genesys.reactions = [Reaction(raises=TIMEOUT, effect_after_s=None)]
    ordered = undo(here)
    here.run(400, step_s=10)

    assert state_of(here, ordered)[0] is State.SUCCEEDED
    assert here.published() == ["13.0", "14.0", "14.0"]


def test_an_undo_that_cannot_read_waits_for_its_deadline(here: Scene) -> None:
    succeeded(here)
    ordered = undo(here)
    here.genesys.down = Unavailable("no answer")
    here.run(here.settings.timing.rollback_deadline_s + 60, step_s=20)

    assert state_of(here, ordered) == (State.FAILED, "unread")
    assert here.told_types()[-1] == "UNDO_FAILED"


# It counts for nothing


def test_an_undo_starts_no_lockout_and_spends_no_budget(here: Scene) -> None:
    first = succeeded(here)
    undo(here)
    here.run(20)
    with here.store.begin() as tx:
        assert rollbacks.last_start(tx, "retail", None, shadow=False) == first.started_at
        spent = rollbacks.started_since(tx, "retail", None, since=0.0, shadow=False)
    assert [one.id for one in spent] == [first.id]


def test_what_an_undo_took_away_may_be_a_target_again(here: Scene) -> None:
    succeeded(here)
    undo(here)
    here.run(20)
    here.run(here.settings.timing.lockout_s, step_s=60)
    here.genesys.of().error_ratio |= {"15.0": 0.5, "14.0": 0.0}
    here.genesys.make_live("15.0")
    here.run(900, step_s=60)
    here.deliver(alert_of(version="15.0"))
    here.run(40)

    candidates = here.decisions()[-1].facts["considered"]
    assert all("rolled it back" not in one["reason"] for one in candidates)


# Turns


def test_an_undo_waits_for_the_rollback_that_is_at_work_and_the_next_one_waits_for_it(tmp_path: Path) -> None:
    with scene(tmp_path, lockout_scope="flow") as here:
        here.clouds["retail"] = GenesysInMemory(here.time, *(FlowInGenesys(f"flow-{n}") for n in (1, 2, 3)))
        here.receiver = here.another_receiver("receiver-1")
        first = rolled_back(here)
        here.genesys.reactions = [Reaction(effect_after_s=60.0)]
        here.deliver(alert_of("flow-2"))
        here.run(4)
        ordered = undo(here, first)
        here.deliver(alert_of("flow-3"))
        here.run(20)
        assert [flow for _, flow, _ in here.genesys.published] == ["flow-1", "flow-2"]
        assert events_of(here, ordered) == ["planned", "waits"]

        here.run(120)
        assert [flow for _, flow, _ in here.genesys.published] == ["flow-1", "flow-2", "flow-1", "flow-3"]
        assert state_of(here, ordered)[0] is State.SUCCEEDED
        with here.store.begin() as tx:
            assert not leases.held(tx, now=here.time.now + 60)


# Orders


@pytest.mark.parametrize("phase", ["under way", "done"])
def test_a_rollback_is_undone_once(here: Scene, phase: str) -> None:
    first = succeeded(here)
    ordered = undo(here)
    if phase == "done":
        here.run(20)

    with pytest.raises(NotPossible, match=f"it is undone already by {ordered.id}"):
        undo(here, first)
    with pytest.raises(NotPossible, match="it is an undo itself"):
        undo(here, ordered)


def test_what_has_made_nothing_live_cannot_be_undone(here: Scene) -> None:
    here.genesys.reactions = [Reaction(effect_after_s=None)]
    here.deliver()
    here.run(4)
    with pytest.raises(NotPossible, match="live: it is confirming"):
        undo(here)


def test_an_observed_rollback_cannot_be_undone(tmp_path: Path) -> None:
    with scene(tmp_path, flows=[{"match": "*", "mode": "observe"}]) as here:
        here.deliver()
        here.run(4)
        with pytest.raises(NotPossible, match="live: it is observed"):
            undo(here)


def test_what_was_replaced_cannot_be_undone_as_far_as_that_is_known(here: Scene) -> None:
    succeeded(here)
    here.genesys.make_live("15.0")
    with here.store.begin() as tx:
        flows.claim(tx, "retail", now=here.time.now, next_at=here.time.now + 600)
        flows.replace(tx, "retail", here.genesys.flows(), now=here.time.now)

    with pytest.raises(NotPossible, match=r"version 13\.0 is not live any more"):
        undo(here)


def test_a_rollback_that_somebody_replaced_while_it_was_verified_cannot_be_undone(here: Scene) -> None:
    rolled_back(here)
    here.genesys.make_live("15.0")
    assert here.run_to_the_end().state is State.SUPERSEDED

    with pytest.raises(NotPossible, match=r"version 13\.0 is not live any more"):
        undo(here)


def test_an_old_view_of_the_flow_refuses_no_undo(here: Scene) -> None:
    with here.store.begin() as tx:
        flows.claim(tx, "retail", now=here.time.now, next_at=here.time.now + 600)
        flows.replace(tx, "retail", here.genesys.flows(), now=here.time.now + 1e5)  # it shows 14.0
    succeeded(here)

    assert undo(here).state is State.PLANNED


def test_the_order_is_in_the_audit_by_name(here: Scene) -> None:
    succeeded(here)
    undo(here, by="ann")
    with here.store.begin() as tx:
        assert ("ann", "undo") in [(row.actor, row.kind) for row in audit.newest(tx, before=None, limit=3)]
    assert all_rollbacks(here)[0].facts["ordered_because"] == "14.0 was right"
