"""Which flows use what: Architect's dependency tracking, as Genesys' definition of its calls has it.

Genesys Cloud builds it beside what is published, so that it can be absent or late:
`dependency_tracking` among the switches. The permission is this simulator's own guess,
after the pattern of the others.
"""

from flask import Blueprint, g, request

from simulator.access import require
from simulator.errors import bad_request
from simulator.simulation import Simulation
from simulator.views import page, read_world
from simulator.world import Flow, World

PERMISSION = "architect:dependencyTracking:view"
_STATUS = {"works": "OPERATIONAL", "stale": "OPERATIONALNEEDSREBUILD", "absent": "NOTBUILT"}


def blueprint(simulation: Simulation) -> Blueprint:
    calls = Blueprint("dependencies", __name__)

    @calls.get("/api/v2/architect/dependencytracking/build")
    def build() -> dict[str, object]:
        require(PERMISSION, g.token.client)
        with read_world(simulation) as (world, _):
            return {"status": _STATUS[world.switches.dependency_tracking]}

    @calls.get("/api/v2/architect/dependencytracking/consumingresources")
    def consuming_resources() -> dict[str, object]:
        require(PERMISSION, g.token.client)
        consumed, kind = request.args.get("id"), request.args.get("objectType")
        if not consumed or not kind:
            raise bad_request("The query parameters id and objectType are required")
        with read_world(simulation) as (world, _):
            found = _users(world, consumed, kind) if world.switches.dependency_tracking == "works" else []
            return page(found, _as_json)

    return calls


def _users(world: World, consumed: str, kind: str) -> list[Flow]:
    """Flows whose live version uses the flow of this id, if it is of this kind."""
    used = world.flows.get(consumed)
    if used is None or _kind(used) != kind.upper():
        return []
    return [flow for flow in world.flows.values() if consumed in flow.spec.uses and not flow.deleted]


def _as_json(flow: Flow) -> dict[str, object]:
    return {
        "id": flow.spec.id,
        "name": flow.spec.name,
        "version": flow.live.label,
        "type": _kind(flow),
        "deleted": False,
        "updated": False,
        "stateUnknown": False,
        "selfUri": f"/api/v2/flows/{flow.spec.id}",
    }


def _kind(flow: Flow) -> str:
    """`COMMONMODULEFLOW` of a flow of type `commonmodule`."""
    return f"{flow.spec.type.upper()}FLOW"
