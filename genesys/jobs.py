"""A version as a file, and a file as a new version: Architect's export and deploy jobs, and the storage of their files.

Only dialect `platform` has them. Two of the calls change nothing but the list of
jobs: the export, and the registration of a deployment, which does nothing until its
file has come. `upload` is the write: with the file the job begins.

The storage is another host. It gets the signed address and the headers that belong
to it, and never our token; it must speak HTTPS (on our own host HTTP will do), a
redirect is not followed, and no file larger than MAX_FILE_BYTES is taken.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

import yaml

from genesys.access import Session
from genesys.answers import Answer, unexpected
from genesys.errors import Refused, Unavailable
from genesys.http import Request

MAX_FILE_BYTES = 16 * 1024 * 1024  # flows of a few thousand actions have some 2 MB of YAML
MAX_PROBLEM_CHARS = 300
HEAD_BYTES = 64 * 1024  # the name comes before descriptions and prompts
_KIND = re.compile(r"[A-Za-z]+:\s*")
EXPORTS, DEPLOYS = "flows/export/jobs", "flows/jobs"


class JobStatus(StrEnum):
    """The words of the SDK, in lower case."""

    REGISTERED = "registered"  # of a deployment: its file has not come
    STARTED = "started"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Job:
    """How far a job is. `url` is where the file of a finished export lies: whoever knows it can read the file."""

    id: str
    status: JobStatus
    problem: str | None = None
    url: str | None = field(default=None, repr=False)
    flow_id: str | None = None  # what was deployed

    @property
    def is_over(self) -> bool:
        return self.status in (JobStatus.SUCCESS, JobStatus.FAILURE)


@dataclass(frozen=True, slots=True)
class Upload:
    """Where the file of a deploy job belongs; whoever knows the address can put one there."""

    job_id: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class _Raw:
    """Keeps an answer as it is. A `genesys.http.Reader`."""

    def __init__(self) -> None:
        self._body = bytearray()

    def feed(self, piece: bytes) -> int:
        self._body += piece
        if len(self._body) > MAX_FILE_BYTES:
            raise Refused(f"the file is larger than {MAX_FILE_BYTES} bytes")
        return len(self._body)

    def end(self) -> object:
        return bytes(self._body)


class _Nothing:
    """Looks at no answer: the status says it all."""

    def feed(self, piece: bytes) -> int:
        return len(piece)

    def end(self) -> object:
        return None


class Jobs:
    """The jobs of one organization. Safe to be shared by threads; raises a `GenesysError` like `GenesysCloud`."""

    def __init__(self, session: Session, *, api_url: str) -> None:
        self._session = session
        self._api = f"{api_url}/api/v2"

    def export(self, flow_id: str, version: str) -> str:
        """Have a version written down as YAML; the id of the job. Sent once; without effect on the flow."""
        flow = {"id": flow_id, "version": version}
        body = {"flows": [{"flow": flow, "exportType": "Yaml"}]}
        told = self._session.write(Request("POST", f"{self._api}/{EXPORTS}", EXPORTS, json=body))
        return Answer(EXPORTS, told).text("id")

    def exported(self, job_id: str) -> Job:
        """How far an export is. Raises `Gone` if nobody knows it (any more)."""
        answer = self._job(EXPORTS, job_id)
        job = _job(EXPORTS, answer)
        if job.status is JobStatus.SUCCESS and not job.url:
            raise unexpected(EXPORTS, "downloadUrl is missing")
        return job

    def fetch(self, url: str) -> bytes:
        """The file of an export. Raises `Unavailable` for an address not to be asked, `Refused` for a large file."""
        _check(url)
        request = Request("GET", url, "storage/download", reader=_Raw, metered=False)
        told = self._session.read_elsewhere(request)
        if not isinstance(told, bytes) or not told:
            raise Unavailable("the exported file is empty")
        return told

    def register(self) -> Upload:
        """A deploy job that waits for its file; without one it does nothing. Sent once."""
        answer = Answer(DEPLOYS, self._session.write(Request("POST", f"{self._api}/{DEPLOYS}", DEPLOYS)))
        url = answer.text("presignedUrl")
        _check(url)
        headers = answer.optional_object("headers")
        return Upload(answer.text("id"), url, {} if headers is None else headers.texts())

    def upload(self, upload: Upload, file: bytes) -> None:
        """Put the file where the job waits for it, which begins the deployment: one PUT, never repeated here.

        Raises `Throttled`, `NotAllowed`, `Gone` or `Refused` when the storage did not take it; `Unavailable` when only
        the job, and the flow, can tell.
        """
        request = Request(
            "PUT", upload.url, "storage/upload", content=file, headers=upload.headers, reader=_Nothing, metered=False
        )
        self._session.write_elsewhere(request)

    def deployed(self, job_id: str) -> Job:
        """How far a deployment is. Raises `Gone` if nobody knows it (any more)."""
        return _job(DEPLOYS, self._job(DEPLOYS, job_id))

    def _job(self, endpoint: str, job_id: str) -> Answer:
        url = f"{self._api}/{endpoint}/{quote(job_id, safe='')}"
        request = Request("GET", url, f"{endpoint}/{{id}}", params={"expand": "messages"})
        return Answer(endpoint, self._session.read(request, deadline=self._session.deadline()))


def flow_named_in(file: bytes) -> str | None:
    """The name of the flow that an exported file is about: where it is deployed, that flow gets the new version.

    None for a file that does not begin as Architect's YAML does: the type, and below it, indented, the name.
    """
    lines = [line for line in file[:HEAD_BYTES].decode(errors="replace").splitlines() if line.strip()]
    begun = [number for number, line in enumerate(lines) if _KIND.fullmatch(line)]
    below = lines[begun[0] + 1 :] if begun else []
    indent = len(below[0]) - len(below[0].lstrip()) if below else 0
    for line in below if indent else ():
        if line[:indent].strip():
            break  # the end of what is below
        if line[indent:].startswith("name:"):
            return _scalar(line[indent:])
    return None


def _scalar(line: str) -> str | None:
    try:
        name = yaml.safe_load(line)["name"]
    except yaml.YAMLError:
        return None
    return None if name is None else str(name)


def _job(endpoint: str, answer: Answer) -> Job:
    told = answer.text("status").lower()
    if told not in set(JobStatus):
        raise unexpected(endpoint, "status is not known")
    texts = (message.optional_text("text") or "" for message in answer.items("messages"))
    problem = " ".join(" ".join(text for text in texts if text).split())[:MAX_PROBLEM_CHARS]
    flow = answer.optional_object("flow")
    return Job(
        id=answer.text("id"),
        status=JobStatus(told),
        problem=problem or None,
        url=answer.optional_text("downloadUrl"),
        flow_id=flow.optional_text("id") if flow else None,
    )


def _check(url: str) -> None:
    """Raises `Unavailable` for an address that no file may be sent to, or fetched from."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or parts.username is not None:
        raise Unavailable("the storage's address is none")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_own_host(host)):
        raise Unavailable("the storage's address is not https")


def _is_own_host(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
