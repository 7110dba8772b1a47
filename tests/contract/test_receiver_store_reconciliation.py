"""What the store promises about reconciled alerts, listed flows, the watchdog, and what is done after a commit."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from genesys.flows import Flow
from receiver.payload import Alert
from receiver.store import alerts, flows, watchdog
from receiver.store.alerts import StoredAlert
from receiver.store.database import Store, StoreUnavailable, after_commit

NOW = 1_795_349_000.0
LABELS = {"org": "retail", "flow_id": "flow-1", "flow_version": "14.0", "signal": "error_exit"}
FIRING = Alert("f1", True, NOW - 100, None, LABELS, {"summary": "fails"})
RESOLVED = replace(FIRING, firing=False, ends_at=NOW - 10)
FLOW = Flow(
    id="flow-1",
    name="Main IVR",
    type="inboundcall",
    division_id="d1",
    division_name="Home",
    active=True,
    deleted=False,
    live_version="14.0",
    live_published_at=NOW,
    published_by="pipeline",
    locked_by=None,
    operation=None,
)


def the_alert(store: Store) -> StoredAlert:
    with store.begin() as tx:
        (only,) = alerts.newest(tx, org=None, open_only=False, limit=10)
    return only


def deliver(store: Store, *delivered: Alert, now: float = NOW) -> None:
    with store.begin() as tx:
        alerts.record(tx, delivered, now)


def miss(store: Store, *listed: Alert, closed_before: float = NOW - 600, now: float = NOW) -> list[Alert]:
    with store.begin() as tx:
        return alerts.open_missed(tx, listed, closed_before=closed_before, now=now)


def test_a_missed_alert_is_opened_once_and_recorded_as_such(store: Store) -> None:
    assert miss(store, FIRING, FIRING) == [FIRING]
    assert miss(store, FIRING) == []
    found = the_alert(store)
    assert (found.is_open, found.source, found.received_at) == (True, "reconciliation", NOW)
    assert (found.org, found.object_id, found.annotations) == ("retail", "flow-1", {"summary": "fails"})


def test_an_open_alert_stays_as_its_webhook_told_it(store: Store) -> None:
    deliver(store, FIRING)
    assert miss(store, replace(FIRING, annotations={})) == []
    assert (the_alert(store).source, the_alert(store).annotations) == ("webhook", {"summary": "fails"})


def test_a_closed_alert_is_opened_again_only_when_its_end_is_long_ago(store: Store) -> None:
    deliver(store, FIRING, RESOLVED)
    assert the_alert(store).closed_by == "webhook"
    assert miss(store, FIRING, closed_before=NOW - 0.1) == []
    assert miss(store, FIRING, closed_before=NOW) == [FIRING]
    found = the_alert(store)
    assert (found.is_open, found.closed_at, found.closed_by, found.source) == (True, None, None, "reconciliation")


def test_a_webhook_may_close_what_was_missed(store: Store) -> None:
    miss(store, FIRING)
    deliver(store, RESOLVED)
    assert not the_alert(store).is_open


def test_an_alert_that_is_over_is_closed_once(store: Store) -> None:
    deliver(store, FIRING)
    ids = [the_alert(store).id]
    with store.begin() as tx:
        assert alerts.close_unlisted(tx, ids, now=NOW) == 1
        assert alerts.close_unlisted(tx, ids, now=NOW + 1) == 0
    found = the_alert(store)
    assert (found.is_open, found.closed_at, found.closed_by) == (False, NOW, "reconciliation")


def test_open_alerts_of_strangers_are_those_of_no_configured_organization(store: Store) -> None:
    deliver(store, FIRING, replace(FIRING, fingerprint="f2", labels=LABELS | {"org": "gone"}))
    with store.begin() as tx:
        assert [one.org for one in alerts.open_outside(tx, ["retail"])] == ["gone"]


def test_an_organization_is_claimed_by_one_until_it_is_due_again(store: Store) -> None:
    with store.begin() as tx:
        assert flows.listing(tx, "retail") is None
        assert flows.claim(tx, "retail", now=NOW, next_at=NOW + 600)
        assert not flows.claim(tx, "retail", now=NOW + 599, next_at=NOW + 1200)
        assert flows.claim(tx, "retail", now=NOW + 600, next_at=NOW + 1200)
        assert flows.claim(tx, "bank", now=NOW, next_at=NOW + 600)


def test_a_listing_replaces_the_one_before(store: Store) -> None:
    with store.begin() as tx:
        flows.claim(tx, "retail", now=NOW, next_at=NOW + 600)
        flows.replace(tx, "retail", [FLOW, replace(FLOW, id="flow-2", name="Holidays")], now=NOW)
        flows.replace(tx, "retail", [FLOW, replace(FLOW, id="flow-3", live_version=None)], now=NOW + 1)
        assert flows.of(tx, "retail") == [FLOW]
        assert flows.of(tx, "retail", "flow-1") == [FLOW]
        assert flows.of(tx, "retail", "flow-2") == flows.of(tx, "bank") == []
        found = flows.listing(tx, "retail")
    assert found == flows.Listing("retail", due_at=NOW + 600, listed_at=NOW + 1, problem="")


def test_a_listing_that_failed_leaves_what_was_listed(store: Store) -> None:
    with store.begin() as tx:
        flows.claim(tx, "retail", now=NOW, next_at=NOW + 600)
        flows.replace(tx, "retail", [FLOW], now=NOW)
        flows.failed(tx, "retail", "no answer", retry_at=NOW + 60)
        assert flows.of(tx, "retail") == [FLOW]
        found = flows.listing(tx, "retail")
    assert found == flows.Listing("retail", due_at=NOW + 60, listed_at=NOW, problem="no answer")


def test_an_organization_without_flows_is_listed_too(store: Store) -> None:
    with store.begin() as tx:
        flows.claim(tx, "retail", now=NOW, next_at=NOW + 600)
        flows.replace(tx, "retail", [], now=NOW)
        found = flows.listing(tx, "retail")
    assert found is not None
    assert found.listed_at == NOW


def test_the_watchdog_is_remembered_by_its_newest_arrival(store: Store) -> None:
    with store.begin() as tx:
        assert watchdog.last_seen(tx) is None
        watchdog.arrived(tx, now=NOW)
        watchdog.arrived(tx, now=NOW + 60)
        assert watchdog.last_seen(tx) == NOW + 60


def test_what_is_to_be_done_after_the_commit_is_done_after_it_and_once(store: Store) -> None:
    done: list[str] = []
    with store.begin() as tx:
        after_commit(tx, lambda: done.append("first"))
        after_commit(tx, lambda: done.append("second"))
        assert done == []
    assert done == ["first", "second"]
    with store.begin():
        pass
    assert done == ["first", "second"]


def use(store: Store, statement: str, done: list[str]) -> None:
    with store.begin() as tx:
        after_commit(tx, lambda: done.append("done"))
        tx.execute(sa.text(statement))
        if "alerts" in statement:
            raise KeyError


def test_nothing_is_done_after_a_transaction_that_was_rolled_back(store: Store) -> None:
    done: list[str] = []
    with pytest.raises(KeyError):
        use(store, "SELECT count(*) FROM alerts", done)
    with pytest.raises(StoreUnavailable):
        use(store, "SELECT count(*) FROM no_such_table", done)
    with store.begin():
        pass
    assert done == []
