"""Way back `anew`: publish once more what is live. Of a flow that uses a common module which was rolled back.

A flow goes on with what the module was when the flow was published: an inference of the documentation, which
nobody has seen. The version that callers meet stays the same, so that only the operation, or a newer date of the
version, can say that it was published.
"""

from dataclasses import dataclass
from functools import partial

from genesys.flows import Operation, Readback, read_back_anew
from receiver.readback import is_busy, meanwhile, operation_before, published_before
from receiver.store import ways_in_vain
from receiver.store.database import Transaction
from receiver.store.leases import Lease
from receiver.store.rollbacks import Permit, Rollback, State
from receiver.strategy import Strategy
from receiver.tools import Tools
from receiver.way import Prepared, Sight, could_not_begin, settled_at


@dataclass(frozen=True, slots=True)
class Anew:
    """A `receiver.way.Way`."""

    def prepare(self, tools: Tools, lease: Lease, rollback: Rollback) -> Prepared | None:
        """Where to publish a version again does nothing, it would do nothing here, and nothing would say so."""
        if tools.store.transact(_is_in_vain, rollback.org):
            problem = "to publish a version again has had no effect in this organization"
            tools.store.transact(could_not_begin, tools, lease, rollback, "cannot_publish_anew", problem)
            return None
        return Prepared(partial(_send, tools, rollback))

    def look(self, tools: Tools, rollback: Rollback, permit: Permit, *, asked_at: float) -> Sight | None:
        """The versions are asked for once it is done: somebody may have published another one right before."""
        settled = asked_at >= settled_at(tools, rollback, permit)
        flow = tools.reader.flow(rollback.object_id)
        if flow.value is None:
            return Sight(None, flow.problem)
        seen = read_back_anew(
            flow.value,
            version=permit.target_version,
            operation_id=permit.operation_id,
            operation_before=operation_before(rollback),
            published_before=published_before(rollback),
        )
        versions = tools.reader.versions(rollback.object_id) if seen is Readback.DONE else None
        if versions is not None and versions.value is None and not settled:
            return None
        known = None if versions is None else versions.value
        operation = flow.value.operation
        return Sight(
            seen or Readback.PENDING,
            settled=settled,
            busy=is_busy(flow.value) or seen is None,
            accepted=rollback.state is State.CONFIRMING,
            error=operation.error if operation else None,
            changes=None if known is None else meanwhile(rollback, known, permit.target_version),
        )


def _is_in_vain(tx: Transaction, org: str) -> bool:
    return Strategy.REPUBLISH in ways_in_vain.of(tx, org)


def _send(tools: Tools, rollback: Rollback, permit: Permit) -> Operation:
    return tools.genesys.publish(rollback.object_id, permit.target_version)
