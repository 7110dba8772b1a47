"""What the lease promises, the same on both databases."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from receiver.store import leases, rollbacks
from receiver.store.database import Store, clock
from receiver.store.leases import Lease, LeaseLost
from receiver.store.rollbacks import LEASED
from tests.receiver_world import put_alert, put_rollback

NOW = 1_795_349_000.0


def take(store: Store, owner: str, *, now: float = NOW, name: str = "org:retail") -> Lease | None:
    with store.begin() as tx:
        return leases.take(tx, name, owner, now=now, lease_s=30)


def taken(store: Store, owner: str, *, now: float = NOW) -> Lease:
    lease = take(store, owner, now=now)
    assert lease is not None
    return lease


def hold(store: Store, lease: Lease, *, now: float) -> None:
    with store.begin() as tx:
        leases.hold(tx, lease, now=now)


def test_a_lease_is_taken_by_one_and_refused_to_others(store: Store) -> None:
    assert take(store, "a") is not None
    assert take(store, "b") is None
    assert take(store, "b", now=NOW + 29.9) is None


def test_leases_of_different_names_do_not_exclude_each_other(store: Store) -> None:
    assert take(store, "a") is not None
    assert take(store, "b", name="org:bank") is not None


def test_its_owner_renews_it(store: Store) -> None:
    taken(store, "a")
    taken(store, "a", now=NOW + 20)
    assert take(store, "b", now=NOW + 40) is None


def test_a_lease_that_ran_out_can_be_taken_and_its_old_owner_is_fenced(store: Store) -> None:
    old = taken(store, "a")
    new = taken(store, "b", now=NOW + 30)

    assert new.fence > old.fence
    with pytest.raises(LeaseLost):
        hold(store, old, now=NOW + 31)
    hold(store, new, now=NOW + 31)


def test_an_older_lease_of_the_same_owner_is_fenced_too(store: Store) -> None:
    old = taken(store, "a")
    taken(store, "a")
    with pytest.raises(LeaseLost):
        hold(store, old, now=NOW + 1)


def test_holding_a_lease_renews_it(store: Store) -> None:
    lease = taken(store, "a")
    hold(store, lease, now=NOW + 20)
    assert take(store, "b", now=NOW + 40) is None
    assert take(store, "b", now=NOW + 50) is not None


def test_a_lease_that_ran_out_while_its_owner_was_reading_is_held_again_if_it_is_free(store: Store) -> None:
    lease = taken(store, "a")
    hold(store, lease, now=NOW + 120)
    assert take(store, "b", now=NOW + 121) is None

    other = taken(store, "b", now=NOW + 200)
    hold(store, lease, now=NOW + 300)
    with pytest.raises(LeaseLost):
        hold(store, other, now=NOW + 301)


def test_whoever_has_lost_the_lease_keeps_nothing_of_the_transaction(store: Store) -> None:
    old = taken(store, "a")
    taken(store, "b", now=NOW + 30)

    def write_and_hold() -> None:
        with store.begin() as tx:
            put_rollback(tx, put_alert(tx, now=NOW), "r1", now=NOW)
            leases.hold(tx, old, now=NOW + 31)

    with pytest.raises(LeaseLost):
        write_and_hold()
    with store.begin() as tx:
        assert rollbacks.under_way(tx) == []


def test_a_released_lease_is_free_at_once_and_only_its_owner_releases_it(store: Store) -> None:
    old = taken(store, "a")
    new = taken(store, "b", now=NOW + 30)
    with store.begin() as tx:
        leases.release(tx, old)
        assert leases.held(tx, now=NOW + 31) == {"org:retail"}
        leases.release(tx, new)
        assert leases.held(tx, now=NOW + 31) == set()
    assert take(store, "c", now=NOW + 31) is not None


def test_sixteen_receivers_that_plan_at_once_plan_exactly_one_rollback(store: Store) -> None:
    with store.begin() as tx:
        alert = put_alert(tx, now=NOW)
    start = Barrier(16)

    def plan(number: int) -> bool:
        start.wait()
        with store.begin() as tx:
            lease = leases.take(tx, "org:retail", f"receiver-{number}", now=clock(tx), lease_s=30)
        if lease is None:
            return False
        with store.begin() as tx:
            leases.hold(tx, lease, now=clock(tx))
            if rollbacks.under_way(tx, "retail", LEASED):
                return False
            put_rollback(tx, alert, f"r{number}", now=clock(tx))
            return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(plan, range(16))) == 1


def test_with_one_lock_over_everything_sixteen_organizations_plan_exactly_one_rollback(store: Store) -> None:
    """Each has its own lease; `lock` is what keeps them from looking at the same time."""
    with store.begin() as tx:
        found = [put_alert(tx, org=f"org-{number}", now=NOW) for number in range(16)]
    start = Barrier(16)

    def plan(number: int) -> bool:
        start.wait()
        with store.begin() as tx:
            leases.lock(tx, "all")
            if rollbacks.under_way(tx, None, LEASED):
                return False
            put_rollback(tx, found[number], f"r{number}", now=NOW)
            return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(plan, range(16))) == 1
