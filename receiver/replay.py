"""What would be decided about recorded alerts: the loop's own decision, on a copy of the state.

Each delivery is one round of the loop. What an earlier one has planned counts for
the later ones, and is never carried out: nobody advances it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from receiver.contents import Contents, to_compare
from receiver.deciding import decide_one
from receiver.gather import accusing, is_understood
from receiver.policy import Decision
from receiver.reader import Reading, unread
from receiver.recordings import Recording
from receiver.store import alerts
from receiver.store.alerts import StoredAlert
from receiver.store.database import Store
from receiver.tools import Tools


@dataclass(frozen=True, slots=True)
class Replayed:
    """One alert of a recording, and what would be decided about it."""

    where: str
    alert: StoredAlert
    decision: Decision


def replay(
    recordings: Iterable[Recording], copy: Store, tools: Mapping[str, Tools], *, now: float, offline: bool
) -> Iterator[Replayed]:
    """Decide about every alert of every recording at `now`; `tools` by organization, each with the copy as its store.

    With `offline` nobody is asked anything; guards that rest on an answer then refuse.
    """
    compared = {org: Contents(org, one.store, one.genesys, clock=one.clock) for org, one in tools.items()}
    if not offline:
        for one in tools.values():
            one.alertmanagers.refresh(now)
    for recording in recordings:
        stored = _keep(copy, recording, now)
        readings = {} if offline else _read(stored, tools, now)
        why = "not read: --offline" if offline else "not read: nothing is to be done"
        for alert in stored:
            # An alert of an organization that nobody configured is anybody's, as in the loop.
            used = tools.get(alert.org) or next(iter(tools.values()))
            if alert.id in readings:
                read = readings[alert.id]
                to_read = to_compare(accusing(alert, read).version, read)
                compared[alert.org].read(alert.object_id, to_read, now=now)
            with copy.begin() as tx:
                decision = decide_one(tx, used, alert, readings.get(alert.id) or unread(why))
            yield Replayed(recording.where, alert, decision)


def _keep(copy: Store, recording: Recording, now: float) -> list[StoredAlert]:
    """The alerts as the delivery tells them, in the order in which the loop takes them.

    One that fires in the recording is open, whatever has become of it since.
    """
    delivered = [alert for alert in recording.delivery.alerts if not alert.is_watchdog]
    over = {(alert.fingerprint, alert.starts_at) for alert in delivered if not alert.firing}
    firing = [alert for alert in delivered if (alert.fingerprint, alert.starts_at) not in over]
    with copy.begin() as tx:
        alerts.record(tx, delivered, now)
        alerts.open_missed(tx, firing, closed_before=math.inf, now=now)
        keys = dict.fromkeys((alert.fingerprint, alert.starts_at) for alert in delivered)
        found = [alerts.find(tx, *key) for key in keys]
    return sorted((alert for alert in found if alert is not None), key=lambda alert: (alert.starts_at, alert.id))


def _read(stored: Iterable[StoredAlert], tools: Mapping[str, Tools], now: float) -> dict[int, Reading]:
    """What Genesys Cloud says about each alert that is open and understood."""
    readings: dict[int, Reading] = {}
    for org, used in tools.items():
        ours = [one for one in stored if one.org == org and one.is_open and is_understood(one, used.around)]
        read = used.reader.read([one.object_id for one in ours], now=now)
        readings |= {one.id: read[one.object_id] for one in ours}
    return readings
