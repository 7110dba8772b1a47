"""The call that reads the audit, as Genesys' definition of it has it."""

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from simulator.analytics import iso, read_time
from simulator.errors import bad_request
from simulator.strict import Text, Words
from simulator.trail import AuditTrail, Entry, id_of_author, id_of_entity

MAX_PAGE_SIZE = 100  # the most that is shown in Genesys' own examples

_Size = Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE)]


class _Filter(Words):
    property: Literal["UserId", "TrusteeOrganizationId", "ClientId", "Action", "EntityType", "EntityId"]
    value: Text


class _Sort(Words):
    name: Literal["Timestamp"]
    sortOrder: Literal["ascending", "descending"]  # noqa: N815 - Genesys Cloud's own word


class _Query(Words):
    """As Genesys' definition of the call has it."""

    interval: Text
    serviceName: Text  # noqa: N815
    filters: Annotated[tuple[_Filter, ...], Field(strict=False)] = ()
    sort: Annotated[tuple[_Sort, ...], Field(strict=False)] = ()
    pageNumber: Annotated[int, Field(ge=1)] = 1  # noqa: N815
    pageSize: _Size = 25  # noqa: N815


def answer(body: object, trail: AuditTrail, now: float, *, expand: Collection[str]) -> dict[str, Any]:
    """The page that is asked for. Raises a 400 `ApiError` for what is no query."""
    try:
        query = _Query.model_validate(body)
    except ValidationError as problem:
        raise bad_request(f"audits: {problem.errors(include_url=False)[0]['msg']}") from problem
    first, slash, last = query.interval.partition("/")
    if not slash:
        raise bad_request("interval must have a start and an end")
    start, end = read_time(first, "interval"), read_time(last, "interval")
    found = [
        entry
        for entry in trail.entries
        if start <= entry.at < end
        and entry.shown_from <= now
        and entry.change.service == query.serviceName
        and all(entry.values(trail.clients).get(one.property) == one.value for one in query.filters)
    ]
    newest_first = not query.sort or query.sort[0].sortOrder == "descending"
    found.sort(key=lambda entry: entry.at, reverse=newest_first)
    begin = (query.pageNumber - 1) * query.pageSize
    return {
        "entities": [_as_json(one, trail, expand) for one in found[begin : begin + query.pageSize]],
        "pageSize": query.pageSize,
        "pageNumber": query.pageNumber,
        "total": len(found),
        "pageCount": -(-len(found) // query.pageSize),
    }


def _as_json(entry: Entry, trail: AuditTrail, expand: Collection[str]) -> dict[str, Any]:
    change = entry.change
    author_id, entity_id = id_of_author(change, trail.clients), id_of_entity(change)
    body: dict[str, Any] = {
        "id": entry.id,
        "level": "USER",
        "serviceName": change.service,
        "eventDate": iso(round(entry.at * 1000)),
        "action": change.action,
        "entityType": change.entity_type,
        "entity": {"id": entity_id, "name": change.entity_name},
        "status": change.status,
        "transactionInitiator": True,
        "context": {} if entry.version is None else {"version": entry.version},
        "propertyChanges": [],
    }
    if change.person:
        body["user"] = {"id": author_id} | ({"name": change.by} if "user" in expand else {})
    else:
        body["client"] = {"id": author_id, "selfUri": f"/api/v2/oauth/clients/{author_id}"}
    if change.application is not None:
        body["application"] = change.application
    return body
