"""Aggregate queries of the dialect `platform`: how they are asked and how their answers are read.

Absent is not zero: without events there is no metric, no bucket, no group, not
even `results`. The caller asks for settled buckets only, where absent means none.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from genesys.answers import moment, unexpected
from genesys.evidence import MAX_COUNT, Column, empty_column


class Group(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a result is grouped by, as far as anybody here asks for it; what is unset is missing or null.

    A key that nobody asked for is not looked at, so that results which differ in nothing else belong together.
    """

    flow_id: str | None = None
    flow_version: str | None = None
    exit_reason: str | None = None
    transfer_type: str | None = None
    transfer_target_name: str | None = None  # never the address: it may be a person's telephone number
    action_id: str | None = None
    error_type: str | None = None
    response_status: str | None = None


class _Stats(msgspec.Struct, frozen=True, gc=False):
    count: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class _Metric(msgspec.Struct, frozen=True, gc=False):
    metric: str
    stats: _Stats


class _View(msgspec.Struct, frozen=True, gc=False):
    name: str
    stats: _Stats


class _Bucket(msgspec.Struct, frozen=True, gc=False):
    interval: str
    metrics: list[_Metric] | None = None
    views: list[_View] | None = None


class _Result(msgspec.Struct, frozen=True, gc=False):
    group: Group | None = None
    data: list[_Bucket] | None = None


class _Results(msgspec.Struct, frozen=True, gc=False):
    results: list[msgspec.Raw] | None = None


_RESULTS, _RESULT = msgspec.json.Decoder(_Results), msgspec.json.Decoder(_Result)
_RAW = msgspec.json.Decoder(msgspec.Raw)

Row = tuple[Group, dict[str, Column]]
"""Group, and a column of counts by metric, and by name of the view."""


@dataclass(frozen=True, slots=True)
class View:
    """The part of a metric that is a time which took at least so long; its name is that of no metric."""

    name: str
    metric: str
    at_least_s: float

    def body(self) -> dict[str, object]:
        at_least_ms = round(self.at_least_s * 1000)
        return {"name": self.name, "target": self.metric, "function": "rangeBound", "range": {"gte": at_least_ms}}


@dataclass(frozen=True, slots=True)
class Query:
    """Counts in [start, end), both Unix seconds on a bucket's edge; without `flow_ids` of all flows.

    Flows and data actions are not told together: `action_ids` are for their own aggregates.
    A part of a longer `stretch` gives columns of that length, so that the columns of all parts add up.
    """

    start: int
    end: int
    bucket_s: int
    metrics: Sequence[str]
    group_by: Sequence[str] = ()
    flow_ids: Sequence[str] = ()
    stretch: tuple[int, int] | None = None
    action_ids: Sequence[str] = ()
    views: Sequence[View] = ()

    def __post_init__(self) -> None:
        if self.end <= self.start or (self.end - self.start) % self.bucket_s:
            raise ValueError(f"[{self.start}, {self.end}) is not a whole number of buckets of {self.bucket_s} s")

    def body(self) -> dict[str, object]:
        body: dict[str, object] = {
            "interval": f"{iso(self.start)}/{iso(self.end)}",
            "granularity": granularity(self.bucket_s),
            "metrics": list(self.metrics),
        }
        if self.group_by:
            body["groupBy"] = list(self.group_by)
        if self.views:
            body["views"] = [view.body() for view in self.views]
        dimension, values = ("actionId", self.action_ids) if self.action_ids else ("flowId", self.flow_ids)
        if values:
            predicates = [{"dimension": dimension, "operator": "matches", "value": each} for each in values]
            body["filter"] = {"type": "or", "predicates": predicates}
        return body

    @property
    def stretch_start(self) -> int:
        return self._stretch[0]

    @property
    def buckets(self) -> int:
        """Length of the columns."""
        start, end = self._stretch
        return (end - start) // self.bucket_s

    @property
    def _stretch(self) -> tuple[int, int]:
        return self.stretch or (self.start, self.end)

    def parts(self, buckets: int) -> "list[Query]":
        """The same in queries of at most so many buckets."""
        starts = range(self.start, self.end, buckets * self.bucket_s)
        return [self._part(start, min(self.end, start + buckets * self.bucket_s)) for start in starts]

    def halves(self) -> "list[Query]":
        """The same in two queries, of half the flows or of half the time; one that cannot be halved gives none."""
        if len(self.flow_ids) > 1:
            middle = (len(self.flow_ids) + 1) // 2
            return [replace(self, flow_ids=ids) for ids in (self.flow_ids[:middle], self.flow_ids[middle:])]
        asked_for = (self.end - self.start) // self.bucket_s
        return self.parts((asked_for + 1) // 2) if asked_for > 1 else []

    def _part(self, start: int, end: int) -> "Query":
        return replace(self, start=start, end=end, stretch=self._stretch)

    def position(self, interval: str) -> int:
        """Place of a bucket in the columns; raises `ValueError` if it was not asked for."""
        bucket = moment(interval.partition("/")[0])
        if not self.start <= bucket < self.end or (bucket - self.start) % self.bucket_s:
            raise ValueError(f"{interval} is not one of the buckets that were asked for")
        return int(bucket - self.stretch_start) // self.bucket_s


_SPACE = rb"[ \t\r\n]*"
_BEGINNING = re.compile(rb'%s{%s"results"%s:%s\[' % ((_SPACE,) * 4))
_BETWEEN = re.compile(rb',%s(?={%s"group"%s:)' % ((_SPACE,) * 3))
_BETWEEN_BYTES = 64  # as long as it may be at the end of a piece and still be seen


class RowReader:
    """Reads one answer (`genesys.http.Reader`): each result becomes columns as soon as it is there.

    An answer of tens of megabytes is never in memory as a whole, and no look at it is so long that other threads
    would wait for it. Where a result ends is found by its looks and proved by reading it: a text that is an object
    from its first brace to its last can end nowhere else. What does not look so is kept, and read at the end.
    """

    def __init__(self, query: Query) -> None:
        self._query = query
        # What nobody asked for is not counted: the answer to another query may have it too.
        self._asked = frozenset([*query.metrics, *(view.name for view in query.views)])
        self._kept = bytearray()
        self._looked_at = 0
        self._begun = False
        self._positions: dict[str, int] = {}
        self._rows: list[Row] = []
        self._unexpected: str | None = None

    def feed(self, piece: bytes) -> int:
        self._kept += piece
        if not self._begun and (beginning := _BEGINNING.match(self._kept)):
            del self._kept[: beginning.end()]
            self._begun = True
        if self._begun:
            self._read_results()
        return len(self._kept)

    def end(self) -> "Rows":
        rest = bytes(self._kept)
        try:
            results = _RESULTS.decode(b'{"results":[' + rest if self._begun else rest).results or ()
        except msgspec.ValidationError as error:
            self._note(error)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error
        else:
            for result in results:
                self._add(result)
        return Rows(self._rows, self._unexpected)

    def _read_results(self) -> None:
        """Take what is surely a result off the beginning of what is kept."""
        first = 0
        for between in _BETWEEN.finditer(self._kept, self._looked_at):
            if self._is_result(bytes(self._kept[first : between.start()])):
                first = between.end()
        del self._kept[:first]
        self._looked_at = max(0, len(self._kept) - _BETWEEN_BYTES)

    def _is_result(self, text: bytes) -> bool:
        try:
            result = _RAW.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return False  # what looked like its end was part of a text
        self._add(result)
        return True

    def _add(self, result: msgspec.Raw) -> None:
        try:
            read = _RESULT.decode(result)
            self._rows.append((read.group or Group(), self._columns(read.data or ())))
        except (msgspec.MsgspecError, OverflowError, RecursionError, ValueError) as error:
            self._note(error)

    def _note(self, error: Exception) -> None:
        self._unexpected = self._unexpected or f"{type(error).__name__}: {error}"

    def _columns(self, data: Iterable[_Bucket]) -> dict[str, Column]:
        """A million buckets are read here: nothing is looked up that is the same as in the bucket before."""
        columns: dict[str, Column] = {}
        positions, last, column = self._positions, "", empty_column(0)
        for item in data:
            position = positions.get(item.interval)
            if position is None:
                position = positions[item.interval] = self._query.position(item.interval)
            if item.metrics is not None:
                for metric in item.metrics:
                    if metric.metric != last:
                        last = metric.metric
                        column = columns.get(last) or self._column(columns, last)
                    column[position] += metric.stats.count
            if item.views is not None:
                for view in item.views:
                    found = columns.get(view.name) or self._column(columns, view.name)
                    found[position] += view.stats.count
        return columns

    def _column(self, columns: dict[str, Column], name: str) -> Column:
        """A new one; one that nobody asked for is not kept."""
        column = empty_column(self._query.buckets)
        if name in self._asked:
            columns[name] = column
        return column


@dataclass(frozen=True, slots=True)
class Rows:
    """A whole answer. `unexpected` says what in it is not as documented, if anything."""

    rows: Sequence[Row]
    unexpected: str | None


def rows(endpoint: str, answer: object) -> Sequence[Row]:
    """Every group of an answer that a `RowReader` read; several may belong together: a group can have other keys."""
    if not isinstance(answer, Rows):
        raise TypeError("not an answer that a RowReader read")
    if answer.unexpected is not None:
        raise unexpected(endpoint, answer.unexpected)
    return answer.rows


def granularity(seconds: int) -> str:
    """ISO-8601 duration in the largest whole unit: PT1H, PT1M, PT6S."""
    if seconds % 3600 == 0:
        return f"PT{seconds // 3600}H"
    return f"PT{seconds // 60}M" if seconds % 60 == 0 else f"PT{seconds}S"


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
