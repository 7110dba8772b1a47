"""Reads one organization for a snapshot: few calls, and a live version that is right even when the list is not.

Owns the order and the number of calls: the list, the evidence (two requests),
the organization's own figures (one), and now and then one flow or its versions.
"""

import logging
from collections.abc import Callable, Iterable

from exporter.config import asked_for
from exporter.listing import Listing
from exporter.live import (
    LiveVersions,
    changed,
    contradicted,
    follow,
    others_started_until,
    predecessors_end,
    raised,
)
from exporter.revisions import Fingerprints, fingerprints, revised_buckets
from exporter.snapshot import Baselines, Snapshot
from genesys.dialect import GenesysCloud
from genesys.errors import GenesysError, Gone, Throttled, Unavailable
from genesys.evidence import WINDOWS, Evidence
from genesys.log import event
from genesys.organizations import Analytics

log = logging.getLogger(__name__)

BUCKETS = max(WINDOWS.values())
EXTRA_READS_KEPT = (
    10  # one extra call per poll on average; what a quiet hour saved helps when many flows change at once
)


class OrganizationReader:
    """What has to be remembered of one organization between polls. For one thread."""

    def __init__(
        self, org: str, cloud: GenesysCloud, analytics: Analytics, *, tell_revisions: Callable[[Iterable[float]], None]
    ) -> None:
        self._org = org
        self._cloud = cloud
        self._analytics = analytics
        self._tell_revisions = tell_revisions
        self._listing = Listing()
        self._live: LiveVersions | None = None
        self._fingerprints: Fingerprints | None = None
        self._doubtful: set[str] = set()  # to be read on their own, as soon as there is a call to spare
        self._disputed: set[str] = set()  # on its own, the flow was another than in the list
        self._extra_reads = EXTRA_READS_KEPT

    def read(self, now: float, baselines: Baselines) -> Snapshot:
        """One poll. Raises `GenesysError` when flows or evidence could not be read whole.

        Nothing of a failed poll counts: the next one compares with the last that succeeded.
        """
        self._listing.refresh(self._cloud, now=now)
        end = self._analytics.settled_end(now)
        bucket_s = self._analytics.bucket_s
        evidence = self._cloud.evidence(end - BUCKETS * bucket_s, end, bucket_s=bucket_s)
        live = self._find_live(evidence, now)
        snapshot = Snapshot(
            org=self._org,
            flows=self._listing.flows,
            live=live,
            evidence=evidence,
            conversations=self._read_conversations(evidence),
            baselines=baselines,
            asked=asked_for(self._analytics),
        )
        self._note(snapshot, now)
        return snapshot

    def _find_live(self, evidence: Evidence, now: float) -> LiveVersions:
        self._extra_reads = min(EXTRA_READS_KEPT, self._extra_reads + 1)
        live = follow(self._live, self._listing.flows.values(), polled_at=now)
        self._disputed &= set(changed(self._live, live))  # else the list has caught up
        others = others_started_until(evidence, live)
        contradicting = contradicted(live, others, bucket_s=evidence.bucket_s)
        self._doubtful = (self._doubtful | contradicting | self._disputed) & live.keys()
        self._read_doubtful()
        live = follow(self._live, self._listing.flows.values(), polled_at=now)
        live = raised(live, self._ends_of_predecessors(live))
        return raised(live, others_started_until(evidence, live))

    def _read_doubtful(self) -> None:
        """Read flows about which list and evidence, or list and flow, disagree; what fails or is too much waits."""
        for flow_id in sorted(self._doubtful):
            if not self._may_read_more():
                return
            try:
                flow = self._cloud.flow(flow_id)
            except Gone:
                self._listing.forget(flow_id)
            except GenesysError as error:
                event(log, logging.WARNING, "flow_not_read", org=self._org, flow_id=flow_id, error=error)
                if isinstance(error, (Throttled, Unavailable)):
                    return  # the next ones would each wait for their deadline, and the poll with them
                continue
            else:
                if flow.live_version != self._listing.flows[flow_id].live_version:
                    self._disputed.add(flow_id)
                self._listing.correct(flow)
            self._doubtful.discard(flow_id)

    def _ends_of_predecessors(self, live: LiveVersions) -> dict[str, float]:
        """When the versions that were replaced since the last poll ended, as far as Genesys Cloud tells."""
        ends: dict[str, float] = {}
        for flow_id in changed(self._live, live):
            if not self._may_read_more():
                break
            try:
                end = predecessors_end(self._cloud.versions(flow_id), live[flow_id].version)
            except GenesysError as error:
                event(log, logging.WARNING, "versions_not_read", org=self._org, flow_id=flow_id, error=error)
                break  # the poll that saw the changes is date enough
            if end is not None:
                ends[flow_id] = end
        return ends

    def _may_read_more(self) -> bool:
        if self._extra_reads < 1:
            return False
        self._extra_reads -= 1
        return True

    def _read_conversations(self, evidence: Evidence) -> dict[int, tuple[int, int]] | None:
        """The organization's figures are for people: without them the poll still tells what rules need."""
        try:
            figures = self._cloud.conversations(evidence.start, evidence.end, bucket_s=evidence.bucket_s)
        except GenesysError as error:
            cure = "nothing if it passes; else give the OAuth client's role analytics:conversationAggregate:view"
            event(log, logging.WARNING, "conversations_not_read", org=self._org, error=error, cure=cure)
            return None
        return dict(figures)

    def _note(self, snapshot: Snapshot, now: float) -> None:
        """Remember the poll, and log what is new in it."""
        before, after = self._fingerprints, fingerprints(snapshot.evidence)
        revised = [] if before is None else revised_buckets(before, after)
        self._tell_revisions(now - (start + snapshot.evidence.bucket_s) for start in revised)
        for flow_id in changed(self._live, snapshot.live):
            live = snapshot.live[flow_id]
            fields = {"org": self._org, "flow_id": flow_id, "version": live.version, "since": live.since}
            event(log, logging.INFO, "live_version_changed", **fields)
        if not snapshot.flows:
            cure = "give the OAuth client's role architect:flow:view in the divisions of the flows"
            event(log, logging.WARNING, "no_flows", org=self._org, cure=cure)
        self._live, self._fingerprints = snapshot.live, after
