"""A receiver stands still (SIGSTOP) right before it sends, for longer than its lease, and another one takes over.

Before it has looked at its permit for the last time, it refuses to send when it goes on. After that it sends, whatever
the time is: this residue is measured here, and said in docs/faults.md.
"""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.processes import wait_until
from receiver.store.rollbacks import LEASED, Rollback, State
from tests import postgresql_server
from tests.campaigns.clouds import GOOD, Cloud, Publish
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.incidents import Incident, Kind, payload
from tests.campaigns.postmen import Postmen
from tests.campaigns.scene import ENDS_WITHIN_S, TIMING, Scene, scene
from tests.campaigns.seams import Stop
from tests.conftest import StartSimulator

SEED = 4
BRIEFLY_S = 2 * (TIMING["lease_s"] + TIMING["permit_s"])  # the other one has taken over, and waits for its proof


@dataclass(frozen=True)
class Case:
    """Where a receiver stops, and when it goes on: before the other one sends, or once its publish has taken effect."""

    stop: Stop
    goes_on_last: bool


@dataclass(frozen=True)
class Outcome:
    """What came of one stop."""

    case: Case
    publishes: tuple[Publish, ...]
    late: int  # sent by the one that had stood still, without a permit
    end: State
    live: str

    def problems(self) -> list[str]:
        """Whatever is sent late makes the same version live; before the last look at the permit nothing is."""
        found = []
        if (self.end, self.live) != (State.SUCCEEDED, GOOD):
            found.append(f"ended as {self.end.value} with {self.live} live")
        if any(publish.version != GOOD for publish in self.publishes):
            found.append("published something else")
        if self.case.stop is Stop.BEFORE_CHECK and (self.late, len(self.publishes)) != (0, 1):
            found.append(f"{self.late} sent late, {len(self.publishes)} publishes")
        return [f"{self.case}: {problem}" for problem in found]


SHORT = [Case(stop, goes_on_last=False) for stop in Stop]
FULL = [Case(stop, goes_on_last) for stop in Stop for goes_on_last in (False, True)] * 5


def test_who_stood_still_before_the_last_look_at_its_permit_does_not_send(
    postgresql_url: str, tmp_path: Path, start_simulator: StartSimulator, size: Size, figures: Figures
) -> None:
    cases = size.of(short=SHORT, full=FULL)
    cloud = Cloud("retail", 10, start_simulator, tmp_path, seed=SEED)
    begun = time.monotonic()
    with (
        postgresql_server.fresh_database(postgresql_url, "stops") as database_url,
        scene(tmp_path, [cloud], database_url, clock_offsets_s=(0.0, 0.0), started=False) as here,
    ):
        here.store.migrate()
        outcomes = [play(here, cloud, case, number) for number, case in enumerate(cases)]
        figures(f"stops, PostgreSQL, {line(outcomes)}; {time.monotonic() - begun:.0f} s (seed {SEED})")

        assert not [problem for outcome in outcomes for problem in outcome.problems()]
        assert not here.fleet.faults_of_the_program()


def play(here: Scene, cloud: Cloud, case: Case, number: int) -> Outcome:
    """A bad version is live; the first receiver stops with its permit in hand, the second one finds that."""
    first, second = here.fleet.members
    flow_id = cloud.flows[number % len(cloud.flows)]
    incident = here.begin(cloud.org, flow_id, f"{14 + number}.0", Kind.BAD)
    here.fleet.start(first, stop=case.stop)
    here.fleet.await_ready([first])
    Postmen([first], count=1, per_s=60, seed=SEED).deliver([payload([incident.alert(0, firing=True)])])
    wait_until(first.stopped_itself, f"{case}: to stop", within_s=ENDS_WITHIN_S)

    here.fleet.start(second)
    here.fleet.await_ready([second])
    if case.goes_on_last:
        wait_until(lambda: rollback_of(here, incident).state not in LEASED, f"{case}: to act", within_s=ENDS_WITHIN_S)
    else:
        time.sleep(BRIEFLY_S)
    resumed_at = time.time()
    here.fleet.send(first, signal.SIGCONT)
    here.fleet.await_ready([first])
    here.await_ends([incident])
    here.await_rest()
    return outcome_of(here, cloud, case, incident, resumed_at)


def outcome_of(here: Scene, cloud: Cloud, case: Case, incident: Incident, resumed_at: float) -> Outcome:
    """Read it where it happened, and let nobody go on."""
    for member in here.fleet.members:
        here.fleet.kill(member)
    rollback = rollback_of(here, incident)
    of_flow = [publish for publish in cloud.publishes() if publish.flow_id == incident.flow_id]
    publishes = tuple(publish for publish in of_flow if publish.at >= incident.began_at)
    given = [permit.issued_at for permit in here.permits() if permit.rollback_id == rollback.id]
    late = sum(one.at >= resumed_at for one in publishes) - sum(at >= resumed_at for at in given)
    return Outcome(case, publishes, late, rollback.state, cloud.live()[incident.flow_id])


def rollback_of(here: Scene, incident: Incident) -> Rollback:
    return here.rollbacks()[incident.org, incident.flow_id, incident.version][-1]


def line(outcomes: Sequence[Outcome]) -> str:
    """The campaign's figures."""

    def told(stop: Stop) -> str:
        own = [outcome for outcome in outcomes if outcome.case.stop is stop]
        second = sum(len(outcome.publishes) > 1 for outcome in own)
        return (
            f"{sum(outcome.late for outcome in own)} of {len(own)} sent late, {second} of them after another's effect"
        )

    lasted_s = f"{BRIEFLY_S:g} s and more, the lease {TIMING['lease_s']:g} s, the permit {TIMING['permit_s']:g} s"
    return (
        f"SIGSTOP right before the send, for {lasted_s}: before the last look at the permit {told(Stop.BEFORE_CHECK)}; "
        f"between that and the first byte {told(Stop.AFTER_CHECK)}, which made the same version live again"
    )
