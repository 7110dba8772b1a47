"""What a flow's own past says about how often it may fail.

Works on evidence in coarse buckets over a long time (`history_bucket_s`,
`history_s`). Pure: reading that evidence is the caller's work.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from genesys.evidence import Evidence, Signal, Tally, total

MIN_VOLUME = 200  # with 0 errors of 200 the upper bound is 1.3 %, just above the floor that the test uses
DAY_BUCKETS = 24  # with the usual hour
Z_ONE_SIDED_95 = 1.6448536269514722

# What is thought of a flow's scatter before anything is seen, and how many expected errors that is worth: a flow of
# which little is known is taken for one with some callers who dial again. From `make bench-detection`.
PRIOR_DISPERSION = 2.0
PRIOR_ERRORS = 5.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a flow did before its live version; None is unknown.

    `ratio` is an upper bound. `scatter` is the standard deviation of the errors in an hour,
    in units of that of errors which come each on its own: near 1 for those, 1.7 for
    callers who fail, dial again and fail again, more where a back end has bad half hours.
    `spread_ratio` is the standard deviation of the ratio from hour to hour, without what
    chance alone makes of it: 0 where each caller decides for himself, however few there are.
    """

    ratio: float | None = None
    scatter: float | None = None
    spread_ratio: float | None = None


NOTHING_KNOWN = Baseline()


def baseline_of(history: Evidence, *, flow_id: str, live_version: str, live_since: float, signal: Signal) -> Baseline:
    """The flow's own past before the live version; nothing is known where it had too few conversations.

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
        return NOTHING_KNOWN
    scatter, spread_ratio = (
        (None, None) if history.is_spread else _unevenness(before, end=history.end, bucket_s=bucket_s)
    )
    bound = wilson_upper(whole.errors, whole.volume)
    now = _at_this_hour(before, end=history.end, bucket_s=bucket_s)
    if now.volume < MIN_VOLUME or wilson_lower(now.errors, now.volume) <= bound:
        return Baseline(bound, scatter, spread_ratio)
    return Baseline(wilson_upper(now.errors, now.volume), scatter, spread_ratio)


def _unevenness(before: Sequence[tuple[int, Tally]], *, end: int, bucket_s: int) -> tuple[float, float]:
    """Scatter and spread: how far the errors of the hours are from what the ratio of all makes of their volumes."""
    errors = sum(tally.errors for _, tally in before)
    if not errors:
        return math.sqrt(PRIOR_DISPERSION), 0.0  # of most signals of most flows
    hours: dict[int, tuple[int, int]] = {}
    for start, tally in before:
        of_others = hours.get(start, (0, 0))
        hours[start] = (of_others[0] + tally.errors, of_others[1] + tally.volume)
    ratio = min(1.0, errors / sum(volume for _, volume in hours.values()))
    seen = sum((failed - ratio * volume) ** 2 for failed, volume in hours.values())
    scatter = math.sqrt((seen + PRIOR_ERRORS * PRIOR_DISPERSION) / (errors * (1 - ratio) + PRIOR_ERRORS))
    return scatter, _spread_ratio(hours, ratio, end=end, day_s=DAY_BUCKETS * bucket_s)


def _spread_ratio(hours: Mapping[int, tuple[int, int]], ratio: float, *, end: int, day_s: int) -> float:
    """Without the worst day: an incident of one of them does not excuse the next."""
    days: dict[int, tuple[float, float]] = {}
    for start, (failed, volume) in hours.items():
        beyond, weight = days.get((end - start - 1) // day_s, (0.0, 0.0))
        beyond += (failed - ratio * volume) ** 2 - ratio * (1 - ratio) * volume
        days[(end - start - 1) // day_s] = beyond, weight + volume**2
    others = sorted(days.values())[:-1]
    weight = sum(weight for _, weight in others)
    return math.sqrt(max(0.0, sum(beyond for beyond, _ in others)) / weight) if weight else 0.0


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
