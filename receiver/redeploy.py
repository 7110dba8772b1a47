"""Way back `redeploy`: export the old version, and deploy the file as a new one.

Before the permit: the export is ordered and waited for, its file fetched, and a deploy job registered, which does
nothing until the file has come. The job's id is written down with the permit, so that whoever takes over can ask for
it. The write is the upload. Afterwards the job and the flow are read; the label of the new version is known only then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError, Gone, Throttled, Unavailable
from genesys.flows import Flow, FlowVersion, Operation, Readback
from genesys.jobs import Job, Jobs, JobStatus, Upload, flow_named_in
from receiver.applied import publish_deadline_s
from receiver.meanwhile import has_callers
from receiver.readback import is_as_before, is_busy, is_new, meanwhile
from receiver.reader import Read
from receiver.store import leases, rollbacks
from receiver.store.database import Transaction
from receiver.store.leases import Lease
from receiver.store.rollbacks import Permit, Rollback, State
from receiver.strategy import Strategy
from receiver.tools import Tools
from receiver.way import Prepared, Sight, could_not_begin

T = TypeVar("T")

POLL_S = 5.0  # between two looks at an export, which takes some seconds


@dataclass(frozen=True, slots=True)
class Redeploy:
    """A `receiver.way.Way`."""

    def prepare(self, tools: Tools, lease: Lease, rollback: Rollback) -> Prepared | None:
        step = _step(tools.genesys, rollback)
        if isinstance(step, Prepared):
            return step
        tools.store.transact(_write_down, tools, lease, rollback, step)
        return None

    def look(self, tools: Tools, rollback: Rollback, permit: Permit, *, asked_at: float) -> Sight | None:
        job = _deployed(tools, permit)
        flow = tools.reader.flow(rollback.object_id)
        if flow.value is None:
            return Sight(None, flow.problem)
        after = _After(tools, rollback, permit, job, flow.value, asked_at)
        if is_as_before(flow.value, rollback):
            return after.unchanged()
        versions = tools.reader.versions(rollback.object_id)
        return Sight(None, versions.problem) if versions.value is None else after.changed(versions.value)


@dataclass(frozen=True, slots=True)
class _After:
    """One look after the upload: the job, as far as it could be read, and the flow."""

    tools: Tools
    rollback: Rollback
    permit: Permit
    job: Job | None
    flow: Flow
    asked_at: float

    @property
    def is_over(self) -> bool:
        return self.job is not None and self.job.is_over

    @property
    def has_failed(self) -> bool:
        """It is over, and can have done nothing to this flow."""
        if self.job is None or not self.job.is_over:
            return False
        elsewhere = self.job.flow_id not in (None, self.rollback.object_id)
        return elsewhere or self.job.status is JobStatus.FAILURE

    @property
    def was_taken(self) -> bool:
        """The file has certainly come."""
        has_begun = self.job is not None and self.job.status is not JobStatus.REGISTERED
        return has_begun or self.rollback.state is State.CONFIRMING

    @property
    def settled(self) -> bool:
        """What does not show by now has no effect: the file never came, or the job has had its time, and the view."""
        timing, flow_type = self.tools.timing, self.rollback.facts.get("flow_type")
        sent_by = self.permit.issued_at if self.was_taken else self.permit.valid_until + self.tools.call_timeout_s
        never_came = not self.was_taken and self.job is not None
        return self.asked_at >= sent_by + publish_deadline_s(
            timing, flow_type, Strategy.REPUBLISH if never_came else Strategy.REDEPLOY
        )

    @property
    def busy(self) -> bool:
        """It may take effect yet: the job runs, or nobody knows."""
        waits = self.job is not None and self.job.status is JobStatus.REGISTERED and not self.was_taken
        return is_busy(self.flow) or not (self.is_over or waits)

    def unchanged(self) -> Sight:
        """The accused version is live still, as it seems; callers of a new version know better."""
        sight = Sight(Readback.PENDING, settled=self.settled, busy=self.busy, accepted=self.was_taken)
        if self.job is not None and self.has_failed and not is_busy(self.flow):
            return replace(sight, seen=Readback.FAILED, error=self.job.problem or "the job changed another flow")
        if not self.settled:
            return sight
        flow_id = self.rollback.object_id
        evidence = self.tools.reader.watch(flow_id, now=self.asked_at).evidence.value
        for version in evidence.versions(flow_id) if evidence is not None else ():
            if is_new(self.rollback, version) and has_callers(evidence, flow_id, version, since=self.permit.issued_at):
                return replace(sight, seen=Readback.DONE, live=version)
        return sight

    def changed(self, versions: Sequence[FlowVersion]) -> Sight:
        """Another version is live, or the accused one anew: is it ours?"""
        live = self.flow.live_version or ""
        sight = Sight(
            Readback.OVERTAKEN,
            settled=self.settled,
            busy=self.busy,
            accepted=self.was_taken,
            is_over=self.is_over,
            changes=meanwhile(self.rollback, versions, live),
        )
        if self.has_failed or not is_new(self.rollback, live):
            return sight
        if is_busy(self.flow) or not (self.is_over or self.settled):
            return replace(sight, seen=Readback.PENDING)
        contents = _contents(self.tools, self.rollback, live)
        same = len(contents) == 2 and len(set(contents.values())) == 1
        made = [one.id for one in versions if is_new(self.rollback, one.id) and not one.debug]
        # A job that has succeeded has made one version of this flow. If there is only one, it is that.
        is_only_one = self.is_over and made == [live]
        return replace(sight, seen=Readback.DONE, live=live, contents=contents) if same or is_only_one else sight


@dataclass(frozen=True, slots=True)
class _Step:
    """What came of a step before the write; `failed` says why there cannot be a deployment."""

    event: str = ""
    export_job: str | None = None
    failed: str = ""
    problem: str | None = None
    pause_s: float = POLL_S  # at least


def _step(genesys: GenesysCloud, rollback: Rollback) -> Prepared | _Step:
    """The next thing that has to be done before the write. None of it changes the flow, so it may be done again."""
    jobs = genesys.jobs
    if jobs is None:
        return _Step(failed="redeploy_unknown", problem="this dialect has no jobs")
    try:
        if rollback.export_job is None:
            job_id = jobs.export(rollback.object_id, rollback.target_version)
            return _Step("exporting", job_id)
        return _go_on(genesys, jobs, rollback, _exported(jobs, rollback.export_job))
    except Throttled as problem:
        return _Step("unread", rollback.export_job, problem=str(problem), pause_s=problem.retry_after_s)
    except Unavailable as problem:
        return _Step("unread", rollback.export_job, problem=str(problem))
    except GenesysError as problem:
        return _Step(failed="redeploy_refused", problem=str(problem))


def _go_on(genesys: GenesysCloud, jobs: Jobs, rollback: Rollback, export: Job | None) -> Prepared | _Step:
    """From what has become of the export: once it is there, its file is fetched, and a job registered for it."""
    if export is None:
        return _Step("export_forgotten")
    if export.status is JobStatus.FAILURE:
        return _Step(failed="export_failed", problem=export.problem)
    if export.url is None or not export.is_over:
        return _Step(export_job=export.id)
    file = jobs.fetch(export.url)
    named = flow_named_in(file)
    if named is None or named != genesys.flow(rollback.object_id).name:  # it would change, or make, another flow
        return _Step(failed="redeploy_refused", problem=f"the export is of a flow called {named}")
    upload = jobs.register()
    send = partial(_send, jobs, upload, file)
    return Prepared(send, rollback.target_version, operation_id=upload.job_id, makes_new=True)


def _write_down(tx: Transaction, tools: Tools, lease: Lease, rollback: Rollback, step: _Step) -> None:
    """What is not ready, or could not be asked, is asked for again, until the deadline."""
    now = tools.clock(tx)
    leases.hold(tx, lease, now=now)
    if step.failed or now >= rollback.deadline:
        could_not_begin(tx, tools, lease, rollback, step.failed or "export_unfinished", step.problem)
        return
    pause_s = max(tools.timing.retry_s, step.pause_s) if step.problem else POLL_S
    waiting = rollbacks.change(tx, rollback, export_job=step.export_job, not_before=now + pause_s)
    if step.event:
        detail = {"problem": step.problem} if step.problem else {"job": step.export_job or rollback.export_job}
        rollbacks.add_step(tx, waiting, step.event, at=now, detail=detail)


def _send(jobs: Jobs, upload: Upload, file: bytes, _permit: Permit) -> Operation:
    jobs.upload(upload, file)
    return Operation(upload.job_id, complete=False)


def _exported(jobs: Jobs, job_id: str) -> Job | None:
    """None if Genesys Cloud has forgotten it: then the version is exported anew."""
    try:
        return jobs.exported(job_id)
    except Gone:
        return None


def _deployed(tools: Tools, permit: Permit) -> Job | None:
    """None if nobody knows how far the job is."""
    jobs = tools.genesys.jobs
    if jobs is None or permit.operation_id is None:
        return None
    return _read(partial(jobs.deployed, permit.operation_id)).value


def _contents(tools: Tools, rollback: Rollback, live: str) -> dict[str, str]:
    """Digests of the new version and of what it should be the same as; what is not given is left out."""
    asked = {
        version: _read(partial(tools.genesys.configuration, rollback.object_id, version)).value
        for version in (live, rollback.target_version)
    }
    return {version: digest for version, digest in asked.items() if digest is not None}


def _read(ask: Callable[[], T]) -> Read[T]:
    try:
        return Read(ask())
    except GenesysError as problem:
        return Read(None, str(problem))
