"""What flows are called, as they were last listed."""

from functools import cache

from receiver.store import flows
from receiver.store.controls import EVERY_FLOW
from receiver.store.database import Transaction


class Names:
    """Of one transaction; a flow that is listed no more is called by its id."""

    def __init__(self, tx: Transaction) -> None:
        self._listed = cache(lambda org, flow_id: next((one.name for one in flows.of(tx, org, flow_id)), flow_id))

    def of(self, org: str, flow_id: str) -> str:
        """Empty without a flow: what it is about has none of its own."""
        if flow_id == EVERY_FLOW:
            return "every flow"
        return str(self._listed(org, flow_id)) if flow_id else ""
