"""One square of the grid: what kind of publish is simulated, and how often.

Owns the words of the simulation; `traffic` turns them into calls, `grid` says which squares there are.
"""

from dataclasses import dataclass
from enum import StrEnum


class Errors(StrEnum):
    """How errors come: each on its own, or in clusters that are no deployment's fault."""

    INDEPENDENT = "independent"
    REDIALS = "redials"  # a caller that failed comes again 0 to 3 times within five minutes, and fails again
    SWINGS = "swings"  # the ratio of each half hour is its mean times a factor with a coefficient of variation of 0.5
    BETA = "beta"  # the ratio of each minute is drawn from a beta distribution with correlation 0.05


class Durations(StrEnum):
    """How long calls last; those that fail end sooner."""

    USUAL = "usual"  # 3 minutes in the mean, failing ones half a minute
    LONG = "long"  # 8 minutes in the mean, failing ones one minute


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of publish: `minutes` of the new version are simulated, `publishes` times."""

    per_minute: float  # calls in the mean, over the day where there is a rhythm
    before: float  # ratio that the flow had in the week before
    after: float  # ratio of the new version
    publishes: int
    minutes: int
    errors: Errors = Errors.INDEPENDENT
    durations: Durations = Durations.USUAL
    rhythm: bool = False  # of a contact centre's day; published at any time of it
    known: bool = True  # whether the flow has a history
    burst_minutes: int = 0  # of total failure, at a random moment of the first hour

    @property
    def name(self) -> str:
        """What identifies the cell, for its random numbers as well."""
        parts = [f"{self.per_minute:g}/min", f"{self.before:.1%} to {self.after:.1%}", self.errors.value]
        parts += [self.durations.value] if self.durations is not Durations.USUAL else []
        parts += ["rhythm"] if self.rhythm else []
        parts += [] if self.known else ["no history"]
        parts += [f"burst {self.burst_minutes} min"] if self.burst_minutes else []
        return ", ".join(parts)
