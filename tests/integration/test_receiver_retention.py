"""The loop removes what is too old: a little at a time, by one receiver, and never while a rollback is at work."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver import retention
from receiver.chain import verify
from receiver.store import audit, controls, flows, idempotency, outbox, quarantines
from receiver.store.rollbacks import LEASED, State
from tests.integration.receiver_world import DAY_S, Scene, alert_of, scene


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def put_old_window(here: Scene) -> None:
    long_ago = here.time.now - 100 * DAY_S
    with here.store.begin() as tx:
        controls.open_window(
            tx,
            org="retail",
            flow_ids=(),
            kind="maintenance",
            starts_at=long_ago,
            ends_at=long_ago + 60,
            reason="tests",
            owner="",
            created_by="ann",
            now=long_ago,
        )


def windows(here: Scene) -> int:
    with here.store.begin() as tx:
        return len(controls.list_windows(tx, now=here.time.now, ended=True))


def test_an_incident_is_forgotten_after_ninety_days_and_the_audit_is_not(here: Scene) -> None:
    here.deliver()
    here.run_to_the_end()
    here.alertmanager.list()
    here.deliver(alert_of(firing=False))
    here.run(10)
    with here.store.begin() as tx:
        while (message := outbox.claim(tx, "pager", now=here.time.now, claim_s=60)) is not None:
            outbox.delivered(tx, message, now=here.time.now)
        (made,) = quarantines.newest(tx, org=None, limit=9)
        quarantines.lift(tx, made.id, by="ann", now=here.time.now)
    here.time.pass_(89 * DAY_S)
    here.genesys.make_live("15.0")
    for days in (0, 2):
        here.time.pass_(days * DAY_S)
        with here.store.begin() as tx:
            flows.claim(tx, "retail", now=here.time.now, next_at=here.time.now)
            flows.replace(tx, "retail", here.genesys.flows(), now=here.time.now)
        here.run(10)
        for left in (here.rollbacks(), here.alerts(), here.decisions(), here.told()):
            assert bool(left) == (days == 0)
    with here.store.begin() as tx:
        rows = list(audit.rows(tx))
        assert verify(rows, audit.head(tx)).broken is None
    assert "succeeded" in [json.loads(row.facts).get("event") for row in rows]


def test_an_order_can_be_sent_again_for_a_day(here: Scene) -> None:
    order = idempotency.Order("ann", "k1", "digest")
    done = idempotency.Answer(201, "{}")
    with here.store.begin() as tx:
        idempotency.once(tx, order, lambda _: done, now=here.time.now)
    for seconds, is_known in ((DAY_S - 60, True), (DAY_S + 60, False)):
        here.time.pass_(seconds)
        here.receiver.tick()
        with here.store.begin() as tx:
            assert (idempotency.find(tx, order) is not None) is is_known


def test_nothing_is_removed_while_a_rollback_is_at_work(here: Scene) -> None:
    put_old_window(here)
    here.deliver()
    here.receiver.tick()
    assert here.the_rollback().state in LEASED
    assert windows(here) == 1

    here.run(30)
    assert here.the_rollback().state is State.VERIFYING
    assert windows(here) == 0


def test_when_nothing_is_left_it_rests_for_an_hour(here: Scene) -> None:
    here.receiver.tick()
    put_old_window(here)
    here.time.pass_(retention.REST_S - 10)
    here.receiver.tick()
    assert windows(here) == 1

    here.time.pass_(10)
    here.receiver.tick()
    assert windows(here) == 0


def test_the_age_can_be_set(tmp_path: Path) -> None:
    with scene(tmp_path, timing={"retention_s": 200 * DAY_S}) as patient:
        put_old_window(patient)
        patient.receiver.tick()
        assert windows(patient) == 1
