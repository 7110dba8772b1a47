"""Configuration objects other than flows, as Genesys Cloud has them now, and how they are written. Dialect `platform`.

Owns the calls and when their answers are whole. Genesys Cloud keeps no versions of
these objects. What of an answer is worth keeping, what must not be kept, and what is
to be written, is the business of others. Paths and fields: the official SDK's.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import quote

from genesys.access import Session
from genesys.answers import Answer, unexpected
from genesys.errors import Refused
from genesys.http import Request

PAGE_SIZE = 100
MOST = 5_000  # of one list: fifty calls
MAX_LISTED = MOST  # objects of one type
MAX_ROWS = MOST  # of one data table


class ObjectType(StrEnum):
    """What can be read."""

    DATA_TABLE = "data_table"
    DATA_ACTION = "data_action"
    IVR = "ivr"
    SCHEDULE = "schedule"
    SCHEDULE_GROUP = "schedule_group"
    EMERGENCY_GROUP = "emergency_group"
    QUEUE = "queue"


OBJECT_TYPES = frozenset(one.value for one in ObjectType)
_PATHS: Mapping[ObjectType, str] = MappingProxyType(
    {
        ObjectType.DATA_TABLE: "flows/datatables",
        ObjectType.DATA_ACTION: "integrations/actions",
        ObjectType.IVR: "architect/ivrs",
        ObjectType.SCHEDULE: "architect/schedules",
        ObjectType.SCHEDULE_GROUP: "architect/schedulegroups",
        ObjectType.EMERGENCY_GROUP: "architect/emergencygroups",
        ObjectType.QUEUE: "routing/queues",
    }
)
_ROWS, _ROW = "flows/datatables/rows", "flows/datatables/rows/{id}"
_PARAMS: Mapping[ObjectType, Mapping[str, str]] = MappingProxyType(
    {ObjectType.DATA_TABLE: {"expand": "schema"}, ObjectType.DATA_ACTION: {"includeConfig": "true"}}
)


WRITTEN_WITH: Mapping[ObjectType, Literal["PATCH", "PUT"]] = MappingProxyType(
    {
        ObjectType.DATA_ACTION: "PATCH",
        ObjectType.IVR: "PUT",
        ObjectType.SCHEDULE: "PUT",
        ObjectType.SCHEDULE_GROUP: "PUT",
        ObjectType.EMERGENCY_GROUP: "PUT",
    }
)
"""Those that are written as a whole; of a data table its rows are. A queue is only read."""


class Objects:
    """The objects of one organization. Each write is sent once, and raises what `Session.write` raises."""

    def __init__(self, session: Session, *, api_url: str) -> None:
        self._session = session
        self._api = f"{api_url}/api/v2"

    def read(self, object_type: ObjectType, object_id: str) -> Mapping[str, Any]:
        """The object as it is answered; of a data table also `rows`, by their keys.

        Raises `Gone` for one that does not exist, `Refused` for a table of more
        than MAX_ROWS rows, `Unavailable` where an answer is another object's or not
        every row was told, else what `Session.read` raises: never half an object.
        """
        deadline = self._session.deadline()
        path = _PATHS[object_type]
        url = f"{self._api}/{path}/{quote(object_id, safe='')}"
        params = _PARAMS.get(object_type, {})
        found = self._session.read(Request("GET", url, path, params=params), deadline=deadline)
        if Answer(path, found).text("id") != object_id:
            raise unexpected(path, "id is another one than was asked for")
        assert isinstance(found, dict)  # noqa: S101 - or `Answer` had raised
        if object_type is not ObjectType.DATA_TABLE:
            return found
        return found | {"rows": self._rows(f"{url}/rows", deadline)}

    def names(self, object_type: ObjectType) -> dict[str, str]:
        """Every object of the type by its id, with its name: a call for each hundred.

        Raises `Refused` for more than MAX_LISTED, `Unavailable` where not every one was told, else what
        `Session.read` raises: never a part of them.
        """
        path = _PATHS[object_type]
        too_many = f"there are {{}} of type {object_type}, and more than {MAX_LISTED} are not listed"
        deadline, url = self._session.deadline(), f"{self._api}/{path}"
        found = self._every(url, path, "id", deadline=deadline, things="objects", too_many=too_many)
        return {object_id: one.text("name") for object_id, (one, _) in found.items()}

    def close(self) -> None:
        """Close the connections."""
        self._session.connection.close()

    def write(self, object_type: ObjectType, object_id: str, body: Mapping[str, Any]) -> None:
        """Have the object be as `body` says, which carries the `version` that it was read with, where it has one.

        Raises `Refused` with status 409 if that is not its version any more.
        """
        path = _PATHS[object_type]
        url = f"{self._api}/{path}/{quote(object_id, safe='')}"
        self._session.write(Request(WRITTEN_WITH[object_type], url, path, json=dict(body)))

    def write_row(self, table_id: str, row: Mapping[str, Any], *, is_new: bool) -> None:
        """Add a row to a data table, or have the one with its key be as `row` says."""
        if is_new:
            self._session.write(Request("POST", self._rows_url(table_id), _ROWS, json=dict(row)))
        else:
            url = f"{self._rows_url(table_id)}/{quote(str(row['key']), safe='')}"
            self._session.write(Request("PUT", url, _ROW, json=dict(row)))

    def delete_row(self, table_id: str, key: str) -> None:
        """Remove a row from a data table. Raises `Gone` if it has none with this key."""
        self._session.write(Request("DELETE", f"{self._rows_url(table_id)}/{quote(key, safe='')}", _ROW))

    def _rows_url(self, table_id: str) -> str:
        return f"{self._api}/flows/datatables/{quote(table_id, safe='')}/rows"

    def _rows(self, url: str, deadline: float) -> Mapping[str, Mapping[str, Any]]:
        too_many = f"the data table has {{}} rows, and more than {MAX_ROWS} are not read"
        params = {"showbrief": "false"}
        found = self._every(url, _ROWS, "key", deadline=deadline, things="rows", too_many=too_many, params=params)
        return {key: raw for key, (_, raw) in found.items()}

    def _every(
        self,
        url: str,
        endpoint: str,
        key: str,
        *,
        deadline: float,
        things: str,
        too_many: str,
        params: Mapping[str, str] = MappingProxyType({}),
    ) -> Mapping[str, tuple[Answer, Mapping[str, Any]]]:
        """Every entity of a list by its `key`, page by page: all or none. `too_many` says how many there are."""
        found: dict[str, tuple[Answer, Mapping[str, Any]]] = {}
        number, count, total = 1, 1, 0
        while number <= min(count, MOST // PAGE_SIZE):
            asked = {**params, "pageNumber": str(number), "pageSize": str(PAGE_SIZE)}
            told = self._session.read(Request("GET", url, endpoint, params=asked), deadline=deadline)
            page = Answer(endpoint, told)
            count, total = page.count("pageCount"), page.count("total")
            if total > MOST:
                raise Refused(too_many.format(total))
            assert isinstance(told, dict)  # noqa: S101 - or `Answer` had raised
            listed = told.get("entities") or ()
            found |= {one.text(key): (one, raw) for one, raw in zip(page.items("entities"), listed, strict=True)}
            number += 1
        if len(found) != total:
            raise unexpected(endpoint, f"{len(found)} of {total} {things} were told; they may change just now")
        return found
