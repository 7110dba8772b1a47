"""Where files of jobs lie: exported ones to be fetched, deployed ones to be put, under signed addresses.

Genesys Cloud keeps them with another host (S3): no bearer token belongs there, and
one that is sent is refused, as S3 does. Here it is the same server, under another
path. How a presigned address looks, and which headers it asks for, is made up.
"""

from functools import partial
from typing import Any

from flask import Blueprint, Response, g, request

from simulator.access import require
from simulator.analytics import iso
from simulator.errors import ApiError, bad_request
from simulator.simulation import Simulation
from simulator.vocabulary import Fault

PREFIX = "/storage/"
HEADER = "x-amz-meta-job"


def blueprint(simulation: Simulation) -> Blueprint:
    storage = Blueprint("storage", __name__)

    @storage.get(f"{PREFIX}exports/<job_id>")
    def fetch(job_id: str) -> Response:
        _check_that_nobody_is_named()
        with simulation.present() as now:
            job = simulation.jobs.export_job(job_id)
            if job.status(now) != "Success":
                raise _denied()
            return Response(job.file, content_type="application/octet-stream")

    @storage.put(f"{PREFIX}uploads/<job_id>")
    def put(job_id: str) -> Response:
        _check_that_nobody_is_named()
        _put(simulation, job_id, request.get_data().decode())
        return Response(status=200)

    return storage


def export(simulation: Simulation) -> dict[str, object]:
    """Take the export job of this request; the answer's body. Raises an `ApiError`."""
    require("architect:jobExport:create", g.token.client)
    body: Any = request.get_json(force=True, silent=True)
    try:
        (asked,) = body["flows"]  # several would be one archive, which nobody here asks for
        flow_id, label = asked["flow"]["id"], asked["flow"].get("version")
        kind = asked.get("exportType") or "Yaml"
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise bad_request("flows: name one flow by its id") from error
    if kind.lower() != "yaml":
        raise bad_request(f"exportType: {kind} is not supported here")
    g.logged.flow_id, g.logged.version = flow_id, label
    with simulation.present() as now:
        job = simulation.jobs.export(flow_id, label, g.fault, now)
        return {"id": job.id, "status": "Registered", "totalFlows": 1, "selfUri": f"/api/v2/flows/export/jobs/{job.id}"}


def export_as_json(simulation: Simulation, job_id: str) -> dict[str, object]:
    """The state of an export job; the address of its file once it has succeeded. Raises an `ApiError`."""
    require("architect:jobExport:view", g.token.client)  # before anybody looks whether there is such a job
    with simulation.present() as now:
        job = simulation.jobs.export_job(job_id)
        body = _job_as_json("export/jobs", job.id, job.status(now), "Export", job.problem, job.done_at)
    if body["status"] == "Success":
        body["downloadUrl"] = f"{request.host_url}storage/exports/{job.id}"
    return body


def register(simulation: Simulation) -> dict[str, object]:
    """Take a deploy job, which waits for its file; the answer's body. Raises an `ApiError`."""
    require("architect:job:create", g.token.client)
    with simulation.present():
        job = simulation.jobs.register(g.token.client.name)
    return {
        "id": job.id,
        "presignedUrl": f"{request.host_url}storage/uploads/{job.id}?X-Amz-Signature={job.signature}",
        "headers": {HEADER: job.id},
        "selfUri": f"/api/v2/flows/jobs/{job.id}",
    }


def deploy_as_json(simulation: Simulation, job_id: str) -> dict[str, object]:
    """The state of a deploy job. Raises an `ApiError`."""
    require("architect:job:view", g.token.client)
    with simulation.present() as now:
        job = simulation.jobs.deploy_job(job_id)
        body = _job_as_json("jobs", job.id, job.status(now), "Publish", job.problem, job.done_at)
    if body["status"] == "Success":
        body["flow"] = {"id": job.flow_id, "selfUri": f"/api/v2/flows/{job.flow_id}"}
    return body


def _job_as_json(
    path: str, job_id: str, status: str, command: str, problem: str, done_at: float | None
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": job_id,
        "status": status,
        "command": command,
        "selfUri": f"/api/v2/flows/{path}/{job_id}",
    }
    if "messages" in request.args.getlist("expand"):
        body["messages"] = []
        if status == "Failure" and done_at is not None:
            body["messages"] = [{"dateTime": iso(round(done_at * 1000)), "type": "Error", "text": problem}]
    return body


def _put(simulation: Simulation, job_id: str, text: str) -> None:
    fault: Fault | None = g.fault
    logged = g.logged

    def begin(now: float) -> None:
        flow, done_at = simulation.jobs.begin(job, text, fault, now)
        logged.flow_id = flow.spec.id
        does_nothing = fault is not None and fault.kind == "deploy_nothing"
        logged.effect_at = None if does_nothing else done_at
        if done_at is not None:
            finish = partial(simulation.jobs.finish, job, text, does_nothing=does_nothing)
            simulation.later(done_at, lambda at: finish(at=at))

    with simulation.present() as now:
        job = simulation.jobs.deploy_job(job_id)
        signed = request.args.get("X-Amz-Signature") == job.signature and request.headers.get(HEADER) == job_id
        if not signed or (fault is not None and fault.kind == "upload_refused"):
            raise _denied()
        if fault is not None and fault.kind == "upload_late":
            simulation.later(now + (fault.delay_s or 0.0) / simulation.factor, begin)
        else:
            begin(now)


def _check_that_nobody_is_named() -> None:
    if "Authorization" in request.headers:
        raise ApiError(400, "InvalidArgument", "Only one auth mechanism allowed.")


def _denied() -> ApiError:
    return ApiError(403, "AccessDenied", "Request has expired, or the signature does not match.")
