"""What the lease promises, the same on both databases."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import sqlalchemy as sa

from receiver.store import leases, rollbacks
from receiver.store.database import Store, StoreUnavailable, Transaction, clock
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


def release(store: Store, lease: Lease) -> None:
    with store.begin() as tx:
        leases.release(tx, lease)


def names_held(store: Store, *, now: float) -> set[str]:
    with store.begin() as tx:
        return leases.held(tx, now=now)


def put_lease(tx: Transaction, name: str) -> None:
    """A free lease, as from yesterday: making its row would itself keep the others waiting, the first time."""
    lease = leases.take(tx, name, "somebody", now=NOW, lease_s=30)
    assert lease is not None
    leases.release(tx, lease)


def test_a_lease_is_taken_by_one_and_refused_to_others(store: Store) -> None:
    assert take(store, "a") is not None
    assert take(store, "b") is None
    assert take(store, "b", now=NOW + 29.9) is None


def test_leases_of_different_names_do_not_exclude_each_other(store: Store) -> None:
    assert take(store, "a") is not None
    assert take(store, "b", name="org:bank") is not None


def test_one_receiver_has_several_leases_and_each_is_held_and_released_by_itself(store: Store) -> None:
    retail, bank = (take(store, "a", name=name) for name in ("org:retail", "org:bank"))
    assert retail is not None
    assert bank is not None
    hold(store, retail, now=NOW + 20)
    assert names_held(store, now=NOW + 31) == {"org:retail"}

    hold(store, bank, now=NOW + 31)
    release(store, retail)
    assert names_held(store, now=NOW + 32) == {"org:bank"}


def test_its_owner_renews_it(store: Store) -> None:
    taken(store, "a")
    taken(store, "a", now=NOW + 20)
    assert take(store, "b", now=NOW + 40) is None


def test_a_lease_that_ran_out_can_be_taken_and_its_old_owner_is_fenced(store: Store) -> None:
    old = taken(store, "a")
    new = taken(store, "b", now=NOW + 30)

    assert new.fence > old.fence
    with pytest.raises(LeaseLost, match="another receiver has taken the lease org:retail"):
        hold(store, old, now=NOW + 31)
    hold(store, new, now=NOW + 31)


def test_every_taker_gets_the_next_number_beginning_with_one(store: Store) -> None:
    takers = [taken(store, "a"), taken(store, "a"), taken(store, "b", now=NOW + 30)]
    assert [lease.fence for lease in takers] == [1, 2, 3]


def test_an_older_lease_of_the_same_owner_is_fenced_too(store: Store) -> None:
    old = taken(store, "a")
    taken(store, "a")
    with pytest.raises(LeaseLost):
        hold(store, old, now=NOW + 1)
    release(store, old)
    assert names_held(store, now=NOW + 1) == {"org:retail"}


def test_a_lease_whose_time_is_up_is_free_for_everybody_at_that_moment(store: Store) -> None:
    lost = taken(store, "a")
    taken(store, "b", now=NOW + 30)
    assert names_held(store, now=NOW + 59) == {"org:retail"}
    assert names_held(store, now=NOW + 60) == set()
    hold(store, lost, now=NOW + 60)
    assert take(store, "c", now=NOW + 90) is not None


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
    hold(store, lease, now=NOW + 302)


def test_a_number_that_comes_again_does_not_let_an_old_owner_in(store: Store) -> None:
    """Who holds again what has run out brings an old number back, and the next taker gets the one after it anew."""
    first = taken(store, "a")
    overtaken = taken(store, "b", now=NOW + 30)
    hold(store, first, now=NOW + 60)
    assert taken(store, "c", now=NOW + 90).fence == overtaken.fence

    with pytest.raises(LeaseLost):
        hold(store, overtaken, now=NOW + 91)
    release(store, overtaken)
    assert names_held(store, now=NOW + 91) == {"org:retail"}


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
    release(store, old)
    assert names_held(store, now=NOW + 31) == {"org:retail"}
    release(store, new)
    assert names_held(store, now=NOW + 31) == set()
    assert take(store, "c", now=NOW + 31) is not None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite lets nobody else write anyway
@pytest.mark.parametrize("way", ["take", "hold", "lock"])
def test_whoever_has_rewritten_a_lease_keeps_others_out_until_the_transaction_ends(store: Store, way: str) -> None:
    lease = taken(store, "a")
    with store.begin() as tx:
        put_lease(tx, "org:bank")
    with store.begin() as tx:
        if way == "take":
            leases.take(tx, "org:retail", "a", now=NOW, lease_s=30)
        elif way == "hold":
            leases.hold(tx, lease, now=NOW)
        else:
            leases.lock(tx, "org:retail")
        assert must_wait(store, "org:retail")
        assert not must_wait(store, "org:bank")
    assert not must_wait(store, "org:retail")


def must_wait(store: Store, name: str) -> bool:
    """Whether somebody else, who locks the name now, does not get the lock at once."""
    try:
        with store.begin() as tx:
            tx.execute(sa.text("SET LOCAL lock_timeout = '50ms'"))
            leases.lock(tx, name)
    except StoreUnavailable:
        return True
    return False


def test_sixteen_receivers_that_plan_at_once_plan_exactly_one_rollback(store: Store) -> None:
    with store.begin() as tx:
        alert = put_alert(tx, now=NOW)
        put_lease(tx, "org:retail")
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
        put_lease(tx, "all")
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
