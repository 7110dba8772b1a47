"""Genesys Cloud with the kept objects among its flows: what is decided and done about a flow goes for them too.

The versions of an object are the snapshots that are kept of it, and its figures those of the flow whose callers meet
it. Only reading is told here; see `receiver.restore` for the way back.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from genesys.dependencies import Dependencies
from genesys.dialect import GenesysCloud, RateLimit
from genesys.errors import Refused
from genesys.evidence import Evidence
from genesys.flows import Flow, FlowVersion, Operation
from genesys.jobs import Jobs
from genesys.stints import Stint
from receiver.objects.figures import Observed, figures
from receiver.objects.kept import KeptObjects
from receiver.objects.routes import Routes
from receiver.store.database import Store


class WithObjects:
    """A `genesys.dialect.GenesysCloud`. Every call about an object may raise StoreUnavailable as well.

    Flows whose callers may be led elsewhere are shown as `routes` shows them.
    """

    def __init__(self, cloud: GenesysCloud, kept: KeptObjects | None, routes: Routes | None, store: Store) -> None:
        self._cloud = cloud
        self._kept = kept
        self._routes = routes
        self._store = store

    @property
    def _named(self) -> Collection[str]:
        return () if self._kept is None else self._kept.policies.keys()

    @property
    def rate_limit(self) -> RateLimit | None:
        return self._cloud.rate_limit

    def evidence(self, start: int, end: int, *, bucket_s: int, flow_ids: Sequence[str] = ()) -> Evidence:
        """Of objects too: of those that are named, or of all where nothing is."""
        observed = self._observed([one for one in flow_ids if one in self._named] if flow_ids else sorted(self._named))
        others = {flow_id for one in observed for flow_id in one.flow_ids.values()}
        others |= set(() if self._routes is None else self._routes.theirs(flow_ids))
        named = {one for one in flow_ids if one not in self._named}
        # Without a flow to ask for, one that does not exist: an empty list would ask for all of them.
        wanted = sorted(named | others) or list(flow_ids)
        evidence = self._cloud.evidence(start, end, bucket_s=bucket_s, flow_ids=wanted if flow_ids else ())
        outcomes = dict(evidence.outcomes)
        for one in observed:
            outcomes |= figures(evidence, one)
        outcomes |= {} if self._routes is None else self._routes.figures(evidence)
        return replace(evidence, outcomes=outcomes)

    def _observed(self, object_ids: Sequence[str]) -> list[Observed]:
        if self._kept is None or not object_ids:
            return []
        with self._store.begin() as tx:
            return [self._kept.observed(tx, object_id) for object_id in object_ids]

    def conversations(self, start: int, end: int, *, bucket_s: int) -> Mapping[int, tuple[int, int]]:
        return self._cloud.conversations(start, end, bucket_s=bucket_s)

    def flows(self, *, published_after: float | None = None) -> list[Flow]:
        """Flows only: nobody publishes objects."""
        return self._cloud.flows(published_after=published_after)

    def flow(self, flow_id: str) -> Flow:
        if self._kept is not None and flow_id in self._named:
            return self._kept.read(flow_id)
        flow = self._cloud.flow(flow_id)
        return flow if self._routes is None else self._routes.shown(flow)

    def versions(self, flow_id: str) -> list[FlowVersion]:
        if self._kept is not None and flow_id in self._named:
            return self._kept.versions(flow_id)
        return self._cloud.versions(flow_id)

    def configuration(self, flow_id: str, version: str) -> str | None:
        """Of an object the version itself: it is made of the content."""
        return version if flow_id in self._named else self._cloud.configuration(flow_id, version)

    def stints(self) -> Mapping[str, Sequence[Stint]]:
        return self._cloud.stints()

    def recall(self, stints: Mapping[str, Sequence[Stint]]) -> None:
        self._cloud.recall(stints)

    def publish(self, flow_id: str, version: str) -> Operation:
        """An object is not published, whatever anybody wants. Raises `Refused`."""
        if flow_id in self._named:
            raise Refused("an object is restored, not published")
        return self._cloud.publish(flow_id, version)

    @property
    def jobs(self) -> Jobs | None:
        return self._cloud.jobs

    @property
    def dependencies(self) -> Dependencies | None:
        return self._cloud.dependencies

    def close(self) -> None:
        self._cloud.close()
