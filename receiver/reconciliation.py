"""What is open here against what Alertmanager lists: opens what no webhook told of, closes what is over.

Webhooks alone do not tell it all. A silenced or inhibited alert sends none, one that
clears while it is muted may never send its "resolved", and a stale "firing" may
arrive after it. Pure: `worker` reads the list and writes what comes of it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from receiver.alertmanager import Listing
from receiver.payload import Alert
from receiver.store.alerts import StoredAlert

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Difference:
    """Alerts to be opened, and ids of stored ones to be closed."""

    missed: tuple[Alert, ...] = ()
    over: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missed or self.over)


class Reconciliation:
    """Remembers since when the two differ; a restart begins anew, which only delays. Used by one thread."""

    def __init__(self, *, settle_s: float, unlisted_s: float) -> None:
        """`settle_s`: so long the webhook of a listed alert may take. `unlisted_s`: as in `Timing`."""
        self._settle_s = settle_s
        self._unlisted_s = unlisted_s
        self._unknown_since: dict[tuple[str, float], float] = {}
        self._unlisted_since: dict[int, float] = {}

    def compare(self, listing: Listing, ours: Collection[Alert], is_open: Collection[StoredAlert]) -> Difference:
        """The differences that have lasted; `ours` are the listed alerts that are this worker's to open.

        A list that is not whole can show that an alert fires, never that it is over.
        """
        return Difference(self._missed(listing, ours, is_open), self._over(listing, is_open))

    def _missed(self, listing: Listing, ours: Collection[Alert], is_open: Collection[StoredAlert]) -> tuple[Alert, ...]:
        known = {alert.fingerprint for alert in is_open}
        unknown = {(alert.fingerprint, alert.starts_at): alert for alert in ours if alert.fingerprint not in known}
        self._unknown_since = {key: _since(self._unknown_since, key, listing.at) for key in unknown}
        return tuple(unknown[key] for key, since in self._unknown_since.items() if listing.at - since >= self._settle_s)

    def _over(self, listing: Listing, is_open: Collection[StoredAlert]) -> tuple[int, ...]:
        unlisted = {alert.id: alert for alert in is_open if alert.fingerprint not in listing.fingerprints}
        since = {alert_id: at for alert_id, at in self._unlisted_since.items() if alert_id in unlisted}
        if listing.whole:
            since = {alert_id: _since(since, alert_id, listing.at) for alert_id in unlisted}
        self._unlisted_since = since
        if not listing.whole:
            return ()
        # A webhook that repeats it comes from an Alertmanager that nobody configured here: it is believed.
        lasted = {alert_id: max(at, unlisted[alert_id].refreshed_at) for alert_id, at in since.items()}
        return tuple(sorted(alert_id for alert_id, at in lasted.items() if listing.at - at >= self._unlisted_s))


def _since(known: Mapping[K, float], key: K, now: float) -> float:
    """Since when it has been so; a clock that was set back begins anew, or it would last until it is what it was."""
    return min(known.get(key, now), now)
