"""A small Genesys Cloud for the exporter's unit tests: the outside world, with the faults that matter to polling."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from genesys.dialect import RateLimit
from genesys.errors import GenesysError, Gone
from genesys.evidence import EVERY_SIGNAL, Evidence, Outcomes, Signal
from genesys.flows import Flow, FlowVersion, Operation

NOON = 1_795_348_800  # 2026-11-22T12:00:00Z, on the edge of a minute and of an hour
MINUTE = 60

MAIN = Flow(
    id="main",
    name="Main IVR",
    type="inboundcall",
    division_id="d-1",
    division_name="Home",
    active=True,
    deleted=False,
    live_version="13.0",
    live_published_at=float(NOON - 86400),
    published_by=None,
    locked_by=None,
    operation=None,
)


def good(calls: int) -> Outcomes:
    return Outcomes(entries=calls, exits={"TRANSFER": calls})


def bad(calls: int) -> Outcomes:
    return Outcomes(entries=calls, exits={"FLOW_ERROR_DISCONNECT": calls})


@dataclass
class World:
    """A `GenesysCloud`; tests change its fields between polls. Outcomes are by minute."""

    listed: dict[str, Flow] = field(default_factory=lambda: {MAIN.id: MAIN})
    unlisted: dict[str, Flow] = field(default_factory=dict)  # as read one by one, where that differs from the list
    outcomes: dict[tuple[str, str], dict[int, Outcomes]] = field(default_factory=dict)
    figures: dict[int, tuple[int, int]] = field(default_factory=dict)
    known_versions: dict[str, list[FlowVersion]] = field(default_factory=dict)
    broken: dict[str, Exception] = field(default_factory=dict)  # by method, or "all"
    untold: dict[str, set[Signal]] = field(default_factory=dict)  # by method
    calls: list[str] = field(default_factory=list)
    rate_limit: RateLimit | None = None
    jobs = None
    dependencies = None

    def happen(self, minute: int, version: str, outcomes: Outcomes, *, flow_id: str = "main") -> None:
        """What analytics report for a minute; a second report of the same minute replaces the first."""
        self.outcomes.setdefault((flow_id, version), {})[minute] = outcomes

    def go_live(self, version: str, *, published_at: float | None, flow_id: str = "main") -> None:
        self.listed[flow_id] = replace(self.listed[flow_id], live_version=version, live_published_at=published_at)

    def _called(self, method: str) -> None:
        self.calls.append(method)
        for name in (method, "all"):
            if name in self.broken:
                raise self.broken[name]

    def evidence(self, start: int, end: int, *, bucket_s: int, flow_ids: Sequence[str] = ()) -> Evidence:
        method = "history" if bucket_s > MINUTE else "evidence"
        self._called(method)
        found: dict[tuple[str, str], dict[int, Outcomes]] = {}
        for key, minutes in self.outcomes.items():
            for minute, outcomes in minutes.items():
                if start <= minute < end:
                    buckets = found.setdefault(key, {})
                    bucket = minute - (minute - start) % bucket_s
                    buckets[bucket] = _sum(buckets.get(bucket, Outcomes()), outcomes)
        return Evidence(start, end, bucket_s, found, EVERY_SIGNAL - self.untold.get(method, set()))

    def conversations(self, start: int, end: int, *, bucket_s: int) -> Mapping[int, tuple[int, int]]:
        self._called("conversations")
        return {minute: both for minute, both in self.figures.items() if start <= minute < end}

    def flows(self, *, published_after: float | None = None) -> list[Flow]:
        self._called("flows" if published_after is None else "flows published after")
        return [
            flow
            for flow in self.listed.values()
            if published_after is None or (flow.live_published_at or 0.0) > published_after
        ]

    def flow(self, flow_id: str) -> Flow:
        self._called("flow")
        known = {**self.listed, **self.unlisted}
        if flow_id not in known:
            raise Gone("no such flow", 404)
        return known[flow_id]

    def versions(self, flow_id: str) -> list[FlowVersion]:
        self._called("versions")
        return self.known_versions.get(flow_id, [])

    def publish(self, flow_id: str, version: str) -> Operation:
        raise GenesysError("the exporter never writes")

    def close(self) -> None:
        """Nothing is open."""


def _sum(one: Outcomes, other: Outcomes) -> Outcomes:
    exits, transfers = (
        dict(Counter(before) + Counter(after))
        for before, after in ((one.exits, other.exits), (one.transfers, other.transfers))
    )
    return Outcomes(one.entries + other.entries, exits, transfers=transfers)
