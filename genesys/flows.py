"""Flows, their versions and operations, as both dialects tell them.

Times are Unix seconds. Nothing here calls Genesys Cloud.
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Operation:
    """An asynchronous action of Architect; there is no call that reads one: poll the flow."""

    id: str
    complete: bool
    action: str | None = None
    status: str | None = None
    error: str | None = None  # errorCode, errorMessage and errorDetails in one line


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow as Genesys Cloud shows it now; `type` is lower case (`inboundcall`), as in analytics."""

    id: str
    name: str
    type: str
    division_id: str
    division_name: str
    active: bool
    deleted: bool
    live_version: str | None
    live_published_at: float | None
    published_by: str | None
    locked_by: str | None
    operation: Operation | None


@dataclass(frozen=True, slots=True)
class FlowVersion:
    """One version of a flow; `id` is its label (`13.0`).

    `published_at` and `published_until` tell when it last became, and ceased
    to be, the live one; None when it never was, or still is.
    """

    id: str
    debug: bool
    published_at: float | None
    published_until: float | None
    published_by: str | None


class Readback(StrEnum):
    """What reading a flow back says about a publish."""

    DONE = "done"  # the target is live and nothing is under way
    PENDING = "pending"  # not yet: an operation is under way, or the effect does not show
    FAILED = "failed"  # our operation says FAILURE
    OVERTAKEN = "overtaken"  # a third version is live and nothing is under way: somebody else published


def read_back(flow: Flow, *, accused: str, target: str, operation_id: str | None) -> Readback:
    """Judge a publish of `target` over `accused` by the flow read after it.

    A 200 proves nothing: Genesys Cloud answers it before the effect, and also
    for a version that does not exist. Only the flow itself is believed, and not
    while an operation is under way: ours may yet replace what is live now.
    """
    operation = flow.operation
    if operation is not None and not operation.complete:
        return Readback.PENDING
    if flow.live_version == target:
        return Readback.DONE
    if flow.live_version != accused:
        return Readback.OVERTAKEN
    ours = operation is not None and operation_id is not None and operation.id == operation_id
    if ours and operation is not None and operation.status == "FAILURE":
        return Readback.FAILED
    return Readback.PENDING


def read_back_anew(
    flow: Flow, *, version: str, operation_id: str | None, operation_before: str | None, published_before: float | None
) -> Readback | None:
    """Judge a publish of the `version` that is live anyway; None where somebody else's operation hides what came of it.

    Only a newer date of the version, or the operation, can tell: ours, or, if the answer was lost, the publish that
    was not there before. A person's publish of the same version is as good.
    """
    operation = flow.operation
    if operation is not None and not operation.complete:
        return Readback.PENDING
    if flow.live_version != version:
        return Readback.OVERTAKEN
    if (
        published_before is not None
        and flow.live_published_at is not None
        and flow.live_published_at > published_before
    ):
        return Readback.DONE
    if operation is None or operation.id == operation_before:
        return Readback.PENDING
    if operation.id == operation_id:
        return Readback.DONE if operation.status == "SUCCESS" else Readback.FAILED
    is_publish = operation.action == "PUBLISH" and operation.status == "SUCCESS"
    return Readback.DONE if is_publish else None
