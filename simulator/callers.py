"""Callers: they arrive, stay a while, and end well or badly by the version they started on.

Owns what happens in flows, in the order in which it happens. When analytics
tell of it is `reports`' business.
"""

import heapq
import random
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from simulator.behaviour import ERROR_REASONS, STUCK_EXITS, Action, Exit
from simulator.errors import bad_request
from simulator.ids import id_of
from simulator.world import Flow, Version, World


class Kind(StrEnum):
    """What can be counted; each Genesys Cloud metric counts one of them."""

    ENTRY = "entry"  # a caller enters a flow
    EXIT = "exit"  # and leaves it again
    ERROR = "error"  # a conversation met an error, in a flow or outside
    OUTCOME = "outcome"  # a call achieved what the flow is for, or did not
    OUTCOME_FAILED = "outcome_failed"  # it did not
    EXECUTION = "execution"  # a data action was run


class Transfer(NamedTuple):
    """Where a call was sent: the name of the target, and its address (of a queue, its id)."""

    type: str
    target: str | None
    address: str | None


class Execution(NamedTuple):
    """How a data action ended; without an error type there was no error."""

    action_id: str
    action_name: str
    response_status: str
    error_type: str | None = None


class Key(NamedTuple):
    """What can be asked about something that happened; None where Genesys Cloud sets no value.

    An entry has the exit reason of its call, and its transfer; whether analytics tell it is theirs to say.
    """

    kind: Kind
    flow_id: str
    version: str | None
    media: str
    exit_reason: str | None = None
    transfer: Transfer | None = None
    outcome: str | None = None
    execution: Execution | None = None

    def left_by(self, way: Exit) -> "Key":
        """The same, of a call that leaves the flow by this exit."""
        to = None
        if way.transfer_type is not None and way.transfer_target is not None:
            to = Transfer(way.transfer_type, way.transfer_target, id_of(way.transfer_target))
        return self._replace(exit_reason=way.reason, transfer=to)

    def outcomes(self, *, failed: bool) -> "tuple[Key, ...]":
        """What an outcome counts as."""
        bare = self._replace(kind=Kind.OUTCOME, exit_reason=None, transfer=None)
        if not failed:
            return (bare._replace(outcome="SUCCESS"),)
        bad = bare._replace(outcome="FAILURE")
        return bad, bad._replace(kind=Kind.OUTCOME_FAILED)

    def ran(self, action: Action, *, failed: bool) -> "Key":
        """An execution of a data action by the call."""
        ended = Execution(action.id, action.name, "200")
        if failed:
            ended = Execution(action.id, action.name, action.response_status, action.error_type)
        return self._replace(kind=Kind.EXECUTION, exit_reason=None, transfer=None, execution=ended)


class Happening(NamedTuple):
    at: float
    key: Key
    duration_s: float = 0.0


MEDIA: Mapping[str, float] = MappingProxyType({"voice": 0.95, "callback": 0.05})  # several groups, to be summed


class Callers:
    """The callers of all flows, from `start` on; same seed and same world, same callers."""

    def __init__(
        self, world: World, *, start: float, factor: float, seed: int, conversation_error_ratio: float
    ) -> None:
        self._world = world
        self._factor = factor
        self._conversation_error_ratio = conversation_error_ratio
        self._rngs = {flow_id: random.Random(f"{seed} callers {flow_id}") for flow_id in world.flows}  # noqa: S311
        # Apart, so that the same callers come and go whatever else they do.
        self._deeds = {flow_id: random.Random(f"{seed} deeds {flow_id}") for flow_id in world.flows}  # noqa: S311
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
        self._caller(flow, self._rngs[flow_id], at, flow.live, bad=fails)

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
        error_ratio = max(version.error_ratio, self._world.impaired(flow.spec.id).error_ratio)
        self._caller(flow, rng, arrival, version, bad=rng.random() < error_ratio)

    def _caller(self, flow: Flow, rng: random.Random, arrival: float, version: Version, *, bad: bool) -> None:
        mean_s = (flow.spec.bad_call if bad else flow.spec.good_call) / self._factor
        duration_s = rng.gammavariate(2.0, mean_s / 2.0)
        entry = Key(Kind.ENTRY, flow.spec.id, version.label, _draw(rng, MEDIA))
        if bad:
            entry = entry._replace(exit_reason=_draw(rng, ERROR_REASONS))
        else:
            entry = entry.left_by(_draw_exit(rng, version.behaviour.exits))
        error = rng.random() < self._conversation_error_ratio or bad

        deeds = self._deeds[flow.spec.id]
        stuck = not bad and deeds.random() < version.behaviour.stuck_ratio
        if stuck:
            duration_s = deeds.gammavariate(2.0, flow.spec.stuck_call / self._factor / 2.0)
            entry = entry.left_by(_draw_exit(deeds, STUCK_EXITS))
        failed = deeds.random() < version.behaviour.outcome_failed_ratio or bad or stuck
        self._will_happen(arrival, entry)
        self._will_happen(arrival + duration_s, entry._replace(kind=Kind.EXIT), duration_s)
        for outcome in entry.outcomes(failed=failed):
            self._will_happen(arrival + duration_s, outcome)
        for action in version.behaviour.actions:
            self._run(action, entry, arrival)
        if error:
            self._will_happen(arrival + duration_s, entry._replace(kind=Kind.ERROR, exit_reason=None, transfer=None))

    def _run(self, action: Action, entry: Key, arrival: float) -> None:
        deeds = self._deeds[entry.flow_id]
        duration_s = deeds.gammavariate(2.0, action.duration / self._factor / 2.0)
        failed_ratio = max(action.failed_ratio, self._world.impaired(entry.flow_id).failed_ratios.get(action.id, 0.0))
        execution = entry.ran(action, failed=deeds.random() < failed_ratio)
        self._will_happen(arrival + duration_s, execution, duration_s)

    def _will_happen(self, at: float, key: Key, duration_s: float = 0.0) -> None:
        heapq.heappush(self._to_come, Happening(at, key, duration_s))


def _draw(rng: random.Random, shares: Mapping[str, float]) -> str:
    return rng.choices(tuple(shares), tuple(shares.values()))[0]


def _draw_exit(rng: random.Random, exits: Sequence[Exit]) -> Exit:
    return rng.choices(exits, [way.share for way in exits])[0]
