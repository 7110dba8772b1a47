"""Which threshold a flow gets: the same for the exporter, by which it is accused, and the receiver, which checks."""

from genesys.evidence import Signal
from genesys.excess import RELATIVE_FLOOR_RATIO, is_relative, relative_threshold, threshold_for
from genesys.selectors import Selector


class Judging(Selector):
    """An entry of `flows` that says from which ratio on its flows fail; each program adds its own keys and bounds."""

    threshold_ratio: float = 0.05  # a flow fails whose share of errors is above it

    @property
    def is_explicit(self) -> bool:
        """Somebody who names a flow by its id and gives a threshold has looked at this flow, and knows better."""
        return self.match.id is not None and "threshold_ratio" in self.model_fields_set

    def threshold(self, baseline_ratio: float | None) -> float:
        """What a flow's ratio of errors is compared with, given its own earlier one (None while that is unknown)."""
        return threshold_for(self.threshold_ratio, baseline_ratio, explicit=self.is_explicit)

    def threshold_of(
        self, signal: Signal, baseline_ratio: float | None, spread_ratio: float | None = None
    ) -> float | None:
        """The same of any signal; None if there is none, so that the signal accuses nobody.

        `threshold_ratio` says how many errors a flow may have, and nothing about relative signals.
        """
        if is_relative(signal):
            return relative_threshold(baseline_ratio, spread_ratio)
        return self.threshold(baseline_ratio)

    def least_threshold(self, signal: Signal) -> float:
        """The smallest that it can be, whatever the flow did before."""
        return RELATIVE_FLOOR_RATIO if is_relative(signal) else self.threshold(None)

    @property
    def told(self) -> str:
        """The threshold as `--resolve` shows it."""
        return f"{self.threshold_ratio:g}{' (explicit)' if self.is_explicit else ''}"
