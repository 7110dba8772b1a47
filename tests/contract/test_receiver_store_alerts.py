"""What the store promises about alerts, the same on both databases."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.payload import MAX_KEY_CHARS, Alert
from receiver.policy import Decision, Guard, Verdict
from receiver.store import alerts, decisions
from receiver.store.alerts import Recorded, StoredAlert
from receiver.store.database import Store

NOW = 1_795_349_000.0
_examples = count()

every_example = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def firing(fingerprint: str = "f1", starts_at: float = 100.0, **labels: str) -> Alert:
    given_labels = {"org": "retail", "flow_id": "flow-1", "flow_version": "14.0", "signal": "error_exit"} | labels
    return Alert(fingerprint, True, starts_at, None, given_labels, {"summary": "fails"})


def resolved(fingerprint: str = "f1", starts_at: float = 100.0, ends_at: float = 200.0) -> Alert:
    return replace(firing(fingerprint, starts_at), firing=False, ends_at=ends_at)


def record(store: Store, *delivered: Alert, now: float = NOW) -> Recorded:
    with store.begin() as tx:
        return alerts.record(tx, delivered, now)


def stored(store: Store) -> list[StoredAlert]:
    with store.begin() as tx:
        return alerts.newest(tx, org=None, open_only=False, limit=1000)


def test_a_firing_alert_is_stored_with_what_its_labels_name(store: Store) -> None:
    assert record(store, firing()) == Recorded(stored=1, duplicate=0)

    (alert,) = stored(store)
    assert (alert.org, alert.object_id, alert.version, alert.signal) == ("retail", "flow-1", "14.0", "error_exit")
    assert (alert.object_type, alert.is_open, alert.verdict) == ("flow", True, None)
    assert (alert.starts_at, alert.received_at, alert.closed_at) == (100.0, NOW, None)
    assert alert.annotations == {"summary": "fails"}


def test_a_repeated_delivery_refreshes_the_annotations_and_adds_nothing(store: Store) -> None:
    record(store, firing())
    again = replace(firing(), annotations={"summary": "fails more"})

    assert record(store, again, now=NOW + 60) == Recorded(stored=0, duplicate=1)

    (alert,) = stored(store)
    assert alert.annotations == {"summary": "fails more"}
    assert (alert.received_at, alert.refreshed_at) == (NOW, NOW + 60)


def test_a_delivery_that_names_an_alert_twice_stores_it_once(store: Store) -> None:
    assert record(store, firing(), firing(), resolved()) == Recorded(stored=1, duplicate=2)
    (alert,) = stored(store)
    assert not alert.is_open


def test_an_alert_that_only_ever_was_resolved_is_stored_closed(store: Store) -> None:
    record(store, resolved())
    (alert,) = stored(store)
    assert (alert.is_open, alert.closed_at) == (False, NOW)


def test_a_resolved_alert_with_another_start_closes_what_had_begun_by_its_end(store: Store) -> None:
    record(store, firing(starts_at=100.0), firing(starts_at=150.0), firing(starts_at=300.0))
    record(store, resolved(starts_at=120.0, ends_at=200.0))
    assert {alert.starts_at: alert.is_open for alert in stored(store)} == {
        100.0: False,
        120.0: False,
        150.0: False,
        300.0: True,
    }


def test_a_resolved_alert_closes_no_other_fingerprint(store: Store) -> None:
    record(store, firing("f1"), firing("f2"))
    record(store, resolved("f1"))
    assert {alert.fingerprint: alert.is_open for alert in stored(store)} == {"f1": False, "f2": True}


def test_a_late_firing_does_not_open_a_closed_alert_and_a_new_one_is_a_new_row(store: Store) -> None:
    record(store, firing())
    record(store, resolved())
    record(store, firing())
    record(store, firing(starts_at=300.0))
    assert {alert.starts_at: alert.is_open for alert in stored(store)} == {100.0: False, 300.0: True}


def test_the_lists_for_the_worker_hold_what_is_theirs(store: Store) -> None:
    record(store, firing("open"), firing("over"), firing("strange", org="nobody"), resolved("over"))
    with store.begin() as tx:
        assert [alert.fingerprint for alert in alerts.open_alerts(tx, "retail")] == ["open"]
        assert [alert.fingerprint for alert in alerts.closed_undecided(tx, "retail")] == ["over"]
        assert [alert.fingerprint for alert in alerts.undecided_outside(tx, ["retail"])] == ["strange"]


def test_a_decision_becomes_the_newest_of_its_alert(store: Store) -> None:
    record(store, firing("over"), resolved("over"))
    guard = Guard(Verdict.RESOLVED, True, "resolved", "firing")
    decision = Decision(Verdict.RESOLVED, (guard,))
    with store.begin() as tx:
        (alert,) = alerts.closed_undecided(tx, "retail")
        assert decisions.is_new(alert, decision)
        decisions.add(tx, alert, decision, at=NOW, facts={"errors": 3}, receiver="r1")

        assert alerts.closed_undecided(tx, "retail") == []
        decided = alerts.get(tx, alert.id)
        assert decided is not None
        assert (decided.verdict, decided.holding_back) == ("resolved", "resolved")
        assert not decisions.is_new(decided, decision)
        (shown,) = decisions.newest(tx, org="retail", flow_id="flow-1", verdict="resolved", limit=9)
        assert (shown.guards, shown.facts) == ([guard.as_json()], {"errors": 3})
        assert decisions.newest_times(tx) == {("retail", "flow-1", "resolved"): NOW}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"org": None, "open_only": False, "limit": 9}, ["f3", "f2", "f1"]),
        ({"org": "retail", "open_only": False, "limit": 9}, ["f2", "f1"]),
        ({"org": None, "open_only": True, "limit": 9}, ["f3", "f2"]),
        ({"org": None, "open_only": False, "limit": 1}, ["f3"]),
    ],
    ids=["all", "one organization", "open", "the newest"],
)
def test_people_see_the_newest_alerts_first(store: Store, asked: dict[str, object], found: list[str]) -> None:
    for alert in (firing("f1"), firing("f2"), firing("f3", org="bank"), resolved("f1")):
        record(store, alert)
    with store.begin() as tx:
        assert [alert.fingerprint for alert in alerts.newest(tx, **asked)] == found  # type: ignore[arg-type]


def test_the_longest_keys_that_a_payload_may_have_can_be_stored_and_decided(store: Store) -> None:
    # Characters of four bytes in random order: nothing that an index could compress.
    chance = random.Random(1)
    keys = ["".join(chr(chance.randrange(0x10000, 0x1FFFF)) for _ in range(MAX_KEY_CHARS)) for _ in range(5)]
    alert = firing(keys[0], org=keys[1], flow_id=keys[2], flow_version=keys[3], signal=keys[4])
    assert record(store, alert).stored == 1
    with store.begin() as tx:
        (kept,) = alerts.open_alerts(tx, keys[1])
        decision = Decision(Verdict.UNKNOWN_CONTRACT, ())
        decisions.add(tx, kept, decision, at=NOW, facts={}, receiver="r1")


def test_overlapping_deliveries_at_the_same_time_all_get_stored(store: Store) -> None:
    """Two Alertmanagers send the same group, each in an order of its own."""
    one = [firing(f"f{number}") if number % 2 else resolved(f"f{number}") for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        deliveries = [one if number % 2 else one[::-1] for number in range(40)]
        list(pool.map(lambda delivered: record(store, *delivered), deliveries))
    assert sorted(alert.fingerprint for alert in stored(store)) == sorted(alert.fingerprint for alert in one)


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[Alert]]:
    """A few alerts, firing and resolved, in deliveries that repeat and overtake each other."""
    moments = st.sampled_from([100.0, 150.5, 200.0, 300.0])
    one = st.builds(
        lambda fingerprint, starts_at, lasts_s: (
            firing(fingerprint, starts_at) if lasts_s is None else resolved(fingerprint, starts_at, starts_at + lasts_s)
        ),
        st.sampled_from(["a", "b"]),
        moments,
        st.none() | st.sampled_from([0.0, 50.0, 500.0]),
    )
    some = draw(st.lists(st.lists(one, max_size=4), min_size=1, max_size=5))
    return draw(st.permutations(some + draw(st.lists(st.sampled_from(some), max_size=3))))


def renamed(delivered: list[Alert], example: int) -> list[Alert]:
    """The database is the same for all examples, so each has fingerprints of its own."""
    return [replace(alert, fingerprint=f"{example}-{alert.fingerprint}") for alert in delivered]


@every_example
@given(sent=deliveries())
def test_any_deliveries_in_any_order_give_one_row_per_fingerprint_and_start(
    store: Store, sent: list[list[Alert]]
) -> None:
    example = next(_examples)
    counted = 0
    for delivered in sent:
        done = record(store, *renamed(delivered, example))
        assert done.stored + done.duplicate == len(delivered)
        counted += done.stored

    rows = [alert for alert in stored(store) if alert.fingerprint.startswith(f"{example}-")]
    keys = [(alert.fingerprint, alert.starts_at) for alert in rows]
    assert sorted(keys) == sorted(
        {(f"{example}-{alert.fingerprint}", alert.starts_at) for delivered in sent for alert in delivered}
    )
    assert counted == len(rows)


@every_example
@given(sent=deliveries())
def test_an_alert_once_closed_never_opens_again(store: Store, sent: list[list[Alert]]) -> None:
    example = next(_examples)
    closed: set[tuple[str, float]] = set()
    for delivered in sent:
        record(store, *renamed(delivered, example))
        rows = [alert for alert in stored(store) if alert.fingerprint.startswith(f"{example}-")]
        opened = {(alert.fingerprint, alert.starts_at) for alert in rows if alert.is_open}
        assert not opened & closed
        closed |= {(alert.fingerprint, alert.starts_at) for alert in rows if not alert.is_open}
        assert all((alert.closed_at is None) == alert.is_open for alert in rows)
