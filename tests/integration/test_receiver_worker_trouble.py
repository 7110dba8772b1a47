"""Nothing that goes wrong stops the loop in silence, and no alert keeps the others waiting."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import sqlalchemy as sa

from genesys.errors import Unavailable
from receiver.store.database import Store
from receiver.store.rollbacks import State
from receiver.store.schema import alerts as alerts_table
from receiver.store.schema import rollbacks as rollbacks_table
from tests.integration.receiver_world import FLOW_ID, FlowInGenesys, GenesysInMemory, Scene, Time, alert_of, scene


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def test_an_alert_that_cannot_be_decided_keeps_no_other_waiting_and_shows(
    here: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    here.deliver(alert_of("broken"), alert_of())
    with here.store.begin() as tx:  # what no delivery can do
        tx.execute(sa.update(alerts_table).where(alerts_table.c.object_id == "broken").values(labels=["no mapping"]))
    here.receiver.tick()

    assert here.published() == ["13.0"]
    assert here.receiver.workers["retail"].silent_for_s() is None, "the round does not count as finished"
    assert any("not_decided org=retail alert=" in record.message for record in caplog.records)


def test_a_closed_alert_that_cannot_be_decided_keeps_no_other_waiting(here: Scene) -> None:
    here.deliver(alert_of("broken", firing=False), alert_of())
    with here.store.begin() as tx:
        tx.execute(sa.update(alerts_table).where(alerts_table.c.object_id == "broken").values(labels=["no mapping"]))
    here.receiver.tick()

    assert here.published() == ["13.0"]


class BusyStore(Store):
    """Each of its transactions takes a while, as on a machine with much to do."""

    def __init__(self, url: str, time: Time) -> None:
        super().__init__(url)
        self._time = time

    def transact(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._time.pass_(0.2)
        return super().transact(work, *args, **kwargs)


def test_a_flood_of_alerts_that_are_over_keeps_no_rollback_waiting_and_each_has_its_turn(here: Scene) -> None:
    flood = [alert_of(f"flow-{number}", firing=False) for number in range(2, 102)]
    here.deliver(*flood, alert_of())
    began_at = here.time.now
    here.store.close()
    here.store = BusyStore(here.settings.database_url, here.time)
    here.receiver = here.another_receiver("receiver-1")
    here.run(60)

    ((published_at, _, _),) = here.genesys.published
    assert published_at - began_at < 10
    assert here.verdicts().count("resolved") == len(flood)


def test_a_rollback_that_cannot_go_on_keeps_no_other_waiting(tmp_path: Path) -> None:
    with scene(tmp_path, lockout_scope="flow") as here:
        here.clouds["retail"] = GenesysInMemory(
            here.time, FlowInGenesys(), FlowInGenesys("flow-2", published_by="somebody else")
        )
        here.receiver = here.another_receiver("receiver-1")
        here.deliver()
        here.run(10)
        assert here.the_rollback().state is State.VERIFYING
        with here.store.begin() as tx:
            tx.execute(sa.update(rollbacks_table).values(facts={}))
        here.deliver(alert_of("flow-2"))
        here.run(60)

        assert [flow_id for _, flow_id, _ in here.genesys.published] == [FLOW_ID, "flow-2"]


def test_an_id_that_genesys_refuses_does_not_hide_the_evidence_of_the_other_flows(here: Scene) -> None:
    here.deliver(alert_of("not an id"), alert_of())
    here.receiver.tick()

    assert here.published() == ["13.0"]


def test_a_reading_that_fails_between_plan_and_write_is_repeated_and_costs_no_try(here: Scene) -> None:
    def fail_once_planned() -> None:
        here.genesys.down = Unavailable("no answer", 503) if here.rollbacks() else None

    here.genesys.before_read = fail_once_planned
    here.deliver()
    here.run(60)
    assert here.published() == []
    assert here.the_rollback().state is State.PLANNED

    here.genesys.before_read = lambda: None
    here.genesys.down = None
    here.run(15)
    assert here.published() == ["13.0"]
    assert here.the_rollback().try_number == 1


def test_readings_that_go_on_failing_end_the_rollback_at_its_deadline_and_people_hear_of_it(here: Scene) -> None:
    def fail_once_planned() -> None:
        here.genesys.down = Unavailable("no answer", 503) if here.rollbacks() else None

    here.genesys.before_read = fail_once_planned
    here.deliver()
    here.run(here.settings.timing.rollback_deadline_s + 60, step_s=10)

    assert here.published() == []
    ended = here.rollbacks()[-1]
    assert (ended.state, ended.reason) == (State.FAILED, "unread")
    assert "ROLLBACK_SUPPRESSED" in here.told_types()


def test_a_database_that_fails_in_a_round_does_not_end_the_loop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with scene(tmp_path, timing={"tick_s": 0.01}) as here:
        here.deliver()
        run_through_an_outage_of_the_database(here, tmp_path)

        assert here.published() == ["13.0"]
        assert any("store_unavailable" in record.getMessage() for record in caplog.records)


def run_through_an_outage_of_the_database(here: Scene, tmp_path: Path) -> None:
    """The loop until its first publish; the database is away until the loop has said so."""
    stop = Event()
    worker = here.receiver.workers["retail"]
    file = tmp_path / "rollback.db"
    away = tmp_path / "away"
    here.store.close()
    for suffix in ("", "-wal", "-shm"):
        if file.with_name(file.name + suffix).exists():
            file.with_name(file.name + suffix).rename(away.with_name(away.name + suffix))
    file.mkdir()

    def come_back(record: logging.LogRecord) -> bool:
        if "store_unavailable" in record.getMessage() and file.is_dir():
            file.rmdir()
            for suffix in ("", "-wal", "-shm"):
                if away.with_name(away.name + suffix).exists():
                    away.with_name(away.name + suffix).rename(file.with_name(file.name + suffix))
        return True

    here.genesys.before_publish = stop.set
    logger = logging.getLogger("receiver.worker")
    logger.addFilter(come_back)
    try:
        worker.run(stop)
    finally:
        logger.removeFilter(come_back)


def test_a_flood_of_alerts_is_looked_at_in_turns(here: Scene) -> None:
    here.deliver(*(alert_of(f"flow-{number}", version="9.9") for number in range(2, 122)), alert_of())
    here.run(6)

    assert here.published() == ["13.0"]
    assert all(alert.verdict is not None for alert in here.alerts())
