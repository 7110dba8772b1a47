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
from dataclasses import dataclass, field
from typing import Protocol

from simulator.callers import Happening, Key, Kind
from simulator.history import HOUR, KEPT, Cell, Counts, History
from simulator.vocabulary import Settings

KEPT_ONE_BY_ONE = 1.5 * HOUR  # simulated seconds; pollers ask for a trailing hour by the minute
TABLES = 16  # questions whose answers are kept up to date; pollers repeat a handful

Group = tuple[str | None, ...]
Table = dict[int, dict[Group, dict[Kind, Counts]]]


class Grouping(Hashable, Protocol):
    """Says in which group of an answer something is counted."""

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

    def index(self, at: float) -> int:
        return math.floor((at * 1000 - self.phase_ms) / self.bucket_ms)

    def indices(self) -> range:
        first = (self.start_ms - self.phase_ms) // self.bucket_ms
        return range(first, first + math.ceil((self.end_ms - self.start_ms) / self.bucket_ms))

    def holds(self, at: float) -> bool:
        return self.start_ms <= at * 1000 < self.end_ms


@dataclass
class Tabulation:
    """A table of counts by bucket, group and kind, for one span's buckets and one grouping."""

    span: Span
    grouping: Grouping
    table: Table = field(default_factory=dict)
    _groups: dict[Key, Group | None] = field(default_factory=dict)

    def add_happening(self, happening: Happening) -> None:
        counts = self._counts(self.span.index(happening.at), happening.key)
        if counts is not None:
            counts.add_one(happening.duration_s)

    def add_cell(self, cell: Cell, seed: int) -> None:
        """Put a cell where it belongs; if that is several buckets, spread it evenly, the same way each time."""
        last = math.nextafter(cell.end, 0.0)
        index = self.span.index(cell.start)
        if index == self.span.index(last) and self.span.holds(cell.start) and self.span.holds(last):
            counts = self._counts(index, cell.key)
            if counts is not None:
                counts.add(cell.counts)
            return
        rng = random.Random(f"{seed} {cell.key} {cell.start}")  # noqa: S311
        for _ in range(cell.counts.count):
            at = rng.uniform(cell.start, cell.end)
            if self.span.holds(at):
                self.add_happening(Happening(at, cell.key, cell.counts.sum_s / cell.counts.count))

    def _counts(self, index: int, key: Key) -> Counts | None:
        """The counts to which `key` belongs in a bucket; None if the question leaves it out."""
        if key not in self._groups:
            self._groups[key] = self.grouping.group(key)
        group = self._groups[key]
        if group is None:
            return None
        return self.table.setdefault(index, {}).setdefault(group, {}).setdefault(key.kind, Counts())


class Reports:
    """Everything that can be asked of analytics. Give it what happens, tell it the time, then ask."""

    def __init__(self, history: History, settings: Callable[[], Settings], *, factor: float, seed: int) -> None:
        self._history = history
        self._settings = settings
        self._factor = factor
        self._seed = seed
        self._rng = random.Random(f"{seed} reports")  # noqa: S311
        self._under_way: list[tuple[float, Happening]] = []
        self._newest: list[Happening] = []
        self._hour_s = HOUR / factor
        self._folded: dict[int, dict[Key, Counts]] = {}
        self._first_unfolded = 0
        self._tables: OrderedDict[tuple[int, int, Grouping], Tabulation] = OrderedDict()

    def happened(self, happening: Happening) -> None:
        """Take note; it shows after the latency."""
        settings = self._settings()
        delay = settings.analytics_latency + self._rng.uniform(0.0, settings.analytics_jitter)
        if self._rng.random() < settings.analytics_late_ratio:
            delay += self._rng.uniform(0.0, settings.analytics_late)
        heapq.heappush(self._under_way, (happening.at + delay / self._factor, happening))

    def show_until(self, at: float) -> None:
        """Let everything show whose latency is over."""
        self._fold(at)
        while self._under_way and self._under_way[0][0] <= at:
            self._show(heapq.heappop(self._under_way)[1])

    def tabulate(self, span: Span, grouping: Grouping) -> Table:
        """What shows now. Buckets, groups and kinds without anything in them are absent."""
        if span.whole:
            newest = self._kept_table(span, grouping).table
        else:
            newest = self._tabulate_newest(Tabulation(span, grouping), only_in_span=True).table
        older = Tabulation(span, grouping)
        for cell in self._cells(span):
            older.add_cell(cell, self._seed)
        asked = span.indices()
        known = sorted(index for index in newest.keys() | older.table.keys() if index in asked)
        return {index: _merged(newest.get(index, {}), older.table.get(index, {})) for index in known}

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
        self._tables.clear()
        oldest = first_unfolded - round(KEPT / HOUR)
        self._folded = {hour: counts for hour, counts in self._folded.items() if hour >= oldest}

    def _kept_table(self, span: Span, grouping: Grouping) -> Tabulation:
        name = (span.bucket_ms, span.phase_ms, grouping)
        if name not in self._tables:
            self._tables[name] = self._tabulate_newest(Tabulation(span, grouping), only_in_span=False)
            if len(self._tables) > TABLES:
                self._tables.popitem(last=False)
        self._tables.move_to_end(name)
        return self._tables[name]

    def _tabulate_newest(self, tabulation: Tabulation, *, only_in_span: bool) -> Tabulation:
        for happening in self._newest:
            if not only_in_span or tabulation.span.holds(happening.at):
                tabulation.add_happening(happening)
        return tabulation

    def _cells(self, span: Span) -> Iterator[Cell]:
        first = math.floor(span.start_ms / 1000 / self._hour_s)
        last = math.floor(span.end_ms / 1000 / self._hour_s)
        for hour in self._history.hours(first, last):
            yield from self._history.cells(hour)
        for hour, folded in self._folded.items():
            if first <= hour <= last:
                for key, counts in folded.items():
                    yield Cell(hour * self._hour_s, (hour + 1) * self._hour_s, key, counts)


def _merged(
    left: dict[Group, dict[Kind, Counts]], right: dict[Group, dict[Kind, Counts]]
) -> dict[Group, dict[Kind, Counts]]:
    if not left or not right:
        return left or right
    merged: dict[Group, dict[Kind, Counts]] = {}
    for side in (left, right):
        for group, kinds in side.items():
            for kind, counts in kinds.items():
                merged.setdefault(group, {}).setdefault(kind, Counts()).add(counts)
    return merged
