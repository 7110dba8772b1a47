"""Flows fail by turns, each early enough that its figures have settled when its turn comes."""

from collections.abc import Iterator, Sequence
from typing import Any

from tests.campaigns.clouds import Cloud
from tests.campaigns.incidents import Incident, Kind
from tests.campaigns.scene import Scene

FLOWS = 8  # a flow has its next turn when the rollback of its last one has long ended


def by_turns(here: Scene, org: str, flows: Sequence[str], count: int) -> Iterator[Incident]:
    """So many incidents, each a new version of the next flow; when one is given, the one after it has begun."""

    def begin(number: int) -> Incident:
        return here.begin(org, flows[number % len(flows)], f"{14 + number}.0", Kind.BAD)

    begun = begin(0)
    for number in range(1, count):
        this, begun = begun, begin(number)
        yield this
    yield begun


def patiently(cloud: Cloud) -> dict[str, Any]:
    """Its entry in `organizations.yml`, for receivers that wait until a busy machine has an answer for them."""
    return cloud.organization() | {"timeout_s": 8.0, "deadline_s": 16.0}
