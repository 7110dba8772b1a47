"""The aggregate queries of Genesys Cloud's analytics: reading a question, forming the answer.

Absent, not zero: what did not happen has no metric, no bucket and no group in
the answer, and an answer without any result has no `results`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulator.bounds import RangeBound
from simulator.callers import Key, Kind
from simulator.catalogue import Dimensions, Metrics, told
from simulator.errors import bad_request
from simulator.history import Counts
from simulator.reports import Group, Span, Table
from simulator.vocabulary import Switches

# Genesys Cloud may add a key that nobody asked for, so that one flow version has several groups.
UNASKED = "mediaType"

VIEWS = 10  # in one question, by the documentation

_QUERY_KEYS = {
    *("interval", "granularity", "timeZone", "groupBy", "metrics", "filter"),
    *("flattenMultivaluedDimensions", "views", "alternateTimeDimension"),
}
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


@dataclass(frozen=True, slots=True)
class Predicate:
    dimension: str
    operator: str
    value: str | None

    def holds(self, values: Mapping[str, str | None]) -> bool:
        value = values[self.dimension]
        if self.operator == "matches":
            return value == self.value
        return (value is not None) == (self.operator == "exists")


@dataclass(frozen=True, slots=True)
class Clause:
    """Parts that must all hold (`and`), or of which one must (`or`)."""

    type: str
    parts: tuple["Predicate | Clause", ...]

    def holds(self, values: Mapping[str, str | None]) -> bool:
        held = [part.holds(values) for part in self.parts]
        return any(held) if self.type == "or" else all(held)


@dataclass(frozen=True, slots=True)
class Selection:
    """How a question groups and what it leaves out; equal questions are equal."""

    kinds: frozenset[Kind]
    group_by: tuple[str, ...]
    where: Clause
    switches: Switches
    bounds: tuple[RangeBound, ...]
    dimensions: Dimensions = field(compare=False)

    def group(self, key: Key) -> Group | None:
        if key.kind not in self.kinds:
            return None
        key = told(key, self.switches)
        values = {name: value_of(key) for name, value_of in self.dimensions.items()}
        group = tuple(values[name] for name in self.group_by)
        is_told = self.switches.unset_dimensions or None not in group
        return group if is_told and self.where.holds(values) else None


@dataclass(frozen=True, slots=True)
class Query:
    """A question about `span`; `metrics` are those that can have a value here."""

    span: Span
    metrics: Mapping[str, Kind]
    selection: Selection


def read_query(body: Any, metrics: Metrics, dimensions: Dimensions, switches: Switches) -> Query:
    """The question in a request body. Raises a 400 `ApiError` that says what is wrong with it."""
    if not isinstance(body, dict):
        raise bad_request("The request body must be a JSON object")
    if unknown := body.keys() - _QUERY_KEYS:
        raise bad_request(f"Unrecognized field: {', '.join(sorted(unknown))}")
    asked = _strings(body, "metrics")
    if not asked:
        raise bad_request("metrics is required")
    group_by = _strings(body, "groupBy")
    for name, known in [*((name, metrics) for name in asked), *((name, dimensions) for name in group_by)]:
        if name not in known:
            raise bad_request(f"{name} is not one of {', '.join(known)}")
    where = _read_filter(body.get("filter") or {"type": "and"}, dimensions)
    can_be_added = UNASKED in dimensions and UNASKED not in group_by
    unasked = (UNASKED,) if switches.extra_group_keys and can_be_added else ()
    bounds = _read_views(body.get("views"), metrics)
    return Query(
        _read_span(body.get("interval"), body.get("granularity")),
        {name: kind for name in asked if (kind := metrics[name]) is not None},
        Selection(
            frozenset(kind for kind in metrics.values() if kind is not None),
            (*group_by, *unasked),
            where,
            switches,
            bounds,
            dimensions,
        ),
    )


def answer(query: Query, table: Table) -> dict[str, Any]:
    """The response body for what was counted."""
    data: dict[Group, list[dict[str, object]]] = {}
    for index, groups in table.items():
        interval = _interval(query.span, index)
        for group, kinds in groups.items():
            found = [_metric(name, kinds[kind]) for name, kind in query.metrics.items() if kind in kinds]
            views = [_view(bound, kinds[bound]) for bound in query.selection.bounds if bound in kinds]
            if found or views:
                parts = {"interval": interval, "metrics": found, "views": views}
                data.setdefault(group, []).append({name: part for name, part in parts.items() if part})
    if not data:
        return {}
    names = query.selection.group_by
    return {
        "results": [
            {
                "group": {name: value for name, value in zip(names, group, strict=True) if value is not None},
                "data": rows,
            }
            for group, rows in data.items()
        ]
    }


def _metric(name: str, counts: Counts) -> dict[str, object]:
    return {"metric": name, "stats": _timed(counts) if name.startswith("t") else {"count": counts.count}}


def _view(bound: RangeBound, counts: Counts) -> dict[str, object]:
    return {"name": bound.name, "stats": _timed(counts)}


def _timed(counts: Counts) -> dict[str, object]:
    return {
        "count": counts.count,
        "max": round(counts.max_s * 1000),
        "min": round(counts.min_s * 1000),
        "sum": round(counts.sum_s * 1000),
    }


def _interval(span: Span, index: int) -> str:
    start_ms = index * span.bucket_ms + span.phase_ms
    return f"{iso(start_ms)}/{iso(min(start_ms + span.bucket_ms, span.end_ms))}"


def iso(unix_ms: int) -> str:
    """A time as Genesys Cloud writes it: `2026-11-22T14:03:00.000Z`."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_time(text: str, name: str) -> float:
    """Unix seconds of an ISO-8601 time; without an offset it is UTC. Raises a 400 `ApiError`."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise bad_request(f"{name}: {text!r} is not an ISO-8601 time") from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _read_span(interval: Any, granularity: Any) -> Span:
    if not isinstance(interval, str) or interval.count("/") != 1:
        raise bad_request("interval is required: one string, start/end")
    start_ms, end_ms = (round(read_time(text, "interval") * 1000) for text in interval.split("/"))
    if start_ms >= end_ms:
        raise bad_request(f"interval: {interval} does not end after it starts")
    if granularity is None:
        return Span(start_ms, end_ms, end_ms - start_ms)
    return Span(start_ms, end_ms, _read_duration_ms(granularity))


def _read_duration_ms(text: Any) -> int:
    parts = _DURATION.fullmatch(text) if isinstance(text, str) else None
    days, hours, minutes, seconds = (float(part or 0) for part in parts.groups()) if parts else (0.0,) * 4
    duration_ms = round((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000)
    if duration_ms <= 0:
        raise bad_request(f"granularity: {text!r} is not an ISO-8601 duration such as PT1M")
    return duration_ms


def _read_filter(data: Any, dimensions: Dimensions) -> Clause:
    if not isinstance(data, dict) or data.get("type") not in ("and", "or"):
        raise bad_request("filter: type must be and or or")
    clauses = [_read_filter(clause, dimensions) for clause in data.get("clauses") or ()]
    predicates = [_read_predicate(predicate, dimensions) for predicate in data.get("predicates") or ()]
    return Clause(data["type"] if clauses or predicates else "and", (*clauses, *predicates))


def _read_predicate(data: Any, dimensions: Dimensions) -> Predicate:
    if not isinstance(data, dict) or data.get("dimension") not in dimensions:
        raise bad_request(f"filter: the dimension of a predicate must be one of {', '.join(dimensions)}")
    operator = data.get("operator", "matches")
    if operator not in ("matches", "exists", "notExists"):
        raise bad_request("filter: operator must be matches, exists or notExists")
    value = data.get("value")
    if operator == "matches" and not isinstance(value, str):
        raise bad_request("filter: matches needs a value")
    return Predicate(data["dimension"], operator, value)


def _read_views(data: Any, metrics: Metrics) -> tuple[RangeBound, ...]:
    views = data or []
    if not isinstance(views, list) or len(views) > VIEWS:
        raise bad_request(f"views must be a list of at most {VIEWS}")
    bounds = tuple(_read_view(view, metrics) for view in views)
    if len({bound.name for bound in bounds}) < len(bounds):
        raise bad_request("views: each needs a name of its own")
    return bounds


def _read_view(data: Any, metrics: Metrics) -> RangeBound:
    if not isinstance(data, dict) or data.get("function") != "rangeBound":
        raise bad_request("views: function must be rangeBound")
    name, target = data.get("name"), data.get("target")
    if not isinstance(name, str) or not name or name in metrics:
        raise bad_request("views: name is required, and must not be the name of a metric")
    kind = metrics.get(target) if isinstance(target, str) and target.startswith("t") else None
    if kind is None:
        raise bad_request("views: target must be a metric that is a time")
    bounds_ms = data.get("range")
    if not isinstance(bounds_ms, dict) or not bounds_ms or bounds_ms.keys() - {"gte", "lt"}:
        raise bad_request("views: range needs gte or lt")
    gte_ms, lt_ms = bounds_ms.get("gte", 0), bounds_ms.get("lt", math.inf)
    if not all(isinstance(bound, int | float) for bound in (gte_ms, lt_ms)):
        raise bad_request("views: gte and lt must be numbers")
    return RangeBound(name, kind, gte_ms / 1000, lt_ms / 1000)


def _strings(body: dict[str, Any], name: str) -> list[str]:
    values = body.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise bad_request(f"{name} must be a list of strings")
    return values
