"""Genesys Cloud's public API: token, flows, publish, analytics.

Owns HTTP as Genesys Cloud speaks it; what is true is the simulation's.
"""

from collections.abc import Callable, Sequence
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from simulator.access import TokenRefused, require_publish
from simulator.analytics import (
    CONVERSATION_DIMENSIONS,
    CONVERSATION_METRICS,
    FLOW_METRICS,
    flow_dimensions,
    read_query,
    read_time,
)
from simulator.errors import bad_request
from simulator.representation import flow_as_json, last_live, operation_as_json, version_as_json
from simulator.simulation import Simulation
from simulator.world import Flow

PAGE_SIZE = 25  # Genesys Cloud's default


def blueprint(simulation: Simulation) -> Blueprint:
    api = Blueprint("api", __name__)
    _token(api, simulation)
    _flows(api, simulation)
    _publish(api, simulation)
    _analytics(api, simulation)
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
        with simulation.present() as now:
            found = [flow for flow in simulation.world.flows.values() if _asked_for(flow, now)]
            return _page(found, lambda flow: flow_as_json(flow, now))

    @api.get("/api/v2/flows/<flow_id>")
    def flow(flow_id: str) -> dict[str, object]:
        with simulation.present() as now:
            return flow_as_json(simulation.world.flow(flow_id), now)

    @api.get("/api/v2/flows/<flow_id>/versions")
    def versions(flow_id: str) -> dict[str, object]:
        with simulation.present() as now:
            flow = simulation.world.flow(flow_id)
            newest_first = [known for known in reversed(flow.versions.values()) if not known.deleted]
            return _page(newest_first, lambda known: version_as_json(flow, known, now))

    @api.get("/api/v2/flows/<flow_id>/versions/<label>")
    def version(flow_id: str, label: str) -> dict[str, object]:
        with simulation.present() as now:
            known = simulation.world.version(flow_id, label)
            return version_as_json(simulation.world.flow(flow_id), known, now)

    @api.get("/api/v2/flows/<flow_id>/versions/<label>/configuration")
    def configuration(flow_id: str, label: str) -> dict[str, object]:
        with simulation.present():
            known = simulation.world.version(flow_id, label)
            return {"name": simulation.world.flow(flow_id).spec.name, "version": known.label}


def _publish(api: Blueprint, simulation: Simulation) -> None:
    @api.post("/api/v2/flows/actions/publish")
    def publish() -> dict[str, object]:
        require_publish(g.token.client)
        flow_id = request.args.get("flow")
        version = request.args.get("version")
        if not flow_id or not version:
            raise bad_request("The query parameters flow and version are required")
        with simulation.present() as now:
            operation = simulation.world.publish(flow_id, version, client=g.token.client.name, at=now)
            g.logged.effect_at = operation.completes_at
            return operation_as_json(operation)


def _analytics(api: Blueprint, simulation: Simulation) -> None:
    dimensions = flow_dimensions({flow.id: flow for flow in simulation.scenario.flows})

    @api.post("/api/v2/analytics/flows/aggregates/query")
    def flow_aggregates() -> Response:
        query = read_query(request.get_json(force=True, silent=True), FLOW_METRICS, dimensions)
        with simulation.present():
            found = simulation.query(query)
        return jsonify({} if g.silent else found)

    @api.post("/api/v2/analytics/conversations/aggregates/query")
    def conversation_aggregates() -> Response:
        body = request.get_json(force=True, silent=True)
        query = read_query(body, CONVERSATION_METRICS, CONVERSATION_DIMENSIONS)
        with simulation.present():
            found = simulation.query(query)
        return jsonify({} if g.silent else found)


def _asked_for(flow: Flow, now: float) -> bool:
    types = {kind.lower() for given in request.args.getlist("type") for kind in given.split(",")}
    divisions = {division for given in request.args.getlist("divisionId") for division in given.split(",")}
    if types and flow.spec.type not in types:
        return False
    if divisions and flow.spec.division.id not in divisions:
        return False
    if flow.deleted and request.args.get("deleted", "").lower() != "true":
        return False
    return _published_in_time(flow, now)


def _published_in_time(flow: Flow, now: float) -> bool:
    after = request.args.get("publishedAfter")
    before = request.args.get("publishedBefore")
    stints = flow.shown(now)
    published = last_live(stints, stints[-1].version)[0] if stints else None
    if published is None:
        return not after and not before
    if after and published <= read_time(after, "publishedAfter"):
        return False
    return not (before and published >= read_time(before, "publishedBefore"))


def _page(found: Sequence[Any], as_json: Callable[[Any], dict[str, object]]) -> dict[str, object]:
    size = _positive("pageSize", PAGE_SIZE)
    number = _positive("pageNumber", 1)
    first = (number - 1) * size
    body: dict[str, object] = {
        "entities": [as_json(one) for one in found[first : first + size]],
        "pageSize": size,
        "pageNumber": number,
        "total": len(found),
        "pageCount": -(-len(found) // size),
        "selfUri": request.path,
    }
    if first + size < len(found):
        body["nextUri"] = f"{request.path}?pageSize={size}&pageNumber={number + 1}"
    return body


def _positive(name: str, default: int) -> int:
    text = request.args.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise bad_request(f"{name} must be a positive number")
    return int(text)
