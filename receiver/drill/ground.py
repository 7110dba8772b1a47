"""Whether a flow can be drilled, and with which two of its versions. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from genesys.flows import Flow, FlowVersion
from receiver.drill.fence import NotNow

WORKFLOW = "workflow"  # the one type of flow that no caller meets


class NotAWorkflow(Exception):
    """The flow is of a type that callers meet."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What is live now, and the older version that will be for a while."""

    flow_id: str
    name: str
    live: str
    older: str
    dated: float | None  # when the older one was published, as its date says


def require_workflow(flow: Flow) -> None:
    """Raises NotAWorkflow."""
    if flow.type != WORKFLOW:
        raise NotAWorkflow(f"{flow.name} is of type {flow.type}; only a {WORKFLOW} is drilled: callers meet the others")


def ground_of(flow: Flow, versions: Sequence[FlowVersion], quarantined: Collection[str]) -> Ground:
    """The version that was live last before this one. Raises NotAWorkflow, or NotNow with what is in the way."""
    require_workflow(flow)
    if flow.deleted or flow.live_version is None:
        raise NotNow(f"{flow.name} is deleted, or was never published")
    if flow.locked_by is not None:
        raise NotNow(f"{flow.locked_by} has {flow.name} locked")
    if flow.operation is not None and not flow.operation.complete:
        raise NotNow(f"an operation is under way on {flow.name} ({flow.operation.action or 'unknown'})")
    published = [
        version
        for version in versions
        if version.id not in {flow.live_version, *quarantined}
        and version.published_at is not None
        and not version.debug
    ]
    if not published:
        raise NotNow(f"{flow.name} has no earlier published version; publish it once more, even unchanged")
    older = max(published, key=lambda version: (version.published_until or 0.0, version.published_at or 0.0))
    return Ground(flow.id, flow.name, flow.live_version, older.id, older.published_at)
