"""What has become of a flow since the last look before a write, by its versions' dates and its callers. Pure.

Genesys Cloud has no precondition for a publish: somebody else may publish
between our last read and our write. Its own dates tell so afterwards. They are
compared with each other only, never with our clock. And a conversation that
begins on the target proves that it is live, whatever an old view of the flow shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from genesys.evidence import Evidence
from genesys.flows import FlowVersion


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """`target_served`: the target has been live since; `overwritten`: so were these, and are not any more."""

    target_served: bool
    overwritten: tuple[str, ...]


def newest_date(versions: Sequence[FlowVersion]) -> float | None:
    """The newest of all dates: what becomes, or ceases to be, live later has a newer one. None without any date."""
    dates = [date for version in versions for date in (version.published_at, version.published_until)]
    return max((date for date in dates if date is not None), default=None)


def published_since(
    versions: Sequence[FlowVersion], newest: float | None, *, accused: str, target: str
) -> Meanwhile | None:
    """What has happened since `newest` was the newest date; None where Genesys Cloud gives no dates.

    That the accused version ended is our own doing, unless it began anew as well.
    """
    if newest is None:
        return None
    began = {one.id for one in versions if one.published_at is not None and one.published_at > newest}
    ended = {one.id for one in versions if one.published_until is not None and one.published_until > newest}
    overwritten = ended - {target} - ({accused} - began)
    return Meanwhile(target in began | ended, tuple(sorted(overwritten)))


def has_callers(evidence: Evidence | None, flow_id: str, version: str, *, since: float) -> bool:
    """Has a conversation begun on the version in a bucket that begins after `since`? False where nobody knows."""
    buckets = {} if evidence is None else evidence.outcomes.get((flow_id, version), {})
    return any(outcomes.entries for start, outcomes in buckets.items() if start >= since)
