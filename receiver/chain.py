"""The chain of the audit: what a row's hash is made of, and what is wrong with a chain that does not hold. Pure.

The hash of a row covers the row and the hash of the row before it, so that nothing
can be changed, taken out, put in or moved without every later hash being another.
Whoever can write to the database can write the whole chain anew, and the head with
it: the heads that have gone out with notifications are out of his reach.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from itertools import chain
from typing import Any

BEFORE_THE_FIRST = "0" * 64  # in place of the hash of a row before


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the audit as it is stored: `facts` is canonical JSON, `at` in Unix seconds."""

    number: int
    at: float
    actor: str
    kind: str
    facts: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row: how long the chain is, and its hash."""

    number: int
    hash: str


class Fault(StrEnum):
    """What was done to a chain that does not hold."""

    CHANGED = "changed"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"


@dataclass(frozen=True, slots=True)
class Broken:
    """The first row that is not as it was written."""

    number: int
    fault: Fault
    detail: str


@dataclass(frozen=True, slots=True)
class Verified:
    """A chain that was read to its end, or to its first broken row; `found` is the row whose hash was sought."""

    last: Head
    broken: Broken | None
    found: Row | None


def canonical(facts: Mapping[str, Any]) -> str:
    """JSON in ASCII with sorted keys and without spaces. Raises ValueError for NaN and infinity, which it has not."""
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)


def follow(before: Head, *, at: float, actor: str, kind: str, facts: str) -> Row:
    """The row that comes next, with its hash."""
    number = before.number + 1
    at = float(at)  # as a database gives it back: 5 and 5.0 are not the same text
    return Row(number, at, actor, kind, facts, _hash(before.hash, number, at, actor, kind, facts))


def line(row: Row, previous: str) -> str:
    """One line of the export. Without `previous` and `hash` it is the canonical row, as the hash covers it."""
    document = json.loads(_canonical(row.number, row.at, row.actor, row.kind, row.facts))
    return json.dumps(document | {"previous": previous, "hash": row.hash}, separators=(",", ":"))


def verify(rows: Iterable[Row], head: Head | None, *, sought: str | None = None) -> Verified:
    """Check rows in the order of their numbers, and that they end at the head. Keeps none of them in memory."""
    last, found = Head(0, BEFORE_THE_FIRST), None
    rest = iter(rows)
    for row in rest:
        if head is not None and last.number >= head.number:
            return Verified(last, Broken(row.number, Fault.INSERTED, f"the head is row {head.number}"), found)
        if row.number != last.number + 1 or not _follows(last, row):
            return Verified(last, _broken(last, row, rest), found)
        last = Head(row.number, row.hash)
        if row.hash == sought:
            found = row
    return Verified(last, _broken_end(last, head), found)


def _broken(last: Head, row: Row, rest: Iterator[Row]) -> Broken:
    """What happened to the row that was to follow `last`, where now is `row`, or is no row."""
    number = last.number + 1
    if row.number < number:
        return Broken(row.number, Fault.INSERTED, "there is no such number")
    others = rest if row.number == number else chain((row,), rest)
    moved = next((one for one in others if _follows(last, one)), None)
    if moved is not None:
        pushed = row.number == number and _was_pushed(row, moved, next(rest, None))
        fault = Fault.INSERTED if pushed else Fault.REORDERED
        return Broken(number, fault, f"what was written as row {number} now is row {moved.number}")
    if row.number == number:
        return Broken(number, Fault.CHANGED, "its hash is not that of what it says and of the row before")
    return Broken(number, Fault.MISSING, f"the next row that is left is {row.number}")


def _was_pushed(row: Row, moved: Row, follower: Row | None) -> bool:
    """Were rows put in before `moved`? Then what was written after it still comes after it."""
    place = Head(row.number, moved.hash)
    if follower is not None:
        return _follows(place, follower)
    return moved.number == row.number + 1 and not _follows(place, row)


def _broken_end(last: Head, head: Head | None) -> Broken | None:
    if head is None:
        return Broken(last.number, Fault.MISSING, "the record of the head is gone")
    if head.number > last.number:
        return Broken(last.number + 1, Fault.MISSING, f"the head is row {head.number}: the newest rows are gone")
    if head.hash != last.hash:
        return Broken(last.number, Fault.CHANGED, "its hash is not that of the head")
    return None


def _follows(last: Head, row: Row) -> bool:
    """Was this row written after `last`? Whatever its number is now."""
    return row.hash == _hash(last.hash, last.number + 1, row.at, row.actor, row.kind, row.facts)


def _hash(previous: str, number: int, at: float, actor: str, kind: str, facts: str) -> str:
    return sha256(f"{previous}{_canonical(number, at, actor, kind, facts)}".encode()).hexdigest()


def _canonical(number: int, at: float, actor: str, kind: str, facts: str) -> str:
    """The row as one JSON object, by the rules of `canonical`; its facts are taken as they stand."""
    names = {"actor": actor, "at": at, "kind": kind}
    told = {name: json.dumps(value, default=repr) for name, value in names.items()}
    return f'{{"actor":{told["actor"]},"at":{told["at"]},"facts":{facts},"kind":{told["kind"]},"number":{number}}}'
