"""Aggregate queries of the dialect `platform`: how they are asked and how their answers are read.

Absent is not zero: without events there is no metric, no bucket, no group, not
even `results`. The caller asks for settled buckets only, where absent means none.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from genesys.answers import moment, unexpected
from genesys.evidence import Column, empty_column

MAX_COUNT = 2**53 - 1  # what a float can hold


class Group(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What a result is grouped by, as far as anybody here asks for it; what is unset is missing or null.

    A key that nobody asked for is not looked at, so that results which differ in nothing else belong together.
    """

    flow_id: str | None = None
    flow_version: str | None = None
    exit_reason: str | None = None


class _Stats(msgspec.Struct, frozen=True, gc=False):
    count: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class _Metric(msgspec.Struct, frozen=True, gc=False):
    metric: str
    stats: _Stats


class _Bucket(msgspec.Struct, frozen=True, gc=False):
    interval: str
    metrics: list[_Metric] | None = None


class _Result(msgspec.Struct, frozen=True, gc=False):
    group: Group | None = None
    data: list[_Bucket] | None = None


class _Results(msgspec.Struct, frozen=True, gc=False):
    results: list[msgspec.Raw] | None = None


_RESULTS, _RESULT = msgspec.json.Decoder(_Results), msgspec.json.Decoder(_Result)

Row = tuple[Group, dict[str, Column]]
"""Group, and a column of counts by metric."""


def parse(body: bytearray) -> msgspec.Raw:
    """An answer that is JSON and whole, not looked into yet. Raises `ValueError`."""
    try:
        return msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Query:
    """Counts in [start, end), both Unix seconds on a bucket's edge; without `flow_ids` of all flows."""

    start: int
    end: int
    bucket_s: int
    metrics: Sequence[str]
    group_by: Sequence[str] = ()
    flow_ids: Sequence[str] = ()

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
        if self.flow_ids:
            predicates = [{"dimension": "flowId", "operator": "matches", "value": each} for each in self.flow_ids]
            body["filter"] = {"type": "or", "predicates": predicates}
        return body

    def rows(self, endpoint: str, answer: object) -> Iterator[Row]:
        """Every group of an answer that `parse` gave; several may belong together: a group can have other keys.

        One result after another is read from the bytes, because an answer may hold half a million buckets: as
        objects, all at once, they would take far more room than the bytes.
        """
        positions: dict[str, int] = {}
        try:
            for result in _RESULTS.decode(_raw(answer)).results or ():
                read = _RESULT.decode(result)
                yield read.group or Group(), self._columns(read.data or (), positions)
        except (msgspec.MsgspecError, OverflowError, RecursionError, TypeError, ValueError) as error:
            raise unexpected(endpoint, f"{type(error).__name__}: {error}") from error

    def _columns(self, data: Iterable[_Bucket], positions: dict[str, int]) -> dict[str, Column]:
        columns: dict[str, Column] = {}
        for item in data:
            position = positions.get(item.interval)
            if position is None:
                position = positions[item.interval] = self._position(item.interval)
            for metric in item.metrics or ():
                column = columns.get(metric.metric)
                if column is None:
                    column = columns[metric.metric] = empty_column(self.buckets)
                column[position] += metric.stats.count
        return columns

    @property
    def buckets(self) -> int:
        return (self.end - self.start) // self.bucket_s

    def _position(self, interval: str) -> int:
        bucket = moment(interval.partition("/")[0])
        if not self.start <= bucket < self.end or (bucket - self.start) % self.bucket_s:
            raise ValueError(f"{interval} is not one of the buckets that were asked for")
        return int(bucket - self.start) // self.bucket_s


def _raw(answer: object) -> msgspec.Raw:
    if not isinstance(answer, msgspec.Raw):
        raise TypeError("not an answer that `parse` gave")
    return answer


def granularity(seconds: int) -> str:
    """ISO-8601 duration in the largest whole unit: PT1H, PT1M, PT6S."""
    if seconds % 3600 == 0:
        return f"PT{seconds // 3600}H"
    return f"PT{seconds // 60}M" if seconds % 60 == 0 else f"PT{seconds}S"


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
