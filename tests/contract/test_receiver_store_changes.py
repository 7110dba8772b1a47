"""What the store promises about who changed what, the same on both databases."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from genesys.audit import Change
from receiver.store import changes, flows, retention, rollbacks
from receiver.store.changes import LISTING, Changed
from receiver.store.database import Store, Transaction
from receiver.store.retention import Horizon
from tests.receiver_world import list_live, put_alert, put_rollback

NOW = 1_795_349_000.0
OWN = "client-of-the-bridge"
PUBLISHED = Change(
    "entry-1", NOW - 100, "Architect", "Publish", "Flow", "flow-0", "Main IVR", "14.0", "Ann", None, "Architect"
)
QUEUE = Change("entry-2", NOW - 50, "Routing", "Update", "Queue", "q-1", "Sales", None, "client-9", "client-9", None)


@pytest.fixture
def tx(store: Store) -> Iterator[Transaction]:
    with store.begin() as opened:
        yield opened


def put(tx: Transaction, *told: Change) -> int:
    return changes.put(tx, "retail", told, own_client_id=OWN, now=NOW)


def found(tx: Transaction) -> list[Changed]:
    return changes.between(tx, "retail", NOW - 3600, NOW + 3600, limit=10)


def relisted(tx: Transaction, version: str, *, published_at: float, by: str = "pipeline") -> int:
    """Version 13.0 of flow-0 was live at the last listing; now this one is."""
    list_live(tx, "13.0", now=NOW - 600)
    before = flows.of(tx, "retail")
    listed = [replace(flow, live_version=version, live_published_at=published_at, published_by=by) for flow in before]
    return changes.put_listed(tx, "retail", before, listed, now=NOW)


def test_changes_are_kept_once_with_person_time_and_application(tx: Transaction) -> None:
    assert put(tx, PUBLISHED, QUEUE) == 2
    assert put(tx, PUBLISHED, QUEUE) == 0
    queue, flow = found(tx)
    assert (queue.changed_by, queue.object_type, queue.source) == ("client-9", "queue", "Routing")
    assert flow == Changed(
        *("retail", "entry-1", NOW - 100, NOW, "Architect", "Publish", "flow", "flow-0", "Main IVR"),
        *("14.0", "Ann", "Architect", False),
    )
    assert changes.between(tx, "bank", 0, NOW, limit=10) == []


def test_what_our_own_client_changed_is_our_own(tx: Transaction) -> None:
    put(tx, replace(QUEUE, client_id=OWN))
    assert found(tx) == []
    (kept,) = changes.newest(tx, org="retail", orgs=None, object_id=None, since=None, after=None, limit=10)
    assert kept.own


@pytest.mark.parametrize(
    ("wrong", "is_own"),
    [
        ({}, True),
        ({"version": "12.0"}, False),
        ({"at": NOW - 3600}, False),
        ({"at": NOW + 3600}, False),
        ({"object_id": "flow-2"}, False),
        ({"version": None}, False),
    ],
    ids=["as permitted", "another version", "long before", "long after", "another flow", "no version"],
)
def test_what_we_had_leave_to_publish_is_our_own_whoever_the_audit_names(
    tx: Transaction, wrong: dict[str, Any], is_own: bool
) -> None:
    rollback = put_rollback(tx, put_alert(tx, now=NOW), "r1", now=NOW, target_version="13.0")
    rollbacks.issue_permit(tx, rollback, now=NOW, permit_s=5, strategy="republish")
    put(tx, replace(PUBLISHED, **({"object_id": "flow-1", "version": "13.0", "at": NOW + 4} | wrong)))
    everything = changes.newest(tx, org=None, orgs=None, object_id=None, since=None, after=None, limit=10)
    assert [one.own for one in everything] == [is_own]


def test_what_became_live_between_two_listings_is_a_change(tx: Transaction) -> None:
    assert relisted(tx, "14.0", published_at=NOW - 100) == 1
    (one,) = found(tx)
    assert (one.source, one.version, one.changed_by, one.at) == (LISTING, "14.0", "pipeline", NOW - 100)


def test_a_version_that_keeps_its_old_date_became_live_when_it_was_seen(tx: Transaction) -> None:
    relisted(tx, "12.0", published_at=NOW - 600)  # the date that 13.0 had
    assert [one.at for one in found(tx)] == [NOW]


def test_a_flow_that_stayed_as_it_was_is_no_change(tx: Transaction) -> None:
    assert relisted(tx, "13.0", published_at=NOW - 600) == 0


def test_the_audit_knows_better_than_a_listing_who_published(tx: Transaction) -> None:
    relisted(tx, "14.0", published_at=NOW - 100)
    put(tx, PUBLISHED)
    assert [one.changed_by for one in found(tx)] == ["Ann"]
    assert relisted(tx, "14.0", published_at=NOW - 99) == 0
    assert [one.changed_by for one in found(tx)] == ["Ann"]


def test_one_receiver_at_a_time_reads_a_service_and_an_alert_hastens_the_next(tx: Transaction) -> None:
    def claim(now: float) -> bool:
        return changes.claim(tx, "retail", "Routing", now=now, next_at=now + 180, fresh_s=60)

    assert claim(NOW)
    assert not claim(NOW + 100)
    put_alert(tx, now=NOW + 30)
    assert not claim(NOW + 59)
    assert claim(NOW + 100)
    assert not claim(NOW + 200)
    assert claim(NOW + 280)


def test_a_failure_keeps_the_time_of_the_last_success(tx: Transaction) -> None:
    changes.claim(tx, "retail", "Routing", now=NOW, next_at=NOW + 180, fresh_s=60)
    changes.done(tx, "retail", "Routing", asked_at=NOW)
    changes.failed(tx, "retail", "Routing", "refused", retry_at=NOW + 3600)
    reading = changes.readings(tx, "retail")["Routing"]
    assert (reading.read_at, reading.problem, reading.due_at) == (NOW, "refused", NOW + 3600)


def test_each_object_shows_its_newest_change(tx: Transaction) -> None:
    put(tx, PUBLISHED, replace(PUBLISHED, id="entry-3", at=NOW, by="Bob"), QUEUE)
    newest = changes.newest_of_each_object(tx, "retail", since=NOW - 3600, limit=10)
    assert [(one.object_id, one.changed_by) for one in newest] == [("flow-0", "Bob"), ("q-1", "client-9")]
    assert len(changes.newest_of_each_object(tx, "retail", since=NOW - 3600, limit=1)) == 1


def test_changes_go_with_age(tx: Transaction) -> None:
    put(tx, PUBLISHED, QUEUE)
    at = Horizon(old=NOW - 60, attempts=NOW - 60, listed=NOW, keys=NOW, feeds=NOW)
    assert retention.sweep(tx, at, limit=10) == {"changes": 1}
    assert [one.id for one in found(tx)] == ["entry-2"]
