"""May these flows be published now? What a pipeline asks before it does.

A lockout is no reason against it, nor is a window, nor a rollback that waits for
approval: all of them hold the bridge back, and a deployment may be the cure. Nor is
missing knowledge: a digest that nobody has registered before is new.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from receiver.notify.events import rfc3339
from receiver.store import controls, deployments, quarantines, rollbacks
from receiver.store.controls import EVERY_ORG
from receiver.store.database import Transaction
from receiver.store.rollbacks import UNDER_WAY, State


class Reason(StrEnum):
    """Why a flow may not be published now."""

    QUARANTINED = "quarantined"  # what is to be deployed was rolled back before
    HELD = "held"  # a person wants hands off the flow, or the bridge has given it up
    PAUSED = "paused"  # a person has stopped all rollbacks: nobody would catch a bad version
    ROLLBACK_UNDER_WAY = "rollback_under_way"  # both would publish at once, and one overwrite the other


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason against one of the flows; `number` is its place in the question, `detail` says how it ends."""

    number: int
    flow_id: str
    reason: Reason
    detail: str


def refusals(tx: Transaction, org: str, asked: Sequence[tuple[str, str]]) -> list[Refusal]:
    """What is against publishing these flows, each asked for by its id and the source digest; empty if nothing is."""
    return [
        Refusal(number, flow_id, reason, detail)
        for number, (flow_id, digest) in enumerate(asked)
        for reason, details in (
            (Reason.QUARANTINED, _quarantined(tx, org, flow_id, digest)),
            (Reason.HELD, _held(tx, org, flow_id)),
            (Reason.PAUSED, _paused(tx, org)),
            (Reason.ROLLBACK_UNDER_WAY, _under_way(tx, org, flow_id)),
        )
        for detail in details
    ]


def _quarantined(tx: Transaction, org: str, flow_id: str, digest: str) -> Iterator[str]:
    sources = deployments.source_digests(tx, org, flow_id)
    for one in quarantines.in_force(tx, org, flow_id):
        if digest in sources.get(one.version, ()):
            yield (
                f"the same source was version {one.version}, in quarantine since {rfc3339(one.quarantined_at)} by "
                f"rollback {one.rollback_id}; deploy another, or trust it again: rollbackctl quarantine lift {one.id}"
            )


def _held(tx: Transaction, org: str, flow_id: str) -> Iterator[str]:
    for hold in controls.list_holds(tx, org):
        if hold.covers(flow_id):
            since = rfc3339(hold.held_at)
            yield (
                f"held for {hold.owner} since {since}, set by {hold.held_by}: {hold.reason}; ask there, or rollbackctl "
                "release"
            )


def _paused(tx: Transaction, org: str) -> Iterator[str]:
    for pause in controls.list_pauses(tx, org):
        what = "everything" if pause.org == EVERY_ORG else pause.org
        yield (
            f"{what} paused by {pause.paused_by} since {rfc3339(pause.paused_at)}: {pause.reason}; until rollbackctl "
            "resume nothing bad is rolled back"
        )


def _under_way(tx: Transaction, org: str, flow_id: str) -> Iterator[str]:
    for rollback in rollbacks.under_way(tx, org, UNDER_WAY - {State.AWAITING_APPROVAL}):
        if rollback.object_id == flow_id:
            yield (
                f"rollback {rollback.id} is {rollback.state.value} and makes version {rollback.target_version} live; "
                "ask again when it has ended"
            )
