"""What a flow's own past says about how often it may fail.

Works on evidence in coarse buckets over a long time (`history_bucket_s`,
`history_s`). Pure: reading that evidence is the caller's work.
"""

import math
from collections.abc import Iterable

from genesys.evidence import Evidence, Signal, Tally, total

MIN_VOLUME = 200  # with 0 errors of 200 the upper bound is 1.3 %, just above the floor that the test uses
DAY_BUCKETS = 24  # with the usual hour
Z_ONE_SIDED_95 = 1.6448536269514722


def baseline_ratio(
    history: Evidence, *, flow_id: str, live_version: str, live_since: float, signal: Signal
) -> float | None:
    """Upper bound of the ratio that the flow had before the live version; None if too little is known.

    Only buckets that ended before the version became live count, so that a bad
    version never raises its own threshold on its first day. One that has been
    live for so long that almost nothing lies before it is compared with its own
    past, older than a day: by then a bad version is found, or people have accepted it.

    Where the ratio at this hour of the day is higher than the whole beyond chance,
    the bound is that of this hour: a flow may fail in 8 % by night and 1 % by day.
    """
    bucket_s = history.bucket_s
    before = [
        (start, tally)
        for version in history.versions(flow_id)
        for start, tally in history.tallies(flow_id, version, signal).items()
        if start + bucket_s <= live_since
    ]
    if total(tally for _, tally in before).volume < MIN_VOLUME:
        day_ago = history.end - DAY_BUCKETS * history.bucket_s
        own = history.tallies(flow_id, live_version, signal, live_since)
        before = [(start, tally) for start, tally in own.items() if start + bucket_s <= day_ago]
    whole = total(tally for _, tally in before)
    if whole.volume < MIN_VOLUME:
        return None
    bound = wilson_upper(whole.errors, whole.volume)
    now = _at_this_hour(before, end=history.end, bucket_s=bucket_s)
    if now.volume < MIN_VOLUME or wilson_lower(now.errors, now.volume) <= bound:
        return bound
    return wilson_upper(now.errors, now.volume)


def _at_this_hour(before: Iterable[tuple[int, Tally]], *, end: int, bucket_s: int) -> Tally:
    """What was counted at this hour of the day, an hour before and one after, but for the worst day.

    Without that day an incident of yesterday does not excuse one of today.
    """
    days: dict[int, Tally] = {}
    for start, tally in before:
        day, hour = divmod((end - start) // bucket_s + 1, DAY_BUCKETS)
        if hour <= 2:  # the hour that begins at `end` is 1
            days[day] = days.get(day, Tally()) + tally
    return total(sorted(days.values(), key=lambda day: day.errors)[:-1])


def wilson_upper(errors: int, volume: int) -> float:
    """Upper end of the one-sided 95 % Wilson interval of errors/volume; in (0, 1] for any positive volume."""
    return min(1.0, _wilson(errors, volume, Z_ONE_SIDED_95))


def wilson_lower(errors: int, volume: int) -> float:
    """Lower end of the one-sided 95 % Wilson interval of errors/volume; in [0, 1) for any positive volume."""
    return max(0.0, _wilson(errors, volume, -Z_ONE_SIDED_95))


def _wilson(errors: int, volume: int, z: float) -> float:
    share = min(1.0, errors / volume)
    centre = share + z * z / (2 * volume)
    spread = z * math.sqrt(share * (1 - share) / volume + z * z / (4 * volume * volume))
    return (centre + spread) / (1 + z * z / volume)
