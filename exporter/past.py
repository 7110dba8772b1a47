"""Reads from Genesys Cloud what a backtest needs: real publish dates, hours, and the minutes that can decide.

Owns the order and the number of calls, and leaves most of the rate limit to
others: the exporter may run with the same OAuth client. Only reads.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from exporter.backtest import Past, judged_until
from exporter.config import ExporterConfig
from exporter.publishes import Publish, publishes_of
from genesys.dialect import GenesysCloud
from genesys.errors import Refused, Throttled
from genesys.evidence import Evidence, Outcomes
from genesys.flows import Flow, FlowVersion
from genesys.organizations import Analytics
from genesys.platform import FLOW_IDS_PER_QUERY

DAY_S = 86400
HOURS_CHUNK_S = 7 * DAY_S  # of hourly buckets, in one question
QUERIES = 2  # for the same evidence: exits by reason, and entries; outcomes and data actions are one more each
SHARE = 0.5  # of the rate limit; the rest is for the exporter and the receiver
TOO_LARGE = (400, 413)  # nobody has seen which of them Genesys Cloud says
MAX_WAITS = 10  # for a rate limit that somebody else uses up

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span:
    """What is looked at: publishes in [start, end), Unix seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Found:
    """The publishes in the span, in order, and what of the flows nobody can date."""

    flows: int  # that were looked at
    publishes: tuple[Publish, ...]
    undated: tuple[tuple[Flow, str], ...]  # a flow, and the label of a version without dates


class Patient:
    """One call after the other, none when more than a share of the rate limit is used."""

    def __init__(self, cloud: GenesysCloud, *, sleep: Callable[[float], None], say: Callable[[str], None]) -> None:
        self._cloud = cloud
        self._sleep = sleep
        self._say = say

    def ask(self, call: Callable[[], T]) -> T:
        """Raises `GenesysError`; `Throttled` only when the limit stays used up for many minutes."""
        for _ in range(MAX_WAITS):
            self._leave_some_to_others()
            try:
                return call()
            except Throttled as limit:
                self._say(f"rate limit used up; waiting {limit.retry_after_s:.0f} s")
                self._sleep(limit.retry_after_s)
        return call()

    def _leave_some_to_others(self) -> None:
        limit = self._cloud.rate_limit
        if limit is not None and limit.used > SHARE * limit.allowed and limit.reset_s > 0:
            self._say(f"{limit.used} of {limit.allowed} requests used in this minute; waiting {limit.reset_s:.0f} s")
            self._sleep(limit.reset_s)


class PastReader:
    """Reads one organization for one backtest."""

    def __init__(
        self,
        cloud: GenesysCloud,
        analytics: Analytics,
        config: ExporterConfig,
        *,
        sleep: Callable[[float], None],
        say: Callable[[str], None],
    ) -> None:
        self._cloud = cloud
        self._analytics = analytics
        self._config = config
        self._say = say
        self._patient = Patient(cloud, sleep=sleep, say=say)

    def find(self, span: Span, flow_ids: Sequence[str] = ()) -> Found:
        """The publishes of all flows, or of `flow_ids`. Raises `GenesysError`.

        A flow whose live version was published before the span had no publish in
        it: its versions are not even asked for.
        """
        listed = self._listed(flow_ids)
        asked = [flow for flow in listed if _may_be_published_since(flow, span.start)]
        self._say(self._estimate(span, len(listed), len(asked)))
        publishes: list[Publish] = []
        undated: list[tuple[Flow, str]] = []
        for number, flow in enumerate(asked, start=1):
            if number % 50 == 0:
                self._say(f"versions of {number} of {len(asked)} flows")
            found, without_dates = publishes_of(flow, self._versions(flow), start=span.start, end=span.end)
            publishes += found
            undated += [(flow, label) for label in without_dates]
        publishes.sort(key=lambda one: (one.at, one.flow.id))
        return Found(len(listed), tuple(publishes), tuple(undated))

    def read(self, publishes: Iterable[Publish], span: Span) -> dict[str, Past]:
        """What the flows of these publishes did, by flow id. Raises `GenesysError`."""
        by_flow: dict[str, list[Publish]] = {}
        for publish in publishes:
            by_flow.setdefault(publish.flow.id, []).append(publish)
        hours = self._hours(list(by_flow), span)
        days = self._days(by_flow, hours)
        minutes = self._minutes(days, span)
        return {flow_id: Past(hours[flow_id], minutes[flow_id]) for flow_id in by_flow}

    @property
    def _queries(self) -> int:
        return QUERIES + self._analytics.outcomes + bool(self._analytics.data_actions)

    def _listed(self, flow_ids: Sequence[str]) -> list[Flow]:
        if not flow_ids:
            return self._patient.ask(self._cloud.flows)
        return [self._patient.ask(partial(self._cloud.flow, flow_id)) for flow_id in dict.fromkeys(flow_ids)]

    def _versions(self, flow: Flow) -> list[FlowVersion]:
        return self._patient.ask(partial(self._cloud.versions, flow.id))

    def _hours(self, flow_ids: Sequence[str], span: Span) -> dict[str, Evidence]:
        """From the baseline of the first publish on."""
        bucket_s = self._analytics.history_bucket_s
        start = self._analytics.history_end(span.start) - self._analytics.history_s
        found = _Merged(flow_ids, start, self._analytics.history_end(span.end), bucket_s)
        parts = range(found.start, found.end, HOURS_CHUNK_S // bucket_s * bucket_s) if flow_ids else range(0)
        for number, first in enumerate(parts, start=1):
            self._say(f"hours: part {number} of {len(parts)}")
            self._ask(found, first, min(first + parts.step, found.end), flow_ids)
        return found.by_flow()

    def _days(self, by_flow: Mapping[str, Sequence[Publish]], hours: Mapping[str, Evidence]) -> dict[int, set[str]]:
        """The days of which the minutes can decide, with the flows."""
        days: dict[int, set[str]] = {}
        for flow_id, publishes in by_flow.items():
            for publish in publishes:
                policy = self._config.policy_for(publish.flow)
                until = judged_until(publish, hours[flow_id], policy, self._analytics)
                for day in range(math.floor(publish.at / DAY_S), math.floor(max(publish.at, until) / DAY_S) + 1):
                    days.setdefault(day, set()).add(flow_id)
        return days

    def _minutes(self, days: Mapping[int, set[str]], span: Span) -> dict[str, Evidence]:
        bucket_s = self._analytics.bucket_s
        found = _Merged(
            sorted(set().union(*days.values())),
            min(days, default=0) * DAY_S // bucket_s * bucket_s,
            self._analytics.settled_end(span.end),
            bucket_s,
        )
        calls = self._queries * sum(-(-len(flows) // FLOW_IDS_PER_QUERY) for flows in days.values())
        self._say(f"minutes: {len(days)} days, {calls} calls")
        for number, (day, flows) in enumerate(sorted(days.items()), start=1):
            self._say(f"minutes: day {number} of {len(days)}, {len(flows)} flows")
            start, end = (edge * DAY_S // bucket_s * bucket_s for edge in (day, day + 1))
            self._ask(found, start, min(end, found.end), sorted(flows))
        return found.by_flow()

    def _ask(self, found: "_Merged", start: int, end: int, flow_ids: Sequence[str]) -> None:
        """One question for a hundred flows at a time, so that a wait for the rate limit lies between them."""
        if start >= end:
            return
        for first in range(0, len(flow_ids), FLOW_IDS_PER_QUERY):
            self._ask_part(found, start, end, flow_ids[first : first + FLOW_IDS_PER_QUERY])

    def _ask_part(self, found: "_Merged", start: int, end: int, flow_ids: Sequence[str]) -> None:
        """What is refused because its answer would be too large is asked for in halves."""
        call = partial(self._cloud.evidence, start, end, bucket_s=found.bucket_s, flow_ids=flow_ids)
        try:
            found.add(self._patient.ask(call))
        except Refused as problem:
            if problem.status not in TOO_LARGE or len(flow_ids) == 1:
                raise
            half = len(flow_ids) // 2
            self._ask_part(found, start, end, flow_ids[:half])
            self._ask_part(found, start, end, flow_ids[half:])

    def _estimate(self, span: Span, listed: int, asked: int) -> str:
        parts = -(-asked // FLOW_IDS_PER_QUERY)
        weeks = math.ceil((span.end - span.start + self._analytics.history_s) / HOURS_CHUNK_S)
        days = math.ceil((span.end - span.start) / DAY_S) + 1
        most = asked + self._queries * parts * (weeks + days)
        return f"{listed} flows, {asked} of them published in the span: at most {most} more API calls"


def _may_be_published_since(flow: Flow, start: float) -> bool:
    if flow.live_version is None:
        return False
    return flow.live_published_at is None or flow.live_published_at >= start


class _Merged:
    """Answers to many questions, put together for each flow."""

    def __init__(self, flow_ids: Sequence[str], start: int, end: int, bucket_s: int) -> None:
        self.start, self.end, self.bucket_s = start, end, bucket_s
        self._found: dict[str, dict[tuple[str, str], dict[int, Outcomes]]] = {flow_id: {} for flow_id in flow_ids}

    def add(self, evidence: Evidence) -> None:
        """Of a flow that was not asked for nothing is kept."""
        for key, buckets in evidence.outcomes.items():
            if key[0] in self._found:
                self._found[key[0]].setdefault(key, {}).update(buckets)

    def by_flow(self) -> dict[str, Evidence]:
        return {
            flow_id: Evidence(self.start, self.end, self.bucket_s, outcomes)
            for flow_id, outcomes in self._found.items()
        }
