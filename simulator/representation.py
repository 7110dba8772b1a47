"""Flows, versions and operations as Genesys Cloud's API shows them."""

from typing import Any

from simulator.analytics import iso
from simulator.errors import ApiError, not_found
from simulator.ids import id_of
from simulator.vocabulary import Switches
from simulator.world import Flow, Operation, Stint, Version


def flow_as_json(flow: Flow, now: float) -> dict[str, Any]:
    """The flow as a read shows it now; what is unset is left out."""
    stints = flow.shown(now)
    body: dict[str, Any] = {
        "id": flow.spec.id,
        "name": flow.spec.name,
        "type": flow.spec.type.upper(),
        "division": {
            "id": flow.spec.division.id,
            "name": flow.spec.division.name,
            "selfUri": f"/api/v2/authorization/divisions/{flow.spec.division.id}",
        },
        "active": flow.active,
        "deleted": flow.deleted,
        "system": False,
        "selfUri": f"/api/v2/flows/{flow.spec.id}",
    }
    if stints:
        published = version_as_json(flow, flow.versions[stints[-1].version], now)
        body |= {"publishedVersion": published, "checkedInVersion": published, "savedVersion": published}
    if flow.locked_by is not None:
        body["lockedUser"] = _entity(flow.locked_by)
    if flow.operation is not None:
        body["currentOperation"] = operation_as_json(flow.operation)
    return body


def version_as_json(flow: Flow, version: Version, now: float) -> dict[str, Any]:
    """The version; `datePublished` and `datePublishedEnd` are of the last time it was live."""
    created_ms = round(version.created_at * 1000)
    body: dict[str, Any] = {
        "id": version.label,
        "name": version.label,
        "commitVersion": version.label,
        "configurationVersion": "1",
        "type": "PUBLISH",
        "secure": False,
        "debug": False,
        "createdByClient": _entity(version.created_by),
        "configurationUri": f"/api/v2/flows/{flow.spec.id}/versions/{version.label}/configuration",
        "dateCreated": created_ms,
        "dateCheckedIn": created_ms,
        "dateSaved": created_ms,
        "selfUri": f"/api/v2/flows/{flow.spec.id}/versions/{version.label}",
    }
    return body | published_dates(flow, version.label, now)


def configuration_as_json(flow: Flow, version: Version, switches: Switches) -> dict[str, Any]:
    """What the version contains. Raises an `ApiError` where the switch says that nobody may know."""
    if switches.configuration == "refused":
        raise ApiError(403, "missing.any.permissions", "The client lacks a permission to see the configuration.")
    if switches.configuration == "absent":
        raise not_found(f"The configuration of version {version.label} of flow {flow.spec.id}")
    body: dict[str, Any] = {"name": flow.spec.name, "initialSequence": {"actions": [{"say": version.content}]}}
    return body | ({"version": version.label} if switches.configuration == "labelled" else {})


def published_dates(flow: Flow, label: str, now: float) -> dict[str, str]:
    """`datePublished` and `datePublishedEnd` as a read shows them now; what is unset is left out."""
    dates = zip(("datePublished", "datePublishedEnd"), last_live(flow.shown(now), label), strict=True)
    return {name: iso(round(date * 1000)) for name, date in dates if date is not None}


def last_live(stints: list[Stint], label: str) -> tuple[float | None, float | None]:
    """What a version's dates say: when it became and ceased to be the live one; None where it has not."""
    for position in range(len(stints) - 1, -1, -1):
        if stints[position].version == label:
            following = stints[position + 1 : position + 2]
            return stints[position].dated, following[0].start if following else None
    return None, None


def operation_as_json(operation: Operation) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": operation.id,
        "complete": operation.complete,
        "client": _entity(operation.client),
        "actionName": "PUBLISH",
        "actionStatus": "STARTED",
    }
    if operation.complete:
        body["actionStatus"] = "FAILURE" if operation.error_code else "SUCCESS"
    if operation.error_code:
        body["errorCode"] = operation.error_code
        body["errorMessage"] = f"The version {operation.version} could not be published."
        body["errorDetails"] = []
    return body


def _entity(name: str) -> dict[str, Any]:
    return {"id": id_of(name), "name": name}
