"""When which version of a flow was published, by the dates that Genesys Cloud has. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from genesys.flows import Flow, FlowVersion

TARGET_MIN_LIVE_S = 86400.0  # the receiver's default `target_min_live_s`


@dataclass(frozen=True, slots=True)
class Publish:
    """A version that became live at `at`, and was live up to `until` (or up to the end of what is looked at)."""

    flow: Flow
    version: FlowVersion
    at: float
    until: float
    target: str | None  # the version that would have been made live again, as far as the dates tell


def publishes_of(
    flow: Flow, versions: Sequence[FlowVersion], *, start: float, end: float
) -> tuple[list[Publish], list[str]]:
    """The publishes of a flow in [start, end) in order, and labels of versions of which nobody knows when they were.

    A version's dates tell of the last time that it was live only.
    """
    dated = sorted(
        ((version.published_at, version) for version in versions if version.published_at and not version.debug),
        key=lambda one: one[0],
    )
    found = []
    for position, (at, version) in enumerate(dated):
        if not start <= at < end:
            continue
        following = [later for later, _ in dated[position + 1 : position + 2]]
        until = min([end, *following, *([version.published_until] if version.published_until else [])])
        target = _target([earlier for _, earlier in dated[:position]])
        found.append(Publish(flow, version, at, max(at, until), target))
    undated = [
        version.id for version in versions if version.published_at is None and version.published_until is not None
    ]
    return found, undated


def _target(earlier: Sequence[FlowVersion]) -> str | None:
    """The newest earlier version that was live for a day, by its dates alone."""
    for version in reversed(earlier):
        if version.published_at is None or version.published_until is None:
            continue
        if version.published_until - version.published_at >= TARGET_MIN_LIVE_S:
            return version.id
    return None
