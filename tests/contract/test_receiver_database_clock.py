"""On PostgreSQL there is one clock for all receivers: the server's, whatever their hosts' clocks say."""

import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from receiver.store import leases
from receiver.store.database import Store, Transaction, clock
from receiver.store.leases import Lease
from tests import postgresql_server

_numbers = count()


@pytest.fixture
def store(postgresql_url: str) -> Iterator[Store]:
    with postgresql_server.fresh_database(postgresql_url, f"clock{next(_numbers)}") as url:
        made = Store(url)
        made.migrate()
        yield made
        made.close()


def with_clock_off(off_s: float, use: Callable[[], Lease | None]) -> Lease | None:
    right = time.time
    with pytest.MonkeyPatch.context() as world:
        world.setattr(time, "time", lambda: right() + off_s)
        return use()


@pytest.mark.parametrize("off_s", [30.0, -30.0, 3600.0, -3600.0])
def test_receivers_whose_clocks_differ_do_not_hold_a_lease_at_the_same_time(store: Store, off_s: float) -> None:
    def take(tx: Transaction, owner: str, lease_s: float) -> Lease | None:
        return leases.take(tx, "org:retail", owner, now=clock(tx), lease_s=lease_s)

    assert with_clock_off(off_s, lambda: store.transact(take, "a", 1.5)) is not None
    assert with_clock_off(-off_s, lambda: store.transact(take, "b", 1.5)) is None
    assert with_clock_off(off_s, lambda: store.transact(take, "b", 1.5)) is None
    time.sleep(1.6)
    assert with_clock_off(-off_s, lambda: store.transact(take, "b", 1.5)) is not None
    assert with_clock_off(off_s, lambda: store.transact(take, "a", 1.5)) is None


def test_the_clock_goes_on_within_a_transaction(store: Store) -> None:
    """A wait for a lock must not be forgotten: `now()` would stand still."""
    with store.begin() as tx:
        begun = clock(tx)
        time.sleep(0.05)
        assert clock(tx) - begun >= 0.05
