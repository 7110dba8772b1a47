"""Callers: they arrive, stay a while, and end well or badly by the version they started on.

Owns what happens in flows, in the order in which it happens. When analytics
tell of it is `reports`' business.
"""

import heapq
import random
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from simulator.errors import bad_request
from simulator.world import Flow, World


class Kind(StrEnum):
    """What can be counted; each Genesys Cloud metric counts one of them."""

    ENTRY = "entry"  # a caller enters a flow
    EXIT = "exit"  # and leaves it again
    ERROR = "error"  # a conversation met an error, in a flow or outside


class Key(NamedTuple):
    """What can be asked about something that happened; None where Genesys Cloud sets no value.

    An entry has the exit reason of its call; whether analytics tell it is theirs to say.
    """

    kind: Kind
    flow_id: str
    version: str
    media: str
    exit_reason: str | None = None


class Happening(NamedTuple):
    at: float
    key: Key
    duration_s: float = 0.0


GOOD_EXITS = {"TRANSFER": 0.6, "DISCONNECT": 0.25, "FLOW_DISCONNECT": 0.15}
BAD_EXITS = {"FLOW_ERROR_DISCONNECT": 0.85, "FLOW_ERROR_EXIT": 0.15}
MEDIA = {"voice": 0.95, "callback": 0.05}  # so that one flow version has several groups that must be summed


class Callers:
    """The callers of all flows, from `start` on; same seed and same world, same callers."""

    def __init__(
        self, world: World, *, start: float, factor: float, seed: int, conversation_error_ratio: float
    ) -> None:
        self._world = world
        self._factor = factor
        self._conversation_error_ratio = conversation_error_ratio
        self._rngs = {flow_id: random.Random(f"{seed} callers {flow_id}") for flow_id in world.flows}  # noqa: S311
        self._arrivals: dict[str, float] = {}
        self._to_come: list[Happening] = []
        for flow_id in world.flows:
            self.rate_changed(flow_id, start)

    def rate_changed(self, flow_id: str, at: float) -> None:
        """Draw the next arrival anew: arrivals are memoryless, so that nothing before `at` changes."""
        flow = self._world.flows[flow_id]
        rate_per_s = flow.calls_per_min * self._factor / 60 if flow.in_service else 0.0
        self._arrivals[flow_id] = at + self._rngs[flow_id].expovariate(rate_per_s) if rate_per_s else float("inf")

    def call(self, flow_id: str, at: float, *, fails: bool) -> None:
        """Let one more caller enter at a time that is not past. Raises a 400 `ApiError` if the flow takes none."""
        flow = self._world.flow(flow_id)
        if not flow.in_service:
            raise bad_request(f"the flow {flow_id} is not in service and takes no callers")
        self._caller(flow, self._rngs[flow_id], at, flow.live.label, bad=fails)

    def until(self, at: float) -> Iterator[Happening]:
        """Everything that happened since the last call and up to `at`, in order.

        The world must be as it was all that time: stop at every change of it.
        """
        for flow_id in self._arrivals:
            while (arrival := self._arrivals[flow_id]) <= at:
                self._call(self._world.flows[flow_id], self._rngs[flow_id], arrival)
                self.rate_changed(flow_id, arrival)
        while self._to_come and self._to_come[0].at <= at:
            yield heapq.heappop(self._to_come)

    def _call(self, flow: Flow, rng: random.Random, arrival: float) -> None:
        version = flow.live_at(arrival)
        if version is None:
            return
        self._caller(flow, rng, arrival, version.label, bad=rng.random() < version.error_ratio)

    def _caller(self, flow: Flow, rng: random.Random, arrival: float, version: str, *, bad: bool) -> None:
        mean_s = (flow.spec.bad_call if bad else flow.spec.good_call) / self._factor
        duration_s = rng.gammavariate(2.0, mean_s / 2.0)
        media = _draw(rng, MEDIA)
        entry = Key(Kind.ENTRY, flow.spec.id, version, media, _draw(rng, BAD_EXITS if bad else GOOD_EXITS))
        heapq.heappush(self._to_come, Happening(arrival, entry))
        heapq.heappush(self._to_come, Happening(arrival + duration_s, entry._replace(kind=Kind.EXIT), duration_s))
        if rng.random() < self._conversation_error_ratio or bad:
            error = entry._replace(kind=Kind.ERROR, exit_reason=None)
            heapq.heappush(self._to_come, Happening(arrival + duration_s, error))


def _draw(rng: random.Random, shares: dict[str, float]) -> str:
    return rng.choices(tuple(shares), tuple(shares.values()))[0]
