"""Genesys Cloud's public API, the dialect `platform`: token, flows, publish, analytics.

Owns HTTP as Genesys Cloud speaks it; what is true is the simulation's.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Blueprint, request

from simulator import audit, storage
from simulator.access import TokenRefused
from simulator.analytics import answer, read_query, read_time
from simulator.catalogue import (
    ACTION_DIMENSIONS,
    ACTION_METRICS,
    CONVERSATION_DIMENSIONS,
    CONVERSATION_METRICS,
    FLOW_METRICS,
    Dimensions,
    Metrics,
    flow_dimensions,
)
from simulator.errors import bad_request
from simulator.objects import PATHS
from simulator.representation import configuration_as_json, flow_as_json, last_live, version_as_json
from simulator.simulation import Simulation
from simulator.views import page, publish, read_world, tabulated
from simulator.vocabulary import Switches
from simulator.world import Flow


def blueprint(simulation: Simulation) -> Blueprint:
    api = Blueprint("api", __name__)
    _token(api, simulation)
    _flows(api, simulation)
    _publish(api, simulation)
    _jobs(api, simulation)
    _analytics(api, simulation)
    _audits(api, simulation)
    _objects(api, simulation)
    return api


def _token(api: Blueprint, simulation: Simulation) -> None:
    @api.post("/oauth/token")
    def token() -> tuple[dict[str, object], int]:
        basic = request.authorization
        given = (basic.username, basic.password) if basic is not None and basic.type == "basic" else ("", "")
        try:
            with simulation.present() as now:
                grant_type = request.form.get("grant_type", "")
                return simulation.gatekeeper.issue(given[0] or "", given[1] or "", grant_type, now), 200
        except TokenRefused as refused:
            told = refused.description
            return {"error": refused.error, "description": told, "error_description": told}, 400


def _flows(api: Blueprint, simulation: Simulation) -> None:
    @api.get("/api/v2/flows")
    def flows() -> dict[str, object]:
        with read_world(simulation) as (world, at):
            found = [flow for flow in world.flows.values() if _asked_for(flow, world.switches, at)]
            return page(found, lambda flow: flow_as_json(flow, at))

    @api.get("/api/v2/flows/<flow_id>")
    def flow(flow_id: str) -> dict[str, object]:
        with read_world(simulation) as (world, at):
            return flow_as_json(world.flow(flow_id), at)

    @api.get("/api/v2/flows/<flow_id>/versions")
    def versions(flow_id: str) -> dict[str, object]:
        with read_world(simulation) as (world, at):
            flow = world.flow(flow_id)
            return page(flow.existing(), lambda known: version_as_json(flow, known, at))

    @api.get("/api/v2/flows/<flow_id>/versions/<label>")
    def version(flow_id: str, label: str) -> dict[str, object]:
        with read_world(simulation) as (world, at):
            return version_as_json(world.flow(flow_id), world.version(flow_id, label), at)

    @api.get("/api/v2/flows/<flow_id>/versions/<label>/configuration")
    def configuration(flow_id: str, label: str) -> dict[str, object]:
        with read_world(simulation) as (world, _):
            return configuration_as_json(world.flow(flow_id), world.version(flow_id, label), world.switches)


def _publish(api: Blueprint, simulation: Simulation) -> None:
    @api.post("/api/v2/flows/actions/publish")
    def publish_flow() -> dict[str, object]:
        flow_id = request.args.get("flow")
        version = request.args.get("version")
        if not flow_id or not version:
            raise bad_request("The query parameters flow and version are required")
        return publish(simulation, flow_id, version)


def _jobs(api: Blueprint, simulation: Simulation) -> None:
    @api.post("/api/v2/flows/export/jobs")
    def export() -> dict[str, object]:
        return storage.export(simulation)

    @api.get("/api/v2/flows/export/jobs/<job_id>")
    def export_job(job_id: str) -> dict[str, object]:
        return storage.export_as_json(simulation, job_id)

    @api.post("/api/v2/flows/jobs")
    def register() -> dict[str, object]:
        return storage.register(simulation)

    @api.get("/api/v2/flows/jobs/<job_id>")
    def deploy_job(job_id: str) -> dict[str, object]:
        return storage.deploy_as_json(simulation, job_id)


def _analytics(api: Blueprint, simulation: Simulation) -> None:
    dimensions = flow_dimensions({flow.id: flow for flow in simulation.scenario.flows})

    @api.post("/api/v2/analytics/flows/aggregates/query")
    def flow_aggregates() -> dict[str, Any]:
        return _aggregates(simulation, FLOW_METRICS, dimensions)

    @api.post("/api/v2/analytics/conversations/aggregates/query")
    def conversation_aggregates() -> dict[str, Any]:
        return _aggregates(simulation, CONVERSATION_METRICS, CONVERSATION_DIMENSIONS)

    @api.post("/api/v2/analytics/actions/aggregates/query")
    def action_aggregates() -> dict[str, Any]:
        with simulation.present():
            views = simulation.world.switches.action_views
        return _aggregates(simulation, ACTION_METRICS, ACTION_DIMENSIONS, views)


def _audits(api: Blueprint, simulation: Simulation) -> None:
    @api.post("/api/v2/audits/query/realtime")
    def audits() -> dict[str, Any]:
        body = request.get_json(force=True, silent=True)
        expand = {word for given in request.args.getlist("expand") for word in given.split(",")}
        with simulation.present() as now:
            return audit.answer(body, simulation.world.audit, now, expand=expand)


def _objects(api: Blueprint, simulation: Simulation) -> None:
    for object_type, path in PATHS.items():
        one, every = partial(_object, simulation, object_type), partial(_listed, simulation, object_type)
        api.add_url_rule(f"/api/v2/{path}/<object_id>", object_type, one, methods=["GET"])
        api.add_url_rule(f"/api/v2/{path}", f"{object_type}s", every, methods=["GET"])

    @api.get(f"/api/v2/{PATHS['data_table']}/<table_id>/rows")
    def rows(table_id: str) -> dict[str, object]:
        brief = request.args.get("showbrief", "true").lower() != "false"
        with simulation.present():
            return page(simulation.objects.rows(table_id), lambda row: {"key": row["key"]} if brief else row)


def _listed(simulation: Simulation, object_type: str) -> dict[str, object]:
    with simulation.present():
        return page(simulation.objects.of_type(object_type), partial(_shown, object_type))


def _object(simulation: Simulation, object_type: str, object_id: str) -> dict[str, object]:
    with simulation.present():
        return _shown(object_type, simulation.objects.read(object_type, object_id))


def _shown(object_type: str, found: Mapping[str, Any]) -> dict[str, object]:
    body = dict(found)
    if object_type == "data_action" and request.args.get("includeConfig", "").lower() != "true":
        body.pop("config", None)
    if object_type == "data_table" and request.args.get("expand") != "schema":
        body.pop("schema", None)
    return body


def _aggregates(
    simulation: Simulation, metrics: Metrics, dimensions: Dimensions, views: str = "works"
) -> dict[str, Any]:
    body = request.get_json(force=True, silent=True)
    if isinstance(body, dict) and body.get("views") and views != "works":
        if views == "refused":
            raise bad_request("views: not of data actions")
        del body["views"]
    with simulation.present():
        query = read_query(body, metrics, dimensions, simulation.world.switches)
    with tabulated(simulation, query.span, query.selection) as table:
        return answer(query, table)


def _asked_for(flow: Flow, switches: Switches, at: float) -> bool:
    types = {kind.lower() for given in request.args.getlist("type") for kind in given.split(",")}
    divisions = {division for given in request.args.getlist("divisionId") for division in given.split(",")}
    if types and flow.spec.type not in types:
        return False
    if divisions and flow.spec.division.id not in divisions:
        return False
    if flow.deleted and request.args.get("deleted", "").lower() != "true":
        return False
    return switches.published_after == "ignored" or _published_in_time(flow, switches, at)


def _published_in_time(flow: Flow, switches: Switches, at: float) -> bool:
    after = request.args.get("publishedAfter")
    before = request.args.get("publishedBefore")
    if (after or before) and switches.published_after == "refused":
        raise bad_request("publishedAfter and publishedBefore: the format of the date is not known")
    stints = flow.shown(at)
    published = last_live(stints, stints[-1].version)[0] if stints else None
    if published is None:
        return not after and not before
    if after and published <= read_time(after, "publishedAfter"):
        return False
    return not (before and published >= read_time(before, "publishedBefore"))
