"""The calls that write configuration objects other than flows; paths and bodies are the official SDK's."""

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Blueprint, g, request

from simulator.access import require
from simulator.errors import bad_request
from simulator.objects import PATHS
from simulator.simulation import Simulation
from simulator.vocabulary import Change

# Each with its method and the permission; a queue is not written here.
_WHOLE = (
    ("data_action", "PATCH", "integrations:action:edit"),
    ("ivr", "PUT", "routing:callRoute:edit"),
    ("schedule", "PUT", "routing:schedule:edit"),
    ("schedule_group", "PUT", "routing:scheduleGroup:edit"),
    ("emergency_group", "PUT", "routing:emergencyGroup:edit"),
)
_OF_ACTION = frozenset({"category", "name", "config", "version"})  # all that UpdateActionInput has
_ROWS = f"/api/v2/{PATHS['data_table']}/<table_id>/rows"


def blueprint(simulation: Simulation) -> Blueprint:
    api = Blueprint("object_writes", __name__)
    for object_type, method, permission in _WHOLE:
        view = partial(_write, simulation, object_type, permission)
        api.add_url_rule(f"/api/v2/{PATHS[object_type]}/<object_id>", object_type, view, methods=[method])

    @api.post(_ROWS)
    def add(table_id: str) -> dict[str, Any]:
        return _row(simulation, table_id, _body(), "architect:datatableRow:add", is_new=True)

    @api.put(f"{_ROWS}/<path:key>")
    def edit(table_id: str, key: str) -> dict[str, Any]:
        return _row(simulation, table_id, _body() | {"key": key}, "architect:datatableRow:edit", is_new=False)

    @api.delete(f"{_ROWS}/<path:key>")
    def delete(table_id: str, key: str) -> tuple[str, int]:
        require("architect:datatableRow:delete", g.token.client)
        _do(simulation, lambda by: simulation.objects.delete_row(table_id, key, by))
        return "", 204

    return api


def _write(simulation: Simulation, object_type: str, permission: str, object_id: str) -> dict[str, Any]:
    require(permission, g.token.client)
    body, is_action = _body(), object_type == "data_action"
    if is_action and not body.keys() <= _OF_ACTION:
        raise bad_request(f"UpdateActionInput has no {', '.join(sorted(body.keys() - _OF_ACTION))}")
    _do(simulation, lambda by: simulation.objects.write(object_type, object_id, body, by, whole=not is_action))
    with simulation.present():
        return dict(simulation.objects.read(object_type, object_id))


def _row(
    simulation: Simulation, table_id: str, row: dict[str, Any], permission: str, *, is_new: bool
) -> dict[str, Any]:
    require(permission, g.token.client)
    if not isinstance(row.get("key"), str) or not row["key"]:
        raise bad_request("a row needs a key")
    _do(simulation, lambda by: simulation.objects.put_row(table_id, row, by, is_new=is_new))
    return row


def _do(simulation: Simulation, change: Callable[[str], Change]) -> None:
    if g.fault is not None and g.fault.kind == "object_nothing":
        return
    with simulation.present() as now:
        simulation.object_changed(change(g.token.client.name), now)


def _body() -> dict[str, Any]:
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise bad_request("the body must be an object")
    return body
