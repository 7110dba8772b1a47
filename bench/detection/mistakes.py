"""Mistakes that are no errors: by which signal each is found, how late, and how often calm flows are accused falsely.

The signals are judged by the shipped evaluator. All but `error_exit` only page, as they do where nothing else is
configured: of those there are only the long windows, and no receiver looks a second time.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.detection.callers import Share, by_signal, shares, show
from bench.detection.measure import after_publish, poisson_upper, quantiles
from bench.detection.shipped import convicted, firing, first
from bench.detection.traffic import Flags, Traffic
from bench.detection.ways import AT_ONCE, BEFORE, USUAL, Judged, Mistake, Version, Way
from exporter.snapshot import ALL_WINDOWS, LONG_WINDOWS
from genesys.routing import limits_among

CHUNK = 400_000  # minutes of publishes at once
DAY_MIN = 24 * 60
RUN_ON = 4  # times as many publishes, where some were accused falsely, and there is a goal


@dataclass(frozen=True, slots=True)
class Made:
    """A version with a mistake is published, `publishes` times, in a flow of this volume."""

    mistake: Mistake
    per_minute: float
    publishes: int
    minutes: int

    @property
    def name(self) -> str:
        return f"{self.per_minute:g}/min, {self.mistake.name}"


@dataclass(frozen=True, slots=True)
class Late:
    """From publish to alert, median and 95th percentile; inf where it never came, and the share of those."""

    median_min: float
    late_min: float
    never: float


@dataclass(frozen=True, slots=True)
class Noticed:
    """How late each signal found a mistake, and how late the first of them did."""

    made: Made
    seed: int
    by_signal: Mapping[Judged, Late]
    first: Late


@dataclass(frozen=True, slots=True)
class Calm:
    """A good version is published; one signal looks at shares that were always so. Several are those of targets."""

    signal: Judged
    usual: tuple[float, ...]
    per_minute: float
    publishes: int
    minutes: int
    swing_cv: float = 0.0

    @property
    def name(self) -> str:
        told = " ".join(f"{share:.3g}" for share in self.usual)
        swings = f", swings {self.swing_cv:g}" if self.swing_cv else ""
        day = ", a day" if self.minutes == DAY_MIN else ""
        return f"{self.per_minute:g}/min, {self.signal.value} {told}{swings}{day}"

    @property
    def has_goal(self) -> bool:
        """A day, in which no receiver looks whether the version has left probation, and swings are only shown."""
        return not self.swing_cv and self.minutes < DAY_MIN


@dataclass(frozen=True, slots=True)
class Accused:
    """How often the good version was accused."""

    calm: Calm
    seed: int
    publishes: int
    accused: int

    @property
    def per_10000(self) -> float:
        return 1e4 * self.accused / self.publishes

    @property
    def upper_per_10000(self) -> float:
        return 1e4 * poisson_upper(self.accused) / self.publishes


def notice(made: Made, seed: int) -> Noticed:
    rng = _rng(seed, made.name)
    version, looked_at = made.mistake.version, shares(BEFORE, made.mistake.version)
    minutes: dict[Judged, list[npt.NDArray[np.float64]]] = {}
    rows = max(50, CHUNK // made.minutes // len(looked_at))
    for done in range(0, made.publishes, rows):
        here = min(rows, made.publishes - done)
        shown = show(version, looked_at, rng, here, made.minutes, per_minute=made.per_minute)
        for signal, traffics in by_signal(shown).items():
            minutes.setdefault(signal, []).append(alert_minutes(signal, traffics))
    found = {signal: np.concatenate(parts) for signal, parts in minutes.items()}
    soonest = np.min(np.stack(list(found.values())), axis=0)
    return Noticed(made, seed, {signal: _late(one) for signal, one in found.items()}, _late(soonest))


def _late(alert_min: npt.NDArray[np.float64]) -> Late:
    return Late(*quantiles(alert_min), float(np.isinf(alert_min).mean()))


def accuse(calm: Calm, seed: int) -> Accused:
    rng = _rng(seed, calm.name)
    version, looked_at = calm_version(calm)
    rows = min(calm.publishes, max(50, CHUNK // calm.minutes // len(looked_at)))
    publishes = accused = 0
    most = RUN_ON * calm.publishes if calm.has_goal else calm.publishes
    while publishes < calm.publishes or (0 < accused <= 20 and publishes < most):
        shown = show(version, looked_at, rng, rows, calm.minutes, per_minute=calm.per_minute, swing_cv=calm.swing_cv)
        publishes += rows
        accused += int(np.isfinite(alert_minutes(calm.signal, list(shown.values()))).sum())
    return Accused(calm, seed, publishes, accused)


def _rng(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def calm_version(calm: Calm) -> tuple[Version, list[Share]]:
    """Exits of another kind stand for whatever is counted: only shares and volume matter."""
    lasts = AT_ONCE if calm.signal in (Judged.ACTION_FAILURE, Judged.ACTION_SLOW) else USUAL
    counted = [Share(calm.signal, share, f"{number}") for number, share in enumerate(calm.usual)]
    ways = [Way(one.before, one.signal, one.target, lasts) for one in counted]
    rest = Way(1.0 - sum(calm.usual), calm.signal, "other", lasts)
    return Version((*ways, rest)), counted


def windows_of(signal: Judged) -> tuple[str, ...]:
    """Those that there are where nothing is configured: only `error_exit` acts."""
    return ALL_WINDOWS if signal is Judged.ERROR_EXIT else LONG_WINDOWS


def alert_minutes(signal: Judged, traffics: list[Traffic]) -> npt.NDArray[np.float64]:
    return after_publish(traffics[0], first(firing(traffics[0], _convicted(traffics, windows_of(signal)))))


def _convicted(traffics: list[Traffic], labels: tuple[str, ...]) -> Flags:
    """Of several targets one that convicts is judged, if there is any, by the limits for so many."""
    found = np.zeros(traffics[0].shape, dtype=bool)
    for one in traffics:
        found |= convicted(one, limits_among(len(traffics)), labels)
    return found
