"""What was published together: the flows of one registered deployment, or else of one client within minutes. Pure."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Publication:
    """How the live version of a flow came to be: by whom, when (Unix seconds), in which registered deployment.

    What is unknown is `None`; nobody knows then what it belongs to, unless it is registered.
    """

    flow_id: str
    published_by: str | None
    published_at: float | None
    deployment_id: str | None = None


def belong_together(one: Publication, other: Publication, *, deployment_s: float) -> bool:
    """Are both of one change set? What is registered belongs to its deployment only, whoever published it when."""
    if one.deployment_id is not None or other.deployment_id is not None:
        return one.deployment_id == other.deployment_id
    if one.published_by is None or one.published_at is None or other.published_at is None:
        return False
    return one.published_by == other.published_by and abs(one.published_at - other.published_at) <= deployment_s


def count_change_sets(publications: Iterable[Publication], *, deployment_s: float) -> int:
    """Of how many change sets the publications are; one of which nothing is known is one of its own."""
    unknown = 0
    registered: set[str] = set()
    by_client: dict[str, list[float]] = {}
    for one in publications:
        if one.deployment_id is not None:
            registered.add(one.deployment_id)
        elif one.published_by is None or one.published_at is None:
            unknown += 1
        else:
            by_client.setdefault(one.published_by, []).append(one.published_at)
    return unknown + len(registered) + sum(_groups(sorted(dates), deployment_s) for dates in by_client.values())


def _groups(dates: Sequence[float], deployment_s: float) -> int:
    """Groups of dates (ascending, at least one) between which more than `deployment_s` have passed."""
    return 1 + sum(1 for sooner, later in itertools.pairwise(dates) if later - sooner > deployment_s)
