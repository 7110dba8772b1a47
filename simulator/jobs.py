"""Export and deploy jobs of Architect: one writes a version down as a file, the other makes a new version of a file.

Owns the jobs, and what a file says. What a deployed file changes is the world's.
Facts are the SDK's: paths, fields, the words of `status` and `command`. The form of
the file, when a job begins, and how one ends that never gets a file, are this
simulator's own: nobody has seen them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import yaml

from simulator.errors import ApiError, bad_request, not_found
from simulator.vocabulary import Fault
from simulator.world import Flow, Version, World

Job = TypeVar("Job")

KEPT = 1000  # of each kind; the oldest are forgotten


@dataclass
class ExportJob:
    """A version being written down; the file is there once the job has succeeded."""

    id: str
    flow_id: str
    label: str
    done_at: float
    file: str
    problem: str = ""

    def status(self, now: float) -> str:
        return _status(self.done_at, self.problem, now)


@dataclass
class DeployJob:
    """A file being made a version; `Registered` until the file has come."""

    id: str
    client: str
    signature: str
    done_at: float | None = None  # None: there is no file
    problem: str = ""
    flow_id: str | None = None  # of the flow that has the new version

    def status(self, now: float) -> str:
        return "Registered" if self.done_at is None else _status(self.done_at, self.problem, now)


class Jobs:
    """All jobs of one organization. The times are arguments, in Unix seconds."""

    def __init__(self, world: Callable[[], World], new_id: Callable[[], str]) -> None:
        self._world = world
        self._new_id = new_id
        self._exports: dict[str, ExportJob] = {}
        self._deploys: dict[str, DeployJob] = {}

    def export(self, flow_id: str, label: str | None, fault: Fault | None, now: float) -> ExportJob:
        """Begin to write a version down, the live one if none is named.

        Raises an `ApiError`: 404 for a flow or version that does not exist, 410 for a deleted flow.
        """
        world = self._world()
        flow = world.flow(flow_id)
        if flow.deleted:
            raise ApiError(410, "flow.deleted", f"The flow {flow_id} is deleted.")
        version = flow.live if label is None else world.version(flow_id, label)
        takes_s = math.inf if _is(fault, "export_hangs") else world.real_s(world.settings.export_time)
        problem = "The flow could not be exported." if _is(fault, "export_fails") else ""
        job = ExportJob(self._new_id(), flow_id, version.label, now + takes_s, file_of(flow, version), problem)
        _keep(self._exports, job.id, job)
        return job

    def export_job(self, job_id: str) -> ExportJob:
        """Raises a 404 `ApiError`."""
        return _known(self._exports, job_id)

    def register(self, client: str) -> DeployJob:
        """A job of this client that waits for its file."""
        job = DeployJob(self._new_id(), client, self._new_id().replace("-", ""))
        _keep(self._deploys, job.id, job)
        return job

    def deploy_job(self, job_id: str) -> DeployJob:
        """Raises a 404 `ApiError`."""
        return _known(self._deploys, job_id)

    def begin(self, job: DeployJob, text: str, fault: Fault | None, now: float) -> tuple[Flow, float | None]:
        """The file has come: the flow it is for, and when its new version is to be live, if it ever is.

        Raises a 400 `ApiError` for a second file, and for what is no file of a flow that exists.
        """
        if job.done_at is not None:
            raise bad_request("The job has its file.")
        flow, _ = self._read(text)
        world = self._world()
        takes_s = math.inf if _is(fault, "deploy_hangs") else world.real_s(world.settings.deploy_time)
        job.done_at = now + takes_s
        if _is(fault, "deploy_fails"):
            job.problem = "The flow could not be published."
        if job.problem or math.isinf(takes_s):
            return flow, None
        return flow, job.done_at

    def finish(self, job: DeployJob, text: str, *, does_nothing: bool, at: float) -> None:
        """Make a new version of the file, and make it live; what stands in the way is the job's problem."""
        flow, version = self._read(text)
        try:
            if not does_nothing:
                self._world().deploy(flow.spec.id, version, client=job.client, at=at)
            job.flow_id = flow.spec.id
        except ApiError as error:
            job.problem = error.message

    def _read(self, text: str) -> tuple[Flow, Version]:
        """The flow that a file names, and the version whose content it has."""
        try:
            told = yaml.safe_load(text)
            kind, body = next(iter(told.items()))
            name, content = body["name"], body["initialSequence"]["actions"][0]["say"]
        except (yaml.YAMLError, AttributeError, KeyError, TypeError, IndexError, StopIteration) as error:
            raise bad_request("The file is not a flow.") from error
        for flow in self._world().flows.values():
            if (flow.spec.name, flow.spec.type) == (name, kind):
                for version in flow.versions.values():
                    if version.content == content:
                        return flow, version
        raise bad_request("The file is of no flow that is known here.")


def file_of(flow: Flow, version: Version) -> str:
    """A version as a file: like Architect's, it names the flow by name and type, and no version."""
    body = {"name": version.flow_name or flow.spec.name, "initialSequence": {"actions": [{"say": version.content}]}}
    return yaml.safe_dump({flow.spec.type: body}, sort_keys=False)


def _status(done_at: float, problem: str, now: float) -> str:
    if now < done_at:
        return "Started"
    return "Failure" if problem else "Success"


def _is(fault: Fault | None, kind: str) -> bool:
    return fault is not None and fault.kind == kind


def _keep(jobs: dict[str, Job], job_id: str, job: Job) -> None:
    jobs[job_id] = job
    if len(jobs) > KEPT:
        del jobs[next(iter(jobs))]


def _known(jobs: dict[str, Job], job_id: str) -> Job:
    if job_id not in jobs:
        raise not_found(f"The job {job_id}")
    return jobs[job_id]
