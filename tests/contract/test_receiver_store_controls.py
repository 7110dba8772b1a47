"""What the store promises about pauses and windows, the same on both databases."""

from collections.abc import Iterator
from typing import Any

import pytest

from receiver.store import controls
from receiver.store.controls import EVERY_ORG, Window
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

    assert controls.resume(tx, "retail")
    assert not controls.resume(tx, "retail")
    assert controls.list_pauses(tx) == []


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
    assert controls.close_window(tx, made.id, now=NOW + 10)
    assert not controls.close_window(tx, made.id, now=NOW + 11)

    assert controls.active_windows(tx, now=NOW + 10) == []
    (kept,) = controls.list_windows(tx, now=NOW + 10, ended=True)
    assert kept.closed_at == NOW + 10


def test_a_window_that_has_ended_or_is_unknown_cannot_be_closed(tx: Transaction) -> None:
    made = open_window(tx)
    assert not controls.close_window(tx, made.id, now=NOW + 600)
    assert not controls.close_window(tx, "unknown", now=NOW)


def test_windows_are_listed_earliest_first_with_the_ones_to_come(tx: Transaction) -> None:
    later = open_window(tx, starts_at=NOW + 900, ends_at=NOW + 1800)
    current = open_window(tx)
    past = open_window(tx, starts_at=NOW - 900, ends_at=NOW)

    assert controls.list_windows(tx, now=NOW) == [current, later]
    assert controls.list_windows(tx, now=NOW, ended=True) == [past, current, later]
