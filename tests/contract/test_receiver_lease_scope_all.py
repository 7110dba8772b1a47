"""`lease_scope: all` on PostgreSQL: two organizations' workers look at the same moment, and one of them plans."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from receiver.store.database import Store, Transaction
from receiver.store.rollbacks import LEASED
from tests import postgresql_server
from tests.integration.receiver_world import Scene, alert_of, scene

ORGS = ("retail", "bank")
_numbers = count()


@pytest.fixture(params=["all", "org"])
def here(request: pytest.FixtureRequest, tmp_path: Path, postgresql_url: str) -> Iterator[Scene]:
    """Two organizations with a failing flow each, with this `lease_scope`."""
    with (
        postgresql_server.fresh_database(postgresql_url, f"scope{next(_numbers)}") as url,
        scene(tmp_path, ORGS, lease_scope=request.param, database_url=url) as made,
    ):
        made.deliver(alert_of(), alert_of(org="bank"))
        yield made


def scope(here: Scene) -> str:
    return here.settings.lease_scope.value


def leased(here: Scene) -> list[str]:
    return [one.org for one in here.rollbacks() if one.state in LEASED]


def waiting(tx: Transaction) -> int:
    """How many transactions wait for a lock."""
    return int(tx.scalar(sa.text("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")) or 0)


def meet_between_look_and_entry(here: Scene, *ticks: Callable[[], None]) -> None:
    """Run all at the same time; whoever has looked and wants to write its plan waits until the others wait too.

    A plan writes a step, and nothing that comes before it does.
    """
    with closing(Store(here.settings.database_url)) as gate, ThreadPoolExecutor(len(ticks)) as pool:
        with gate.begin() as tx:
            tx.execute(sa.text("LOCK TABLE steps IN EXCLUSIVE MODE"))
            running = [pool.submit(tick) for tick in ticks]
            until = time.monotonic() + 4  # shorter than the lock_timeout
            while waiting(tx) < len(ticks) and time.monotonic() < until:
                time.sleep(0.01)
            assert waiting(tx) == len(ticks)
        for done in running:
            done.result()


def test_two_workers_that_look_at_the_same_moment_plan_one_rollback(here: Scene) -> None:
    """And with a lease for each organization both plan: so the meeting is a real one."""
    other = here.another_receiver("receiver-2")
    meet_between_look_and_entry(here, lambda: here.receiver.tick("retail"), lambda: other.tick("bank"))

    at_most = 1 if scope(here) == "all" else 2
    assert len(leased(here)) == at_most
    assert len(here.published()) == at_most


def test_both_are_rolled_back_in_the_end_one_after_the_other(here: Scene) -> None:
    other = here.another_receiver("receiver-2")
    most = 0
    with ThreadPoolExecutor(2) as pool:
        for _ in range(40):
            for done in [pool.submit(here.receiver.tick, "retail"), pool.submit(other.tick, "bank")]:
                done.result()
            most = max(most, len(leased(here)))
            here.time.pass_(2)

    assert most == (1 if scope(here) == "all" else 2)
    assert here.published() == ["13.0", "13.0"]
    assert {one.org for one in here.rollbacks()} == set(ORGS)
