"""The control API under /sim: what was sent, what is true, and what shall happen.

All bodies are JSON; an unknown key is a 400 that names it. Durations are in
simulated seconds, times are Unix seconds.
"""

from typing import Any

from flask import Blueprint, Response, jsonify, request
from pydantic import TypeAdapter, ValidationError

from simulator.errors import ApiError
from simulator.scenario import explain
from simulator.simulation import Simulation
from simulator.vocabulary import CUES, EVENT, FAULTS, Settings, Switches
from simulator.world import Flow


def blueprint(simulation: Simulation, scenario_name: str) -> Blueprint:
    sim = Blueprint("sim", __name__, url_prefix="/sim")
    _tell(sim, simulation, scenario_name)
    _change(sim, simulation)
    sim.register_error_handler(ValidationError, lambda error: ({"message": explain(error)}, 400))
    sim.register_error_handler(ApiError, lambda error: ({"message": error.message}, 400))
    return sim


def _tell(sim: Blueprint, simulation: Simulation, scenario_name: str) -> None:
    @sim.get("/requests")
    def requests() -> Response:
        with simulation.present():
            return jsonify(simulation.requests.as_json())

    @sim.get("/state")
    def state() -> dict[str, object]:
        with simulation.present() as now:
            return {
                "scenario": scenario_name,
                "time_factor": simulation.factor,
                "seed": simulation.seed,
                "started_at": simulation.start,
                "now": now,
                "request_count": simulation.requests.count,
                "events_to_come": simulation.to_come(),
                "settings": simulation.world.settings.model_dump(),
                "switches": simulation.world.switches.model_dump(),
                "faults": simulation.faults.as_json(),
                "cues": simulation.cues.as_json(),
                "flows": [_flow(flow, now) for flow in simulation.world.flows.values()],
                "objects": simulation.objects.as_json(),
            }

    @sim.get("/switches")
    def switches() -> dict[str, object]:
        with simulation.present():
            return simulation.world.switches.model_dump()


def _change(sim: Blueprint, simulation: Simulation) -> None:
    @sim.post("/events")
    def events() -> dict[str, object]:
        event = _read(EVENT)
        with simulation.present() as now:
            simulation.apply(event, now)
            return {"event": event.event, "at": now}

    @sim.put("/faults")
    def put_faults() -> dict[str, object]:
        faults = _read(FAULTS)
        with simulation.present() as now:
            simulation.faults.replace(faults, now)
            return {"faults": simulation.faults.as_json()}

    @sim.delete("/faults")
    def delete_faults() -> dict[str, object]:
        with simulation.present() as now:
            simulation.faults.replace((), now)
            return {"faults": []}

    @sim.put("/cues")
    def put_cues() -> dict[str, object]:
        cues = _read(CUES)
        with simulation.present():
            simulation.cues.replace(cues)
            return {"cues": simulation.cues.as_json()}

    @sim.put("/settings")
    def settings() -> dict[str, object]:
        given = _read(TypeAdapter(Settings))
        with simulation.present():
            changed = simulation.world.settings.model_copy(update=given.model_dump(exclude_unset=True))
            simulation.change_settings(changed)
            return changed.model_dump()

    @sim.put("/switches")
    def put_switches() -> dict[str, object]:
        given = _read(TypeAdapter(Switches))
        with simulation.present():
            changed = simulation.world.switches.model_copy(update=given.model_dump(exclude_unset=True))
            simulation.change_switches(changed)
            return changed.model_dump()


def _read(shape: TypeAdapter[Any]) -> Any:
    return shape.validate_json(request.get_data())


def _flow(flow: Flow, now: float) -> dict[str, object]:
    shown = flow.shown(now)
    return {
        "id": flow.spec.id,
        "name": flow.spec.name,
        "active": flow.active,
        "deleted": flow.deleted,
        "locked_by": flow.locked_by,
        "calls_per_min": flow.calls_per_min,
        "live_version": flow.live.label,
        "live_since": flow.stints[-1].start,
        "uses": dict(flow.bound),
        "shown_version": shown[-1].version if shown else None,
        "publishing": None if flow.operation is None or flow.operation.complete else flow.operation.version,
        "versions": {version.label: version.error_ratio for version in flow.versions.values() if not version.deleted},
    }
