"""Configuration objects other than flows: how they are, and what the audit tells when somebody changes them.

Paths and fields are the official SDK's. The service and the entity type in the audit
are this simulator's own: nobody has seen them.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from simulator.errors import ApiError, bad_request, not_found
from simulator.vocabulary import Change, ChangeObject, DeleteObject, Impairment, ObjectSpec

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
_VERSION_MAY_LACK = ("schedule", "schedule_group")  # a scenario may give them one, and a write may leave it out


class Objects:
    """Every object by type and id, as it is now."""

    def __init__(self, specs: Iterable[ObjectSpec]) -> None:
        self._specs = tuple(specs)
        self._found: dict[tuple[str, str], dict[str, Any]] = {}
        self._rows: dict[str, dict[str, dict[str, Any]]] = {}
        for spec in self._specs:
            numbered = {"version": 1} if spec.type in _VERSIONED else {}
            body = {**numbered, **spec.fields, "id": spec.id, "name": spec.name}
            self._found[spec.type, spec.id] = body | {"selfUri": f"/api/v2/{PATHS[spec.type]}/{spec.id}"}
            if spec.type == "data_table":
                self._rows[spec.id] = {row["key"]: row for row in spec.rows}
        self._first = copy.deepcopy((self._found, self._rows))

    def as_json(self) -> list[dict[str, object]]:
        """Each with whether it is not as it was at first, and the number of its changes where it is counted."""
        return [
            {
                "type": spec.type,
                "id": spec.id,
                "name": spec.name,
                "changed": self._is_changed(spec),
                "version": self._found.get((spec.type, spec.id), {}).get("version"),
            }
            for spec in self._specs
        ]

    def impairments(self) -> list[Impairment]:
        """What callers meet because objects are not as they were at first; who wrote them how often does not count."""
        return [met for spec in self._specs if self._is_changed(spec) for met in spec.while_changed]

    def _is_changed(self, spec: ObjectSpec) -> bool:
        (found, rows), key = self._first, (spec.type, spec.id)
        now = self._found.get(key, {}) | {"version": None}
        return now != found[key] | {"version": None} or self._rows.get(spec.id) != rows.get(spec.id)

    def read(self, object_type: str, object_id: str) -> Mapping[str, Any]:
        """Raises a 404 `ApiError` for what does not exist."""
        found = self._found.get((object_type, object_id))
        if found is None:
            raise not_found(f"The {object_type} {object_id}")
        return found

    def of_type(self, object_type: str) -> Sequence[Mapping[str, Any]]:
        """Every object of a type that exists, by name."""
        found = [one for (of, _), one in self._found.items() if of == object_type]
        return sorted(found, key=lambda one: str(one["name"]))

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
            kept = {key: row for key, row in self._rows[event.id].items() if key not in event.removed}
            self._rows[event.id] = kept | {row["key"]: row for row in event.rows}
        return self._audited(event, body["name"], "Update")

    def write(self, object_type: str, object_id: str, fields: Mapping[str, Any], by: str, *, whole: bool) -> Change:
        """As `change`, by a client of the API: all fields are given, or some.

        Raises a 404 `ApiError` for what does not exist, a 409 for another `version` than it has, and a 400 for
        a whole one without a name.
        """
        before = self.read(object_type, object_id)
        given = fields.get("version", before.get("version") if object_type in _VERSION_MAY_LACK else None)
        if "version" in before and given != before["version"]:
            told = f"The {object_type} {object_id} has version {before['version']}, not {given}."
            raise ApiError(409, "version.conflict", told)
        if whole and not fields.get("name"):
            raise bad_request(f"The {object_type} {object_id} needs a name")
        kept = {"id": before["id"], "selfUri": before["selfUri"]}
        body = {**({} if whole else before), **fields, **kept}
        if "version" in before:
            body["version"] = before["version"] + 1
        self._found[object_type, object_id] = body
        return self._by_client(object_type, object_id, by, "Update")

    def put_row(self, table_id: str, row: Mapping[str, Any], by: str, *, is_new: bool) -> Change:
        """Raises a 404 `ApiError` for a table or row that does not exist, and a 409 for a new row that does."""
        self.read("data_table", table_id)
        rows, key = self._rows[table_id], str(row["key"])
        if is_new and key in rows:
            raise ApiError(409, "row.exists", f"The data table {table_id} has a row {key}.")
        if not is_new and key not in rows:
            raise not_found(f"The row {key} of data table {table_id}")
        self._rows[table_id] = {**rows, key: dict(row)}
        return self._by_client("data_table", table_id, by, "Update")

    def delete_row(self, table_id: str, key: str, by: str) -> Change:
        """Raises a 404 `ApiError` for a table or row that does not exist."""
        self.read("data_table", table_id)
        if key not in self._rows[table_id]:
            raise not_found(f"The row {key} of data table {table_id}")
        self._rows[table_id] = {name: row for name, row in self._rows[table_id].items() if name != key}
        return self._by_client("data_table", table_id, by, "Update")

    def _by_client(self, object_type: str, object_id: str, by: str, action: str) -> Change:
        name = self.read(object_type, object_id)["name"]
        event = ChangeObject.model_validate({"event": "change_object", "type": object_type, "id": object_id, "by": by})
        return self._audited(event, name, action)

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
