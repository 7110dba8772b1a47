"""Configuration objects other than flows: how they are, and what the audit tells when somebody changes them.

Paths and fields are the official SDK's. The service and the entity type in the audit
are this simulator's own: nobody has seen them.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from simulator.errors import not_found
from simulator.vocabulary import Change, ChangeObject, DeleteObject, ObjectSpec

PATHS: Mapping[str, str] = MappingProxyType(
    {
        "data_table": "flows/datatables",
        "data_action": "integrations/actions",
        "ivr": "architect/ivrs",
        "schedule": "architect/schedules",
        "schedule_group": "architect/schedulegroups",
        "emergency_group": "architect/emergencygroups",
        "queue": "routing/queues",
    }
)
_AUDITED = MappingProxyType(
    {
        "data_table": ("Architect", "DataTable"),
        "data_action": ("Integrations", "Action"),
        "ivr": ("Routing", "IVR"),
        "schedule": ("Routing", "Schedule"),
        "schedule_group": ("Routing", "ScheduleGroup"),
        "emergency_group": ("Routing", "EmergencyGroup"),
        "queue": ("Routing", "Queue"),
    }
)
_VERSIONED = ("data_action", "ivr", "emergency_group")  # each change counts their integer `version` up


class Objects:
    """Every object by type and id, as it is now."""

    def __init__(self, specs: Iterable[ObjectSpec]) -> None:
        self._found: dict[tuple[str, str], dict[str, Any]] = {}
        self._rows: dict[str, dict[str, dict[str, Any]]] = {}
        for spec in specs:
            numbered = {"version": 1} if spec.type in _VERSIONED else {}
            body = {**numbered, **spec.fields, "id": spec.id, "name": spec.name}
            self._found[spec.type, spec.id] = body | {"selfUri": f"/api/v2/{PATHS[spec.type]}/{spec.id}"}
            if spec.type == "data_table":
                self._rows[spec.id] = {row["key"]: row for row in spec.rows}

    def read(self, object_type: str, object_id: str) -> Mapping[str, Any]:
        """Raises a 404 `ApiError` for what does not exist."""
        found = self._found.get((object_type, object_id))
        if found is None:
            raise not_found(f"The {object_type} {object_id}")
        return found

    def rows(self, table_id: str) -> Sequence[Mapping[str, Any]]:
        """Of a data table, by key. Raises a 404 `ApiError` for what does not exist."""
        self.read("data_table", table_id)
        return [row for _, row in sorted(self._rows[table_id].items())]

    def change(self, event: ChangeObject) -> Change:
        """What the audit is to tell. Raises a 404 `ApiError` for what does not exist."""
        body = {**self.read(event.type, event.id), **event.fields}
        if event.type in _VERSIONED:
            body["version"] += 1
        self._found[event.type, event.id] = body
        if event.type == "data_table":
            self._rows[event.id] |= {row["key"]: row for row in event.rows}
        return self._audited(event, body["name"], "Update")

    def delete(self, event: DeleteObject) -> Change:
        """As `change`."""
        name = self.read(event.type, event.id)["name"]
        del self._found[event.type, event.id]
        return self._audited(event, name, "Delete")

    def _audited(self, event: ChangeObject | DeleteObject, name: str, action: str) -> Change:
        service, entity_type = _AUDITED[event.type]
        return Change(
            event="change",
            service=service,
            entity_type=entity_type,
            entity_id=event.id,
            entity_name=name,
            action=action,
            by=event.by,
            person=event.person,
            application=event.application,
        )
