"""The shipped rules over many publishes at once, and what the receiver checks when their alert has fired.

The windows, the limits and the form are those of `genesys.excess`; a test proves `firing` equal to promtool's answer
to alert_rules/rollback.rules.yml. Of the receiver's part, probation is the product's own code.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from bench.detection.traffic import POLLS_BEFORE, SETTLE_POLLS, Counts, Flags, Ratios, Readings, Traffic
from bench.detection.windows import Window, Windows, breached, some_rows
from genesys.evidence import WINDOWS, Tally
from genesys.excess import ACCUSING_WINDOWS, THRESHOLD_CAP, ExcessLimits, find_excess
from genesys.probation import ProbationLimits, Stretch, judge_probation

FOR_POLLS = 3  # `for: 3m` at a poll a minute: it is pending at one poll and fires at the third after it
NEW_MINUTES, IN_POLLS = 2, 3  # data must advance by two minutes in three
BUCKET_S = 60
NEVER = -1

_RECOVERED_BUCKETS, _RECOVERED_EXITS = 2, 5  # as in receiver/findings.py


def convicted(traffic: Traffic, limits: ExcessLimits, labels: Sequence[str] = tuple(WINDOWS)) -> Flags:
    """Whether a window convicts the version, by publish and newest settled bucket.

    `labels` are those of the windows that there are, shortest first: of a signal that does not act only the long ones.
    """
    found = np.zeros(traffic.shape, dtype=bool)
    suspects = np.flatnonzero(traffic.errors.final.sum(axis=1) > limits.c)  # fewer errors cannot have strength
    if suspects.size:
        accusing = [label for label in labels if label in ACCUSING_WINDOWS]
        windows = _all_windows(some_rows(traffic, suspects), accusing)
        threshold, chance = traffic.threshold[suspects], _chance(traffic, limits)[suspects]
        factor = _factor(traffic, limits)[suspects]
        excess = [_is_excess(windows[label], threshold, chance, factor, limits).any(axis=1) for label in accusing]
        suspects = suspects[np.any(excess, axis=0)]
        if suspects.size:
            found[suspects] = _unacquitted(some_rows(traffic, suspects), limits, labels)
    return found


def _all_windows(traffic: Traffic, labels: Iterable[str]) -> dict[str, Window]:
    windows = Windows(traffic)
    return {label: windows.over(WINDOWS[label]) for label in labels}


def _chance(traffic: Traffic, limits: ExcessLimits) -> Ratios:
    """As `excess.chance_ratio`."""
    known = np.clip(traffic.baseline, limits.baseline_floor_ratio, THRESHOLD_CAP)
    return np.where(np.isnan(traffic.baseline), traffic.threshold, known)


def _factor(traffic: Traffic, limits: ExcessLimits) -> Ratios:
    """As `excess.chance_factor`."""
    known = np.clip(traffic.scatter, 1.0, limits.most_scatter)
    return np.where(np.isnan(traffic.scatter), limits.most_scatter, known)


def _is_above(window: Window, threshold: Ratios) -> Flags:
    above: Flags = window.errors > threshold * window.volume
    return above


def _is_excess(window: Window, threshold: Ratios, chance: Ratios, factor: Ratios, limits: ExcessLimits) -> Flags:
    """Above the threshold, and more than chance."""
    spread = factor * (limits.z * np.sqrt(chance * (1 - chance) * window.volume) + limits.c)
    excess: Flags = (window.errors - chance * window.volume - spread > 0) & _is_above(window, threshold)
    return excess


def _is_over(accusing: Window, shorter: Window, threshold: Ratios, limits: ExcessLimits) -> Flags:
    as_before = shorter.volume * (accusing.errors / np.maximum(accusing.volume, 1))
    over: Flags = ~_is_above(shorter, threshold) & (
        shorter.errors < as_before - limits.acquitting_z * np.sqrt(as_before)
    )
    return over


def _unacquitted(traffic: Traffic, limits: ExcessLimits, labels: Sequence[str]) -> Flags:
    windows, minutes = _all_windows(traffic, labels), breached(traffic)
    chance, factor = _chance(traffic, limits), _factor(traffic, limits)
    found = np.zeros(traffic.shape, dtype=bool)
    acquitted = np.zeros(traffic.shape, dtype=bool)
    for place, label in enumerate(labels):
        if label not in ACCUSING_WINDOWS:
            continue
        excess = _is_excess(windows[label], traffic.threshold, chance, factor, limits)
        for shorter in labels[:place]:
            acquitted |= excess & _is_over(windows[label], windows[shorter], traffic.threshold, limits)
        enough = minutes.over(WINDOWS[label]) >= limits.breach_minutes[label]
        found |= excess & enough & ~acquitted
    return found


def firing(traffic: Traffic, is_convicted: Flags) -> Flags:
    """Whether the alert fires, by publish and poll (minutes since column 0).

    Each poll is evaluated twice, with the same answer. A failed poll leaves the samples of the one before, and
    nothing is judged unless the data advance.
    """
    polls = traffic.polled.shape[1] - POLLS_BEFORE
    newest = np.maximum.accumulate(
        np.where(traffic.polled, np.arange(-POLLS_BEFORE, polls, dtype=np.int32), -POLLS_BEFORE), axis=1
    )
    advance = newest[:, IN_POLLS:] - newest[:, :-IN_POLLS] >= NEW_MINUTES
    bucket = newest[:, POLLS_BEFORE:] - SETTLE_POLLS
    shown = np.take_along_axis(is_convicted, np.maximum(bucket, 0), axis=1) & (bucket >= 0)
    holds = shown & advance
    fires = holds.copy()
    for back in range(1, FOR_POLLS + 1):
        fires[:, :back] = False
        fires[:, back:] &= holds[:, :-back]
    return fires


def first(flags: Flags) -> npt.NDArray[np.int64]:
    """The first column that is true, or NEVER."""
    return np.where(flags.any(axis=1), np.argmax(flags, axis=1), NEVER)


def rolled_back(
    traffic: Traffic, is_convicted: Flags, fires: Flags, *, holds_back: Callable[[int, int], bool] | None = None
) -> npt.NDArray[np.int64]:
    """The poll minute in which the receiver rolls back; NEVER if it never does.

    It decides anew while the alert is open, on what it reads itself: not without an excess, not when the newest
    minutes are healthy, not when the version has left probation, not while `holds_back(row, poll)`. It can read when
    the exporter can.
    """
    polled = traffic.polled[:, POLLS_BEFORE:]
    bucket = np.maximum(np.arange(fires.shape[1]) - SETTLE_POLLS, 0)
    asks = fires & polled & is_convicted[:, bucket]
    decided = np.full(traffic.shape[0], NEVER, dtype=np.int64)
    for row in np.flatnonzero(asks.any(axis=1)).tolist():
        for poll in np.flatnonzero(asks[row]).tolist():
            if is_recovered(traffic, row, poll) or (holds_back is not None and holds_back(row, poll)):
                continue
            if has_left_probation(traffic, row, poll):
                break  # it does not come back
            decided[row] = poll
            break
    return decided


def is_recovered(traffic: Traffic, row: int, poll: int) -> bool:
    """As the receiver sees it: no error among some calls that ended last."""
    errors, exits = (column_of(one, row, poll) for one in (traffic.errors, traffic.exits))
    ended = np.flatnonzero(exits)[-_RECOVERED_BUCKETS:]
    return bool(errors[ended].sum() == 0 and exits[ended].sum() >= _RECOVERED_EXITS)


def column_of(readings: Readings, row: int, poll: int) -> Counts:
    """The buckets of one publish as a poll reads them, oldest first."""
    newest = poll - SETTLE_POLLS
    seen: Counts = readings.final[row, : newest + 1].copy()
    for age, reading in enumerate((readings.first, readings.second, readings.third)):
        if newest - age >= 0:
            seen[newest - age] = reading[row, newest - age]
    return seen


def tallies_of(traffic: Traffic, row: int, poll: int) -> dict[int, Tally]:
    """The same as the product has it, by bucket start in seconds since column 0.

    A late minute may show an error before it shows the call: a little worse than Genesys Cloud, where that is one exit.
    """
    columns = (column_of(one, row, poll).tolist() for one in (traffic.errors, traffic.entries, traffic.exits))
    return {
        minute * BUCKET_S: Tally(errors, entries, exits)
        for minute, (errors, entries, exits) in enumerate(zip(*columns, strict=True))
        if errors or entries or exits
    }


def is_confirmed(traffic: Traffic, row: int, poll: int, limits: ExcessLimits) -> bool:
    """What `find_excess` says of one publish at a poll."""
    baseline, scatter = (float(one[row, 0]) for one in (traffic.baseline, traffic.scatter))
    found = find_excess(
        tallies_of(traffic, row, poll),
        end=(poll - SETTLE_POLLS + 1) * BUCKET_S,
        bucket_s=BUCKET_S,
        threshold_ratio=float(traffic.threshold[row, 0]),
        baseline_ratio=None if np.isnan(baseline) else baseline,
        scatter=None if np.isnan(scatter) else scatter,
        limits=limits,
    )
    return found.convicted_by is not None


def has_left_probation(traffic: Traffic, row: int, poll: int) -> bool:
    """The product's answer, from whole hours of history and the newer minutes."""
    return judge_probation(
        _stretches(traffic, row, poll),
        live_s=poll * BUCKET_S,
        threshold_ratio=float(traffic.threshold[row, 0]),
        limits=ProbationLimits(),
    ).left


def _stretches(traffic: Traffic, row: int, poll: int) -> Iterator[Stretch]:
    of_hour = int(traffic.minute_of_hour[row])
    tallies = tallies_of(traffic, row, poll)
    settled = poll - SETTLE_POLLS + 1
    history_end = (of_hour + settled) // 60 * 60 - of_hour
    hours: dict[int, Tally] = {}
    for start, tally in tallies.items():
        minute = start // BUCKET_S
        if minute < history_end:
            hour = (of_hour + minute) // 60 * 60 - of_hour
            hours[hour] = hours.get(hour, Tally()) + tally
        else:
            yield Stretch(start, BUCKET_S, tally)
    for hour, tally in hours.items():
        begin = max(hour, 0)
        yield Stretch(begin * BUCKET_S, (hour + 60 - begin) * BUCKET_S, tally)
