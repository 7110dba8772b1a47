"""Way back `republish`: publish the old label again. What came of it only the flow itself, and its dates, can say."""

from dataclasses import dataclass
from functools import partial

from genesys.evidence import Evidence
from genesys.flows import Flow, FlowVersion, Operation, Readback, read_back
from receiver.meanwhile import Meanwhile, has_callers
from receiver.readback import is_as_before, is_busy, meanwhile
from receiver.reader import Read
from receiver.store.leases import Lease
from receiver.store.rollbacks import Permit, Rollback, State
from receiver.tools import Tools
from receiver.way import Prepared, Sight, settled_at


@dataclass(frozen=True, slots=True)
class Republish:
    """A `receiver.way.Way`."""

    def prepare(self, tools: Tools, _lease: Lease, rollback: Rollback) -> Prepared | None:
        """There is nothing to prepare."""
        return Prepared(partial(_send, tools, rollback))

    def look(self, tools: Tools, rollback: Rollback, permit: Permit, *, asked_at: float) -> Sight | None:
        """What the flow shows may be as old as `asked_at`.

        The versions are asked for when the flow has changed; both they and the evidence when a publish whose effect
        does not show is about to be given up.
        """
        settled = asked_at >= settled_at(tools, rollback, permit)
        flow = tools.reader.flow(rollback.object_id)
        unchanged = flow.value is None or is_as_before(flow.value, rollback)
        versions: Read[list[FlowVersion]] = (
            Read([]) if unchanged and not settled else tools.reader.versions(rollback.object_id)
        )
        evidence = tools.reader.watch(rollback.object_id, now=asked_at).evidence if unchanged and settled else None
        if flow.value is None:
            return Sight(None, flow.problem)
        if versions.value is None and not settled:
            return None  # who published what meanwhile is part of the answer
        changes = meanwhile(rollback, versions.value or (), permit.target_version)
        operation = flow.value.operation
        return Sight(
            _seen(flow.value, rollback, permit, changes, None if evidence is None else evidence.value),
            settled=settled,
            busy=is_busy(flow.value),
            accepted=rollback.state is State.CONFIRMING,
            is_over=_is_over(flow.value, permit, changes),
            error=operation.error if operation else None,
            changes=None if is_as_before(flow.value, rollback) else changes,
        )


def _send(tools: Tools, rollback: Rollback, permit: Permit) -> Operation:
    return tools.genesys.publish(rollback.object_id, permit.target_version)


def _is_over(flow: Flow, permit: Permit, changes: Meanwhile | None) -> bool:
    """Under somebody else's version: has ours failed, or been live before it? Else it may yet replace theirs."""
    failed = (
        flow.operation is not None and flow.operation.id == permit.operation_id and flow.operation.status == "FAILURE"
    )
    return failed or (changes is not None and changes.target_served)


def _seen(
    flow: Flow, rollback: Rollback, permit: Permit, changes: Meanwhile | None, evidence: Evidence | None
) -> Readback:
    """What is to be believed of the publish.

    A flow that looks as before is believed last: Genesys Cloud may show an old
    view of it. Its callers know better, and so do the dates when somebody has
    put the accused version back, which is a person's decision.
    """
    seen = read_back(
        flow, accused=rollback.accused_version, target=permit.target_version, operation_id=permit.operation_id
    )
    if seen is not Readback.PENDING or flow.live_version != rollback.accused_version:
        return seen
    put_back = not is_as_before(flow, rollback) and not is_busy(flow)
    if put_back or (changes is not None and changes.target_served):
        return Readback.OVERTAKEN
    met = has_callers(evidence, rollback.object_id, permit.target_version, since=permit.issued_at)
    return Readback.DONE if met else seen
