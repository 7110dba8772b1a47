"""A rollback that waits for a person: it ends when nobody comes in time, or when there is nothing to approve any more.

To approve and to deny is `orders`' work.
"""

from genesys.flows import Flow
from receiver.ending import end
from receiver.reader import Read
from receiver.store import alerts, leases
from receiver.store.database import Transaction
from receiver.store.leases import Lease
from receiver.store.rollbacks import Rollback, State
from receiver.tools import Tools

EXPIRED = "approval_expired"


def await_approval(tools: Tools, lease: Lease, rollback: Rollback) -> None:
    """End what need not, or cannot, wait any longer. Raises Conflict if somebody has decided about it meanwhile."""
    now = tools.store.transact(tools.clock)
    reading = tools.reader.watch(rollback.object_id, now=now)  # as a rule what the decision about its alert has read
    tools.store.transact(_go_on_waiting, tools, lease, rollback, reading.flow)


def _go_on_waiting(tx: Transaction, tools: Tools, lease: Lease, rollback: Rollback, read: Read[Flow]) -> None:
    """What people have heard of by other ways, or wanted, is not told again."""
    now = tools.clock(tx)
    leases.hold(tx, lease, now=now)
    alert, flow = alerts.get(tx, rollback.alert_id), read.value
    if alert is None or not alert.is_open:
        end(tx, tools, rollback, State.FAILED, "refused_resolved", now, quiet=True)
    elif flow is not None and (flow.deleted or not flow.active):
        end(tx, tools, rollback, State.FAILED, "refused_inactive", now, quiet=True)
    elif flow is not None and flow.live_version != rollback.accused_version:
        end(tx, tools, rollback, State.SUPERSEDED, "another version was published meanwhile", now, quiet=True)
    elif now >= rollback.deadline:
        end(tx, tools, rollback, State.FAILED, EXPIRED, now)
