"""The chain of the audit: whatever is done to it is found, and an untouched one never is."""

import json
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from receiver.chain import BEFORE_THE_FIRST, Fault, Head, Row, canonical, follow, line, verify

FACTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ENTRIES = st.fixed_dictionaries(
    {
        "at": st.floats(0, 4e9),
        "actor": st.text(max_size=9),
        "kind": st.sampled_from(["decision", "step", "pause"]),
        "facts": st.dictionaries(st.text(max_size=5), FACTS, max_size=3).map(canonical),
    }
)


def chained(entries: Sequence[dict[str, Any]]) -> list[Row]:
    rows: list[Row] = []
    for entry in entries:
        rows.append(follow(head_of(rows), **entry))
    return rows


def head_of(rows: Sequence[Row]) -> Head:
    return Head(rows[-1].number, rows[-1].hash) if rows else Head(0, BEFORE_THE_FIRST)


def in_order(rows: Sequence[Row]) -> list[Row]:
    """As the database gives them."""
    return sorted(rows, key=lambda row: row.number)


CHAINS = st.lists(ENTRIES, min_size=2, max_size=9).map(chained)


@given(CHAINS)
def test_an_untouched_chain_holds(rows: list[Row]) -> None:
    checked = verify(rows, head_of(rows))
    assert (checked.broken, checked.last) == (None, head_of(rows))


@given(CHAINS, st.data())
def test_every_hash_that_was_ever_the_head_is_found(rows: list[Row], data: st.DataObject) -> None:
    sought = data.draw(st.sampled_from(rows))
    assert verify(rows, head_of(rows), sought=sought.hash).found == sought
    assert verify(rows, head_of(rows), sought="0" * 64).found is None


@given(CHAINS, st.data())
def test_any_change_of_any_field_of_any_row_is_found(rows: list[Row], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    other: dict[str, st.SearchStrategy[Any]] = {
        "number": st.integers(-2, 20),
        "at": st.floats(0, 4e9),
        "actor": st.text(max_size=9),
        "kind": st.text(max_size=9),
        "facts": st.text(string.printable, max_size=20) | st.just(f"{rows[place].facts} "),
        "hash": st.text("0123456789abcdef", min_size=64, max_size=64) | st.sampled_from([row.hash for row in rows]),
    }
    field = data.draw(st.sampled_from(sorted(other)))
    changed = replace(rows[place], **{field: data.draw(other[field])})
    assume(changed != rows[place])
    touched = [*rows[:place], changed, *rows[place + 1 :]]
    assert verify(in_order(touched), head_of(rows)).broken is not None


@given(CHAINS, st.data(), st.booleans())
def test_any_removal_is_found_also_when_the_others_are_numbered_anew(
    rows: list[Row], data: st.DataObject, renumbered: bool
) -> None:
    gone = data.draw(st.sets(st.integers(0, len(rows) - 1), min_size=1))
    left = [row for place, row in enumerate(rows) if place not in gone]
    if renumbered:
        left = [replace(row, number=number) for number, row in enumerate(left, 1)]
    assert verify(left, head_of(rows)).broken is not None


@given(CHAINS, st.data())
def test_any_swap_of_two_rows_is_found_as_one(rows: list[Row], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=2, max_size=2, unique=True))
    one, other = (rows[place] for place in sorted(places))
    touched = [row for row in rows if row not in (one, other)]
    touched += [replace(one, number=other.number), replace(other, number=one.number)]
    broken = verify(in_order(touched), head_of(rows)).broken
    assert broken is not None
    assert (broken.number, broken.fault) == (one.number, Fault.REORDERED)


@given(CHAINS, ENTRIES, st.data())
def test_any_row_that_is_put_in_is_found_as_one(rows: list[Row], entry: dict[str, Any], data: st.DataObject) -> None:
    """With a hash that fits, and with those behind it moved up."""
    place = data.draw(st.integers(0, len(rows)))
    foreign = follow(head_of(rows[:place]), **entry)
    assume(place == len(rows) or foreign.hash != rows[place].hash)
    moved = [replace(row, number=row.number + 1) for row in rows[place:]]
    broken = verify([*rows[:place], foreign, *moved], head_of(rows)).broken
    assert broken is not None
    # A row whose hash fits is known as foreign by what comes after it, or by coming after the head.
    assert broken.number in (place + 1, place + 2)
    assert broken.fault is Fault.INSERTED or (broken.number, broken.fault) == (place + 2, Fault.CHANGED)


@given(CHAINS, ENTRIES, st.data())
def test_a_chain_that_was_written_anew_from_some_row_on_is_found_by_its_head(
    rows: list[Row], entry: dict[str, Any], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    anew = [*rows[:place], follow(head_of(rows[:place]), **entry)]
    assume(anew[-1] != rows[place])
    for row in rows[place + 1 :]:
        anew.append(follow(head_of(anew), at=row.at, actor=row.actor, kind=row.kind, facts=row.facts))
    broken = verify(anew, head_of(rows)).broken
    assert broken is not None
    assert (broken.number, broken.fault) == (len(rows), Fault.CHANGED)
    # Whoever writes the head anew too is found by the heads that have gone out.
    everything_anew = verify(anew, head_of(anew), sought=rows[-1].hash)
    assert (everything_anew.broken, everything_anew.found) == (None, None)


@pytest.fixture
def rows() -> list[Row]:
    return chained([{"at": 5.0 + n, "actor": "ann", "kind": "pause", "facts": f'{{"n":{n}}}'} for n in range(6)])


def with_(at_number: int, /, **changes: Any) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: in_order([replace(row, **changes) if row.number == at_number else row for row in rows])


def without(*numbers: int) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [row for row in rows if row.number not in numbers]


@pytest.mark.parametrize(
    ("touch", "number", "fault"),
    [
        pytest.param(with_(3, actor="bob"), 3, Fault.CHANGED, id="another actor"),
        pytest.param(with_(6, facts='{"n":6}'), 6, Fault.CHANGED, id="other facts in the newest row"),
        pytest.param(with_(1, at=4.0), 1, Fault.CHANGED, id="an earlier beginning"),
        pytest.param(without(3), 3, Fault.MISSING, id="one gone"),
        pytest.param(without(1), 1, Fault.MISSING, id="the first gone"),
        pytest.param(without(5, 6), 5, Fault.MISSING, id="the newest gone"),
        pytest.param(without(1, 2, 3, 4, 5, 6), 1, Fault.MISSING, id="all gone"),
        pytest.param(with_(3, number=9), 3, Fault.REORDERED, id="one moved to the end"),
        pytest.param(with_(3, number=0), 0, Fault.INSERTED, id="one moved before the beginning"),
    ],
)
def test_what_was_done_is_named(
    rows: list[Row], touch: Callable[[list[Row]], list[Row]], number: int, fault: Fault
) -> None:
    broken = verify(touch(rows), head_of(rows)).broken
    assert broken is not None
    assert (broken.number, broken.fault) == (number, fault)


def test_a_row_behind_the_head_was_put_in(rows: list[Row]) -> None:
    broken = verify(rows, head_of(rows[:-1])).broken
    assert broken is not None
    assert (broken.number, broken.fault) == (6, Fault.INSERTED)


def test_a_chain_without_the_record_of_its_head_is_broken(rows: list[Row]) -> None:
    broken = verify(rows, None).broken
    assert broken is not None
    assert broken.fault is Fault.MISSING


@given(CHAINS)
def test_a_line_of_the_export_can_be_checked_with_the_one_before(rows: list[Row]) -> None:
    """In the words of docs/audit.md: whoever checks needs nothing of ours."""
    previous = [BEFORE_THE_FIRST, *(row.hash for row in rows)]
    lines = [line(row, before) for row, before in zip(rows, previous, strict=False)]
    for text in lines:
        row = json.loads(text)
        given_hash, before = row.pop("hash"), row.pop("previous")
        said = before + json.dumps(row, sort_keys=True, separators=(",", ":"))
        assert sha256(said.encode()).hexdigest() == given_hash
    assert all(json.loads(one)["hash"] == json.loads(two)["previous"] for one, two in pairwise(lines))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_facts_have_no_number_that_json_has_not(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical({"ratio": number})


def test_an_integer_moment_has_the_hash_of_what_a_database_gives_back() -> None:
    assert follow(Head(0, BEFORE_THE_FIRST), at=5, actor="a", kind="k", facts="{}") == follow(
        Head(0, BEFORE_THE_FIRST), at=5.0, actor="a", kind="k", facts="{}"
    )
