"""The running simulation: brings world, callers and analytics to the present.

Nothing runs in the background: whoever asks first moves everything to now, in
the order in which it happened. `present()` is the only way in, and holds the
lock, so that the parts themselves need none.
"""

import logging
import random
import threading
import uuid
from bisect import insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from simulator import world as worlds
from simulator.access import Gatekeeper
from simulator.callers import Callers
from simulator.cues import Cues
from simulator.errors import ApiError
from simulator.faults import Faults
from simulator.history import HOUR, History
from simulator.jobs import Jobs
from simulator.objects import Objects
from simulator.reports import Grouping, Reports, Span, Table
from simulator.request_log import RequestLog
from simulator.scenario import Scenario
from simulator.vocabulary import (
    AnyEvent,
    Call,
    Change,
    ChangeObject,
    DeleteObject,
    ExpireTokens,
    SetFaults,
    Settings,
    Switches,
)
from simulator.world import Impaired

LEAD = 1.25 * HOUR  # simulated seconds of single calls before the start: a trailing hour, and its settling

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Something to come on the timeline."""

    at: float
    happen: Callable[[float], None]


class Simulation:
    """One Genesys Cloud organization, from `clock()` on."""

    def __init__(self, scenario: Scenario, *, factor: float, seed: int, clock: Callable[[], float]) -> None:
        self.scenario = scenario
        self.factor = factor
        self.seed = seed
        self.start = self._now = clock()
        rng = random.Random(f"{seed} simulation")  # noqa: S311
        self.world = worlds.build(
            scenario.flows,
            scenario.settings,
            scenario.switches,
            start=self.start,
            factor=factor,
            rng=rng,
            clients={client.name: client.id for client in scenario.access.clients},
        )
        self.gatekeeper = Gatekeeper(scenario.access, factor=factor, rng=rng)
        self.faults = Faults(factor=factor, rng=rng)
        self.cues = Cues()
        self.objects = Objects(scenario.objects)
        self.jobs = Jobs(lambda: self.world, lambda: str(uuid.UUID(int=rng.getrandbits(128), version=4)))
        self.requests = RequestLog()
        self._clock = clock
        self._lock = threading.RLock()
        self._timeline = [
            _Entry(self.start + moment.at / factor, self._scripted(moment.do)) for moment in scenario.timeline
        ]
        seam = self.start - LEAD / factor
        history = History(scenario, start=self.start, end=seam, factor=factor, seed=seed)
        self._reports = Reports(history, lambda: self.world.settings, factor=factor, seed=seed)
        self._callers = Callers(
            self.world,
            start=seam,
            factor=factor,
            seed=seed,
            conversation_error_ratio=scenario.conversation_error_ratio,
        )
        self._run_to(self.start)

    @contextmanager
    def present(self) -> Iterator[float]:
        """Everything as it is now, for the caller alone; gives the time in Unix seconds."""
        with self._lock:
            now = max(self._now, self._clock())
            while (due := self._next_due()) <= now:
                self._run_to(due)
                self.world.settle(due)
                while self._timeline and self._timeline[0].at <= due:
                    self._timeline.pop(0).happen(due)
            self._run_to(now)
            yield now

    def apply(self, event: AnyEvent, now: float) -> None:
        """Let an event happen. Raises an `ApiError` if it cannot."""
        match event:
            case SetFaults():
                self.faults.replace(event.faults, now)
            case ChangeObject():
                self.object_changed(self.objects.change(event), now)
            case DeleteObject():
                self.object_changed(self.objects.delete(event), now)
            case Change():
                self.world.changed(event, now)
            case ExpireTokens():
                self.gatekeeper.expire_all()
            case Call():
                self._callers.call(event.flow, now, fails=event.fails)
            case _:
                self.world.apply(event, now)
                self._callers.rate_changed(event.flow, now)

    def object_changed(self, change: Change, now: float) -> None:
        """Have the audit tell of it, and the callers of flows meet it."""
        self.world.changed(change, now)
        met = self.objects.impairments()
        for spec in self.scenario.objects:
            for one in spec.while_changed:
                flow = self.world.flow(one.flow)
                rate = next((each.calls_per_min for each in met if each.flow == one.flow and each.calls_per_min), None)
                flow.calls_per_min = flow.spec.calls_per_min if rate is None else rate
                self._callers.rate_changed(one.flow, now)
        self.world.impairments = {
            flow_id: Impaired(
                max(one.error_ratio for one in met if one.flow == flow_id),
                {one.action: one.failed_ratio for one in met if one.flow == flow_id and one.action is not None},
            )
            for flow_id in {one.flow for one in met}
        }

    def later(self, at: float, happen: Callable[[float], None]) -> None:
        """Have something happen at a time to come; it is given that time."""
        insort(self._timeline, _Entry(at, happen), key=lambda entry: entry.at)

    def cue(self, when: str, method: str, path: str, now: float) -> None:
        """Let happen, or begin to wait for, what this request brings about."""
        for due in self.cues.due(when, method, path):
            happen = self._scripted(due.do)
            if due.delay_s:
                self.later(now + due.delay_s / self.factor, happen)
            else:
                happen(now)

    def change_settings(self, settings: Settings) -> None:
        self.world.settings = settings

    def change_switches(self, switches: Switches) -> None:
        self.world.switches = switches

    def draw_history(self, span: Span) -> None:
        """Ready what a question about `span` needs of the past; the only thing to be called outside of `present`."""
        self._reports.draw_history(span)

    def tabulate(self, span: Span, grouping: Grouping) -> Table:
        """What analytics know, as `Reports.tabulate`."""
        return self._reports.tabulate(span, grouping)

    def to_come(self) -> int:
        """How many events of the timeline are still to come."""
        return len(self._timeline)

    def _next_due(self) -> float:
        publish_at = self.world.next_due()
        moments = [at for at in (publish_at, self._timeline[0].at if self._timeline else None) if at is not None]
        return min(moments, default=float("inf"))

    def _scripted(self, event: AnyEvent) -> Callable[[float], None]:
        def happen(at: float) -> None:
            try:
                self.apply(event, at)
            except ApiError as error:
                # Somebody did something over the control API that the script does not expect.
                _log.warning("%s could not happen: %s", event.event, error.message)

        return happen

    def _run_to(self, at: float) -> None:
        for happening in self._callers.until(at):
            self._reports.happened(happening)
        self._reports.show_until(at)
        self._now = at
