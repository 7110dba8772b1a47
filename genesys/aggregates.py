"""Aggregate queries of the dialect `platform`: how they are asked and how their answers are read.

Absent is not zero: without events there is no metric, no bucket, no group, not
even `results`. The caller asks for settled buckets only, where absent means none.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from genesys.answers import is_count, moment, unexpected

Row = tuple[Mapping[str, str], int, dict[str, int]]
"""Group, bucket start, and count by metric."""


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
        """Every bucket of every group; several may belong together, because groups can have keys nobody asked for.

        Plain dictionaries, because an answer may hold half a million buckets.
        """
        buckets: dict[str, int] = {}
        try:
            for result in _list(_object(answer).get("results")):
                group = _texts(_object(result).get("group"))
                for item in _list(result.get("data")):
                    interval = item["interval"]
                    if interval not in buckets:
                        buckets[interval] = self._bucket(interval)
                    yield group, buckets[interval], _counts(_list(item.get("metrics")))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise unexpected(endpoint, f"{type(error).__name__}: {error}") from error

    def _bucket(self, interval: str) -> int:
        bucket = moment(interval.partition("/")[0])
        if not self.start <= bucket < self.end or (bucket - self.start) % self.bucket_s:
            raise ValueError(f"{interval} is not one of the buckets that were asked for")
        return int(bucket)


def granularity(seconds: int) -> str:
    """ISO-8601 duration in the largest whole unit: PT1H, PT1M, PT6S."""
    if seconds % 3600 == 0:
        return f"PT{seconds // 3600}H"
    return f"PT{seconds // 60}M" if seconds % 60 == 0 else f"PT{seconds}S"


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _counts(metrics: list[Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for metric in metrics:
        name, count = metric["metric"], metric["stats"]["count"]
        if type(name) is not str or not is_count(count):
            raise ValueError("metric without a name, or its count is not a count")
        counts[name] = counts.get(name, 0) + count
    return counts


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _texts(value: object) -> dict[str, str]:
    """The group; keys that are unset are missing or null."""
    texts = {key: text for key, text in _object({} if value is None else value).items() if text is not None}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("a group's key is not a text")
    return texts
