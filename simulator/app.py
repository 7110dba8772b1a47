"""The Flask application: Genesys Cloud's API behind its gate, and the control API beside it.

The gate is what every API request passes: the request log, faults, the token,
the rate limit; and on the way back the headers that Genesys Cloud sends.
"""

import math
import time
import uuid
from collections.abc import Callable

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date

from simulator import api, control, dependencies, guide, object_writes, storage
from simulator.access import count_request
from simulator.errors import ApiError, too_many_requests
from simulator.faults import Subject, subject
from simulator.server import drop
from simulator.simulation import Simulation
from simulator.vocabulary import Fault

_NOT_EVEN_READ = ("down", "drop_before", "hang")
_UNANSWERED = (*_NOT_EVEN_READ, "drop_after", "publish_late", "upload_late")
_WRITES = (Subject.PUBLISH, Subject.UPLOAD)
_WITHOUT_TOKEN = ("/oauth/token", storage.PREFIX)


def create_app(simulation: Simulation, *, scenario_name: str, sleep: Callable[[float], None] = time.sleep) -> Flask:
    app = Flask(__name__)
    app.register_blueprint(api.blueprint(simulation))
    app.register_blueprint(dependencies.blueprint(simulation))
    app.register_blueprint(guide.blueprint(simulation))
    app.register_blueprint(object_writes.blueprint(simulation))
    app.register_blueprint(storage.blueprint(simulation))
    app.register_blueprint(control.blueprint(simulation, scenario_name))
    app.before_request(lambda: _enter(simulation))
    app.after_request(lambda response: _leave(response, simulation, sleep))
    app.register_error_handler(ApiError, _refuse)
    app.register_error_handler(HTTPException, _refuse_http)
    return app


def _enter(simulation: Simulation) -> Response | None:
    g.api = not request.path.startswith("/sim/")
    g.token = g.fault = None
    if not g.api:
        return None
    g.correlation_id = str(uuid.uuid4())
    with simulation.present() as now:
        query = request.query_string.decode("latin-1")
        g.logged = simulation.requests.add(now, request.method, request.path, query)
        g.logged.flow_id = (request.view_args or {}).get("flow_id") or request.args.get("flow")
        g.logged.version = (request.view_args or {}).get("label") or request.args.get("version")
        about = subject(request.method, request.path)
        g.logged.publish = about in _WRITES or None
        g.logged.object_write = about is Subject.OBJECT or None
        simulation.cue("before", request.method, request.path, now)
        met = simulation.faults.meet(request.method, request.path, now)
        if met is not None:
            g.fault, g.fault_since = met.fault, met.since
        if g.fault is not None and g.fault.kind in _NOT_EVEN_READ:
            return Response()
        if not request.path.startswith(_WITHOUT_TOKEN):
            g.token = simulation.gatekeeper.admit(request.headers.get("Authorization"), now)
            others = math.ceil(simulation.world.settings.others_per_min * simulation.factor)
            count_request(g.token, now, others)
    if g.fault is not None:
        _strike(g.fault, simulation.factor, now)
    return None


def _strike(fault: Fault, factor: float, now: float) -> None:
    """Raise what a fault answers instead of doing anything."""
    if fault.kind == "throttle":
        wait_s = max(1, math.ceil((fault.retry_after or 0.0) / factor))
        raise too_many_requests(wait_s, retry_at=now + wait_s if fault.as_date else None)
    if fault.kind == "status":
        raise _simulated(fault)


def _simulated(fault: Fault) -> ApiError:
    return ApiError(fault.status or 500, "simulated.fault", "A fault was set on the simulator.")


def _leave(response: Response, simulation: Simulation, sleep: Callable[[float], None]) -> Response:
    if not g.api:
        return response
    with simulation.present() as now:
        simulation.cue("after", request.method, request.path, now)
    fault: Fault | None = g.fault
    if fault is not None and fault.kind in ("slow", "hang"):
        sleep((fault.delay_s or 0.0) / simulation.factor)
    if fault is not None and fault.kind in _UNANSWERED:
        drop(request.environ)
        return response
    if fault is not None and fault.kind == "status_after":
        response = _refuse(_simulated(fault))
    if fault is not None and fault.kind == "truncated":
        body = response.get_data()
        response.set_data(body[: len(body) // 2])
    response.headers["ININ-Correlation-Id"] = g.correlation_id
    with simulation.present() as now:
        g.logged.status = response.status_code
        response.headers["Date"] = http_date(now)  # the clock of the simulation, which may be another than the host's
        if g.token is not None:
            quota = g.token.quota
            response.headers["inin-ratelimit-count"] = str(quota.used)
            response.headers["inin-ratelimit-allowed"] = str(quota.allowed)
            response.headers["inin-ratelimit-reset"] = str(quota.reset_s(now))
    return response


def _refuse(error: ApiError) -> Response:
    response = jsonify(error.body(g.correlation_id))
    response.status_code = error.status
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = _retry_after(error.retry_after_s, error.retry_at)
    return response


def _retry_after(seconds: int, date: float | None) -> str:
    """A date has whole seconds, as `Date` has: rounded up, so that nobody comes too early."""
    return str(seconds) if date is None else http_date(math.ceil(date))


def _refuse_http(error: HTTPException) -> Response:
    """Unknown paths and methods, and what Flask itself refuses."""
    status = error.code or 500
    told = error.description or error.name
    if g.api:
        return _refuse(ApiError(status, error.name.lower().replace(" ", "."), told))
    response = jsonify({"message": told})
    response.status_code = status
    return response
