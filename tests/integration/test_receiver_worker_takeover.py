"""Crashes, several receivers on one database, and organizations that exclude each other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.store import leases
from receiver.store.rollbacks import LEASED, Answer, State
from tests.integration.receiver_world import (
    CALL_TIMEOUT_S,
    FLOW_ID,
    TIMEOUT,
    GenesysInMemory,
    Reaction,
    Scene,
    alert_of,
    scene,
)


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        made.deliver()
        yield made


def kill_between_permit_and_answer(here: Scene, *, sent: bool) -> None:
    """The permit is in the database; whether the publish was sent, nobody has written down."""

    def die() -> None:
        raise Killed

    if sent:
        here.genesys.reactions = [Reaction(raises=TIMEOUT, effect_after_s=3)]
        publish = here.genesys.publish

        def send_and_die(flow_id: str, version: str) -> None:
            try:
                publish(flow_id, version)
            finally:
                raise Killed

        here.genesys.publish = send_and_die  # type: ignore[method-assign, assignment]
        with pytest.raises(Killed):
            here.receiver.tick()
        here.genesys.publish = publish  # type: ignore[method-assign]
    else:
        here.genesys.before_publish = die
        with pytest.raises(Killed):
            here.receiver.tick()
        here.genesys.before_publish = lambda: None
    assert here.the_rollback().state is State.PUBLISHING
    assert [permit.answer for permit in here.permits()] == [None]


def test_a_restart_between_permit_and_answer_finds_the_effect_and_sends_nothing(here: Scene) -> None:
    kill_between_permit_and_answer(here, sent=True)
    here.receiver = here.another_receiver("receiver-2")
    rollback = here.run_to_the_end()

    assert rollback.state is State.SUCCEEDED
    assert here.published() == ["13.0"]
    assert here.told_types() == ["AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED"]


def test_a_restart_between_permit_and_answer_sends_once_the_absence_of_an_effect_is_proved(here: Scene) -> None:
    kill_between_permit_and_answer(here, sent=False)
    permitted_at = here.time.now
    here.receiver = here.another_receiver("receiver-2")
    rollback = here.run_to_the_end()

    timing = here.settings.timing
    assert rollback.state is State.SUCCEEDED
    ((sent_at, *_),) = here.genesys.published
    assert sent_at - permitted_at >= timing.permit_s + CALL_TIMEOUT_S + timing.publish_deadline_s


def test_the_lease_of_a_dead_receiver_keeps_others_out_until_it_runs_out(here: Scene) -> None:
    kill_between_permit_and_answer(here, sent=True)
    here.receiver = here.another_receiver("receiver-2")
    here.run(here.settings.timing.lease_s - 2)
    assert here.the_rollback().state is State.PUBLISHING

    here.run(6)
    assert here.the_rollback().state is State.VERIFYING


def test_a_receiver_that_wakes_up_after_it_was_overtaken_writes_nothing(here: Scene) -> None:
    """It stands still in its publish; another one finds the effect out and goes on."""
    other = here.another_receiver("receiver-2")

    def meanwhile() -> None:
        here.genesys.before_publish = lambda: None
        here.genesys.make_live("13.0")  # our own publish, sent already
        here.time.pass_(here.settings.timing.lease_s + 1)
        other.tick()

    here.genesys.before_publish = meanwhile
    here.genesys.reactions = [Reaction(effect_after_s=None)]
    here.receiver.tick()

    assert here.the_rollback().state is State.VERIFYING
    assert [permit.answer for permit in here.permits()] == [None], "the answer came too late to be written"
    here.run_to_the_end()
    assert here.published() == ["13.0"]


def test_an_accused_version_that_somebody_made_live_again_meanwhile_is_not_written_over(here: Scene) -> None:
    """Sent, killed; it had its effect; a person published 14.0 again before any receiver looked."""
    kill_between_permit_and_answer(here, sent=True)
    here.time.pass_(60)
    here.genesys.make_live("14.0")
    here.time.pass_(400)
    here.receiver = here.another_receiver("receiver-2")
    here.run(120, step_s=5)

    assert here.published() == ["13.0"]
    assert here.the_rollback().state is State.SUPERSEDED
    assert here.genesys.of().live == "14.0"


def test_while_another_receiver_holds_the_lease_nothing_is_decided(here: Scene) -> None:
    with here.store.begin() as tx:
        leases.take(tx, "org:retail", "somebody-else", now=here.time.now, lease_s=30)
    here.receiver.tick()
    assert here.verdicts() == []

    here.time.pass_(31)
    here.receiver.tick()
    assert here.published() == ["13.0"]


def test_two_receivers_on_one_database_roll_back_once(here: Scene) -> None:
    other = here.another_receiver("receiver-2")
    for _ in range(60):
        here.receiver.tick()
        other.tick()
        here.time.pass_(5)

    assert here.published() == ["13.0"]
    assert here.the_rollback().state is State.SUCCEEDED


def test_a_receiver_that_read_the_flow_before_the_publish_of_another_does_not_take_it_for_superseded(
    tmp_path: Path,
) -> None:
    with scene(tmp_path) as here:
        other = here.another_receiver("receiver-2")
        here.genesys.of().locked_by = "bob"
        here.deliver()
        other.tick()  # reads and keeps the flow with 14.0 live
        here.genesys.of().locked_by = None
        here.time.pass_(2)
        for _ in range(3):
            here.receiver.tick()
            here.time.pass_(3)
        assert here.the_rollback().state is State.VERIFYING
        other.tick()

        assert here.the_rollback().state is State.VERIFYING


def test_with_lease_scope_all_two_organizations_never_publish_at_once(tmp_path: Path) -> None:
    with scene(tmp_path, orgs=("retail", "bank"), lease_scope="all") as here:
        here.deliver(alert_of(), alert_of(org="bank"))
        seen = 0
        for _ in range(60):
            for org in ("retail", "bank"):
                here.receiver.tick(org)
                leased = [one for one in here.rollbacks() if one.state in LEASED]
                assert len(leased) <= 1
                seen += len(leased)
            here.time.pass_(2)

        assert seen > 0
        assert here.published() == ["13.0", "13.0"]
        assert {one.org for one in here.rollbacks()} == {"retail", "bank"}


def test_organizations_with_their_own_leases_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with scene(tmp_path, orgs=("retail", "bank")) as here:
        here.deliver(alert_of(), alert_of(org="bank"))
        here.receiver.tick("retail")
        here.receiver.tick("bank")

        assert here.published() == ["13.0", "13.0"]


def slow(cloud: GenesysInMemory) -> None:
    """Each reading takes longer than it may: 30 s is `deadline_s` of an organization."""
    cloud.reading_takes_s = 30.0
    cloud.down = TIMEOUT


def test_an_outage_in_which_readings_outlast_the_lease_is_recorded_and_people_hear_of_it(here: Scene) -> None:
    slow(here.genesys)
    here.receiver.tick()

    assert here.verdicts() == ["ignored"]
    assert here.told_types() == ["ROLLBACK_SUPPRESSED"]


def test_two_receivers_record_an_outage_although_each_takes_the_lease_while_the_other_reads(here: Scene) -> None:
    slow(here.genesys)

    def another_takes_over() -> None:
        with here.store.begin() as tx:
            leases.take(tx, "org:retail", "receiver-2", now=here.time.now, lease_s=20)

    here.genesys.before_read = another_takes_over
    here.receiver.tick()

    assert here.verdicts() == ["ignored"]


def test_a_rollback_whose_flow_answers_slowly_is_finished_all_the_same(here: Scene) -> None:
    here.receiver.tick()
    here.genesys.reading_takes_s = 29.0
    here.genesys.answering_takes_s = 5.0
    here.receiver.tick()

    assert here.the_rollback().state is State.VERIFYING


def test_an_answer_that_could_not_be_written_is_found_out_by_reading(here: Scene) -> None:
    kill_between_permit_and_answer(here, sent=True)
    here.time.pass_(here.settings.timing.lease_s + 1)
    here.receiver = here.another_receiver("receiver-2")
    here.receiver.tick()

    assert here.the_rollback().state is State.VERIFYING
    assert [permit.answer for permit in here.permits()] != [Answer.REFUSED]
    assert here.genesys.of(FLOW_ID).live == "13.0"
