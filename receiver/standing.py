"""What applies to each live flow now: its mode, and everything known that would keep it from being rolled back.

For people and metrics. A decision gathers its own facts, afresh.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genesys.flows import Flow
from receiver import identity
from receiver.applied import apply_policy
from receiver.config import ReceiverSettings
from receiver.identity import KnownBad
from receiver.situation import Mode
from receiver.store import controls, flows, quarantines
from receiver.store.controls import Window
from receiver.store.database import Transaction
from receiver.store.flows import Listing

MISSED_LISTINGS = 3  # so many in a row, and nobody knows whether Genesys Cloud can be read


@dataclass(frozen=True, slots=True)
class Standing:
    """One live flow as it was last listed, and what applies to it; `stopped_by` in words, each with its author."""

    org: str
    flow: Flow
    mode: Mode
    mode_note: str
    threshold_ratio: float
    owner: str
    stopped_by: tuple[str, ...]
    known_bad: KnownBad | None

    @property
    def armed(self) -> bool:
        """It would be rolled back, were it accused; as far as that does not depend on what it is accused of."""
        return self.mode is Mode.AUTO and not self.stopped_by


def standings(
    tx: Transaction, settings: ReceiverSettings, orgs: Sequence[str], *, now: float, flow_id: str | None = None
) -> list[Standing]:
    """Every live flow of the organizations by name; or only the one with the id."""
    return [found for org in orgs for found in _of_org(tx, settings, org, now=now, flow_id=flow_id)]


def _of_org(
    tx: Transaction, settings: ReceiverSettings, org: str, *, now: float, flow_id: str | None
) -> Iterator[Standing]:
    listed = _is_lately(flows.listing(tx, org), settings, now)
    everywhere = [f"paused by {pause.paused_by}: {pause.reason}" for pause in controls.list_pauses(tx, org)]
    if not listed:
        everywhere.append("Genesys Cloud could not be listed lately")
    quarantined = {one.object_id for one in quarantines.in_force(tx, org)}
    holds, windows = controls.list_holds(tx, org), controls.active_windows(tx, now=now, org=org)
    for flow in flows.of(tx, org, flow_id):
        applied = apply_policy(settings, flow)
        yield Standing(
            org=org,
            flow=flow,
            mode=applied.mode,
            mode_note=applied.note.strip(),
            threshold_ratio=applied.policy.threshold_ratio,
            owner=applied.policy.owner,
            stopped_by=(
                *everywhere,
                *(f"held by {hold.held_by}: {hold.reason}" for hold in holds if hold.covers(flow.id)),
                *(f"{one.kind} window of {_owner(one)}: {one.reason}" for one in windows if one.covers(flow.id)),
                *(() if flow.active else ("deactivated",)),
            ),
            known_bad=_known_bad(tx, org, flow) if flow.id in quarantined else None,
        )


def _known_bad(tx: Transaction, org: str, flow: Flow) -> KnownBad | None:
    return None if flow.live_version is None else identity.of_flow(tx, org, flow.id).known_bad(flow.live_version)


def _owner(window: Window) -> str:
    return window.owner or window.created_by


def _is_lately(listing: Listing | None, settings: ReceiverSettings, now: float) -> bool:
    if listing is None or listing.listed_at is None:
        return False
    return now - listing.listed_at <= MISSED_LISTINGS * settings.timing.flows_s
