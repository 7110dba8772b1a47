"""What was changed before an alert: the most likely first, what else may be to blame, and what belongs together. Pure.

The rule has three parts, in this order: a change of the accused flow itself before any other;
what calls pass through before the rest; what is nearer to the alert before what is farther.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from genesys.audit import PUBLISHED
from receiver.payload import FLOW
from receiver.store.changes import Changed

LISTED = 20  # in a record; nobody reads more of them at night
OF_FLOW = "the flow itself"
ON_THE_WAY = "calls pass through it"
ELSEWHERE = "something else"

# Kinds as the audit has them, in lower case. Which there are nobody has proved; one that is missing here comes later in
# the list, and that is all.
_ON_THE_WAY = frozenset(
    {
        FLOW,
        "datatable",
        "datatablerow",
        "emergencygroup",
        "ivr",
        "ivrconfig",
        "prompt",
        "queue",
        "schedule",
        "schedulegroup",
        "action",
        "integration",
    }
)
_NEEDED = frozenset({"datatable", "datatablerow", "action"})  # an earlier version of a flow may not fit them
_RANK = (OF_FLOW, ON_THE_WAY, ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Suspect:
    """One change, by which part of the rule it stands where it stands."""

    change: Changed
    why: str

    def as_fact(self) -> dict[str, Any]:
        """As records and notifications have it."""
        one = self.change
        return {
            "at": datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "action": one.action,
            "object_type": one.object_type,
            "object_id": one.object_id,
            "object_name": one.object_name,
            "version": one.version,
            "by": one.changed_by,
            "application": one.application,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Suspects:
    """All changes before an alert, the most likely first.

    `others` may be to blame in the place of the accused version; it was deployed together with the `coupled` ones.
    """

    listed: tuple[Suspect, ...] = ()
    others: tuple[Suspect, ...] = ()
    coupled: tuple[Suspect, ...] = ()

    def facts(self) -> list[dict[str, Any]]:
        return [one.as_fact() for one in self.listed[:LISTED]]

    def describe(self) -> str:
        """The others, for the reason why a person is asked."""
        return _told(self.others, "after the version went live and before it failed")

    def describe_coupled(self) -> str:
        """The same of what was deployed with the version."""
        return _told(self.coupled, "together with the version, and an earlier one may not fit")


def _told(found: Sequence[Suspect], when: str) -> str:
    first = found[0].change
    told = f"{first.object_type} {first.object_name or first.object_id} was changed by {first.changed_by} {when}"
    return f"{told}, and {len(found) - 1} more" if len(found) > 1 else told


NOBODY_ELSE = Suspects()


def suspects(
    changed: Iterable[Changed],
    *,
    flow_id: str,
    version: str,
    live_since: float | None,
    failing_since: float | None,
    alert_at: float,
    together_s: float,
) -> Suspects:
    """Put the changes before an alert in their order.

    Others are of other objects, after the accused version went live and before it failed: what came before met the
    version before it too, and what came later did not begin it. Where nobody knows since when it fails, all until the
    alert are; where nobody knows since when it is live, none. Flows that the same author published within `together_s`
    are the same deployment; so is what flows need, and that is coupled.
    """
    began = alert_at if failing_since is None else failing_since
    found = [Suspect(one, _why(one, flow_id)) for one in changed if one.at <= alert_at]
    found.sort(key=lambda one: (_RANK.index(one.why), alert_at - one.change.at, one.change.id))
    accused = [one.change for one in found if one.why == OF_FLOW and one.change.version == version]
    others = [
        one
        for one in found
        if live_since is not None
        and live_since < one.change.at <= began
        and one.why != OF_FLOW
        and not _is_deployed_with(one.change, accused, together_s)
    ]
    coupled = [one for one in found if one.change.object_type in _NEEDED and _is_near(one.change, accused, together_s)]
    return Suspects(tuple(found), tuple(one for one in others if one not in coupled), tuple(coupled))


def _why(change: Changed, flow_id: str) -> str:
    if change.object_id == flow_id:
        return OF_FLOW
    return ON_THE_WAY if change.object_type in _ON_THE_WAY else ELSEWHERE


def _is_deployed_with(change: Changed, accused: Sequence[Changed], together_s: float) -> bool:
    return (change.object_type, change.action) == (FLOW, PUBLISHED) and _is_near(change, accused, together_s)


def _is_near(change: Changed, accused: Sequence[Changed], together_s: float) -> bool:
    """By the author of the accused version, at about the same time."""
    return any(change.changed_by == one.changed_by and abs(change.at - one.at) <= together_s for one in accused)
