"""What Genesys Cloud may answer to a publish, and that it has one effect whatever it answers."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from genesys.errors import GenesysError, Gone, NotAllowed, Refused, Throttled, Unavailable
from receiver.store import controls, leases
from receiver.store.rollbacks import Answer, State
from tests.integration.receiver_world import (
    CALL_TIMEOUT_S,
    TIMEOUT,
    Reaction,
    Scene,
    scene,
)

NO_EFFECT = Reaction(effect_after_s=None)
LOST = Reaction(raises=TIMEOUT, effect_after_s=None, takes_s=CALL_TIMEOUT_S)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        made.deliver()
        yield made


def refusing(error: GenesysError) -> Reaction:
    return Reaction(raises=error, effect_after_s=None)


def throttled(retry_after_s: float) -> Reaction:
    return refusing(Throttled("slow down", 429, retry_after_s=retry_after_s))


def proof_takes_s(here: Scene) -> float:
    """From a permit until its publish is proved to have had no effect."""
    timing = here.settings.timing
    return timing.permit_s + CALL_TIMEOUT_S + timing.publish_deadline_s


# Refused, provably without effect


def test_a_rate_limit_within_the_deadline_is_waited_out(here: Scene) -> None:
    here.genesys.reactions = [throttled(60), throttled(30)]
    rollback = here.run_to_the_end()

    assert rollback.state is State.SUCCEEDED
    times = [at for at, _, _ in here.genesys.published]
    assert len(times) == 3
    assert times[1] - times[0] >= 60
    assert times[2] - times[1] >= 30
    assert [permit.answer for permit in here.permits()] == [Answer.REFUSED, Answer.REFUSED, Answer.ACCEPTED]
    assert here.told_types() == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"]


def test_a_rate_limit_beyond_the_deadline_ends_it_at_once_and_frees_the_lease(here: Scene) -> None:
    here.genesys.reactions = [throttled(here.settings.timing.rollback_deadline_s)]
    here.receiver.tick()

    rollback = here.the_rollback()
    assert (rollback.state, rollback.reason, rollback.wrote) == (State.FAILED, "rate_limited", False)
    assert here.told_types() == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_FAILED"]
    with here.store.begin() as tx:
        assert leases.held(tx, now=here.time.now) == set()


def test_a_flow_that_is_busy_is_tried_again_soon(here: Scene) -> None:
    here.genesys.reactions = [refusing(Refused("an operation is running", 409))]
    assert here.run_to_the_end().state is State.SUCCEEDED
    assert here.published() == ["13.0", "13.0"]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(NotAllowed("missing permission", 403), id="403"),
        pytest.param(Refused("bad request", 400), id="400"),
        pytest.param(Gone("no such version", 404), id="404"),
        pytest.param(Gone("deleted", 410), id="410"),
    ],
)
def test_what_waiting_cannot_help_ends_it_and_may_be_tried_again_after_the_lockout(
    here: Scene, error: GenesysError
) -> None:
    here.genesys.reactions = [refusing(error)] * 10
    here.receiver.tick()
    assert (here.the_rollback().state, here.the_rollback().reason) == (State.FAILED, "publish_refused")
    assert here.told_types() == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_FAILED"]

    here.run(5 * here.settings.timing.lockout_s, step_s=20)
    times = [at for at, _, _ in here.genesys.published]
    assert len(times) == 3, "the first and two repetitions"
    assert all(later - sooner >= here.settings.timing.lockout_s for sooner, later in pairwise(times))
    assert here.verdicts()[-1] == "already_rolled_back"


def test_a_pause_pressed_while_a_rate_limit_is_waited_out_is_obeyed_and_people_hear_of_it(here: Scene) -> None:
    here.genesys.reactions = [throttled(60)]
    here.run(30)
    with here.store.begin() as tx:
        controls.pause(tx, "retail", by="ann", reason="storm", now=here.time.now)
    here.run(60)

    assert here.published() == ["13.0"], "the one that was refused"
    assert (here.the_rollback().state, here.the_rollback().reason) == (State.FAILED, "refused_paused")
    assert here.told()[-1]["incident_type"] == "ROLLBACK_FAILED"
    assert here.told()[-1]["reason"] == "refused_paused"


def test_a_version_published_while_a_rate_limit_is_waited_out_is_not_written_over(here: Scene) -> None:
    here.genesys.reactions = [throttled(60)]
    here.run(30)
    here.genesys.make_live("15.0")
    here.run(600, step_s=5)

    assert here.genesys.of().live == "15.0"
    assert here.published() == ["13.0"], "the one that was refused"
    assert here.the_rollback().state is State.SUPERSEDED


# Accepted, which proves nothing


def test_an_accepted_publish_without_effect_fails_and_is_not_sent_again(here: Scene) -> None:
    here.genesys.reactions = [NO_EFFECT]
    here.run(3600, step_s=10)

    rollback = here.the_rollback()
    assert (rollback.state, rollback.reason, rollback.wrote) == (State.FAILED, "no_effect", True)
    assert here.published() == ["13.0"]
    assert here.told_types()[:2] == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_FAILED"]


def test_an_operation_that_fails_ends_it_with_what_genesys_said(here: Scene) -> None:
    here.genesys.reactions = [Reaction(operation_fails=True)]
    rollback = here.run_to_the_end()

    assert (rollback.state, rollback.reason) == (State.FAILED, "publish_failed")
    assert any(step.detail.get("error") == "flow.invalid" for step in here.steps())
    assert here.published() == ["13.0"]


@pytest.mark.parametrize("reaction", [Reaction(publishes="15.0"), replace(LOST, publishes="15.0")])
def test_a_version_that_somebody_publishes_right_after_ours_is_not_written_over(
    here: Scene, reaction: Reaction
) -> None:
    here.genesys.reactions = [reaction]
    here.run(8, step_s=8)
    here.run(1800, step_s=10)

    assert here.the_rollback().state is State.SUPERSEDED
    assert here.published() == ["13.0"]
    assert here.genesys.of().live == "15.0"
    assert here.told_types()[:2] == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_FAILED"]


def test_a_version_that_somebody_publishes_while_the_target_is_measured_ends_the_measuring(here: Scene) -> None:
    here.run(10)
    assert here.the_rollback().state is State.VERIFYING
    here.genesys.make_live("15.0")
    here.run(120, step_s=10)

    assert here.the_rollback().state is State.SUPERSEDED
    assert here.published() == ["13.0"]


# Nobody knows


@pytest.mark.parametrize("late_s", [0.0, 5.0, 60.0, 150.0])
@pytest.mark.parametrize("error", [TIMEOUT, Unavailable("bad gateway", 502)], ids=["timeout", "502"])
def test_a_lost_answer_with_a_late_effect_is_found_out_by_reading(
    here: Scene, late_s: float, error: Unavailable
) -> None:
    here.genesys.reactions = [Reaction(raises=error, effect_after_s=late_s, takes_s=CALL_TIMEOUT_S)]
    rollback = here.run_to_the_end()

    assert rollback.state is State.SUCCEEDED
    assert here.published() == ["13.0"]
    assert [permit.answer for permit in here.permits()] == [Answer.AMBIGUOUS]


def test_a_lost_publish_is_sent_once_more_only_when_it_is_proved_to_have_had_no_effect(here: Scene) -> None:
    here.genesys.reactions = [LOST]
    rollback = here.run_to_the_end()

    assert rollback.state is State.SUCCEEDED
    (first_at, *_), (second_at, *_) = here.genesys.published
    assert second_at - first_at >= proof_takes_s(here)
    assert here.told_types() == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"]


def test_a_publish_that_is_lost_twice_is_given_up(here: Scene) -> None:
    here.genesys.reactions = [LOST, LOST]
    here.run(4000, step_s=10)

    rollback = here.the_rollback()
    assert (rollback.state, rollback.reason, rollback.wrote) == (State.FAILED, "no_effect", True)
    assert here.published() == ["13.0", "13.0"]
    assert here.told_types()[:2] == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_FAILED"]


def test_the_flow_is_read_after_the_proof_is_due_and_not_before(here: Scene) -> None:
    """The effect shows while a slow reading is under way: what was read before does not count as proof."""
    proof_s = proof_takes_s(here)
    here.genesys.reactions = [Reaction(raises=TIMEOUT, effect_after_s=proof_s - 1, takes_s=CALL_TIMEOUT_S)]
    here.receiver.tick()
    sent_at = here.genesys.published[0][0]
    here.time.now = sent_at + proof_s - 30
    here.receiver.tick()  # what the decision needs is kept now: the next reading is that of the proof
    here.time.now = sent_at + proof_s - 2
    here.genesys.answering_takes_s = 20.0
    here.receiver.tick()
    here.genesys.answering_takes_s = 0.0
    here.run(20)

    assert here.published() == ["13.0"]
    assert here.the_rollback().state is State.VERIFYING
    assert "no_effect" not in [step.event for step in here.steps()]


def test_an_effect_that_shows_while_a_second_send_waits_is_recognised(here: Scene) -> None:
    """Lost, proved without effect, the second refused for a while; and then the first has its effect after all."""
    proof_s = proof_takes_s(here)
    here.genesys.reactions = [
        Reaction(raises=TIMEOUT, effect_after_s=proof_s + 40, takes_s=CALL_TIMEOUT_S),
        throttled(60),
    ]
    rollback = here.run_to_the_end()

    assert rollback.state is State.SUCCEEDED
    assert len(here.published()) == 2, "the lost one and the refused one"


def test_before_a_second_send_everything_is_decided_anew(here: Scene) -> None:
    here.genesys.reactions = [LOST]
    here.run(60, step_s=5)
    with here.store.begin() as tx:
        controls.pause(tx, "retail", by="ann", reason="storm", now=here.time.now)
    here.run(600, step_s=5)

    assert here.published() == ["13.0"]
    assert (here.the_rollback().state, here.the_rollback().reason) == (State.FAILED, "refused_paused")


def test_a_flow_that_cannot_be_read_after_a_lost_answer_is_read_until_the_deadline(here: Scene) -> None:
    here.genesys.reactions = [LOST]
    here.receiver.tick()
    here.genesys.down = Unavailable("no answer")
    here.run(here.settings.timing.rollback_deadline_s + 30, step_s=10)

    assert (here.the_rollback().state, here.the_rollback().reason) == (State.FAILED, "outcome_unknown")
    assert here.told()[-1]["incident_type"] == "ROLLBACK_FAILED"
    here.genesys.down = None
    here.run(3600, step_s=20)
    assert here.published() == ["13.0"]


# The permit


def test_a_permit_that_ran_out_before_the_send_is_not_used(here: Scene) -> None:
    # Between the last reading and the send; the first two looks are at how long a round records what is over.
    here.receiver.stalls = [0.0, 0.0, here.settings.timing.permit_s]
    here.receiver.tick()

    assert here.published() == []
    assert [permit.answer for permit in here.permits()] == [Answer.REFUSED]
    assert (here.the_rollback().state, here.the_rollback().wrote) == (State.PLANNED, False)
    here.run(20)
    assert here.published() == ["13.0"]


# How soon the effect is seen


def test_a_publish_under_way_is_looked_at_twice_as_often_for_a_minute(here: Scene) -> None:
    tick_s = here.settings.timing.tick_s
    worker = here.receiver.workers["retail"]
    here.genesys.reactions = [Reaction(effect_after_s=100)]
    assert worker.pause_s == tick_s

    here.receiver.tick()
    assert here.the_rollback().state is State.CONFIRMING
    assert worker.pause_s == tick_s / 2

    here.run(80, step_s=10)
    assert here.the_rollback().state is State.CONFIRMING
    assert worker.pause_s == tick_s, "it takes long; Genesys Cloud is not asked every second for it"

    here.run(40, step_s=10)
    assert here.the_rollback().state is State.VERIFYING
    assert worker.pause_s == tick_s
