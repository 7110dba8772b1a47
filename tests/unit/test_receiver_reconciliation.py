"""When Alertmanager's list opens and closes alerts: on lasting differences only, and never on half an answer."""

from dataclasses import replace

import pytest

from receiver.alertmanager import Listing
from receiver.payload import Alert
from receiver.reconciliation import Difference, Reconciliation
from receiver.store.alerts import StoredAlert

NOW = 1_795_349_000.0
SETTLE_S, UNLISTED_S = 15.0, 600.0
ALERT = Alert("f1", True, NOW - 100, None, {"org": "retail"}, {})
OPEN = StoredAlert(
    id=7,
    fingerprint="f1",
    org="retail",
    object_type="flow",
    object_id="flow-1",
    version="14.0",
    signal="error_exit",
    starts_at=NOW - 100,
    is_open=True,
    labels={},
    annotations={},
    received_at=NOW - 90,
    refreshed_at=NOW - 90,
    closed_at=None,
    verdict=None,
    holding_back=None,
)
NOTHING = Difference()


def listing(at: float, *alerts: Alert, whole: bool = True) -> Listing:
    return Listing(at, frozenset(alert.fingerprint for alert in alerts), alerts, whole)


@pytest.fixture
def reconciliation() -> Reconciliation:
    return Reconciliation(settle_s=SETTLE_S, unlisted_s=UNLISTED_S)


def unlisted(reconciliation: Reconciliation, after_s: float, *, whole: bool = True) -> Difference:
    """What comes of a list without the open alert."""
    return reconciliation.compare(listing(NOW + after_s, whole=whole), [], [OPEN])


def unknown(reconciliation: Reconciliation, after_s: float, alert: Alert = ALERT, *, whole: bool = True) -> Difference:
    """What comes of a list with an alert that is not open."""
    return reconciliation.compare(listing(NOW + after_s, alert, whole=whole), [alert], [])


def test_what_is_the_same_on_both_sides_makes_no_difference(reconciliation: Reconciliation) -> None:
    for at in (0.0, 1000.0):
        assert reconciliation.compare(listing(NOW + at, ALERT), [ALERT], [OPEN]) == NOTHING
    assert not NOTHING


# Missed


def test_a_listed_alert_is_opened_once_its_webhook_had_its_time(reconciliation: Reconciliation) -> None:
    assert unknown(reconciliation, 0) == NOTHING
    assert unknown(reconciliation, SETTLE_S - 1) == NOTHING
    assert unknown(reconciliation, SETTLE_S) == Difference(missed=(ALERT,))


def test_half_an_answer_is_enough_to_open_an_alert(reconciliation: Reconciliation) -> None:
    unknown(reconciliation, 0, whole=False)
    assert unknown(reconciliation, SETTLE_S, whole=False) == Difference(missed=(ALERT,))


def test_an_alert_whose_webhook_came_in_time_is_not_missed(reconciliation: Reconciliation) -> None:
    unknown(reconciliation, 0)
    assert reconciliation.compare(listing(NOW + 2, ALERT), [ALERT], [OPEN]) == NOTHING
    assert unknown(reconciliation, SETTLE_S) == NOTHING


def test_an_alert_that_was_gone_meanwhile_begins_anew(reconciliation: Reconciliation) -> None:
    unknown(reconciliation, 0)
    reconciliation.compare(listing(NOW + 5), [], [])
    assert unknown(reconciliation, SETTLE_S) == NOTHING


def test_a_new_firing_has_its_own_time(reconciliation: Reconciliation) -> None:
    unknown(reconciliation, 0)
    assert unknown(reconciliation, SETTLE_S, replace(ALERT, starts_at=NOW + 10)) == NOTHING


def test_alerts_of_others_are_theirs_to_open(reconciliation: Reconciliation) -> None:
    for at in (0, SETTLE_S):
        assert reconciliation.compare(listing(NOW + at, ALERT), [], []) == NOTHING


def test_an_open_alert_of_another_start_is_the_same_alert(reconciliation: Reconciliation) -> None:
    """Peers may name another start, and "resolved" closes all of them."""
    other = replace(OPEN, starts_at=NOW - 500)
    for at in (0, SETTLE_S, UNLISTED_S):
        assert reconciliation.compare(listing(NOW + at, ALERT), [ALERT], [other]) == NOTHING


# Over


def test_an_alert_that_nobody_lists_for_long_enough_is_over(reconciliation: Reconciliation) -> None:
    assert unlisted(reconciliation, 0) == NOTHING
    assert unlisted(reconciliation, UNLISTED_S - 1) == NOTHING
    assert unlisted(reconciliation, UNLISTED_S) == Difference(over=(OPEN.id,))


def test_one_list_alone_never_closes_an_alert(reconciliation: Reconciliation) -> None:
    assert unlisted(reconciliation, 10 * UNLISTED_S) == NOTHING


def test_half_an_answer_neither_begins_nor_ends_the_wait(reconciliation: Reconciliation) -> None:
    assert unlisted(reconciliation, 0, whole=False) == NOTHING
    assert unlisted(reconciliation, UNLISTED_S, whole=False) == NOTHING
    assert unlisted(reconciliation, UNLISTED_S + 1) == NOTHING
    assert unlisted(reconciliation, UNLISTED_S + 2, whole=False) == NOTHING
    assert unlisted(reconciliation, 2 * UNLISTED_S, whole=False) == NOTHING
    assert unlisted(reconciliation, 2 * UNLISTED_S + 1) == Difference(over=(OPEN.id,))


@pytest.mark.parametrize("whole", [True, False])
def test_an_alert_that_any_peer_lists_again_begins_anew(reconciliation: Reconciliation, whole: bool) -> None:
    unlisted(reconciliation, 0)
    reconciliation.compare(listing(NOW + 300, ALERT, whole=whole), [ALERT], [OPEN])
    assert unlisted(reconciliation, UNLISTED_S) == NOTHING


def test_a_webhook_that_repeats_it_is_believed(reconciliation: Reconciliation) -> None:
    unlisted(reconciliation, 0)
    repeated = replace(OPEN, refreshed_at=NOW + 400)
    assert reconciliation.compare(listing(NOW + 700), [], [repeated]) == NOTHING
    assert reconciliation.compare(listing(NOW + 1000), [], [repeated]) == Difference(over=(OPEN.id,))


def test_a_clock_that_is_set_back_delays_by_no_more_than_a_restart(reconciliation: Reconciliation) -> None:
    assert unknown(reconciliation, 0) == NOTHING
    assert unknown(reconciliation, -3600) == NOTHING
    assert unknown(reconciliation, -3600 + SETTLE_S - 1) == NOTHING
    assert unknown(reconciliation, -3600 + SETTLE_S) == Difference(missed=(ALERT,))
