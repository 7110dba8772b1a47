"""What is remembered of the reading that precedes a write, and how the flow compares with it afterwards."""

from collections.abc import Sequence

from genesys.flows import Flow, FlowVersion
from receiver.meanwhile import Meanwhile, newest_date, published_since
from receiver.store.rollbacks import Rollback

_NEWEST_DATE = "newest_date"  # of the versions as they were read before the write
_OPERATION = "operation_before"  # the newest one of the flow at that time
_PUBLISHED = "published_before"  # the date of the version that was live
_VERSIONS = "versions_before"  # their labels, where the write makes a new one


def facts_before_write(flow: Flow, versions: Sequence[FlowVersion], *, makes_new: bool = False) -> dict[str, object]:
    """What the others here need to remember of the reading that precedes a write."""
    operation = None if flow.operation is None else flow.operation.id
    facts: dict[str, object] = {
        _NEWEST_DATE: newest_date(versions),
        _OPERATION: operation,
        _PUBLISHED: flow.live_published_at,
    }
    return facts | ({_VERSIONS: [one.id for one in versions]} if makes_new else {})


def meanwhile(rollback: Rollback, versions: Sequence[FlowVersion], target: str) -> Meanwhile | None:
    """What was published since the reading that preceded the write; None if that cannot be told."""
    return published_since(versions, rollback.facts.get(_NEWEST_DATE), accused=rollback.accused_version, target=target)


def operation_before(rollback: Rollback) -> str | None:
    """The id of the flow's operation before the write; None if there was none."""
    found: str | None = rollback.facts.get(_OPERATION)
    return found


def published_before(rollback: Rollback) -> float | None:
    """When the version that was live before the write was published (Unix seconds); None where nobody tells."""
    found: float | None = rollback.facts.get(_PUBLISHED)
    return found


def is_new(rollback: Rollback, version: str) -> bool:
    """Was there no such version before a write that makes a new one?"""
    return version not in rollback.facts.get(_VERSIONS, [version])


def is_as_before(flow: Flow, rollback: Rollback) -> bool:
    """Does the flow look as it did before the write: the accused version live, and not made live anew?"""
    return flow.live_version == rollback.accused_version and flow.live_published_at in (None, rollback.live_since)


def is_busy(flow: Flow) -> bool:
    return flow.operation is not None and not flow.operation.complete
