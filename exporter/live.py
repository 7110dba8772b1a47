"""Which version of each flow is live, and since when its outcomes count against it.

Owns the rules of `since`; everything is pure. A version that is made live again
must not be judged by what it did before, and Genesys Cloud need not move
`datePublished` then. So `since` is the latest of

- the version's datePublished,
- the poll that saw the change (not the first poll of the process: it sees no change),
- its predecessor's datePublishedEnd, where that is known, and
- the end of the newest bucket in which another version still started conversations:
  after a restart nothing else remembers the change,

and it never decreases while the flow stays live. It grows at every change, so that
of two series that a rule sees for a moment the newer one is the live version's.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from genesys.evidence import Evidence
from genesys.flows import Flow, FlowVersion


@dataclass(frozen=True, slots=True)
class LiveVersion:
    """The live version of an active flow; buckets that begin at or after `since` (Unix seconds) count."""

    version: str
    since: float
    published_at: float | None


LiveVersions = Mapping[str, LiveVersion]
"""Live version by flow id; only flows that take calls: active, not deleted, published."""


def follow(known: LiveVersions | None, flows: Iterable[Flow], *, polled_at: float) -> dict[str, LiveVersion]:
    """The live versions of `flows` after a poll; `known` is what the poll before gave, None at the first one.

    A flow that `known` lacks counts as changed: it is new, or active again.
    """
    live: dict[str, LiveVersion] = {}
    for flow in flows:
        if flow.live_version is None or not flow.active or flow.deleted:
            continue
        live[flow.id] = _follow_one(
            flow.live_version,
            flow.live_published_at,
            before=known.get(flow.id) if known is not None else None,
            first_poll=known is None,
            polled_at=polled_at,
        )
    return live


def _follow_one(
    version: str, published_at: float | None, *, before: LiveVersion | None, first_poll: bool, polled_at: float
) -> LiveVersion:
    if before is None:
        # Without a date nobody knows since when: only what comes from now on counts.
        unseen = polled_at if not first_poll or published_at is None else published_at
        return LiveVersion(version, max(unseen, published_at or unseen), published_at)
    if version == before.version and not _is_later(published_at, before.published_at):
        return before
    # Even if two clocks disagree, the newer version's `since` is the larger one.
    grown = math.nextafter(before.since, math.inf)
    return LiveVersion(version, max(polled_at, published_at or polled_at, grown), published_at)


def _is_later(published_at: float | None, before: float | None) -> bool:
    """The same version was published again between two polls. An earlier date is another view of the same event."""
    return published_at is not None and before is not None and published_at > before


def changed(known: LiveVersions | None, live: LiveVersions) -> list[str]:
    """Flows whose live version is another one than at the poll before; none at the first poll."""
    if known is None:
        return []
    return [flow_id for flow_id, now in live.items() if flow_id in known and known[flow_id].version != now.version]


def predecessors_end(versions: Iterable[FlowVersion], live_version: str) -> float | None:
    """When the newest version other than the live one ceased to be live; None if no version tells."""
    ends = [
        version.published_until
        for version in versions
        if version.id != live_version and version.published_until is not None
    ]
    return max(ends, default=None)


def others_started_until(evidence: Evidence, live: LiveVersions) -> dict[str, int]:
    """By flow: end of the newest bucket in which a version other than the live one started conversations."""
    until: dict[str, int] = {}
    for flow_id, version in evidence.outcomes:
        if flow_id not in live or live[flow_id].version == version:
            continue
        newest = evidence.columns(flow_id, version).newest_entry()
        if newest is not None:
            until[flow_id] = max(until.get(flow_id, 0), newest + evidence.bucket_s)
    return until


def contradicted(live: LiveVersions, others_until: Mapping[str, int], *, bucket_s: int) -> set[str]:
    """Flows in which another version started conversations after the one that we believe live became so."""
    return {flow_id for flow_id, until in others_until.items() if until - bucket_s >= live[flow_id].since}


def raised(live: LiveVersions, floors: Mapping[str, float]) -> dict[str, LiveVersion]:
    """The same versions, with no `since` below its flow's floor."""
    return {
        flow_id: replace(now, since=max(now.since, floors.get(flow_id, now.since))) for flow_id, now in live.items()
    }
