"""The rule sets that are set side by side, each asked for the minute in which it alerts and in which it acts.

The others have neither baseline nor probation nor a second look: where they alert, they act. They are given the same
settled minutes, and no failed polls.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from bench.detection.shipped import FOR_POLLS, convicted, firing, first, rolled_back
from bench.detection.traffic import CONFIGURED_RATIO, SETTLE_POLLS, Flags, Traffic
from bench.detection.windows import Window, Windows
from genesys.excess import ExcessLimits

Minutes = npt.NDArray[np.int64]


class RuleSet(StrEnum):
    """What decides; the value is the name on the command line and in the table."""

    SHIPPED = "shipped"
    PLAIN_RATIO = "plain-ratio"
    MIN_VOLUME = "min-volume-20"
    BURN_RATE = "burn-rate"
    FLAGGER = "flagger"
    ARGO = "argo"


@dataclass(frozen=True, slots=True)
class Outcome:
    """By publish: the poll minute of the alert and of the rollback; -1 where there is none."""

    alert: Minutes
    action: Minutes


Judge = Callable[[Traffic], Outcome]


def shipped(traffic: Traffic, limits: ExcessLimits | None = None) -> Outcome:
    """The shipped rules, and the receiver's own checks behind them."""
    is_convicted = convicted(traffic, limits or ExcessLimits())
    fires = firing(traffic, is_convicted)
    return Outcome(first(fires), rolled_back(traffic, is_convicted, fires))


def _acts_at_once(holds: Flags, minutes: int = 0) -> Outcome:
    """Alerts when a condition has held for so many minutes."""
    lasting = holds.copy()
    for back in range(1, minutes + 1):
        lasting[:, :back] = False
        lasting[:, back:] &= holds[:, :-back]
    found = first(lasting)
    found[found >= 0] += SETTLE_POLLS
    return Outcome(found, found)


def _above(window: Window, ratio: float) -> Flags:
    above: Flags = window.errors > ratio * window.volume
    return above


def plain_ratio(traffic: Traffic) -> Outcome:
    """The guide's: the ratio of the newest minute is above the threshold, for three minutes."""
    return _acts_at_once(_above(Windows(traffic).over(1), CONFIGURED_RATIO), FOR_POLLS)


def min_volume(traffic: Traffic) -> Outcome:
    """The same, of minutes with at least 20 calls."""
    minute = Windows(traffic).over(1)
    return _acts_at_once(_above(minute, CONFIGURED_RATIO) & (minute.volume >= 20), FOR_POLLS)


def burn_rate(traffic: Traffic) -> Outcome:
    """The two paging alerts of Google's SRE workbook, for an objective of 99 % (a ratio of 1 % is a burn rate of 1)."""
    windows = Windows(traffic)
    fast = _above(windows.over(60), 0.144) & _above(windows.over(5), 0.144)
    slow = _above(windows.over(360), 0.06) & _above(windows.over(30), 0.06)
    return _acts_at_once(fast | slow)


def flagger(traffic: Traffic) -> Outcome:
    """A check a minute for an hour, of the newest minute; the fifth that failed rolls back. No data fail as well.

    Failed checks are counted, not forgotten at the next good one (`interval: 1m`, `threshold: 5`).
    """
    minute = Windows(traffic).over(1)
    failed = (_above(minute, CONFIGURED_RATIO) | (minute.volume == 0))[:, :60]
    return _acts_at_once(np.cumsum(failed, axis=1) >= 5)


def argo(traffic: Traffic) -> Outcome:
    """A measurement every five minutes for an hour, of five minutes; the fourth that fails aborts, and so does the
    fifth without data in a row (`interval: 5m`, `failureLimit: 3`, `consecutiveErrorLimit: 4`)."""
    five = Windows(traffic).over(5)
    at = np.arange(4, min(64, traffic.shape[1]), 5)
    errors = five.volume[:, at] == 0
    in_a_row = np.zeros(errors.shape[0], dtype=np.int64)
    aborts = np.cumsum(_above(five, CONFIGURED_RATIO)[:, at], axis=1) > 3
    for position in range(at.size):
        in_a_row = np.where(errors[:, position], in_a_row + 1, 0)
        aborts[:, position] |= in_a_row > 4
    found = first(aborts)
    return Outcome(*(np.where(found >= 0, at[found] + SETTLE_POLLS, found) for _ in range(2)))


JUDGES: Mapping[RuleSet, Judge] = MappingProxyType(
    {
        RuleSet.SHIPPED: shipped,
        RuleSet.PLAIN_RATIO: plain_ratio,
        RuleSet.MIN_VOLUME: min_volume,
        RuleSet.BURN_RATE: burn_rate,
        RuleSet.FLAGGER: flagger,
        RuleSet.ARGO: argo,
    }
)


def log_likelihood(traffic: Traffic, before: float, after: float) -> npt.NDArray[np.float64]:
    """Of CUSUM, by publish and minute: how much more the minutes up to it speak for `after` than for `before`.

    It knows both ratios, and every minute as it is in the end.
    """
    errors = traffic.errors.final
    good = np.maximum(traffic.entries.final, traffic.exits.final) - errors
    against = np.log(max(1 - after, 1e-9) / (1 - before))
    steps = np.cumsum(errors * np.log(after / before) + good * against, axis=1)
    return np.asarray(steps - np.minimum(np.minimum.accumulate(steps, axis=1), 0.0))
