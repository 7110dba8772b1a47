"""Tells people when a version goes live that is the same as one in quarantine. Nothing is written to Genesys Cloud."""

from collections.abc import Callable, Sequence

from genesys.flows import Flow
from receiver import identity
from receiver.contents import Contents
from receiver.notify.events import Telling, put_known_bad, rfc3339
from receiver.store import flows, quarantines
from receiver.store.database import Store, Transaction, clock


def tell(tx: Transaction, telling: Telling, org: str, flow_id: str, version: str, *, now: float) -> None:
    """Tell people, once, if this version of the flow is known bad."""
    known = identity.of_flow(tx, org, flow_id).known_bad(version)
    if known is not None:
        facts = next((_facts(flow, version) for flow in flows.of(tx, org, flow_id)), {})
        put_known_bad(tx, telling, org, flow_id, version, f"known bad: {known.describe()}", facts, now=now)


class Watch:
    """Looks at the flows of one organization that have a version in quarantine. Used by one thread."""

    def __init__(
        self,
        org: str,
        store: Store,
        contents: Contents,
        telling: Telling,
        *,
        clock: Callable[[Transaction], float] = clock,
    ) -> None:
        self._org = org
        self._store = store
        self._contents = contents
        self._telling = telling
        self._clock = clock

    def look(self, listed: Sequence[Flow]) -> None:
        """Compare what is live with what is in quarantine, and tell people. Raises StoreUnavailable."""
        quarantined = self._quarantined()
        for flow in listed:
            bad = quarantined.get(flow.id)
            if bad and flow.live_version is not None and flow.live_version not in bad:
                now = self._store.transact(self._clock)
                self._contents.read(flow.id, [*bad[:1], flow.live_version], now=now)
                self._store.transact(tell, self._telling, self._org, flow.id, flow.live_version, now=now)

    def _quarantined(self) -> dict[str, list[str]]:
        """Versions by flow, the newest quarantine first."""
        found: dict[str, list[str]] = {}
        for one in self._store.transact(quarantines.in_force, self._org):
            found.setdefault(one.object_id, []).append(one.version)
        return found


def _facts(flow: Flow, version: str) -> dict[str, str | None]:
    about: dict[str, str | None] = {"flow_name": flow.name, "division": flow.division_name}
    if flow.live_version != version:
        return about
    published_at = None if flow.live_published_at is None else rfc3339(flow.live_published_at)
    return about | {"published_by": flow.published_by, "published_at": published_at}
