"""Reads what versions contain where that matters: of an accused version and its candidates, and of what replaces one in
quarantine.

Genesys Cloud need not give it, and nobody waits for it: what is not known is not
compared. A handful of calls an incident, and on average one a minute at most.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError, Throttled, Unavailable
from genesys.flows import FlowVersion
from genesys.log import event
from receiver.reader import Reading
from receiver.store import contents
from receiver.store.database import Store, Transaction, clock

log = logging.getLogger(__name__)

MOST_CALLS = 10  # in SPAN_S; evidence needs the rest of the six a minute
SPAN_S = 600.0
NOT_GIVEN_S = 3600.0  # until a version whose content was refused, or is absent, is asked for again
UNAVAILABLE_S = 60.0
CANDIDATES = 3  # the newest earlier versions: a target is among them, or there hardly is one
_MOST_KEPT = 1000


class Contents:
    """One organization's. Used by one thread; what is read is every receiver's and outlives a restart."""

    def __init__(
        self, org: str, store: Store, genesys: GenesysCloud, *, clock: Callable[[Transaction], float] = clock
    ) -> None:
        self._org = org
        self._store = store
        self._genesys = genesys
        self._clock = clock
        self._called: deque[float] = deque(maxlen=MOST_CALLS)
        self._in_vain: dict[tuple[str, str], float] = {}  # until when

    def read(self, flow_id: str, versions: Iterable[str], *, now: float) -> None:
        """Read those of the versions that nobody has read, in this order. Raises StoreUnavailable, and nothing else.

        It ends with the first that is not given: the others would not be given either, or there is nothing to compare
        them with.
        """
        known = self._store.transact(contents.of, self._org, flow_id)
        for version in versions:
            if version in known:
                continue
            if now < self._in_vain.get((flow_id, version), 0.0) or not self._may_call(now):
                return
            digest = self._ask(flow_id, version, now)
            if digest is None:
                return
            self._store.transact(contents.keep, self._org, flow_id, version, digest, now=now)

    def _may_call(self, now: float) -> bool:
        if len(self._called) == MOST_CALLS and now < self._called[0] + SPAN_S:
            return False
        self._called.append(now)
        return True

    def _ask(self, flow_id: str, version: str, now: float) -> str | None:
        pause_s = NOT_GIVEN_S
        try:
            digest = self._genesys.configuration(flow_id, version)
        except GenesysError as problem:
            pause_s = UNAVAILABLE_S if isinstance(problem, (Unavailable, Throttled)) else NOT_GIVEN_S
            about = {"org": self._org, "flow_id": flow_id, "version": version}
            event(log, logging.INFO, "content_not_compared", **about, problem=problem)
        else:
            if digest is not None:
                return digest
        if len(self._in_vain) >= _MOST_KEPT:
            self._in_vain.clear()
        self._in_vain[(flow_id, version)] = now + pause_s
        return None


def to_compare(accused: str, reading: Reading) -> list[str]:
    """What is worth comparing before a decision about an accused version; nothing unless it is known to be live."""
    flow, versions = reading.flow.value, reading.versions.value
    if flow is None or versions is None or flow.live_version != accused:
        return []
    return worth_comparing(accused, versions)


def worth_comparing(accused: str, versions: Sequence[FlowVersion]) -> list[str]:
    """The accused version, and the newest that were live before it."""
    ended = [(one.published_until, one.id) for one in versions if one.published_until is not None and not one.debug]
    earlier = [version for _, version in sorted(ended, reverse=True) if version != accused]
    return [accused, *earlier[:CANDIDATES]]
