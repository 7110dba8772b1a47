"""The world of the campaign: several processes on one database, two organizations, people; everything in one thread.

Whatever happens is first told to the observer (`Past`), and every promise is
asked. What is broken is kept until the step has ended, because a process may
swallow an exception.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from genesys.flows import Flow
from genesys.organizations import Analytics
from receiver.config import ReceiverSettings
from receiver.store.database import StoreUnavailable
from receiver.store.leases import LeaseLost
from tests.campaigns.stateful import rows
from tests.campaigns.stateful.cloud import ASKED, CampaignAlertmanager, CampaignGenesys, Sent, client_of
from tests.campaigns.stateful.databases import IMPATIENT, Database
from tests.campaigns.stateful.past import Commit, Look, Past, Publish
from tests.campaigns.stateful.promises import OF_A_COMMIT, OF_A_PERMIT, OF_A_PUBLISH
from tests.campaigns.stateful.seams import CRASH, IN_TRANSACTION, Act, Interruption, Killed, Run, Seams, SeamStore
from tests.integration.receiver_world import BAD_PUBLISH_AT, DAY_S, FlowInGenesys, Receiver, Time

FLOWS = {"retail": ("flow-1", "flow-2", "flow-3", "shadow", ASKED), "bank": ("flow-1",)}
ANALYTICS = Analytics(history_s=12 * 3600)  # a week would be slower and tell nothing else
PROCESSES = 3
OF_OTHERS = ("tick", "overtake")
STALLS = ("wait", "overtake")


@dataclass
class Tally:
    """What a campaign has really done, over all its examples."""

    steps: int = 0
    examples: int = 0
    counts: Counter[str] = field(default_factory=Counter)


class Process(Receiver):
    """A receiver whose own clocks, the monotonic one and the wall's, are off."""

    name: str
    off_s = 0.0

    def _monotonic(self) -> float:
        return self.time.now + self.off_s


class World:
    """Everything around the receivers, and the receivers; `do` lets one thing happen."""

    def __init__(
        self,
        settings: ReceiverSettings,
        database: Database,
        tally: Tally,
        acts: Callable[["World", Act], None],
    ) -> None:
        self.settings = settings
        self.time = Time()
        self.tally = tally
        self.past = Past()
        self.broken: list[str] = []
        self.database = database
        self.seams = Seams(self._interrupt)
        self.store = SeamStore(database.url, self.seams, self._committed, IMPATIENT if database.overlaps else None)
        self.alertmanager = CampaignAlertmanager(reach=self.seams.reach, answered=self._answered)
        self.clouds = {
            org: CampaignGenesys(
                org, self.time, map(_flow, flows), reach=self.seams.reach, sent=self._sent, looked=self._looked
            )
            for org, flows in FLOWS.items()
        }
        self._acts = acts
        self.processes = [self._process(number) for number in range(PROCESSES)]
        self._read()

    def close(self) -> None:
        self.store.close()

    def do(self, act: Act) -> None:
        self.tally.counts[act.name] += 1
        self._acts(self, act)

    def tick(self, number: int, org: str, interruptions: Sequence[Interruption] = ()) -> None:
        """One round of one process, as its loop does it; it may die in it."""
        self.tally.counts["rounds"] += 1
        process = self.processes[number]
        try:
            with self.seams.of(Run(process.name, org, list(interruptions))), _own_clock(process.off_s):
                process.tick(org)
        except Killed:
            self.tally.counts["crashes"] += 1
            self.restart(number)
        except LeaseLost:
            self.tally.counts["overtaken"] += 1
        except StoreUnavailable:
            self.tally.counts["kept waiting"] += 1

    def restart(self, number: int) -> None:
        """A new process, which remembers nothing, under a new name."""
        self.processes[number] = self._process(number)

    def _process(self, number: int) -> Process:
        self.tally.counts["processes"] += 1
        name = f"receiver-{number}.{self.tally.counts['processes']}"
        made = Process(self.settings, self.store, self.time, self.clouds, self.alertmanager, name, ANALYTICS)
        made.name = name
        made.off_s = (0.0, 3600.0, -3600.0)[number]
        return made

    def _interrupt(self, run: Run, seam: str, act: Act) -> None:
        if act == CRASH:
            raise Killed
        if seam == IN_TRANSACTION and not (self.database.overlaps and act.name in OF_OTHERS):
            return  # only another process can do something there, and only where transactions overlap
        if seam == "before the publish" and act.name in STALLS:
            return  # documented: stopped between the check of its permit and the send, it sends late
        self.tally.counts["interruptions"] += 1
        with self.seams.of(None):
            self.do(act)

    def _read(self, only_leases: bool = False) -> rows.Rows:
        return rows.read(self.database.reader, self.past.rows, only_leases=only_leases)

    def _committed(self, tables: frozenset[str]) -> bool:
        """Somebody has committed: the observer looks, and asks every promise."""
        run = self.seams.run
        after = self._read(only_leases=tables == {"leases"})
        commit = Commit(run and run.process, self.time.now, self.past.rows, after)
        gave_permit = False
        self._ask(OF_A_COMMIT, commit, self.past)
        for attempt, permit in commit.permits:
            gave_permit = True
            self._ask(OF_A_PERMIT, attempt, permit, commit.process or "", self.past)
        self.past.add_commit(commit)
        return gave_permit

    def _sent(self, sent: Sent) -> None:
        """A publish has reached Genesys Cloud; nothing has come of it yet."""
        run = self.seams.run
        given = self.past.permit_of(run.process, sent.org) if run else None
        if run is None or given is None:
            self.broken.append(f"sent_without_a_permit: {sent}")
            return
        publish = Publish(sent, given[1], given[0], run.process)
        self.tally.counts["publishes"] += 1
        self.tally.counts["files"] += sent.by_file
        self.tally.counts["effects"] += publish.had_effect
        self.tally.counts["undone"] += publish.attempt.is_undo
        self.tally.counts["approved"] += publish.attempt.approved_by is not None
        self.tally.counts["sent again"] += any(one.wrote for one in self.past.of(given[0].id))
        self._ask(OF_A_PUBLISH, publish, self.past)
        self.past.publishes.append(publish)

    def _looked(self, org: str, flow: Flow) -> None:
        if self.seams.run is not None:
            self.past.looks[self.seams.run.process, org, flow.id] = Look(self.time.now, flow)

    def _answered(self) -> None:
        if self.seams.run is not None:
            self.past.stops.answer(self.seams.run.process, self.seams.run.org, self.time.now)

    def _ask(self, promises: Any, *about: Any) -> None:
        for name, promise in promises.items():
            self.broken += [f"{name}: {what}" for what in promise(*about)]


def _flow(flow_id: str) -> FlowInGenesys:
    timeline = [(BAD_PUBLISH_AT - 30 * DAY_S, "12.0"), (BAD_PUBLISH_AT - 10 * DAY_S, "13.0"), (BAD_PUBLISH_AT, "14.0")]
    return FlowInGenesys(id=flow_id, timeline=timeline, published_by=client_of(flow_id))


@contextmanager
def _own_clock(off_s: float) -> Iterator[None]:
    """The wall clock of the process, which nothing may depend on."""
    right = time.time
    time.time = lambda: right() + off_s
    try:
        yield
    finally:
        time.time = right


@contextmanager
def faults_into(broken: list[str]) -> Iterator[None]:
    """What a process writes down as a fault of its own goes into `broken`: it swallows the exception."""
    log = logging.getLogger("receiver")
    handler, level = _Faults(broken), log.level
    log.addHandler(handler)
    log.setLevel(logging.ERROR)  # what it warns of is what the campaign does to it
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class _Faults(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append(f"fault: {self.format(record)}")
