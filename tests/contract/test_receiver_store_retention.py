"""What is removed with age and what never is, the same on both databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa

from receiver.payload import Alert
from receiver.policy import Verdict
from receiver.store import alerts, audit, controls, leases, outbox, quarantines, retention, rollbacks
from receiver.store.alerts import StoredAlert
from receiver.store.database import Store, Transaction
from receiver.store.retention import BOUNDED_BY, Horizon
from receiver.store.rollbacks import Answer, State
from receiver.store.schema import metadata
from tests.receiver_world import list_live, put_alert, put_decision, put_rollback

DAY_S = 86_400.0
NOW = 1_795_349_000.0
LONG_AGO = NOW - 100 * DAY_S
RETENTION_S = 90 * DAY_S


def horizon(now: float = NOW, retention_s: float = RETENTION_S) -> Horizon:
    return Horizon(
        old=now - retention_s, attempts=now - retention_s, listed=now - 1800, keys=now - retention_s, feeds=now
    )


def sweep(tx: Transaction, at: Horizon | None = None, *, limit: int = 200) -> dict[str, int]:
    """Until nothing is left; what was removed in all."""
    gone: dict[str, int] = {}
    while some := retention.sweep(tx, at or horizon(), limit=limit):
        for table, count in some.items():
            gone[table] = gone.get(table, 0) + count
    return gone


def sizes(tx: Transaction) -> dict[str, int]:
    return {
        table.name: tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in metadata.sorted_tables
    }


def live(tx: Transaction, *versions: str, org: str = "retail", now: float = NOW) -> None:
    """Genesys Cloud lists flow-0, flow-1, … with these versions."""
    list_live(tx, *versions, org=org, now=now)


def close(tx: Transaction, alert: StoredAlert, *, now: float) -> None:
    """It is over, and a decision has recorded that."""
    over = Alert(alert.fingerprint, False, alert.starts_at, now, alert.labels, alert.annotations)
    alerts.record(tx, [over], now)
    put_decision(tx, alert, Verdict.RESOLVED, now=now)


def put_whole_rollback(tx: Transaction, alert: StoredAlert, name: str, *, now: float, **changes: Any) -> None:
    """One with steps, a permit, and a quarantine that was lifted a day later."""
    ended = {"state": State.SUCCEEDED, "ended_at": now + 60}
    rollback = put_rollback(tx, alert, name, now=now, **(ended | changes))
    for event in ("planned", "permit", "accepted", "confirmed", "measured", "succeeded"):
        rollbacks.add_step(tx, rollback, event, at=now, detail={})
    permit = rollbacks.issue_permit(tx, rollback, now=now, permit_s=5, strategy="republish")
    rollbacks.answer_permit(tx, permit, Answer.ACCEPTED)
    quarantines.put(tx, rollback, now=now)


def lift_all(tx: Transaction, *, now: float) -> None:
    for one in quarantines.newest(tx, org=None, limit=1000):
        quarantines.lift(tx, one.id, by="ann", now=now)


def test_every_table_says_what_bounds_it() -> None:
    assert set(BOUNDED_BY) == {table.name for table in metadata.sorted_tables}
    assert all(BOUNDED_BY.values())


# What goes


def test_an_incident_that_is_long_over_goes_with_everything_that_belongs_to_it(store: Store) -> None:
    with store.begin() as tx:
        empty = sizes(tx)
        alert = put_alert(tx, now=LONG_AGO)
        put_decision(tx, alert, Verdict.ROLL_BACK, now=LONG_AGO)
        put_whole_rollback(tx, alert, "r1", now=LONG_AGO)
        lift_all(tx, now=LONG_AGO + 60)
        close(tx, alert, now=LONG_AGO + 600)
        live(tx, "1.0", "15.0")
        assert sweep(tx) == {"decisions": 2, "rollbacks": 1, "alerts": 1}
        left = sizes(tx)
    with store.begin() as tx:
        audited = audit.head(tx)
    assert left == empty | {"flows": 2, "flow_divisions": 2, "listings": 1, "leases": 1, "audit": 1}
    assert audited is not None
    assert audited.number == 10  # six steps, two decisions, what was lifted, and the beginning


def test_a_window_of_a_feed_is_remembered_while_the_feed_may_announce_it_again(store: Store) -> None:
    """However short the retention is: what a person has closed would be opened again."""
    with store.begin() as tx:
        for feed in (None, "changes"):
            made = controls.open_window(
                tx,
                org="retail",
                flow_ids=(),
                kind="maintenance",
                starts_at=NOW - 10 * DAY_S,
                ends_at=NOW - 5 * DAY_S,
                reason="trunks",
                owner="",
                created_by="somebody",
                now=NOW - 10 * DAY_S,
                feed=feed,
                feed_uid=None if feed is None else "CHG1",
            )
            controls.close_window(tx, made.id, by="ann", now=NOW - 9 * DAY_S)
        remembered = replace(horizon(retention_s=DAY_S), feeds=NOW - 7 * DAY_S)
        assert sweep(tx, remembered)["windows"] == 1
        assert [one.feed_uid for one in controls.windows_of_feed(tx, "changes", since=NOW - 7 * DAY_S)] == ["CHG1"]
        assert sweep(tx, replace(remembered, feeds=NOW - 4 * DAY_S))["windows"] == 1


def test_what_people_were_told_and_windows_that_are_over_go(store: Store) -> None:
    with store.begin() as tx:
        outbox.put(tx, ["pager"], "s1", {}, now=LONG_AGO)
        message = outbox.claim(tx, "pager", now=LONG_AGO, claim_s=1)
        assert message is not None
        outbox.delivered(tx, message, now=LONG_AGO + 1)
        window(tx, ends_at=LONG_AGO + 60)
        closed = window(tx, ends_at=NOW + 60)
        controls.close_window(tx, closed, by="ann", now=LONG_AGO + 5)
        assert sweep(tx) == {"windows": 2, "outbox": 1}


def window(tx: Transaction, *, ends_at: float) -> str:
    return controls.open_window(
        tx,
        org="retail",
        flow_ids=(),
        kind="maintenance",
        starts_at=LONG_AGO,
        ends_at=ends_at,
        reason="tests",
        owner="",
        created_by="ann",
        now=LONG_AGO,
    ).id


def test_it_goes_a_little_at_a_time(store: Store) -> None:
    with store.begin() as tx:
        for number in range(7):
            close(tx, put_alert(tx, flow_id=f"flow-{number}", now=LONG_AGO), now=LONG_AGO + 1)
        assert retention.sweep(tx, horizon(), limit=3) == {"decisions": 3, "alerts": 3}
        assert retention.sweep(tx, horizon(), limit=3) == {"decisions": 3, "alerts": 3}
        assert retention.sweep(tx, horizon(), limit=3) == {"decisions": 1, "alerts": 1}
        assert retention.sweep(tx, horizon(), limit=3) == {}


def test_receivers_that_remove_at_once_share_the_work(database_url: str, store: Store) -> None:
    with store.begin() as tx:
        for number in range(60):
            close(tx, put_alert(tx, flow_id=f"flow-{number}", now=LONG_AGO), now=LONG_AGO + 1)

    def work(_: int) -> int:
        mine, count = Store(database_url), 0
        while True:
            with mine.begin() as tx:
                some = retention.sweep(tx, horizon(), limit=7)
            count += some.get("alerts", 0)
            if not some:
                mine.close()
                return count

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4), timeout=60)) == 60
    with store.begin() as tx:
        assert leases.held(tx, now=0.0) == set()


# What a guard still needs


def gone(tx: Transaction) -> bool:
    return sweep(tx).get("rollbacks", 0) > 0


def old_rollback(tx: Transaction, **changes: Any) -> None:
    """A rollback of flow-1 from 14.0 to 13.0, long over; lifted, and 15.0 is live."""
    put_whole_rollback(tx, put_alert(tx, now=LONG_AGO), "r1", now=LONG_AGO, **changes)
    lift_all(tx, now=LONG_AGO + 60)
    live(tx, "1.0", "15.0")


def test_a_rollback_that_no_guard_asks_for_goes(store: Store) -> None:
    with store.begin() as tx:
        old_rollback(tx)
        assert gone(tx)


def not_lifted(tx: Transaction) -> None:
    put_whole_rollback(tx, put_alert(tx, now=LONG_AGO), "r1", now=LONG_AGO)
    live(tx, "1.0", "15.0")


def lifted_lately(tx: Transaction) -> None:
    not_lifted(tx)
    lift_all(tx, now=NOW - DAY_S)


def another_try_in_quarantine(tx: Transaction) -> None:
    old_rollback(tx, wrote=False, state=State.FAILED)
    alert = put_alert(tx, now=LONG_AGO + 60)
    put_whole_rollback(tx, alert, "r2", now=LONG_AGO + 60, try_number=2)


def alive(*versions: str, **when: Any) -> Callable[[Transaction], None]:
    def arrange(tx: Transaction) -> None:
        old_rollback(tx)
        live(tx, *versions, **when)

    return arrange


def observed_and_live(tx: Transaction) -> None:
    old_rollback(tx, shadow=True, state=State.OBSERVED)
    live(tx, "1.0", "14.0")


def never_listed(tx: Transaction) -> None:
    put_whole_rollback(tx, put_alert(tx, org="bank", now=LONG_AGO), "r1", now=LONG_AGO)
    lift_all(tx, now=LONG_AGO + 60)


def listed_long_ago(tx: Transaction) -> None:
    never_listed(tx)
    live(tx, "1.0", "15.0", org="bank", now=NOW - DAY_S)


@pytest.mark.parametrize(
    "arrange",
    [
        pytest.param(lambda tx: old_rollback(tx, state=State.VERIFYING, ended_at=None), id="it is under way"),
        pytest.param(lambda tx: old_rollback(tx, ended_at=NOW - DAY_S), id="it ended lately"),
        pytest.param(not_lifted, id="its version is in quarantine"),
        pytest.param(lifted_lately, id="its quarantine was lifted lately"),
        pytest.param(another_try_in_quarantine, id="another try of the version is in quarantine"),
        pytest.param(alive("1.0", "14.0"), id="its version is live again"),
        pytest.param(alive("1.0", "13.0"), id="its target is live: the bridge restored it"),
        pytest.param(observed_and_live, id="it was observed, and its version is live"),
        pytest.param(never_listed, id="nobody knows what is live"),
        pytest.param(listed_long_ago, id="nobody has lately known what is live"),
    ],
)
def test_a_rollback_stays_as_long_as(store: Store, arrange: Callable[[Transaction], None]) -> None:
    with store.begin() as tx:
        arrange(tx)
        before = sizes(tx)
        assert sweep(tx) == {}
        assert sizes(tx) == before | {"leases": 1}


# What is not over


def test_an_open_alert_stays_with_its_newest_decision(store: Store) -> None:
    with store.begin() as tx:
        alert = put_alert(tx, now=LONG_AGO)
        put_decision(tx, alert, Verdict.PAUSED, now=LONG_AGO)
        put_decision(tx, alert, Verdict.LOCKOUT, now=LONG_AGO + 1)
        put_decision(tx, alert, Verdict.ESTABLISHED, now=LONG_AGO + 2)
        assert sweep(tx) == {"decisions": 2}
        assert [one.id for one in alerts.open_alerts(tx, "retail")] == [alert.id]


@pytest.mark.parametrize(
    "arrange",
    [
        pytest.param(lambda tx, alert: close(tx, alert, now=NOW - DAY_S), id="it was closed lately"),
        pytest.param(
            lambda tx, alert: alerts.record(
                tx, [Alert(alert.fingerprint, False, alert.starts_at, LONG_AGO, alert.labels, {})], LONG_AGO
            ),
            id="its end is not recorded",
        ),
        pytest.param(
            lambda tx, alert: (
                close(tx, alert, now=LONG_AGO),
                alerts.record(tx, [Alert(alert.fingerprint, True, alert.starts_at, None, alert.labels, {})], NOW),
            ),
            id="it is still delivered",
        ),
        pytest.param(
            lambda tx, alert: (
                put_rollback(tx, alert, "r1", now=LONG_AGO),
                close(tx, alert, now=LONG_AGO),
            ),
            id="its rollback is still there",
        ),
    ],
)
def test_a_closed_alert_stays_as_long_as(store: Store, arrange: Callable[[Transaction, StoredAlert], object]) -> None:
    with store.begin() as tx:
        alert = put_alert(tx, now=LONG_AGO)
        arrange(tx, alert)
        assert "alerts" not in sweep(tx)


def test_an_undelivered_notification_and_whatever_is_in_force_stay(store: Store) -> None:
    with store.begin() as tx:
        outbox.put(tx, ["dead"], "s1", {}, now=LONG_AGO)
        controls.pause(tx, "retail", by="ann", reason="storm", now=LONG_AGO)
        controls.hold(tx, "retail", ["flow-1"], owner="team", reason="x", by="ann", now=LONG_AGO)
        window(tx, ends_at=NOW - RETENTION_S + 60)
        assert sweep(tx) == {}


# Thirty days


def test_tables_reach_a_plateau_in_thirty_days(store: Store) -> None:
    """Every day: eight incidents in two organizations, the next version, and people who lift what was in quarantine."""
    retention_s = 7 * DAY_S
    history: list[dict[str, int]] = []
    for day in range(30):
        now = NOW + day * DAY_S
        with store.begin() as tx:
            for org in ("retail", "bank"):
                live(tx, *(f"{day}.0" for _ in range(4)), org=org, now=now)
                for number in range(4):
                    incident(tx, org, f"flow-{number}", day, now=now)
            lift_all(tx, now=now + 3600)
            window(tx, ends_at=now + 60)
            sweep(tx, replace(horizon(now + 7200, retention_s), listed=now - 1))
            history.append(sizes(tx))

    audited = [found.pop("audit") for found in history]
    for table in history[0]:
        late = [found[table] for found in history[12:]]
        assert max(late) - min(late) <= 0.05 * max(late), f"{table}: {[found[table] for found in history]}"
    assert history[-1]["rollbacks"] > 0
    assert all(later > earlier for earlier, later in pairwise(audited))


def incident(tx: Transaction, org: str, flow_id: str, day: int, *, now: float) -> None:
    alert = put_alert(tx, org=org, flow_id=flow_id, now=now)
    for verdict in (Verdict.STALE_EVIDENCE, Verdict.NOT_CONFIRMED, Verdict.ROLL_BACK):
        put_decision(tx, alert, verdict, now=now)
    versions = {"accused_version": f"{day}.0", "target_version": f"{day - 1}.0"}
    put_whole_rollback(tx, alert, f"{org}-{flow_id}-{day}", now=now, **versions)
    close(tx, alert, now=now + 600)
    outbox.put(tx, ["pager"], f"{org}-{flow_id}-{day}", {"incident_type": "x"}, now=now)
    message = outbox.claim(tx, "pager", now=now, claim_s=1)
    assert message is not None
    outbox.delivered(tx, message, now=now + 1)
