"""What the store promises about pauses, holds and windows, the same on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest

from receiver.store import controls
from receiver.store.controls import BRIDGE, EVERY_FLOW, EVERY_ORG, Hold, Window
from receiver.store.database import Store, Transaction

NOW = 1_795_349_000.0


@pytest.fixture
def tx(store: Store) -> Iterator[Transaction]:
    with store.begin() as opened:
        yield opened


def open_window(tx: Transaction, **changes: Any) -> Window:
    values: dict[str, Any] = {
        "org": "retail",
        "flow_ids": (),
        "kind": "maintenance",
        "starts_at": NOW,
        "ends_at": NOW + 600,
        "reason": "new prompts",
        "owner": "team-voice",
        "created_by": "ann",
        "now": NOW - 60,
    }
    return controls.open_window(tx, **(values | changes))


def test_a_pause_holds_for_its_organization_and_one_of_everything_for_all(tx: Transaction) -> None:
    own = controls.pause(tx, "retail", by="ann", reason="storm", now=NOW)
    assert controls.list_pauses(tx, "retail") == [own]
    assert controls.list_pauses(tx, "bank") == []

    everything = controls.pause(tx, EVERY_ORG, by="bob", reason="outage", now=NOW + 1)
    assert controls.list_pauses(tx, "bank") == [everything]
    assert controls.list_pauses(tx) == [everything, own]


def test_a_pause_that_exists_is_replaced_and_ends_once(tx: Transaction) -> None:
    controls.pause(tx, "retail", by="ann", reason="storm", now=NOW)
    newer = controls.pause(tx, "retail", by="bob", reason="still", now=NOW + 1)
    assert controls.list_pauses(tx) == [newer]

    assert controls.resume(tx, "retail", by="ann", now=NOW)
    assert not controls.resume(tx, "retail", by="ann", now=NOW)
    assert controls.list_pauses(tx) == []


def hold(
    tx: Transaction, *flow_ids: str, org: str = "retail", owner: str = "team-voice", now: float = NOW
) -> list[Hold]:
    return controls.hold(tx, org, flow_ids, owner=owner, reason="debugging", by="ann", now=now)


def test_a_hold_covers_its_flow_and_one_for_every_flow_all_of_its_organization(tx: Transaction) -> None:
    (one,) = hold(tx, "flow-1")
    (every,) = hold(tx, EVERY_FLOW)

    assert controls.list_holds(tx, "retail") == [every, one]
    assert controls.list_holds(tx, "bank") == []
    assert [held.covers("flow-1") for held in (one, every)] == [True, True]
    assert [held.covers("flow-2") for held in (one, every)] == [False, True]


def test_each_owner_has_a_hold_of_its_own_and_a_new_one_replaces_it(tx: Transaction) -> None:
    hold(tx, "flow-1", "flow-2", "flow-1")
    (bridges,) = hold(tx, "flow-1", owner=BRIDGE)
    (newer,) = hold(tx, "flow-1", now=NOW + 1)

    assert controls.list_holds(tx) == [bridges, newer, Hold("retail", "flow-2", "team-voice", "debugging", "ann", NOW)]


@pytest.mark.parametrize(
    ("flow_id", "owner", "left"),
    [
        pytest.param("flow-1", None, [EVERY_FLOW], id="whoever holds it"),
        pytest.param("flow-1", BRIDGE, [EVERY_FLOW, "flow-1"], id="one owner"),
        pytest.param(EVERY_FLOW, None, ["flow-1", "flow-1"], id="the hold for every flow, not each flow's own"),
        pytest.param("flow-1", "nobody", [EVERY_FLOW, "flow-1", "flow-1"], id="somebody who holds nothing"),
        pytest.param("flow-2", None, [EVERY_FLOW, "flow-1", "flow-1"], id="a flow that is not held itself"),
    ],
)
def test_a_hold_is_released_by_flow_and_owner(
    tx: Transaction, flow_id: str, owner: str | None, left: list[str]
) -> None:
    hold(tx, "flow-1")
    hold(tx, "flow-1", owner=BRIDGE)
    hold(tx, EVERY_FLOW)

    assert controls.release(tx, "bank", "flow-1", by="ann", now=NOW) == 0
    assert controls.release(tx, "retail", flow_id, owner=owner, by="ann", now=NOW) == 3 - len(left)
    assert [held.flow_id for held in controls.list_holds(tx, "retail")] == left


@pytest.mark.parametrize(
    ("at", "in_force"),
    [
        pytest.param(NOW - 0.001, False, id="before it starts"),
        pytest.param(NOW, True, id="when it starts"),
        pytest.param(NOW + 599.999, True, id="before it ends"),
        pytest.param(NOW + 600, False, id="when it ends"),
    ],
)
def test_a_window_is_in_force_from_its_start_up_to_but_not_including_its_end(
    tx: Transaction, at: float, in_force: bool
) -> None:
    made = open_window(tx)
    assert controls.active_windows(tx, now=at, org="retail") == ([made] if in_force else [])


def test_a_window_covers_the_flows_it_names_or_all(tx: Transaction) -> None:
    open_window(tx, flow_ids=("flow-1", "flow-2"))
    (made,) = controls.active_windows(tx, now=NOW, org="retail")

    assert made.flow_ids == ("flow-1", "flow-2")
    assert made.covers("flow-2")
    assert not made.covers("flow-3")
    assert open_window(tx).covers("flow-3")


def test_a_window_belongs_to_its_organization(tx: Transaction) -> None:
    made = open_window(tx, org="bank")
    assert controls.active_windows(tx, now=NOW, org="retail") == []
    assert controls.active_windows(tx, now=NOW) == [made]


def test_a_closed_window_is_over_at_once_and_is_closed_once(tx: Transaction) -> None:
    made = open_window(tx)
    assert controls.close_window(tx, made.id, by="ann", now=NOW + 10)
    assert not controls.close_window(tx, made.id, by="ann", now=NOW + 11)

    assert controls.active_windows(tx, now=NOW + 10) == []
    (kept,) = controls.list_windows(tx, now=NOW + 10, ended=True)
    assert kept.closed_at == NOW + 10


def test_a_window_that_has_ended_or_is_unknown_cannot_be_closed(tx: Transaction) -> None:
    made = open_window(tx)
    assert not controls.close_window(tx, made.id, by="ann", now=NOW + 600)
    assert not controls.close_window(tx, "unknown", by="ann", now=NOW)


def test_windows_are_listed_earliest_first_with_the_ones_to_come(tx: Transaction) -> None:
    later = open_window(tx, starts_at=NOW + 900, ends_at=NOW + 1800)
    current = open_window(tx)
    past = open_window(tx, starts_at=NOW - 900, ends_at=NOW)

    assert controls.list_windows(tx, now=NOW) == [current, later]
    assert controls.list_windows(tx, now=NOW, ended=True) == [past, current, later]


def test_of_the_windows_that_are_over_the_last_ones_come_first_and_no_more_than_asked_for(tx: Transaction) -> None:
    open_window(tx)
    long = open_window(tx, starts_at=NOW - 900, ends_at=NOW + 9000)
    earlier, later = (open_window(tx, starts_at=NOW - 900, ends_at=NOW - seconds) for seconds in (300, 100))
    banks = open_window(tx, org="bank", starts_at=NOW - 900, ends_at=NOW)
    controls.close_window(tx, long.id, by="ann", now=NOW - 200)

    def ended(orgs: list[str] | None, limit: int = 9, hidden: str = "") -> list[str]:
        found = controls.ended_windows(tx, now=NOW, orgs=orgs, limit=limit, shown=lambda one: one.id != hidden)
        return [one.id for one in found]

    assert ended(None) == [banks.id, later.id, long.id, earlier.id]
    assert ended(["retail"], limit=2) == [later.id, long.id]
    assert ended([]) == []
    assert ended(None, limit=2, hidden=later.id) == [banks.id, long.id]
