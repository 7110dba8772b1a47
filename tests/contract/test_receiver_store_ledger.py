"""What the store promises about the ledger, the same on both databases."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from genesys.evidence import Signal, Tally
from genesys.stints import Stint
from receiver.service import NO_SERVICE, Period, Record, Service
from receiver.store import ledger
from receiver.store.database import Store, Transaction

DAY = 86_400
NOW = 1_795_348_800.0
FULL = Period("flow-1", "13.0", Signal.ERROR_EXIT, 0, 0, DAY, Service(Tally(3, 100, 99), 7200.0))
BEGUN = replace(FULL, until=3600, service=Service(Tally(2, 50, 50), 3600.0))
LEAVING = replace(FULL, since=DAY - 3600, service=Service(Tally(1, 9, 9), 3600.0))  # the history begins later now
CORRECTED = replace(FULL, service=Service(Tally(3, 101, 100), 7200.0))  # some data came late


@pytest.fixture
def tx(store: Store) -> Iterator[Transaction]:
    with store.begin() as opened:
        yield opened


def put(tx: Transaction, *periods: Period, org: str = "retail") -> None:
    ledger.put_periods(tx, org, periods)


def served(tx: Transaction, version: str = "13.0", org: str = "retail", flow_id: str = "flow-1") -> Service | None:
    record = ledger.records(tx, org, flow_id, Signal.ERROR_EXIT).get(version)
    return None if record is None else record.service


def test_a_period_that_is_read_again_is_counted_once(tx: Transaction) -> None:
    put(tx, FULL)
    put(tx, FULL)
    assert served(tx) == FULL.service


@pytest.mark.parametrize("order", list(permutations([BEGUN, FULL, LEAVING, CORRECTED])))
def test_the_fullest_reading_of_a_period_stays_in_whatever_order_they_come(
    tx: Transaction, order: Sequence[Period]
) -> None:
    for period in order:
        put(tx, period)
        put(tx, period)
    assert served(tx) == CORRECTED.service


def test_periods_add_up(tx: Transaction) -> None:
    put(tx, FULL, replace(FULL, start=DAY, since=DAY, until=2 * DAY))
    assert served(tx) == Service(Tally(6, 200, 198), 14400.0)


def test_each_organization_flow_and_version_has_its_own_record(tx: Transaction) -> None:
    put(tx, FULL, replace(FULL, version="14.0", service=BEGUN.service), replace(FULL, flow_id="flow-2"))
    put(tx, replace(FULL, service=LEAVING.service), org="bank")

    assert (served(tx), served(tx, "14.0")) == (FULL.service, BEGUN.service)
    assert served(tx, org="bank") == LEAVING.service
    assert served(tx, "14.0", flow_id="flow-2") is None


def test_a_stint_gets_its_later_end_in_whatever_order_the_looks_come(tx: Transaction) -> None:
    for end in (20.0, 30.0, 10.0):
        ledger.put_stints(tx, "retail", {"flow-1": [Stint("13.0", 5.0, end)]})
    assert ledger.stints(tx, "retail") == {"flow-1": [Stint("13.0", 5.0, 30.0)]}


def test_stints_of_several_lookers_are_counted_once(tx: Transaction) -> None:
    ledger.put_stints(tx, "retail", {"flow-1": [Stint("13.0", 0.0, 20.0), Stint("14.0", 50.0, 60.0)]})
    ledger.put_stints(tx, "retail", {"flow-1": [Stint("13.0", 10.0, 30.0)], "flow-2": [Stint("13.0", 0.0, 99.0)]})

    assert ledger.records(tx, "retail", "flow-1", Signal.ERROR_EXIT) == {
        "13.0": Record((Stint("13.0", 0.0, 30.0),), NO_SERVICE),
        "14.0": Record((Stint("14.0", 50.0, 60.0),), NO_SERVICE),
    }
    assert list(ledger.stints(tx, "retail", "flow-2")) == ["flow-2"]
    assert ledger.stints(tx, "bank") == {}


def test_nothing_to_keep_is_no_write(tx: Transaction) -> None:
    put(tx)
    ledger.put_stints(tx, "retail", {"flow-1": []})
    assert ledger.records(tx, "retail", "flow-1", Signal.ERROR_EXIT) == {}


def test_what_ended_before_the_retention_is_dropped_and_nothing_else(tx: Transaction) -> None:
    put(tx, FULL, replace(FULL, start=DAY, since=DAY, until=2 * DAY))
    put(tx, FULL, org="bank")
    stints = [Stint("13.0", 0.0, DAY - 1.0), Stint("13.0", DAY - 1.5, 2.0 * DAY)]
    ledger.put_stints(tx, "retail", {"flow-1": stints})

    ledger.forget(tx, "retail", before=DAY)
    assert served(tx) == Service(Tally(6, 200, 198), 14400.0)
    assert ledger.stints(tx, "retail")["flow-1"] == stints[1:]
    ledger.forget(tx, "retail", before=DAY + 1)
    assert (served(tx), served(tx, org="bank")) == (FULL.service, FULL.service)


def test_one_receiver_at_a_time_reads_the_history(tx: Transaction) -> None:
    assert ledger.reading(tx, "retail") is None
    assert ledger.claim(tx, "retail", now=NOW, next_at=NOW + 3600)
    assert not ledger.claim(tx, "retail", now=NOW + 3599, next_at=NOW + 9999)
    assert ledger.claim(tx, "bank", now=NOW, next_at=NOW + 3600)
    assert ledger.reading(tx, "retail") == ledger.Reading("retail", NOW + 3600, None, "")

    ledger.done(tx, "retail", now=NOW + 5)
    ledger.failed(tx, "bank", "no answer", retry_at=NOW + 360)
    assert ledger.reading(tx, "retail") == ledger.Reading("retail", NOW + 3600, NOW + 5, "")
    assert ledger.reading(tx, "bank") == ledger.Reading("bank", NOW + 360, None, "no answer")
    assert ledger.claim(tx, "bank", now=NOW + 360, next_at=NOW + 3600)
