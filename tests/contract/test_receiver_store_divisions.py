"""The division of each flow as it was last listed, the same on both databases."""

from pathlib import Path

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa

import receiver.store
from receiver.callers import EVERYTHING, Caller, Grant, Reach
from receiver.config import Role
from receiver.store import alerts, controls, divisions, flows, retention
from receiver.store.database import Store, Transaction
from receiver.store.retention import Horizon
from receiver.store.schema import flow_divisions
from tests.integration.test_receiver_reach import a_flow
from tests.receiver_world import put_alert

NOW = 1_795_349_000.0
VIEWER = frozenset({Role.VIEWER})


def grant(*named: str, orgs: tuple[str, ...] | None = ("retail",)) -> Grant:
    return Grant(VIEWER, None if orgs is None else frozenset(orgs), frozenset(named))


def of_divisions(tx: Transaction, *grants: Grant) -> set[tuple[str, str]]:
    found = divisions.looked_up(tx, Caller("ann", grants))
    return {flow for one in found.grants for flow in one.flows}


def test_a_flow_is_in_the_division_in_which_it_was_listed_last_and_in_none_if_it_was_listed_without(
    store: Store,
) -> None:
    with store.begin() as tx:
        flows.replace(tx, "retail", [a_flow("a", division="Sales"), a_flow("b"), a_flow("c", division="")], now=NOW)
        assert of_divisions(tx, grant("Sales")) == {("retail", "a")}
        assert of_divisions(tx, grant("id-Home")) == {("retail", "b")}
        flows.replace(tx, "retail", [a_flow("b", division="Sales")], now=NOW + 1)
        assert of_divisions(tx, grant("Sales")) == {("retail", "a"), ("retail", "b")}  # a is listed no more
        flows.replace(tx, "retail", [a_flow("a", division=""), a_flow("b", division="Sales")], now=NOW + 2)
        assert of_divisions(tx, grant("Sales")) == {("retail", "b")}
        assert of_divisions(tx, grant("Sales", orgs=("bank",))) == set()
        assert of_divisions(tx, grant("Sales", orgs=None)) == {("retail", "b")}
        assert of_divisions(tx, grant("sales"), grant("%"), grant("Sale")) == set()


def test_rows_are_left_out_by_the_same_flows_that_a_caller_has(store: Store) -> None:
    with store.begin() as tx:
        flows.replace(tx, "retail", [a_flow("a", division="Sales"), a_flow("b")], now=NOW)
        for org, flow_id in (("retail", "a"), ("retail", "b"), ("retail", "never-listed"), ("bank", "a")):
            put_alert(tx, org=org, flow_id=flow_id, now=NOW)
        for reach in (
            EVERYTHING,
            Reach(()),
            Reach((Grant(VIEWER, frozenset({"bank"})),)),
            Reach((grant("Sales"),)),
            Reach((grant("Sales", "Home"), Grant(VIEWER, frozenset({"bank"})))),
            Reach((grant("Sales", orgs=None),)),
        ):
            known = divisions.looked_up(tx, Caller("ann", reach.grants)).reach([Role.VIEWER])
            if reach is EVERYTHING:
                known = reach
            shown = alerts.newest(tx, org=None, within=reach, open_only=False, limit=9)
            everything = alerts.newest(tx, org=None, open_only=False, limit=9)
            assert shown == [one for one in everything if known.covers(one.org, one.object_id)]


def test_a_division_goes_with_age_once_nothing_else_is_kept_about_its_flow(store: Store) -> None:
    horizon = Horizon(old=NOW - 100, attempts=NOW - 100, listed=NOW - 100, keys=NOW - 100, feeds=NOW)
    with store.begin() as tx:
        listed = [a_flow(flow_id) for flow_id in ("gone", "failing", "held")]
        flows.replace(tx, "retail", listed, now=NOW - 200)
        flows.replace(tx, "retail", [a_flow("young")], now=NOW - 50)
        put_alert(tx, flow_id="failing", now=NOW)
        controls.hold(tx, "retail", ["held"], owner="ann", reason="x", by="ann", now=NOW)
        assert retention.sweep(tx, horizon, limit=9) == {"flow_divisions": 1}
        left = set(tx.scalars(sa.select(flow_divisions.c.flow_id)))
    assert left == {"failing", "held", "young"}


def test_the_migration_knows_the_divisions_of_the_flows_that_are_live(database_url: str) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(receiver.store.__file__).parent / "migrations"))
    store = Store(database_url)
    with store.begin() as tx:
        config.attributes["connection"] = tx
        alembic.command.upgrade(config, "0013")
        tx.execute(
            sa.text(
                "INSERT INTO flows (org, id, name, type, division_id, division_name, active, live_version) "
                "VALUES ('retail', 'a', 'A', 'inboundcall', 'd', 'Sales', true, '1.0')"
            )
        )
        tx.execute(sa.text("INSERT INTO listings VALUES ('retail', 9.0, 8.0, '')"))
    store.migrate()
    with store.begin() as tx:
        assert of_divisions(tx, grant("Sales")) == {("retail", "a")}
        assert tx.scalar(sa.select(flow_divisions.c.listed_at)) == pytest.approx(8.0)
    store.close()
