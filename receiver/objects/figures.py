"""What happened to callers while an object was like this or like that. Pure.

Genesys Cloud counts by flow. An object's figures are those of the flow whose callers meet it, and of a
data action its own executions, each in the stretch in which the object had the same content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from genesys.evidence import ActionColumns, Column, Columns, Evidence, column_of
from receiver.store.objects import Stint

EARLIER = "earlier"  # the version before the first reading: nobody knows what it was like


@dataclass(frozen=True, slots=True)
class Observed:
    """An object, its stints with the newest last, and the flow whose callers meet it, by version."""

    object_id: str
    is_action: bool
    stints: Sequence[Stint]
    flow_ids: Mapping[str, str]


def figures(evidence: Evidence, observed: Observed) -> dict[tuple[str, str], Columns]:
    """By object id and version. A bucket in which the content may have changed belongs to none."""
    buckets = (evidence.end - evidence.start) // evidence.bucket_s
    owners = _owners(evidence, observed.stints, buckets)
    found = {}
    for version in dict.fromkeys(owners):
        flow_id = None if version is None else observed.flow_ids.get(version)
        if version is None or flow_id is None:
            continue
        mine = [owner == version for owner in owners]
        action_id = observed.object_id if observed.is_action else None
        found[observed.object_id, version] = _within(together(evidence, flow_id, action_id), mine)
    return found


def _owners(evidence: Evidence, stints: Sequence[Stint], buckets: int) -> list[str | None]:
    """The version of each bucket."""
    owners: list[str | None] = []
    for start in range(evidence.start, evidence.start + buckets * evidence.bucket_s, evidence.bucket_s):
        end = start + evidence.bucket_s
        if not stints or end <= stints[0].since:
            owners.append(EARLIER)
            continue
        within = [one.version for one in stints if one.since <= start and (one is stints[-1] or end <= one.seen_until)]
        owners.append(within[-1] if within else None)
    return owners


def together(evidence: Evidence, flow_id: str, action_id: str | None = None) -> Columns:
    """Of all versions of the flow, or only the executions of one data action."""
    whole = Columns(evidence.start, (evidence.end - evidence.start) // evidence.bucket_s, evidence.bucket_s)
    for version in evidence.versions(flow_id):
        one = evidence.columns(flow_id, version)
        for executed, counts in one.actions.items():
            if action_id in (None, executed):
                whole.add_executions(executed, counts)
        if action_id is not None:
            continue
        whole.add_entries(one.entries)
        for reason, exits in one.exits.items():
            whole.add_exits(reason, exits)
        for target, transfers in one.transfers.items():
            whole.add_transfers(target, transfers)
        if one.outcomes is not None and one.failed_outcomes is not None:
            whole.add_outcomes(one.outcomes, one.failed_outcomes)
    return whole


def _within(whole: Columns, mine: Sequence[bool]) -> Columns:
    """The counts of some buckets; none in the others."""
    part = Columns(whole.start, len(mine), whole.bucket_s)

    def of(counts: Sequence[int]) -> Column:
        return column_of(count if is_mine else 0 for count, is_mine in zip(counts, mine, strict=True))

    part.add_entries(of(whole.entries))
    for reason, exits in whole.exits.items():
        part.add_exits(reason, of(exits))
    for target, transfers in whole.transfers.items():
        part.add_transfers(target, of(transfers))
    if whole.outcomes is not None and whole.failed_outcomes is not None:
        part.add_outcomes(of(whole.outcomes), of(whole.failed_outcomes))
    for action_id, counts in whole.actions.items():
        part.add_executions(action_id, ActionColumns(*map(of, counts)))
    return part
