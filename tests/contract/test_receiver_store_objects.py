"""What the store promises about configuration objects and their snapshots, the same on both databases."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from receiver.store import objects
from receiver.store.database import Store, Transaction
from receiver.store.objects import MOST_STINTS, Key, Stint

NOW = 1_795_349_000.0
ACTION = Key("retail", "data_action", "a")


@pytest.fixture
def tx(store: Store) -> Iterator[Transaction]:
    with store.begin() as opened:
        yield opened


def note(tx: Transaction, version: str, at: float, own_version: int | None = None, key: Key = ACTION) -> bool:
    content: dict[str, Any] = {"is": version}
    return objects.note(
        tx, key, name="Get", version=version, content=content, own_version=own_version, flow_id="f", asked_at=at
    )


def test_one_receiver_at_a_time_reads_an_object_and_the_next_one_when_it_is_due(tx: Transaction) -> None:
    assert objects.claim(tx, ACTION, now=NOW, next_at=NOW + 300)
    assert not objects.claim(tx, ACTION, now=NOW + 299, next_at=NOW + 599)
    assert objects.claim(tx, ACTION, now=NOW + 300, next_at=NOW + 600)


def test_what_somebody_wants_is_read_at_once_and_once(tx: Transaction) -> None:
    objects.claim(tx, ACTION, now=NOW, next_at=NOW + 300)
    objects.want(tx, "retail", now=NOW + 10, object_ids=["a"])
    objects.want(tx, "retail", now=NOW + 10, object_ids=["another"])
    assert objects.claim(tx, ACTION, now=NOW + 11, next_at=NOW + 311)
    assert not objects.claim(tx, ACTION, now=NOW + 12, next_at=NOW + 312)


def test_a_content_is_kept_once_and_each_stint_of_it_apart(tx: Transaction) -> None:
    for version, at in (("1", 0), ("1", 5), ("2", 10), ("1", 20)):
        assert note(tx, version, NOW + at)
    assert objects.stints(tx, ACTION) == [
        Stint("1", NOW, NOW + 5),
        Stint("2", NOW + 10, NOW + 10),
        Stint("1", NOW + 20, NOW + 20),
    ]
    assert objects.content(tx, ACTION, "2") == {"is": "2"}
    assert objects.content(tx, ACTION, "3") is None


@pytest.mark.parametrize(
    ("at", "own_version"), [(-1, 8), (0, 8), (1, 6)], ids=["asked for before", "asked for at once", "numbered lower"]
)
def test_an_older_view_counts_for_nothing(tx: Transaction, at: float, own_version: int) -> None:
    note(tx, "2", NOW, own_version=7)
    assert not note(tx, "1", NOW + at, own_version=own_version)
    assert objects.stints(tx, ACTION) == [Stint("2", NOW, NOW)]


def test_a_failure_keeps_what_was_read_and_says_why(tx: Transaction) -> None:
    objects.claim(tx, ACTION, now=NOW, next_at=NOW + 300)
    note(tx, "1", NOW)
    objects.failed(tx, ACTION, "not allowed", retry_at=NOW + 60)
    found = objects.state(tx, ACTION)
    assert found is not None
    assert (found.problem, found.read_at, found.due_at, found.name) == ("not allowed", NOW, NOW + 60, "Get")
    note(tx, "1", NOW + 61)
    assert [one.problem for one in objects.states(tx, "retail")] == [""]


def test_objects_of_the_same_id_are_kept_apart(tx: Transaction) -> None:
    other = Key("bank", "data_action", "a")
    note(tx, "1", NOW)
    note(tx, "2", NOW, key=other)
    assert [one.key for one in objects.states(tx)] == [other, ACTION]
    assert objects.content(tx, other, "1") is None


def test_the_oldest_contents_go_once_there_are_many_and_what_was_had_again_stays(tx: Transaction) -> None:
    for number in range(MOST_STINTS + 10):
        note(tx, f"{number if number % 2 else 'often'}", NOW + number)
    found = objects.stints(tx, ACTION)
    assert len(found) == MOST_STINTS
    assert found[-1].since == NOW + MOST_STINTS + 9
    assert objects.content(tx, ACTION, "9") is None
    assert objects.content(tx, ACTION, "11") is not None
    assert objects.content(tx, ACTION, "often") is not None


def test_readings_at_once_make_one_history(store: Store) -> None:
    """Whichever is first: one content after the other, and each once."""
    store.transact(lambda tx: note(tx, "0", NOW))

    def read(number: int) -> None:
        store.transact(lambda tx: note(tx, str(number % 3), NOW + number))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = store.transact(lambda tx: objects.stints(tx, ACTION))
    assert [one.since for one in found] == sorted({one.since for one in found})
    assert all(one.version != other.version for one, other in itertools.pairwise(found))
    assert found[-1].seen_until == NOW + 8
