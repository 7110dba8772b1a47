"""Two Alertmanagers that lose each other, are slow, or stand still: no write that was held back, none for what is over.

In each round a version fails all the time, so that whoever may write does: at its end the alert fires with nothing in
the way, and is rolled back once.
"""

import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import sqlalchemy as sa

from demo.processes import wait_until
from receiver.store import controls
from receiver.store.database import clock
from receiver.store.schema import decisions
from tests import postgresql_server
from tests.campaigns.clouds import GOOD, Cloud, Publish
from tests.campaigns.cluster import SOON_S, Cluster, Peer, cluster, urls
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.fleet import fleet
from tests.campaigns.incidents import Incident
from tests.campaigns.scene import SETTINGS, TIMING, Scene
from tests.campaigns.turns import FLOWS, by_turns, patiently
from tests.conftest import StartSimulator

SEED = 5
ORG = "retail"
PEOPLE = "voice-team"
LEASE_S = 6.0  # longer than a round, also while an Alertmanager that stands still is waited for
HELD_BACK_S = 2.0  # some rounds of each receiver: whatever it would write, it has written
LAST_TICK = re.compile(r"^genesys_rollback_worker_last_tick_timestamp_seconds\{.*\} (.*)$", re.MULTILINE)


@dataclass
class Round:
    """One flow with its bad version, in front of the cluster; `far` is the peer with the trouble."""

    here: Scene
    peers: Cluster
    incident: Incident
    near: Peer
    far: Peer
    begun: float = field(default_factory=time.monotonic)
    held_back_s: float = 0.0
    late: int = 0  # firing deliveries after the end of the alert was delivered
    wrong: list[str] = field(default_factory=list)  # writes

    @property
    def flow(self) -> str:
        return self.incident.flow_id

    def fire(self, *peers: Peer) -> float:
        """Begin to fire at some of them, as a new alert; gives its start."""
        starts_at = time.time()
        alert = self.incident.alert(0, firing=True)
        for peer in peers or self.peers.peers:
            peer.fire(alert["labels"], starts_at, alert["annotations"])
        return starts_at

    def end(self, starts_at: float, *peers: Peer) -> None:
        labels = self.incident.alert(0, firing=True)["labels"]
        for peer in peers or self.peers.peers:
            peer.end(labels, starts_at)

    def await_delivered(self, peer: Peer, *, firing: bool, since: float | None = None) -> None:
        """`since` is on the clock of `time.monotonic`; without it, in this round."""
        what = f"{peer.name} delivers that {self.flow} {'fires' if firing else 'is over'}"
        after = self.begun if since is None else since
        wait_until(lambda: peer.delivered(self.flow, firing=firing, since=after), what, within_s=SOON_S)

    def await_verdict(self, verdict: str) -> None:
        """Return when that was decided of this version, or what nothing shall be done about is being done."""
        of_this = sa.and_(decisions.c.object_id == self.flow, decisions.c.version == self.incident.version)
        query = sa.select(decisions.c.id).where(of_this, decisions.c.verdict == verdict)

        def decided() -> bool:
            with self.here.store.begin() as tx:
                return tx.scalar(query) is not None

        wait_until(lambda: decided() or self.rolled_back(), f"{self.flow}: {verdict}", within_s=SOON_S)

    def must_be_held_back(self) -> None:
        """Nothing is written in a while, although the version fails."""
        begun = time.time()
        time.sleep(HELD_BACK_S)
        wait_until(lambda: self.last_tick() > begun + HELD_BACK_S, "each receiver looks again", within_s=SOON_S)
        self.held_back_s += time.time() - begun
        if self.publishes():
            self.wrong.append(f"{self.flow}: written where nothing was to be written")

    def last_tick(self) -> float:
        """When the slowest of the receivers last finished a round (Unix seconds)."""
        pages = [httpx.get(f"{member.url}/metrics", timeout=10).text for member in self.here.fleet.members]
        return min(float(found) for page in pages for found in LAST_TICK.findall(page))

    def await_rollback(self) -> None:
        """Rolled back, and nothing more: until the outcome is known, whoever would write twice has done so."""
        self.here.await_ends([self.incident])
        published = self.publishes()
        if len(published) > 1:
            self.wrong.append(f"{self.flow}: published {published}")

    def rolled_back(self) -> bool:
        return (ORG, self.flow, self.incident.version) in self.here.rollbacks()

    def publishes(self) -> list[str]:
        """The versions of all that were sent since the bad one is live."""
        sent = self.here.clouds[ORG].publishes()
        return [one.version for one in sent if one.flow_id == self.flow and one.at >= self.incident.began_at]

    def people_hold(self, *, hold: bool) -> None:
        def change(tx: sa.Connection) -> None:
            now = clock(tx)
            if hold:
                controls.hold(tx, ORG, [self.flow], owner=PEOPLE, reason="we are on it", by=PEOPLE, now=now)
            else:
                controls.release(tx, ORG, self.flow, by=PEOPLE, now=now)

        self.here.store.transact(change)


def whole(one: Round) -> None:
    """The control: nobody has trouble."""
    one.end(_fires_and_is_rolled_back(one))


def partitioned(one: Round) -> None:
    """Neither knows what the other has delivered, so both deliver."""
    one.peers.cut()
    starts_at = one.fire()
    one.await_delivered(one.near, firing=True)
    one.await_delivered(one.far, firing=True)
    one.await_rollback()
    one.end(starts_at)
    one.peers.heal()


def silenced_on_one_side(one: Round) -> None:
    """The one that delivers knows nothing of the silence, which holds back all the same; also once it knows."""
    one.peers.cut()
    silence = one.far.silence(one.flow)
    starts_at = one.fire()
    one.await_delivered(one.near, firing=True)
    one.await_verdict("silenced")
    if one.near.knows_silence(silence):
        raise AssertionError("the two are not parted")
    one.must_be_held_back()
    one.peers.heal()
    wait_until(lambda: one.near.knows_silence(silence), "the silence is known to both", within_s=SOON_S)
    one.must_be_held_back()
    one.near.call("DELETE", f"silence/{silence}")
    one.await_rollback()
    one.end(starts_at)


def delivered_late(one: Round) -> None:
    """What the slow one has sent while the alert fired arrives when the other has told that it is over."""
    one.people_hold(hold=True)
    one.far.post.hold()
    one.peers.cut()  # together they would deliver once, and whose turn is first is drawn when they start
    starts_at = one.fire()
    one.await_delivered(one.near, firing=True)
    sent = f"{one.far.name} has sent that {one.flow} fires"
    wait_until(lambda: one.far.post.took(one.flow, since=one.begun), sent, within_s=SOON_S)
    one.peers.heal()
    one.await_verdict("held")
    one.end(starts_at)
    one.await_delivered(one.near, firing=False)
    one.await_verdict("resolved")
    one.people_hold(hold=False)
    over_at = time.monotonic()
    one.far.post.release()
    one.far.post.hold()  # or it would tell the end as well, a second later
    one.await_delivered(one.far, firing=True, since=over_at)
    one.must_be_held_back()
    one.far.post.release()
    _nothing_comes_of_it(one, over_at)


def stopped(one: Round) -> None:
    """One stands still while the alert ends; when it goes on, it still takes it for firing."""
    one.people_hold(hold=True)
    starts_at = one.fire()
    one.await_verdict("held")
    one.far.process.send(signal.SIGSTOP)
    one.end(starts_at, one.near)
    one.await_delivered(one.near, firing=False)
    one.await_verdict("resolved")
    one.people_hold(hold=False)
    over_at = time.monotonic()
    one.far.process.send(signal.SIGCONT)
    one.await_delivered(one.far, firing=True, since=over_at)
    one.end(starts_at, one.far)
    _nothing_comes_of_it(one, over_at)
    one.peers.await_whole()


def _fires_and_is_rolled_back(one: Round) -> float:
    starts_at = one.fire()
    one.await_rollback()
    return starts_at


def _nothing_comes_of_it(one: Round, over_at: float) -> None:
    """Of what was delivered too late; but of the next firing."""
    one.must_be_held_back()
    carried = [delivery for peer in one.peers.peers for delivery in peer.deliveries]
    one.late = sum(one.flow in delivery.firing and delivery.ended >= over_at for delivery in carried)
    one.end(_fires_and_is_rolled_back(one))


Play = Callable[[Round], None]
SHORT: Sequence[Play] = (silenced_on_one_side, delivered_late)
FULL: Sequence[Play] = (whole, partitioned, silenced_on_one_side, delivered_late, stopped) * 6


def test_nothing_is_written_that_was_held_back_or_is_over_and_each_failure_is_rolled_back_once(
    tmp_path: Path, postgresql_url: str, start_simulator: StartSimulator, size: Size, figures: Figures
) -> None:
    plays = size.of(short=SHORT, full=FULL)
    cloud = Cloud(ORG, FLOWS, start_simulator, tmp_path, seed=SEED)
    rounds = []
    with (
        postgresql_server.fresh_database(postgresql_url, "cluster") as url,
        bridge(tmp_path, cloud, url) as (here, peers),
    ):
        for number, incident in enumerate(by_turns(here, ORG, cloud.flows, len(plays))):
            near, far = peers.peers[:: -1 if number % 2 else 1]
            rounds.append(Round(here, peers, incident, near, far))
            plays[number](rounds[-1])
        here.await_rest()
        publishes = cloud.publishes()
        figures(line(plays, rounds, peers, publishes))

        assert [write for one in rounds for write in one.wrong] == []
        sent = sorted((one.flow_id, one.version) for one in publishes)
        assert sent == sorted((one.flow, GOOD) for one in rounds)
        assert {one.status for peer in peers.peers for one in peer.post.carried} == {202}
        assert not here.fleet.faults_of_the_program()


@contextmanager
def bridge(folder: Path, cloud: Cloud, database_url: str) -> Iterator[tuple[Scene, Cluster]]:
    """Two receivers, to each of which both Alertmanagers deliver, and which ask both."""
    at = urls()
    asked = {"alertmanagers": list(at.values())}
    # An alert that is still listed so long after its end is believed to fire again; one that has stood still lists it
    # for as long as it takes to hear of the end, which on a busy machine is many seconds.
    unlisted_s = SOON_S
    timing = TIMING | {"reconcile_s": 0.5, "unlisted_s": unlisted_s, "alertmanager_max_age_s": 10.0, "lease_s": LEASE_S}
    settings = {**SETTINGS, **asked, "timing": timing, "database_url": database_url}
    with ExitStack() as opened:
        made = opened.enter_context(fleet(folder, organizations=[patiently(cloud)], settings=settings, count=2))
        for member in made.members:
            made.start(member)
        peers = opened.enter_context(cluster(folder, at, {member.name: member.url for member in made.members}))
        made.await_ready()
        here = opened.enter_context(closing(Scene([cloud], made, database_url)))
        yield here, peers


def line(plays: Sequence[Play], rounds: Sequence[Round], peers: Cluster, publishes: Sequence[Publish]) -> str:
    kinds = ", ".join(f"{count} × {name}" for name, count in Counter(play.__name__ for play in plays).items())
    deliveries = " and ".join(f"{len(peer.deliveries):,}" for peer in peers.peers)
    wrong = sum(len(one.wrong) for one in rounds)
    late, held_back_s = sum(one.late for one in rounds), sum(one.held_back_s for one in rounds)
    return (
        f"Alertmanager cluster: {len(rounds)} rounds ({kinds.replace('_', ' ')}), {deliveries} deliveries, {late} of "
        f"them firing after the end; held back for {held_back_s:.0f} s: {wrong} wrong writes; "
        f"{len(publishes)} publishes for {len(rounds)} versions that fail (seed {SEED})"
    )
