"""What bounds deployments and contents, the same on both databases."""

import pytest
import sqlalchemy as sa

from receiver.store import contents, deployments, flows, quarantines, retention
from receiver.store.database import Store, Transaction
from receiver.store.deployments import Member, Registration
from receiver.store.retention import Horizon
from receiver.store.rollbacks import State
from receiver.store.schema import deployment_members
from tests.receiver_world import list_live, put_alert, put_rollback

DAY_S = 86_400.0
NOW = 1_795_349_000.0
LONG_AGO = NOW - 100 * DAY_S
HORIZON = Horizon(old=NOW - 90 * DAY_S, attempts=NOW - 90 * DAY_S, listed=NOW - 1800, keys=NOW - DAY_S, feeds=NOW)
DIGEST = "a" * 64


def register(tx: Transaction, version: str | None = "14.0", *, now: float = LONG_AGO, flow_id: str = "flow-1") -> None:
    told = Registration(org="retail", flows=(Member(flow_id, DIGEST, version),), commit=f"{version} of {now}")
    deployments.register(tx, told, by="pipeline", now=now, repeat_s=600.0, resolve_s=3600.0)


def read(tx: Transaction, version: str = "14.0", *, now: float = LONG_AGO) -> None:
    contents.keep(tx, "retail", "flow-1", version, DIGEST, now=now)


def roll_back(tx: Transaction, *, lifted: bool) -> None:
    rollback = put_rollback(tx, put_alert(tx, now=NOW), "r1", now=NOW, state=State.SUCCEEDED, ended_at=NOW)
    quarantines.put(tx, rollback, now=NOW)
    if lifted:
        (one,) = quarantines.in_force(tx, "retail", "flow-1")
        quarantines.lift(tx, one.id, by="ann", now=NOW)


def left(tx: Transaction) -> tuple[int, int, list[str]]:
    """Deployments, their members, and versions whose content is known, after everything old was removed."""
    while retention.sweep(tx, HORIZON, limit=2):
        pass
    members = tx.scalar(sa.select(sa.func.count()).select_from(deployment_members)) or 0
    return (
        len(deployments.newest(tx, org=None, limit=100)),
        members,
        sorted(contents.of(tx, "retail", "flow-1")),
    )


def test_what_is_old_goes_and_what_is_younger_stays(store: Store) -> None:
    with store.begin() as tx:
        for number in range(5):
            register(tx, f"{number}.0")
            read(tx, f"{number}.0")
        register(tx, None)
        register(tx, "14.0", now=NOW - DAY_S)
        read(tx, "14.0", now=NOW - DAY_S)
        assert left(tx) == (1, 1, ["14.0"])


def test_what_makes_a_version_known_bad_stays_as_long_as_it_does(store: Store) -> None:
    with store.begin() as tx:
        roll_back(tx, lifted=False)
        register(tx)
        register(tx, "13.0")
        register(tx, flow_id="flow-2")
        read(tx)
        read(tx, "13.0")
        assert left(tx) == (1, 1, ["13.0", "14.0"])


def test_once_its_quarantine_is_lifted_it_goes(store: Store) -> None:
    with store.begin() as tx:
        roll_back(tx, lifted=True)
        register(tx)
        read(tx)
        assert left(tx) == (0, 0, [])


@pytest.mark.parametrize(("version", "kept"), [("14.0", 1), ("15.0", 0)])
def test_the_deployment_of_what_is_live_stays(store: Store, version: str, kept: int) -> None:
    with store.begin() as tx:
        list_live(tx, "1.0", version, now=NOW)
        assert [flow.live_version for flow in flows.of(tx, "retail", "flow-1")] == [version]
        register(tx)
        assert left(tx)[:2] == (kept, kept)
