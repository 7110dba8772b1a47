"""The faults that are set, and which of them meets a request."""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

from simulator.vocabulary import Fault


@dataclass
class _Set:
    fault: Fault
    left: int | None
    until: float


class Faults:
    """Faults in the order in which they were given; the first that matches meets the request."""

    def __init__(self, *, factor: float, rng: random.Random) -> None:
        self._factor = factor
        self._rng = rng
        self._set: list[_Set] = []

    def replace(self, faults: Iterable[Fault], now: float) -> None:
        self._set = [
            _Set(fault, fault.times, math.inf if fault.for_s is None else now + fault.for_s / self._factor)
            for fault in faults
        ]

    def meet(self, method: str, path: str, now: float) -> Fault | None:
        """The fault that this request meets, if any; it is used up by one."""
        self._set = [entry for entry in self._set if entry.left != 0 and now < entry.until]
        for entry in self._set:
            match = entry.fault.match
            matches = match.method in (None, method) and path.startswith(match.path_prefix)
            if matches and self._rng.random() < entry.fault.probability:
                if entry.left is not None:
                    entry.left -= 1
                return entry.fault
        return None

    def as_json(self) -> list[dict[str, object]]:
        """What is set now, with `times` as they are left."""
        return [
            entry.fault.model_dump(mode="json", exclude_defaults=True)
            | ({} if entry.left is None else {"times": entry.left})
            for entry in self._set
        ]
