"""What a flow's own past says about how often it may fail.

Works on evidence in coarse buckets over a long time (`history_bucket_s`,
`history_s`). Pure: reading that evidence is the caller's work.
"""

import math

from genesys.evidence import Evidence, Signal, total

MIN_VOLUME = 200  # with 0 errors of 200 the upper bound is 1.3 %, just above the floor that the test uses
OWN_PAST_BUCKETS = 24  # a day, with the usual hour: a bad version is found, or people have accepted it, sooner
Z_ONE_SIDED_95 = 1.6448536269514722


def baseline_ratio(
    history: Evidence, *, flow_id: str, live_version: str, live_since: float, signal: Signal
) -> float | None:
    """Upper bound of the ratio that the flow had before the live version; None if too little is known.

    Only buckets that ended before the version became live count, so that a bad
    version never raises its own threshold on its first day. One that has been
    live for so long that almost nothing lies before it is compared with its own
    past, older than `OWN_PAST_BUCKETS`.
    """
    bucket_s = history.bucket_s
    before = total(
        tally
        for version in history.versions(flow_id)
        for start, tally in history.tallies(flow_id, version, signal).items()
        if start + bucket_s <= live_since
    )
    if before.volume < MIN_VOLUME:
        day_ago = history.end - OWN_PAST_BUCKETS * history.bucket_s
        own = history.tallies(flow_id, live_version, signal, live_since)
        before = total(tally for start, tally in own.items() if start + bucket_s <= day_ago)
    return wilson_upper(before.errors, before.volume) if before.volume >= MIN_VOLUME else None


def wilson_upper(errors: int, volume: int, z: float = Z_ONE_SIDED_95) -> float:
    """Upper end of the one-sided 95 % Wilson interval of errors/volume; in (0, 1] for any positive volume."""
    share = min(1.0, errors / volume)
    centre = share + z * z / (2 * volume)
    spread = z * math.sqrt(share * (1 - share) / volume + z * z / (4 * volume * volume))
    return min(1.0, (centre + spread) / (1 + z * z / volume))
