"""What flows and objects are called, as they were last listed, or read."""

from functools import cache

from receiver.store import flows, objects
from receiver.store.controls import EVERY_FLOW
from receiver.store.database import Transaction


class Names:
    """Of one transaction; a flow that is listed no more is called by its id."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._listed = cache(self._name)

    def of(self, org: str, flow_id: str) -> str:
        """Empty without a flow: what it is about has none of its own."""
        if flow_id == EVERY_FLOW:
            return "every flow"
        return str(self._listed(org, flow_id)) if flow_id else ""

    def _name(self, org: str, flow_id: str) -> str:
        kept = [one.name for one in objects.states(self._tx, org) if one.object_id == flow_id and one.name]
        return next((one.name for one in flows.of(self._tx, org, flow_id)), kept[0] if kept else flow_id)
