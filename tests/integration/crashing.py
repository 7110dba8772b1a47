"""A receiver process that dies at a chosen step: before or after a commit, a request to Genesys Cloud, or a delivery.

The steps are not listed anywhere: a first run records them, so that a new one is covered as soon as it exists. They are
seen at the seams that the program has anyway: its store, its HTTP transport, and what posts its notifications.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import sqlalchemy as sa

from receiver.metrics import ReceiverMetrics
from receiver.notify.delivery import Deliverer
from receiver.notify.sinks import sinks_of
from receiver.store import rollbacks
from receiver.store.database import Store, Transaction
from receiver.store.rollbacks import ENDS, IN_VAIN, Rollback
from tests.integration.fault_cases import Arrange
from tests.integration.receiver_world import Receiver
from tests.integration.simulated_world import SimulatedScene, simulated_scene

MOST_ROUNDS = 300
People = Callable[[SimulatedScene], bool]
"""They look after each round, and may order something; True if they did."""
RECEIVER = str(Path(sys.modules["receiver"].__path__[0]))


class Killed(BaseException):
    """The process ends here."""


@dataclass(frozen=True)
class Crash:
    """When a process dies: right before or right after its step number `step`."""

    moment: Literal["before", "after"]
    step: int
    name: str

    def __str__(self) -> str:
        return f"{self.moment} step {self.step}, {self.name}"


@dataclass
class Steps:
    """The steps of one process in their order, and when it dies, if it does."""

    crash: Crash | None = None
    done: list[str] = field(default_factory=list)
    state: str = "no rollback"  # of the newest rollback, as last written

    def before(self) -> None:
        self._die_if("before", len(self.done))

    def after(self, what: str) -> None:
        self.done.append(f"{what} ({self.state})")
        self._die_if("after", len(self.done) - 1)

    def _die_if(self, moment: str, step: int) -> None:
        if self.crash is not None and (self.crash.moment, self.crash.step) == (moment, step):
            raise Killed


def crashes(done: Sequence[str], *, known: Set[str] = frozenset()) -> list[Crash]:
    """Before each step of a name that is new, and after it.

    Where the next step is one of these too, dying after this one leaves the same traces as dying before that one.
    """
    new = [number for number, name in enumerate(done) if name not in known and name not in done[:number]]
    before = [Crash("before", number, done[number]) for number in new]
    return before + [Crash("after", number, done[number]) for number in new if number + 1 not in new]


class MortalStore(Store):
    """A store whose commits are steps, unless nothing was written."""

    def __init__(self, url: str, steps: Steps) -> None:
        super().__init__(url)
        self._steps = steps

    @contextmanager
    def _transaction(self, this: Any) -> Iterator[Transaction]:
        writes: list[str] = []
        with super()._transaction(this) as tx:
            with _writes_of(tx, writes):
                yield tx
            if writes:
                self._steps.before()
                newest = rollbacks.newest(tx, org=None, flow_id=None, limit=1)
                self._steps.state = _told(newest[0]) if newest else "no rollback"
        if writes:
            self._steps.after(f"commit of {_caller()}")


def _told(rollback: Rollback) -> str:
    """Its state, and what makes its steps others than those of a rollback that nobody has ordered."""
    state = f"{rollback.state.value}{' in vain' if IN_VAIN in rollback.facts else ''}"
    if rollback.is_by_hand:
        return f"by hand {state}"
    ordered = "undo " if rollback.is_undo else "approved " if rollback.approved_by is not None else ""
    return f"{ordered}{state}"


@contextmanager
def _writes_of(tx: Transaction, found: list[str]) -> Iterator[None]:
    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith("SELECT"):
            found.append(statement)

    sa.event.listen(tx, "before_cursor_execute", note)
    yield
    sa.event.remove(tx, "before_cursor_execute", note)


def _caller() -> str:
    """The function of the receiver that opened the transaction."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_filename.startswith(RECEIVER) and "/store/" not in frame.f_code.co_filename:
            return frame.f_code.co_qualname
    return "the test"


def _path(request: httpx.Request) -> str:
    """Without the ids of jobs, which are others in each run."""
    return re.sub("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "{id}", request.url.path)


class MortalTransport(httpx.BaseTransport):
    """HTTP, real if nothing else is said, whose requests are steps; so is the end of one that is not answered."""

    def __init__(self, steps: Steps, inner: httpx.BaseTransport | None = None) -> None:
        self._steps = steps
        self._inner = inner or httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._steps.before()
        try:
            response = self._inner.handle_request(request)
        except httpx.HTTPError:
            self._steps.after(f"lost {request.method} {_path(request)}")
            raise
        self._steps.after(f"{request.method} {_path(request)}")
        return response

    def close(self) -> None:
        self._inner.close()


@dataclass
class _Sink:
    """Whom people are told through: each delivery that arrived, with its event id."""

    steps: Steps
    received: list[tuple[str, str]]

    def post_json(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self.steps.before()
        self.received.append((body["incident_type"], body["event_id"]))
        self.steps.after(f"POST {body['incident_type']} to the sink")


class _Process:
    """A receiver with its loop and its deliveries, one after the other."""

    def __init__(self, here: SimulatedScene, name: str, steps: Steps, received: list[tuple[str, str]]) -> None:
        self._store = MortalStore(here.settings.database_url, steps)
        self.receiver: Receiver = here.receiver(name, store=self._store, transport=MortalTransport(steps))
        self._deliverer = Deliverer(
            self._store,
            sinks_of(here.settings, _Sink(steps, received)),
            ReceiverMetrics(self._store, here.settings, ["retail"]),
            here.settings.timing,
            clock=lambda _: here.time.now,
        )

    def round(self) -> None:
        self.receiver.tick()
        self._deliverer.deliver_due()

    def close(self) -> None:
        self._store.close()


@dataclass(frozen=True)
class Run:
    """What came of a rollback, whoever finished it."""

    done: list[str]  # steps of the first process
    end: Rollback  # the newest one
    earlier: list[Rollback]
    publishes: int
    effects: int
    deliveries: list[tuple[str, str]]  # incident type and event id


def nobody(_: SimulatedScene) -> bool:
    return False


def run(folder: Path, arrange: Arrange, crash: Crash | None = None, *, people: People = nobody, **settings: Any) -> Run:
    """One rollback from the alert to its last notification; after a crash another process goes on.

    Fails unless a lease that is left runs out, and no permit is left with which anybody could send.
    """
    with simulated_scene(folder, **settings) as here:
        here.deliver()
        arrange(here.genesys)
        received: list[tuple[str, str]] = []
        steps = Steps(crash)
        with _process(here, "receiver-1", steps, received) as first:
            crashed = not _survives(first, here, people)
        assert crashed == (crash is not None)
        if crashed:
            with _process(here, "receiver-2", Steps(), received) as second:
                assert _survives(second, here, people)
        *earlier, end = here.rollbacks()
        here.time.pass_(here.settings.timing.lease_s)
        assert not here.leases()
        assert all(permit.valid_until < here.time.now for one in (*earlier, end) for permit in here.permits(one))
        return Run(steps.done, end, earlier, len(here.genesys.publishes()), len(here.genesys.effects()), received)


@contextmanager
def _process(here: SimulatedScene, name: str, steps: Steps, received: list[tuple[str, str]]) -> Iterator[_Process]:
    process = _Process(here, name, steps, received)
    try:
        yield process
    finally:
        process.close()


def _survives(process: _Process, here: SimulatedScene, people: People) -> bool:
    """Let it work until all is at an end and nothing waits to be told; False if it dies before that."""
    for number in range(MOST_ROUNDS):
        try:
            process.round()
        except Killed:
            return False
        ordered = people(here)
        found = here.rollbacks()
        if found and all(one.state in ENDS for one in found) and not here.untold() and not ordered:
            return True
        verifying = bool(found) and found[-1].confirmed_at is not None
        here.time.pass_(20.0 if verifying else 2.0 if number < 10 else 10.0)
    raise AssertionError(f"not at an end: {here.rollbacks()}")
