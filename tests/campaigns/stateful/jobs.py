"""One organization's export and deploy jobs: an export is there at once, and a file goes the way of a publish."""

from itertools import count
from typing import TYPE_CHECKING

from genesys.errors import Gone
from genesys.jobs import Job, Jobs, JobStatus, Upload

if TYPE_CHECKING:
    from tests.campaigns.stateful.cloud import CampaignGenesys


class CampaignJobs(Jobs):
    """With seams around every request; the write is the cloud's own."""

    def __init__(self, cloud: "CampaignGenesys") -> None:
        self._cloud = cloud
        self._numbers = count(1)
        self._exports: dict[str, tuple[str, str]] = {}
        self._registered: set[str] = set()

    def export(self, flow_id: str, version: str) -> str:
        with self._cloud.answering():
            job_id = f"export-{next(self._numbers)}"
            self._exports[job_id] = flow_id, version
        return job_id

    def exported(self, job_id: str) -> Job:
        with self._cloud.answering():
            return Job(job_id, JobStatus.SUCCESS, url=job_id)

    def fetch(self, url: str) -> bytes:
        """As Architect writes it, and below that what only we understand."""
        with self._cloud.answering():
            flow_id, version = self._exports[url]
            return f"inboundCall:\n  name: Main IVR\n# {flow_id} {version}".encode()

    def register(self) -> Upload:
        with self._cloud.answering():
            job_id = f"deploy-{next(self._numbers)}"
            self._registered.add(job_id)
        return Upload(job_id, "", {})

    def upload(self, upload: Upload, file: bytes) -> None:
        _, flow_id, version = file.decode().rsplit(maxsplit=2)
        self._cloud.deploy(flow_id, version, upload.job_id)

    def deployed(self, job_id: str) -> Job:
        with self._cloud.answering():
            if job_id not in self._registered:
                raise Gone(f"no job {job_id}", 404)
            sent = self._cloud.uploads.get(job_id)
            return Job(job_id, self._cloud.status_of(job_id), flow_id=sent and sent.flow_id)
