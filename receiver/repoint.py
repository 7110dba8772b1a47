"""Way back `repoint`: lead callers to another flow, which is known to be good. Nothing is published.

For those who keep a good flow beside the one that they deploy to. The flow itself stays as it is; it is shown with a
version of its own as long as its callers are led elsewhere: see `receiver.objects.routes`.
"""

from dataclasses import dataclass, replace
from functools import partial

from genesys.errors import GenesysError, Refused
from genesys.flows import Flow, Operation, Readback
from receiver.applied import apply_policy
from receiver.config import FlowPolicy
from receiver.config import Repoint as Policy
from receiver.objects.routes import Routes, label_of
from receiver.store.leases import Lease
from receiver.store.rollbacks import Permit, Rollback, State
from receiver.tools import Tools
from receiver.way import Prepared, Sight, could_not_begin, settled_at


@dataclass(frozen=True, slots=True)
class Repoint:
    """A `receiver.way.Way`."""

    def prepare(self, tools: Tools, lease: Lease, rollback: Rollback) -> Prepared | None:
        """See whether callers can be led there. What cannot be read now is read anew before the decision."""
        flow = tools.reader.flow(rollback.object_id).value
        policy = None if flow is None else _policy(tools, flow)
        if flow is not None and (policy is None or tools.routes is None):
            problem = "nothing leads its callers elsewhere any more"
            tools.store.transact(could_not_begin, tools, lease, rollback, "cannot_repoint", problem)
            return None
        if flow is None or policy is None or tools.routes is None:
            return Prepared(_not_now)
        back = rollback.is_undo
        try:
            problem = tools.routes.problem(policy, rollback.object_id, back=back)
        except GenesysError:
            problem = ""
        if problem and flow.live_version == rollback.accused_version:
            tools.store.transact(could_not_begin, tools, lease, rollback, "cannot_repoint", problem)
            return None
        return Prepared(partial(_send, tools.routes, policy, rollback, tools.timing.permit_s))

    def look(self, tools: Tools, rollback: Rollback, permit: Permit, *, asked_at: float) -> Sight | None:
        """Only what leads the callers is believed, as it is read back."""
        flow = tools.reader.flow(rollback.object_id)
        if flow.value is None:
            return Sight(None, flow.problem)
        policy = _policy(tools, flow.value)
        if policy is not None and tools.routes is not None:
            try:
                tools.routes.check(policy)
            except GenesysError as problem:  # the flow alone does not tell where its callers are led
                return Sight(None, str(problem))
        sight = Sight(Readback.PENDING, settled=asked_at >= settled_at(tools, rollback, permit))
        sight = replace(sight, accepted=rollback.state is State.CONFIRMING)
        wanted = permit.target_version if rollback.is_undo or policy is None else label_of(policy)
        if flow.value.live_version == wanted:
            return replace(sight, seen=Readback.DONE, live=wanted)
        if flow.value.live_version == rollback.accused_version:
            return sight
        return replace(sight, seen=Readback.OVERTAKEN)


def _policy(tools: Tools, flow: Flow) -> Policy | None:
    applied = apply_policy(tools.around.settings, flow).policy
    return applied.repoint if isinstance(applied, FlowPolicy) else None


def _send(routes: Routes, policy: Policy, rollback: Rollback, permit_s: float, permit: Permit) -> Operation:
    routes.lead(policy, rollback.object_id, back=rollback.is_undo, within_s=permit_s)
    return Operation(f"{rollback.id}/{permit.number}", complete=True)


def _not_now(_permit: Permit) -> Operation:
    raise Refused("not sent: the flow could not be read", 409)  # it passes, or the guards hold back
