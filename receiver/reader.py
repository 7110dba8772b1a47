"""One organization as the receiver reads it: evidence, history, flows and versions, each with its age.

Reading never changes anything. What could not be read is `None`, with the
problem beside it in words; the policy then holds back.

What is asked, and when, for one organization (in the dialect `platform` evidence
is two calls, and one more each with `analytics.outcomes` and `analytics.data_actions`, a list one per 500 flows):

- while an alert is open: the evidence of all flows once a settled bucket, the
  list of flows every tenth bucket, the history of all flows once a history bucket;
- for each accused flow: itself once a bucket, but no more than two flows a bucket
  on average, and its versions every tenth bucket;
- while a publish is looked for: the flow in every round, and its versions once it has changed;
- while a target is measured: its evidence, unless that of all flows is kept, and
  itself, both once a bucket;
- for an accused common module: which flows use it, every tenth bucket;
- before a write: the flow, its versions and its evidence, nothing of it kept.

That is about five calls a minute with any number of accused flows among up to 5,000.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from genesys.dependencies import COMMON_MODULE, Dependent
from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError, NotAllowed, Throttled, Unavailable
from genesys.evidence import WINDOWS, Evidence
from genesys.flows import Flow, FlowVersion
from genesys.organizations import Analytics
from receiver.common_cause import Neighbour

T = TypeVar("T")

Survey = Callable[[Evidence, Evidence, Sequence[Flow]], Sequence[Neighbour]]
"""Judges every flow by the organization's trailing hour, history and list."""

NoteVersions = Callable[[str, Sequence[FlowVersion]], None]
"""Takes note of the versions that were read of a flow."""

_LISTING_BUCKETS = 10  # accused flows are read on their own: only what nobody accuses is seen as old as that
_VERSIONS_BUCKETS = 10  # they change when somebody publishes, and then something else is accused
_FLOWS_PER_BUCKET = 2  # calls for accused flows; with more of them each is read less often


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """A value that was read, or why it could not be."""

    value: T | None
    problem: str = ""


_NOT_ASKED: Read[Sequence[Dependent]] = Read(None)


@dataclass(frozen=True, slots=True)
class Reading:
    """What Genesys Cloud says about one flow and its trailing hour."""

    flow: Read[Flow]
    versions: Read[list[FlowVersion]]
    evidence: Read[Evidence]
    history: Read[Evidence]
    neighbours: Read[Sequence[Neighbour]]
    dependents: Read[Sequence[Dependent]] = _NOT_ASKED  # only of a common module


def unread(why: str) -> Reading:
    """A reading of nothing."""
    return Reading(Read(None, why), Read(None, why), Read(None, why), Read(None, why), Read(None, why))


class _Memo(Generic[T]):
    """Answers that are kept for a while, failures for a shorter one; bounded, whatever an attacker asks for.

    Once the clock has been set back, nothing that was kept before counts: it would be kept for as long as that was.
    """

    def __init__(self, retry_s: float, most: int = 1000) -> None:
        self._retry_s = retry_s
        self._most = most
        self._kept: dict[object, tuple[Read[T], float, float]] = {}  # with the times of asking and of expiry

    def get(self, key: object, ask: Callable[[], Read[T]], *, now: float, keep_s: float) -> Read[T]:
        found = self._kept.get(key)
        if found is not None and found[1] <= now < found[2]:
            return found[0]
        self._kept = {kept: one for kept, one in self._kept.items() if one[1] <= now < one[2]}
        if len(self._kept) >= self._most:
            self._kept.clear()
        answer = ask()
        self._kept[key] = (answer, now, now + (self._retry_s if answer.value is None else keep_s))
        return answer

    def kept(self, key: object, *, now: float) -> Read[T] | None:
        """A kept answer, if there is one and it is no failure."""
        found = self._kept.get(key)
        return found[0] if found is not None and found[1] <= now < found[2] and found[0].value is not None else None

    def forget(self) -> None:
        self._kept.clear()


def note_nothing(_flow_id: str, _versions: Sequence[FlowVersion]) -> None:
    """For who keeps no ledger."""


class Reader:
    """Used by one thread. After a failed read the same is not asked again for `retry_s`."""

    def __init__(
        self,
        genesys: GenesysCloud,
        analytics: Analytics,
        *,
        retry_s: float,
        survey: Survey,
        credentials: Callable[[bool], None],
        note_versions: NoteVersions = note_nothing,
    ) -> None:
        """`credentials` is told whether Genesys Cloud accepts ours, whenever it says so, `note_versions` of lists."""
        self._genesys = genesys
        self._analytics = analytics
        self._survey = survey
        self._credentials = credentials
        self._note_versions = note_versions
        self._flows: _Memo[Flow] = _Memo(retry_s)
        self._versions: _Memo[list[FlowVersion]] = _Memo(retry_s)
        self._evidence: _Memo[Evidence] = _Memo(retry_s)
        self._whole_evidence: _Memo[Evidence] = _Memo(retry_s)
        self._whole_history: _Memo[Evidence] = _Memo(retry_s)
        self._listing: _Memo[list[Flow]] = _Memo(retry_s)
        self._neighbours: _Memo[Sequence[Neighbour]] = _Memo(retry_s)
        self._dependents: _Memo[Sequence[Dependent]] = _Memo(retry_s)
        self._newer: dict[str, Flow] = {}  # accused flows, read on their own since the listing
        self._given_up: str | None = None  # why the rest of a reading is not even asked for
        self._unreadable: set[str] = set()

    def read(self, flow_ids: Sequence[str], *, now: float) -> dict[str, Reading]:
        """What is known of each accused flow at `now` (Unix seconds), and of those around it.

        When Genesys Cloud does not answer, the rest is not even asked for: each
        call would wait for its deadline, one flow after the other. Those that
        failed before come last, so that one flow does not hide the others.
        """
        self._given_up = None
        wanted = sorted(set(flow_ids), key=lambda flow_id: (flow_id in self._unreadable, flow_id))
        keep_s = self._analytics.bucket_s * max(1.0, len(wanted) / _FLOWS_PER_BUCKET)
        flows = self._read_flows(wanted, now, keep_s)
        readings = {flow_id: unread(flow.problem) for flow_id, flow in flows.items() if flow.value is None}
        if len(readings) < len(flows):
            self._given_up = None
            evidence, history = self._read_whole_evidence(now), self._read_whole_history(now)
            neighbours = self._read_neighbours(now, evidence, history)
            readings |= {
                flow_id: Reading(
                    flow,
                    self._read_versions(flow_id, now),
                    evidence,
                    history,
                    neighbours,
                    self._read_dependents(flow.value, now),
                )
                for flow_id, flow in flows.items()
                if flow.value is not None
            }
        return readings

    def _read_flows(self, wanted: Sequence[str], now: float, keep_s: float) -> dict[str, Read[Flow]]:
        """Each flow that is wanted; remembers those that were asked for in vain."""
        flows: dict[str, Read[Flow]] = {}
        unreadable = set()
        for flow_id in wanted:
            was_asked = self._given_up is None
            flows[flow_id] = self._kept_flow(flow_id, now, keep_s)
            if flows[flow_id].value is None and (was_asked or flow_id in self._unreadable):
                unreadable.add(flow_id)
        self._unreadable = unreadable
        return flows

    def read_afresh(self, flow_id: str, *, now: float) -> Reading:
        """One flow right before a write: of it nothing kept is used but its history. The flow itself is read last."""
        self._given_up = None
        self.forget()
        history = self._read_whole_history(now)
        neighbours = self._read_neighbours(now, self._read_whole_evidence(now), history)
        evidence = self._read_evidence(flow_id, now)
        versions = self._read_versions(flow_id, now)
        return Reading(self._kept_flow(flow_id, now, self._analytics.bucket_s), versions, evidence, history, neighbours)

    def watch(self, flow_id: str, *, now: float) -> Reading:
        """What is needed to measure a target: the flow and its evidence, each at most a bucket old."""
        self._given_up = None
        whole = self._whole_evidence.kept(self._analytics.settled_end(now), now=now)
        evidence = whole or self._read_evidence(flow_id, now)
        flow = self._kept_flow(flow_id, now, self._analytics.bucket_s)
        return replace(unread("not read: only the target is measured"), flow=flow, evidence=evidence)

    def forget(self) -> None:
        """Read anew what is known of single flows: something was changed."""
        self._flows.forget()
        self._versions.forget()
        self._evidence.forget()

    def flow(self, flow_id: str) -> Read[Flow]:
        """The flow as it is now; nothing is kept."""
        self._given_up = None
        return self._ask_flow(flow_id)

    def versions(self, flow_id: str) -> Read[list[FlowVersion]]:
        """The versions as they are now; nothing is kept."""
        self._given_up = None
        return self._ask_versions(flow_id)

    def look_again(self, flow_id: str, *, now: float) -> Read[Flow]:
        """The flow, at most a bucket old; never an answer that was kept for another purpose."""
        self._given_up = None
        keep_s = self._analytics.bucket_s
        return self._flows.get(("again", flow_id), lambda: self._ask_flow(flow_id), now=now, keep_s=keep_s)

    def _ask_versions(self, flow_id: str) -> Read[list[FlowVersion]]:
        versions = self._ask(lambda: self._genesys.versions(flow_id))
        if versions.value is not None:
            self._note_versions(flow_id, versions.value)
        return versions

    def _ask_flow(self, flow_id: str) -> Read[Flow]:
        return self._ask(lambda: self._genesys.flow(flow_id))

    def _kept_flow(self, flow_id: str, now: float, keep_s: float) -> Read[Flow]:
        flow = self._flows.get(flow_id, lambda: self._ask_flow(flow_id), now=now, keep_s=keep_s)
        if flow.value is not None:
            self._newer[flow_id] = flow.value
        return flow

    def _read_versions(self, flow_id: str, now: float) -> Read[list[FlowVersion]]:
        keep_s = _VERSIONS_BUCKETS * self._analytics.bucket_s
        return self._versions.get(flow_id, lambda: self._ask_versions(flow_id), now=now, keep_s=keep_s)

    def _read_dependents(self, flow: Flow | None, now: float) -> Read[Sequence[Dependent]]:
        """Who uses a common module. Whatever is in the way of that is in the way of nothing else."""
        dependencies = self._genesys.dependencies
        if flow is None or flow.type != COMMON_MODULE or dependencies is None or self._given_up is not None:
            return _NOT_ASKED

        def ask() -> Read[Sequence[Dependent]]:
            try:
                return Read(dependencies.of_module(flow.id))
            except GenesysError as problem:
                return Read(None, str(problem))

        keep_s = _VERSIONS_BUCKETS * self._analytics.bucket_s
        return self._dependents.get(flow.id, ask, now=now, keep_s=keep_s)

    def _read_evidence(self, flow_id: str, now: float) -> Read[Evidence]:
        end = self._analytics.settled_end(now)
        ask = partial(self._ask_trailing_hour, end, (flow_id,))
        return self._evidence.get((flow_id, end), ask, now=now, keep_s=self._analytics.bucket_s)

    def _read_whole_evidence(self, now: float) -> Read[Evidence]:
        """Without naming flows: an id that Genesys Cloud refuses would make it refuse the query for all of them."""
        end = self._analytics.settled_end(now)
        ask = partial(self._ask_trailing_hour, end, ())
        return self._whole_evidence.get(end, ask, now=now, keep_s=self._analytics.bucket_s)

    def _ask_trailing_hour(self, end: int, flow_ids: tuple[str, ...]) -> Read[Evidence]:
        bucket_s = self._analytics.bucket_s
        start = end - max(WINDOWS.values()) * bucket_s
        return self._ask(lambda: self._genesys.evidence(start, end, bucket_s=bucket_s, flow_ids=flow_ids))

    def _read_whole_history(self, now: float) -> Read[Evidence]:
        bucket_s = self._analytics.history_bucket_s
        end = self._analytics.history_end(now)
        start = end - self._analytics.history_s

        def ask() -> Read[Evidence]:
            return self._ask(lambda: self._genesys.evidence(start, end, bucket_s=bucket_s))

        return self._whole_history.get(end, ask, now=now, keep_s=bucket_s)

    def _read_neighbours(
        self, now: float, evidence: Read[Evidence], history: Read[Evidence]
    ) -> Read[Sequence[Neighbour]]:
        """Every flow with traffic, judged once a settled bucket."""
        bucket_s = self._analytics.bucket_s
        listing = self._listing.get("flows", self._list_flows, now=now, keep_s=_LISTING_BUCKETS * bucket_s)
        if evidence.value is None or history.value is None or listing.value is None:
            return Read(None, evidence.problem or history.problem or listing.problem)
        flows = [self._newer.get(flow.id, flow) for flow in listing.value]
        judge = partial(self._survey, evidence.value, history.value, flows)
        return self._neighbours.get(evidence.value.end, lambda: Read(judge()), now=now, keep_s=bucket_s)

    def _list_flows(self) -> Read[list[Flow]]:
        listed = self._ask(self._genesys.flows)
        if listed.value is not None:
            self._newer.clear()
        return listed

    def _ask(self, ask: Callable[[], T]) -> Read[T]:
        if self._given_up is not None:
            return Read(None, self._given_up)
        try:
            value = ask()
        except GenesysError as problem:
            if isinstance(problem, NotAllowed):
                self._credentials(False)
            if isinstance(problem, (Unavailable, Throttled)):
                self._given_up = str(problem)
            return Read(None, str(problem))
        self._credentials(True)
        return Read(value)
