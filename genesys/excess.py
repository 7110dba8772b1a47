"""Does a version fail more often than its flow may, and is that neither chance nor over?

The same test as the shipped rules (`alert_rules/rollback.rules.yml`), for those
who read Genesys Cloud themselves. A version is convicted by a window when

- its ratio is above the flow's threshold (policy),
- its errors are more than chance makes of the flow's earlier ratio `b` and its scatter `s`:
  errors - b*volume > s*(z*sqrt(b*(1-b)*volume) + c) (certainty),
- some buckets of the window were above the threshold themselves, the more the longer it is, and
- no shorter window acquits it: there the ratio is within the threshold, and well below what the accusing window
  shows (a burst that healed). What is over for a window is over for the longer ones.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from genesys.evidence import WINDOWS, Signal, Tally, breach_minutes, total, window_of

ACCUSING_WINDOWS = ("5m", "15m", "60m")  # 1m and 2m cannot hold three breached minutes: they can only acquit
BREACH_MINUTES: Mapping[str, int] = MappingProxyType({"5m": 3, "15m": 6, "60m": 8})
"""Buckets above the threshold that a window needs: a burst of two minutes has at most four, however bad they are."""

THRESHOLD_CAP = 0.9  # above 1 no ratio could ever breach it, and the flow would be blind without a word
BASELINE_FACTOR = 5.0  # times the flow's own earlier ratio: half-hour swings of a back end stay below it
RELATIVE_FLOOR_RATIO = 0.05  # as of errors by default: what is rarer costs few callers much
RELATIVE_MOST_RATIO = 0.7  # of conversations that always end so nobody could tell that more do
RELATIVE_STEP_RATIO = 0.2  # of hang-ups that were 25 % nobody could ever see five times as many
RELATIVE_SPREADS = 8.0  # or so many times what the ratio varies from hour to hour: single half hours stay below it


@dataclass(frozen=True, slots=True)
class ExcessLimits:
    """Constants of the test, as in the rules; they come from `make bench-detection`."""

    z: float = 3.25
    c: float = 4.5  # a few errors that come each on their own
    baseline_floor_ratio: float = 0.01  # with 0 errors before, one error would be infinitely significant
    most_scatter: float = 2.0  # also that of a flow of which nobody knows it; with more, no small flow could be accused
    acquitting_z: float = 1.1  # so far below what it would be if it went on as in the accusing window
    breach_minutes: Mapping[str, int] = field(default_factory=lambda: BREACH_MINUTES)


@dataclass(frozen=True, slots=True)
class WindowFinding:
    """One window of one version: what was counted, and whether it accuses.

    `acquits`: it is within the threshold, and may acquit a longer window that is much worse.
    """

    window: str
    errors: int
    volume: int
    breach_minutes: int
    strength: float  # errors beyond what chance explains; above 0 is significant
    accuses: bool
    acquits: bool
    is_excess: bool = False  # above the threshold, and more than chance

    @property
    def ratio(self) -> float | None:
        return self.errors / self.volume if self.volume else None


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict over all windows; `convicted_by` is the strongest window that nothing acquits."""

    windows: tuple[WindowFinding, ...]
    convicted_by: WindowFinding | None
    acquitted_by: WindowFinding | None


def threshold_for(configured_ratio: float, baseline_ratio: float | None, *, explicit: bool = False) -> float:
    """What a flow's ratio is compared with: the configured threshold or a multiple of its own earlier ratio.

    One that was set for this flow alone (`explicit`) is taken as it stands.
    """
    multiple = 0.0 if explicit else BASELINE_FACTOR * (baseline_ratio or 0.0)
    return min(THRESHOLD_CAP, max(configured_ratio, multiple))


def is_relative(signal: Signal) -> bool:
    """Whether the signal's outcomes have a level of their own in each flow: bad is only what has become more."""
    return signal is not Signal.ERROR_EXIT


def relative_threshold(baseline_ratio: float | None, spread_ratio: float | None = None) -> float | None:
    """What the ratio of a relative signal is compared with: clearly more than the flow's own earlier ratio.

    And more than it varies from hour to hour by itself, where that is known. None
    where the ratio is unknown, and where so many conversations always ended so, or
    ended so in some hours, that nothing above could be told apart: then nothing is accused.
    """
    if baseline_ratio is None or baseline_ratio >= RELATIVE_MOST_RATIO:
        return None
    step = max(RELATIVE_STEP_RATIO, RELATIVE_SPREADS * (spread_ratio or 0.0))
    threshold = max(RELATIVE_FLOOR_RATIO, min(BASELINE_FACTOR * baseline_ratio, baseline_ratio + step))
    return None if threshold > THRESHOLD_CAP else threshold


def chance_ratio(baseline_ratio: float | None, threshold_ratio: float, limits: ExcessLimits) -> float:
    """The ratio that chance is measured from.

    A flow whose earlier ratio is unknown has to exceed the threshold itself
    beyond chance: the worse of the two assumptions for an accusation.
    """
    if baseline_ratio is None:
        return threshold_ratio
    return min(THRESHOLD_CAP, max(limits.baseline_floor_ratio, baseline_ratio))


def chance_factor(scatter: float | None, limits: ExcessLimits) -> float:
    """How much more than of independent errors chance explains: the flow's own scatter, at its worst where unknown."""
    return limits.most_scatter if scatter is None else min(limits.most_scatter, max(1.0, scatter))


def find_excess(
    tallies: Mapping[int, Tally],
    *,
    end: int,
    bucket_s: int,
    threshold_ratio: float,
    baseline_ratio: float | None,
    scatter: float | None,
    limits: ExcessLimits | None = None,
) -> Finding:
    """Judge one version by its tallies (bucket start → tally) up to `end`, the end of the newest settled bucket."""
    limits = limits or ExcessLimits()
    base = chance_ratio(baseline_ratio, threshold_ratio, limits)
    factor = chance_factor(scatter, limits)
    windows = tuple(
        _judge(
            label,
            tuple(window_of(tallies, end=end, bucket_s=bucket_s, buckets=buckets).values()),
            threshold_ratio,
            base,
            factor,
            limits,
        )
        for label, buckets in WINDOWS.items()
    )
    convicted: WindowFinding | None = None
    acquitted: WindowFinding | None = None
    for position, finding in enumerate(windows):
        if finding.window not in ACCUSING_WINDOWS or not finding.is_excess:
            continue
        acquitted = next((shorter for shorter in windows[:position] if _is_over(finding, shorter, limits)), None)
        if acquitted is not None:
            break
        if finding.accuses and (convicted is None or finding.strength > convicted.strength):
            convicted = finding
    return Finding(windows, convicted, acquitted)


def _is_over(accusing: WindowFinding, shorter: WindowFinding, limits: ExcessLimits) -> bool:
    """The newest minutes are within the threshold, and that is no chance if it goes on as in the accusing window."""
    if not shorter.acquits:
        return False
    as_before = shorter.volume * (accusing.errors / accusing.volume)
    return shorter.errors < as_before - limits.acquitting_z * math.sqrt(as_before)


def _judge(
    label: str, tallies: tuple[Tally, ...], threshold: float, base: float, factor: float, limits: ExcessLimits
) -> WindowFinding:
    tally = total(tallies)
    breached = breach_minutes(tallies, threshold)
    chance = factor * (limits.z * math.sqrt(base * (1 - base) * tally.volume) + limits.c)
    strength = tally.errors - base * tally.volume - chance
    above = tally.errors > threshold * tally.volume
    return WindowFinding(
        window=label,
        errors=tally.errors,
        volume=tally.volume,
        breach_minutes=breached,
        strength=strength,
        accuses=label in ACCUSING_WINDOWS and above and strength > 0 and breached >= limits.breach_minutes[label],
        acquits=not above and tally.volume > 0,
        is_excess=above and strength > 0,
    )
