"""Incidents of third parties: what a back end does to many flows at once must not be taken back with a deployment.

One flow of an organization has been published half an hour ago when half of the calls of some flows begin to fail.
All others are established. The product's own veto is asked, on what the same rules find in those flows.
"""

import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.detection.cell import Cell
from bench.detection.shipped import NEVER, convicted, firing, rolled_back
from bench.detection.traffic import SETTLE_POLLS, Flags, simulate
from genesys.evidence import Signal
from genesys.excess import ExcessLimits
from receiver.common_cause import CommonCauseLimits, Neighbour, find_common_cause

INCIDENTS = 300
_NORMAL, _INCIDENT = 0.01, 0.5
_EXCUSES = {Signal.ERROR_EXIT: True}  # a flow that fails, and whose version has left probation
_BEGINS_MIN, _LASTS_MIN, _MINUTES = 31, 30, 90
_PAST_MIN = 60  # of the established flows: as long as the longest window
_SMALLEST, _LARGEST = 0.5, 200.0  # calls per minute; flows are spread evenly over the orders of magnitude


@dataclass(frozen=True, slots=True)
class Incident:
    """An organization of `flows` of which a share is hit."""

    flows: int
    share: float

    @property
    def hit(self) -> int:
        """The published flow is one of them."""
        return max(1, round(self.flows * self.share))


@dataclass(frozen=True, slots=True)
class Blamed:
    """In how many of the incidents the published flow was rolled back, with and without the veto."""

    incident: Incident
    seed: int
    incidents: int
    with_veto: int
    without_veto: int


def incidents() -> list[Incident]:
    return [Incident(flows, share) for flows in (50, 300) for share in (0.03, 0.1, 0.3)]


def run(incident: Incident, seed: int) -> Blamed:
    rng = np.random.default_rng([seed, zlib.crc32(repr(incident).encode())])
    published = simulate(
        _cell(_MINUTES), rng, INCIDENTS, per_minute=_volumes(rng, INCIDENTS), ratio=_ratio(0, _MINUTES)
    )
    is_convicted = convicted(published, ExcessLimits())
    fires = firing(published, is_convicted)
    others = _established(incident, rng)

    def is_common(row: int, poll: int) -> bool:
        failing = int(others[row, :, poll - SETTLE_POLLS + _PAST_MIN].sum())
        return find_common_cause(_neighbours(incident, failing), CommonCauseLimits()).found

    alone = rolled_back(published, is_convicted, fires)
    vetoed = rolled_back(published, is_convicted, fires, holds_back=is_common)
    return Blamed(incident, seed, INCIDENTS, int((vetoed != NEVER).sum()), int((alone != NEVER).sum()))


def _cell(minutes: int) -> Cell:
    return Cell(1.0, _NORMAL, _NORMAL, INCIDENTS, minutes)


def _volumes(rng: np.random.Generator, rows: int) -> npt.NDArray[np.float64]:
    return np.exp(rng.uniform(math.log(_SMALLEST), math.log(_LARGEST), (rows, 1)))


def _ratio(past: int, minutes: int) -> npt.NDArray[np.float64]:
    ratio = np.full((1, past + minutes + 1), _NORMAL)
    ratio[:, past + _BEGINS_MIN : past + _BEGINS_MIN + _LASTS_MIN] = _INCIDENT
    return ratio


def _established(incident: Incident, rng: np.random.Generator) -> Flags:
    """Whether each of the other flows that are hit is convicted, by incident, flow and minute of its own."""
    minutes = _PAST_MIN + _MINUTES
    found = []
    for _ in range(incident.hit - 1):
        hit = simulate(
            _cell(minutes), rng, INCIDENTS, per_minute=_volumes(rng, INCIDENTS), ratio=_ratio(_PAST_MIN, _MINUTES)
        )
        found.append(convicted(hit, ExcessLimits()))
    return np.stack(found, axis=1) if found else np.zeros((INCIDENTS, 0, minutes), dtype=bool)


def _neighbours(incident: Incident, failing: int) -> list[Neighbour]:
    """The accused flow, so many established ones that fail as well, and the others."""
    accused = Neighbour("accused", "accused", "2.0", "ci", 1e9, {Signal.ERROR_EXIT: False})
    others = [
        Neighbour(f"{number}", f"{number}", "1.0", "ci", 1e6 * number, _EXCUSES if number < failing else {})
        for number in range(incident.flows - 1)
    ]
    return [accused, *others]
