"""One organization as the receiver reads it: evidence, history, flows and versions, each with its age.

Reading never changes anything. What could not be read is `None`, with the
problem beside it in words; the policy then holds back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError, NotAllowed
from genesys.evidence import WINDOWS, Evidence
from genesys.flows import Flow, FlowVersion
from genesys.organizations import Analytics

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """A value that was read, or why it could not be."""

    value: T | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What Genesys Cloud says about one flow and its trailing hour."""

    flow: Read[Flow]
    versions: Read[list[FlowVersion]]
    evidence: Read[Evidence]
    history: Read[Evidence]


def unread(why: str) -> Reading:
    """A reading of nothing."""
    return Reading(Read(None, why), Read(None, why), Read(None, why), Read(None, why))


class _Memo(Generic[T]):
    """Answers that are kept for a while, failures for a shorter one; bounded, whatever an attacker asks for."""

    def __init__(self, retry_s: float, most: int = 1000) -> None:
        self._retry_s = retry_s
        self._most = most
        self._kept: dict[object, tuple[Read[T], float]] = {}

    def get(self, key: object, ask: Callable[[], Read[T]], *, now: float, keep_s: float) -> Read[T]:
        found = self._kept.get(key)
        if found is not None and now < found[1]:
            return found[0]
        if len(self._kept) >= self._most:
            self._kept.clear()
        answer = ask()
        self._kept[key] = (answer, now + (self._retry_s if answer.value is None else keep_s))
        return answer

    def forget(self) -> None:
        self._kept.clear()


class Reader:
    """Used by one thread: evidence is read once a settled bucket, history once a history bucket, for all alerts.

    After a failed read the same is not asked again for `retry_s`.
    """

    def __init__(
        self, genesys: GenesysCloud, analytics: Analytics, *, retry_s: float, credentials: Callable[[bool], None]
    ) -> None:
        """`credentials` is told whether Genesys Cloud accepts ours, whenever it says so."""
        self._genesys = genesys
        self._analytics = analytics
        self._credentials = credentials
        self._flows: _Memo[Flow] = _Memo(retry_s)
        self._versions: _Memo[list[FlowVersion]] = _Memo(retry_s)
        self._evidence: _Memo[Evidence] = _Memo(retry_s)
        self._history: _Memo[Evidence] = _Memo(retry_s)

    def read(self, flow_ids: Sequence[str], *, now: float) -> dict[str, Reading]:
        """What is known of each flow at `now` (Unix seconds), at most a bucket old.

        Evidence is asked for in one query over the flows that exist: an id that
        Genesys Cloud refuses would make it refuse the query for all of them.
        """
        flows = {flow_id: self._kept_flow(flow_id, now) for flow_id in sorted(set(flow_ids))}
        existing = tuple(flow_id for flow_id, flow in flows.items() if flow.value is not None)
        readings = {flow_id: unread(flow.problem) for flow_id, flow in flows.items() if flow.value is None}
        if existing:
            evidence = self.evidence(existing, now=now)
            history = self._read_history(existing, now)
            readings |= {flow_id: self._reading(flow_id, now, evidence, history) for flow_id in existing}
        return readings

    def read_afresh(self, flow_id: str, *, now: float) -> Reading:
        """One flow right before a write: nothing kept is used but its history. The flow itself is read last."""
        self.forget()
        evidence = self.evidence((flow_id,), now=now)
        return self._reading(flow_id, now, evidence, self._read_history((flow_id,), now))

    def forget(self) -> None:
        """Read everything but the history anew: something was changed."""
        self._flows.forget()
        self._versions.forget()
        self._evidence.forget()

    def evidence(self, flow_ids: tuple[str, ...], *, now: float) -> Read[Evidence]:
        """The trailing hour of settled buckets."""
        bucket_s = self._analytics.bucket_s
        end = self._analytics.settled_end(now)
        start = end - max(WINDOWS.values()) * bucket_s

        def ask() -> Read[Evidence]:
            return self._ask(lambda: self._genesys.evidence(start, end, bucket_s=bucket_s, flow_ids=flow_ids))

        return self._evidence.get((flow_ids, end), ask, now=now, keep_s=bucket_s)

    def flow(self, flow_id: str) -> Read[Flow]:
        """The flow as it is now; nothing is kept."""
        return self._ask(lambda: self._genesys.flow(flow_id))

    def _reading(self, flow_id: str, now: float, evidence: Read[Evidence], history: Read[Evidence]) -> Reading:
        keep_s = self._analytics.bucket_s
        versions = self._versions.get(
            flow_id, lambda: self._ask(lambda: self._genesys.versions(flow_id)), now=now, keep_s=keep_s
        )
        return Reading(self._kept_flow(flow_id, now), versions, evidence, history)

    def _kept_flow(self, flow_id: str, now: float) -> Read[Flow]:
        return self._flows.get(flow_id, lambda: self.flow(flow_id), now=now, keep_s=self._analytics.bucket_s)

    def _read_history(self, flow_ids: tuple[str, ...], now: float) -> Read[Evidence]:
        bucket_s = self._analytics.history_bucket_s
        end = self._analytics.history_end(now)
        start = end - self._analytics.history_s

        def ask() -> Read[Evidence]:
            return self._ask(lambda: self._genesys.evidence(start, end, bucket_s=bucket_s, flow_ids=flow_ids))

        return self._history.get((flow_ids, end), ask, now=now, keep_s=bucket_s)

    def _ask(self, ask: Callable[[], T]) -> Read[T]:
        try:
            value = ask()
        except GenesysError as problem:
            if isinstance(problem, NotAllowed):
                self._credentials(False)
            return Read(None, str(problem))
        self._credentials(True)
        return Read(value)
