"""One organization's Genesys Cloud: fast, with every way in which a publish may go, and seams around every request."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from genesys.errors import GenesysError, Gone, NotAllowed, Refused, Throttled, Unavailable
from genesys.evidence import Evidence, Outcomes
from genesys.flows import Flow, FlowVersion, Operation
from genesys.jobs import JobStatus
from tests.campaigns.stateful.jobs import CampaignJobs
from tests.integration.receiver_world import AlertmanagerInMemory, FlowInGenesys, GenesysInMemory, Time

_LOST = Unavailable("no usable answer")
_CALL_TIMEOUT_S = 10.0

Reach = Callable[[str], None]
"""Told of every seam before and after a request; it may let other things happen, or end the process."""


ASKED = "asked"  # the flow whose rollbacks people have to approve


def client_of(flow_id: str) -> str:
    """Who publishes a flow: one of them is never of the same change set as the others."""
    return "another pipeline" if flow_id == "flow-3" else "pipeline"


@dataclass(frozen=True)
class Outcome:
    """What becomes of one publish."""

    effect_after_s: float | None = 2.0  # None: never
    raises: GenesysError | None = None
    refused: bool = False  # an answer that proves that there is no effect
    takes_s: float = 0.0  # until the answer, or its absence
    shows: bool = False  # its operation is seen under way until the effect, or for ever
    fails: bool = False
    followed_by: bool = False  # somebody publishes a new version right after the effect

    @property
    def is_told(self) -> bool:
        """That it has no effect its operation says, or will."""
        return self.fails or (self.shows and self.effect_after_s is None)


OUTCOMES: Mapping[str, Outcome] = {
    "effective": Outcome(),
    "at once": Outcome(0.0),
    "after a slow answer": Outcome(2.0, takes_s=9.0),
    "late effect": Outcome(60.0, shows=True),
    "late effect, unseen": Outcome(170.0),
    "accepted, no effect": Outcome(None),
    "operation fails": Outcome(None, fails=True),
    "operation never ends": Outcome(None, shows=True),
    "409": Outcome(None, Refused("the flow is locked", 409), refused=True),
    "404": Outcome(None, Gone("no such version", 404), refused=True),
    "401": Outcome(None, NotAllowed("the token ran out", 401), refused=True),
    "429": Outcome(None, Throttled("too many requests", 429, retry_after_s=20.0), refused=True),
    "429 for long": Outcome(None, Throttled("too many requests", 429, retry_after_s=3600.0), refused=True),
    "lost before": Outcome(None, _LOST),
    "lost before, late": Outcome(None, _LOST, takes_s=_CALL_TIMEOUT_S),
    "lost after": Outcome(0.0, _LOST),
    "lost after, late": Outcome(0.0, _LOST, takes_s=_CALL_TIMEOUT_S),
    "lost, effect after 60 s": Outcome(60.0, _LOST, shows=True),
    "lost, effect unseen after 60 s": Outcome(60.0, _LOST),
    "lost, effect unseen after 170 s": Outcome(170.0, _LOST, takes_s=_CALL_TIMEOUT_S),
    "overtaken": Outcome(2.0, followed_by=True),
    "lost and overtaken": Outcome(0.0, _LOST, followed_by=True),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """One publish, or file, as Genesys Cloud sees it; `effect_at` is what no receiver can know."""

    at: float
    org: str
    flow_id: str
    version: str  # what is to be live again
    made: str  # the label under which it will: of a file a new one
    outcome: Outcome

    @property
    def by_file(self) -> bool:
        return self.made != self.version

    @property
    def never_came(self) -> bool:
        """It was refused, or lost on its way there."""
        lost = self.outcome.raises is not None and not self.outcome.shows and self.effect_at is None
        return self.outcome.refused or lost

    @property
    def effect_at(self) -> float | None:
        return None if self.outcome.effect_after_s is None else self.at + self.outcome.effect_after_s


class CampaignGenesys(GenesysInMemory):
    """Tells `sent` of every publish before it has any effect, and `looked` of every flow whose answer has arrived."""

    def __init__(
        self,
        org: str,
        time: Time,
        flows: Iterable[FlowInGenesys],
        *,
        reach: Reach,
        sent: Callable[[Sent], None],
        looked: Callable[[str, Flow], None],
    ) -> None:
        super().__init__(time, *flows)
        self._org = org
        self._reach = reach
        self._sent = sent
        self._looked = looked
        self.outcomes: list[str] = []  # of the next publishes
        self.otherwise = "effective"
        self.jobs = CampaignJobs(self)
        self.uploads: dict[str, Sent] = {}  # by deploy job
        self._given_up: list[Sent] = []

    def new_version(self, flow_id: str) -> str:
        """A label that the flow has not had yet, and that nobody will give it who has begun to."""
        to_come = [version for _, other, version, _ in self._effects if other == flow_id]
        had = [version for _, version in self.of(flow_id).timeline]
        return f"{max(map(float, [*had, *to_come])) + 1:.1f}"

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Around a request that changes no flow; raises where Genesys Cloud does not answer."""
        self._reach("before a read")
        self._read()
        yield
        self._reach("after a read")

    def end_operations(self) -> None:
        """What would never end is given up."""
        self._given_up += [one for one in self.uploads.values() if one.effect_at is None]
        pending = {operation.id for *_, operation in self._effects}
        for flow in self._known.values():
            if flow.operation is not None and not flow.operation.complete and flow.operation.id not in pending:
                flow.operation = replace(flow.operation, complete=True, status="FAILURE", error="given up")

    def flow(self, flow_id: str) -> Flow:
        self._reach("before a read")
        shown = super().flow(flow_id)
        self._reach("after a read")
        self._looked(self._org, shown)
        return shown

    def versions(self, flow_id: str) -> list[FlowVersion]:
        self._reach("before a read")
        found = super().versions(flow_id)
        self._reach("after a read")
        return found

    def flows(self, *, published_after: float | None = None) -> list[Flow]:
        self._reach("before a read")
        return super().flows(published_after=published_after)

    def evidence(self, start: int, end: int, *, bucket_s: int, flow_ids: Sequence[str] = ()) -> Evidence:
        """As in the one it replaces, a stretch at a time."""
        self._reach("before a read")
        self._read()
        found: dict[tuple[str, str], dict[int, Outcomes]] = {}
        for flow in self._known.values():
            if not flow_ids or flow.id in flow_ids:
                until = [*(since for since, _ in flow.timeline[1:]), float("inf")]
                for (since, version), over in zip(flow.timeline, until, strict=True):
                    buckets = [one for one in range(start, end, bucket_s) if since <= one < over]
                    told = flow.outcomes(buckets[0], bucket_s) if buckets else None
                    if told is not None:
                        found.setdefault((flow.id, version), {}).update(dict.fromkeys(buckets, told[1]))
        return Evidence(start, end, bucket_s, found)

    def publish(self, flow_id: str, version: str) -> Operation:
        return self._write(flow_id, version)

    def deploy(self, flow_id: str, version: str, job_id: str) -> None:
        """The file of a version is sent to where a job waits for it."""
        self._write(flow_id, version, job_id)

    def status_of(self, job_id: str) -> JobStatus:
        """How far a deploy job is."""
        self._let_effects_happen()
        sent = self.uploads.get(job_id)
        if sent is None or sent.never_came:
            return JobStatus.REGISTERED
        if sent.outcome.fails or sent in self._given_up:
            return JobStatus.FAILURE
        if sent.outcome.shows and sent.effect_at is None:
            return JobStatus.STARTED
        return JobStatus.SUCCESS if self._time.now >= (sent.effect_at or 0.0) else JobStatus.STARTED

    def _write(self, flow_id: str, version: str, job_id: str | None = None) -> Operation:
        self._reach("before the publish")
        self._let_effects_happen()
        name = self.outcomes.pop(0) if self.outcomes else self.otherwise
        if self._known[flow_id].locked_by:
            name = "409" if job_id is None else "operation fails"  # the storage takes a file whatever becomes of it
        made = version if job_id is None else self._copy_of(flow_id, version)
        sent = Sent(self._time.now, self._org, flow_id, version, made, OUTCOMES[name])
        if job_id is not None:
            self.uploads[job_id] = sent
        self._sent(sent)
        self.published.append((sent.at, flow_id, version))
        operation = Operation(
            f"op-{self._org}-{next(self._operations)}", complete=False, action="PUBLISH", status="STARTED"
        )
        self._take_effect(sent, operation)
        self._time.pass_(sent.outcome.takes_s)
        self._reach("after the publish")
        if sent.outcome.raises is not None:
            raise sent.outcome.raises
        return operation

    def _copy_of(self, flow_id: str, version: str) -> str:
        """A new label for what is the same thing as a version, and fails its callers as often."""
        flow, made = self.of(flow_id), self.new_version(flow_id)
        flow.content[made] = flow.content.get(version, f"content of {version}")
        flow.error_ratio[made] = flow.error_ratio.get(version, 0.0)
        return made

    def _take_effect(self, sent: Sent, operation: Operation) -> None:
        flow = self._known[sent.flow_id]
        if sent.outcome.fails:
            flow.operation = replace(operation, complete=True, status="FAILURE", error="flow.invalid")
        elif sent.outcome.shows:
            flow.operation = operation
        if sent.effect_at is not None:
            self._effects.append((sent.effect_at, flow.id, sent.made, operation))
        if sent.effect_at is not None and sent.outcome.followed_by:
            theirs = Operation("theirs", complete=True, action="PUBLISH", status="SUCCESS")
            self._effects.append((sent.effect_at + 1, flow.id, self.new_version(flow.id), theirs))


class CampaignAlertmanager(AlertmanagerInMemory):
    """Alertmanager with a seam before every answer, which tells `answered` of its lists."""

    def __init__(self, *, reach: Reach, answered: Callable[[], None]) -> None:
        super().__init__()
        self.firing = {}
        self._reach = reach
        self._answered = answered

    def get_json(self, url: str, params: Mapping[str, str] | None = None) -> Any:
        self._reach("before a read")
        self.asked.clear()
        found = super().get_json(url, params)
        if url.endswith("/alerts"):
            self._answered()
        return found
