"""Sums over the exporter's windows, of many publishes at once.

Column m is what the poll shows whose newest settled bucket is m: the newest bucket at its first reading, the one
before at its second, and so on.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.detection.traffic import Counts, Readings, Traffic


class WindowSums:
    """Sums of one count over windows of some lengths in minutes; each is computed when it is asked for."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self._newest_two = readings.first.copy()
        self._newest_two[:, 1:] += readings.second[:, :-1]
        self._newest_three = self._newest_two.copy()
        self._newest_three[:, 2:] += readings.third[:, :-2]
        rows, minutes = readings.final.shape
        self._until = np.zeros((rows, minutes + 1), dtype=np.int32)
        np.cumsum(readings.final, axis=1, out=self._until[:, 1:])

    def over(self, length: int) -> Counts:
        if length == 1:
            return self._readings.first
        if length == 2:
            return self._newest_two
        total = self._newest_three.copy()
        minutes = total.shape[1]
        if minutes > 3:
            total[:, 3:] += self._until[:, 1 : minutes - 2]
        if minutes > length:
            total[:, length:] -= self._until[:, 1 : minutes - length + 1]
        return total


@dataclass(frozen=True, slots=True)
class Window:
    """Errors and volume of one window, by publish and newest settled bucket."""

    errors: Counts
    volume: Counts


class Windows:
    """Errors and volume of a traffic over windows."""

    def __init__(self, traffic: Traffic) -> None:
        self._errors = WindowSums(traffic.errors)
        self._entries = WindowSums(traffic.entries)
        self._exits = WindowSums(traffic.exits)

    def over(self, length: int) -> Window:
        """As `Tally.volume` has it: the larger of entries and exits of the whole window."""
        return Window(self._errors.over(length), np.maximum(self._entries.over(length), self._exits.over(length)))


def breached(traffic: Traffic) -> WindowSums:
    """Minutes above the threshold themselves."""

    def above(errors: Counts, entries: Counts, exits: Counts) -> Counts:
        return (errors > traffic.threshold * np.maximum(entries, exits)).astype(np.int32)

    errors, entries, exits = traffic.errors, traffic.entries, traffic.exits
    return WindowSums(
        Readings(
            above(errors.first, entries.first, exits.first),
            above(errors.second, entries.second, exits.second),
            above(errors.third, entries.third, exits.third),
            above(errors.final, entries.final, exits.final),
        )
    )


def some_rows(traffic: Traffic, rows: npt.NDArray[np.int64] | slice) -> Traffic:
    """The same traffic, of some publishes only."""

    def of(readings: Readings) -> Readings:
        return Readings(readings.first[rows], readings.second[rows], readings.third[rows], readings.final[rows])

    return Traffic(
        errors=of(traffic.errors),
        entries=of(traffic.entries),
        exits=of(traffic.exits),
        polled=traffic.polled[rows],
        published_min=traffic.published_min[rows],
        minute_of_hour=traffic.minute_of_hour[rows],
        baseline=traffic.baseline[rows],
        scatter=traffic.scatter[rows],
        threshold=traffic.threshold[rows],
    )
