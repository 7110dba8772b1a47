"""What is remembered of the reading that precedes a write, and how the flow compares with it afterwards."""

from collections.abc import Sequence

from genesys.flows import Flow, FlowVersion
from receiver.meanwhile import Meanwhile, newest_date, published_since
from receiver.store.rollbacks import Rollback

_NEWEST_DATE = "newest_date"  # of the versions as they were read before the write
_VERSIONS = "versions_before"  # their labels, where the write makes a new one


def facts_before_write(versions: Sequence[FlowVersion], *, makes_new: bool = False) -> dict[str, object]:
    """What the others here need to remember of the reading that precedes a write."""
    facts: dict[str, object] = {_NEWEST_DATE: newest_date(versions)}
    return facts | ({_VERSIONS: [one.id for one in versions]} if makes_new else {})


def meanwhile(rollback: Rollback, versions: Sequence[FlowVersion], target: str) -> Meanwhile | None:
    """What was published since the reading that preceded the write; None if that cannot be told."""
    return published_since(versions, rollback.facts.get(_NEWEST_DATE), accused=rollback.accused_version, target=target)


def is_new(rollback: Rollback, version: str) -> bool:
    """Was there no such version before a write that makes a new one?"""
    return version not in rollback.facts.get(_VERSIONS, [version])


def is_as_before(flow: Flow, rollback: Rollback) -> bool:
    """Does the flow look as it did before the write: the accused version live, and not made live anew?"""
    return flow.live_version == rollback.accused_version and flow.live_published_at in (None, rollback.live_since)


def is_busy(flow: Flow) -> bool:
    return flow.operation is not None and not flow.operation.complete
