"""What analytics know, and since when.

Happenings arrive in order and show after the latency; some come late and correct
buckets that were read before. The newest hours are kept one by one, older ones
as counts by the hour, so that memory is bounded. Owns no formats: `analytics`
speaks with the client.
"""

import heapq
import math
import random
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from simulator.bounds import RangeBound
from simulator.callers import Happening, Key, Kind
from simulator.history import HOUR, KEPT, Cell, Counts, History
from simulator.vocabulary import Settings

KEPT_ONE_BY_ONE = 1.5 * HOUR  # simulated seconds; pollers ask for a trailing hour by the minute
_CALLS = (Kind.ENTRY, Kind.EXIT, Kind.ERROR)
TABLES = 16  # questions whose answers are kept up to date; pollers repeat a handful

Group = tuple[str | None, ...]
Counted = Kind | RangeBound
Table = dict[int, dict[Group, dict[Counted, Counts]]]


class Grouping(Hashable, Protocol):
    """Says in which group of an answer something is counted, and which views count their part of it."""

    @property
    def bounds(self) -> tuple[RangeBound, ...]: ...

    def group(self, key: Key) -> Group | None:
        """The group, or None if the question leaves it out."""


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end) in equal buckets, in Unix milliseconds; the last one may be cut."""

    start_ms: int
    end_ms: int
    bucket_ms: int

    @property
    def phase_ms(self) -> int:
        return self.start_ms % self.bucket_ms

    @property
    def whole(self) -> bool:
        return (self.end_ms - self.start_ms) % self.bucket_ms == 0

    def until(self, at: float) -> "Span":
        """The part before a time; nothing is left if it ends before it starts."""
        return self if at * 1000 >= self.end_ms else replace(self, end_ms=max(self.start_ms, math.floor(at * 1000)))

    def index(self, at: float) -> int:
        return math.floor((at * 1000 - self.phase_ms) / self.bucket_ms)

    def start_of(self, index: int) -> float:
        """When a bucket starts, in Unix seconds."""
        return (index * self.bucket_ms + self.phase_ms) / 1000

    def indices(self) -> range:
        first = (self.start_ms - self.phase_ms) // self.bucket_ms
        return range(first, first + math.ceil((self.end_ms - self.start_ms) / self.bucket_ms))

    def holds(self, at: float) -> bool:
        return self.start_ms <= at * 1000 < self.end_ms


@dataclass
class Tabulation:
    """A table of counts by bucket, group and kind, for one span's buckets and one grouping.

    If the span is whole the table may hold more than the span: it goes on in equal buckets on both sides.
    """

    span: Span
    grouping: Grouping
    table: Table = field(default_factory=dict)
    _groups: dict[Key, Group | None] = field(default_factory=dict)

    def add_happening(self, happening: Happening) -> None:
        group = self._group(happening.key)
        if group is not None:
            counted = self._counted(self.span.index(happening.at), group)
            kind = happening.key.kind
            counted.setdefault(kind, Counts()).add_one(happening.duration_s)
            for bound in self.grouping.bounds:
                if bound.holds(kind, happening.duration_s):
                    counted.setdefault(bound, Counts()).add_one(happening.duration_s)

    def add_cell(self, cell: Cell) -> None:
        """Put a cell where it belongs, in parts if that is several buckets; what a cut span leaves out is left out."""
        start, end = cell.start, cell.end
        if not self.span.whole:
            start, end = max(start, self.span.start_ms / 1000), min(end, self.span.end_ms / 1000)
        if start >= end:
            return
        first, last = self.span.index(start), self.span.index(math.nextafter(end, 0.0))
        if first == last and (start, end) == (cell.start, cell.end):
            self._add(first, cell.key, cell.counts)
            return
        for index in range(first, last + 1):
            part = max(start, self.span.start_of(index)), min(end, self.span.start_of(index + 1))
            counts = cell.between(*part)
            if counts.count:
                self._add(index, cell.key, counts)

    def forget_before(self, at: float) -> bool:
        """Drop the buckets before a time; False if that would cut one."""
        index = self.span.index(at)
        if self.span.start_of(index) != at:
            return False
        for old in [known for known in self.table if known < index]:
            del self.table[old]
        return True

    def _add(self, index: int, key: Key, more: Counts) -> None:
        group = self._group(key)
        if group is not None:
            counted = self._counted(index, group)
            counted.setdefault(key.kind, Counts()).add(more)
            for bound in self.grouping.bounds:
                part = bound.part_of(key.kind, more)
                if part.count:
                    counted.setdefault(bound, Counts()).add(part)

    def _group(self, key: Key) -> Group | None:
        """The group to which `key` belongs; None if the question leaves it out."""
        if key not in self._groups:
            self._groups[key] = self.grouping.group(key)
        return self._groups[key]

    def _counted(self, index: int, group: Group) -> dict[Counted, Counts]:
        return self.table.setdefault(index, {}).setdefault(group, {})


_Name = tuple[int, int, Grouping]
_Kept = TypeVar("_Kept")


class Reports:
    """Everything that can be asked of analytics. Give it what happens, tell it the time, then ask."""

    def __init__(self, history: History, settings: Callable[[], Settings], *, factor: float, seed: int) -> None:
        self._history = history
        self._settings = settings
        self._factor = factor
        self._rng = random.Random(f"{seed} reports")  # noqa: S311
        # Apart, so that calls show when they do whatever else is reported.
        self._rng_of_deeds = random.Random(f"{seed} reports of deeds")  # noqa: S311
        self._under_way: list[tuple[float, Happening]] = []
        self._newest: list[Happening] = []
        self._hour_s = HOUR / factor
        self._folded: dict[int, dict[Key, Counts]] = {}
        self._first_unfolded = 0
        self._tables: OrderedDict[_Name, Tabulation] = OrderedDict()
        self._history_tables: OrderedDict[_Name, dict[int, Table]] = OrderedDict()  # by hour: history never changes

    def happened(self, happening: Happening) -> None:
        """Take note; it shows after the latency."""
        settings = self._settings()
        rng = self._rng if happening.key.kind in _CALLS else self._rng_of_deeds
        delay = settings.analytics_latency + rng.uniform(0.0, settings.analytics_jitter)
        if rng.random() < settings.analytics_late_ratio:
            delay += rng.uniform(0.0, settings.analytics_late)
        heapq.heappush(self._under_way, (happening.at + delay / self._factor, happening))

    def show_until(self, at: float) -> None:
        """Let everything show whose latency is over."""
        self._fold(at)
        while self._under_way and self._under_way[0][0] <= at:
            self._show(heapq.heappop(self._under_way)[1])

    def tabulate(self, span: Span, grouping: Grouping) -> Table:
        """What shows now. Buckets, groups and kinds without anything in them are absent.

        To be read at once and left unchanged: it goes on counting.
        """
        if span.whole:
            newest = self._kept_table(span, grouping).table
        else:
            newest = self._tabulate_newest(Tabulation(span, grouping), only_in_span=True).table
        asked = span.indices()
        found: Table = {}
        for table in (newest, self._folded_table(span, grouping), *self._tables_of_history(span, grouping)):
            for index, groups in table.items():
                if index in asked:
                    found[index] = _merged(found[index], groups) if index in found else groups
        return dict(sorted(found.items()))

    def draw_history(self, span: Span) -> None:
        """Draw the history that a question about `span` needs; safe beside everything else."""
        for hour in self._hours(span):
            self._history.cells(hour)

    def _show(self, happening: Happening) -> None:
        self._newest.append(happening)
        for tabulation in self._tables.values():
            tabulation.add_happening(happening)

    def _fold(self, at: float) -> None:
        """Count by the hour what is old enough; whole hours only."""
        first_unfolded = math.floor((at - KEPT_ONE_BY_ONE / self._factor) / self._hour_s)
        if first_unfolded <= self._first_unfolded:
            return
        self._first_unfolded = first_unfolded
        kept = []
        for happening in self._newest:
            hour = math.floor(happening.at / self._hour_s)
            if hour < first_unfolded:
                self._folded.setdefault(hour, {}).setdefault(happening.key, Counts()).add_one(happening.duration_s)
            else:
                kept.append(happening)
        self._newest = kept
        folded_until = first_unfolded * self._hour_s
        for name in [name for name, table in self._tables.items() if not table.forget_before(folded_until)]:
            del self._tables[name]
        oldest = first_unfolded - round(KEPT / HOUR)
        self._folded = {hour: counts for hour, counts in self._folded.items() if hour >= oldest}

    def _kept_table(self, span: Span, grouping: Grouping) -> Tabulation:
        name = (span.bucket_ms, span.phase_ms, grouping)
        if name not in self._tables:
            self._tables[name] = self._tabulate_newest(Tabulation(span, grouping), only_in_span=False)
        return _newest_used(self._tables, name)

    def _tabulate_newest(self, tabulation: Tabulation, *, only_in_span: bool) -> Tabulation:
        for happening in self._newest:
            if not only_in_span or tabulation.span.holds(happening.at):
                tabulation.add_happening(happening)
        return tabulation

    def _folded_table(self, span: Span, grouping: Grouping) -> Table:
        tabulation = Tabulation(span, grouping)
        first, last = self._first_and_last_hour(span)
        for hour, folded in self._folded.items():
            if first <= hour <= last:
                for key, counts in folded.items():
                    tabulation.add_cell(Cell(hour * self._hour_s, (hour + 1) * self._hour_s, key, counts))
        return tabulation.table

    def _tables_of_history(self, span: Span, grouping: Grouping) -> Iterator[Table]:
        kept: dict[int, Table] = {}
        # Longer buckets begin anywhere, so that their tables would seldom be asked for again.
        if span.whole and span.bucket_ms <= self._hour_s * 1000:
            name = (span.bucket_ms, span.phase_ms, grouping)
            self._history_tables.setdefault(name, kept)
            kept = _newest_used(self._history_tables, name)
        for hour in self._hours(span):
            if hour not in kept:
                tabulation = Tabulation(span, grouping)
                for cell in self._history.cells(hour):
                    tabulation.add_cell(cell)
                kept[hour] = tabulation.table
            yield kept[hour]

    def _hours(self, span: Span) -> range:
        return self._history.hours(*self._first_and_last_hour(span))

    def _first_and_last_hour(self, span: Span) -> tuple[int, int]:
        first, last = (math.floor(at_ms / 1000 / self._hour_s) for at_ms in (span.start_ms, span.end_ms))
        return first, last


def _newest_used(kept: OrderedDict[_Name, _Kept], name: _Name) -> _Kept:
    """What is kept under a name; what was not used for longest gives way."""
    kept.move_to_end(name)
    if len(kept) > TABLES:
        kept.popitem(last=False)
    return kept[name]


def _merged(
    left: dict[Group, dict[Counted, Counts]], right: dict[Group, dict[Counted, Counts]]
) -> dict[Group, dict[Counted, Counts]]:
    if not left or not right:
        return left or right
    merged: dict[Group, dict[Counted, Counts]] = {}
    for side in (left, right):
        for group, kinds in side.items():
            for kind, counts in kinds.items():
                merged.setdefault(group, {}).setdefault(kind, Counts()).add(counts)
    return merged
