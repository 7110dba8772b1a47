"""PostgreSQL fails while alerts arrive and a rollback is under way: nothing accepted is lost, and one effect."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import yaml

from demo.processes import wait_until
from demo.sink import Sink
from receiver.store.rollbacks import State
from receiver.store.schema import alerts
from tests.campaigns.clouds import GOOD, Cloud, Publish
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.fleet import fleet
from tests.campaigns.incidents import Incident, payload
from tests.campaigns.outages import Database, Outage, database
from tests.campaigns.postmen import Postmen
from tests.campaigns.scene import SETTINGS, TIMING, Scene
from tests.campaigns.stream import Stream, streaming
from tests.campaigns.turns import FLOWS, by_turns, patiently
from tests.conftest import StartSimulator

SEED = 4
ORG = "retail"
RECEIVERS = ("receiver-1", "receiver-2")
LEASE_S = 6.0  # longer than a round, also on a machine that is busy: two receivers would only take it from each other
SOON_S = 300.0  # a few seconds, on a machine with nothing else to do
TOLD = ("AUTO_ROLLBACK_TRIGGERED", "ROLLBACK_SUCCEEDED")

SHORT = [
    Outage("crashed", 4.0),
    Outage("paused", 2.0),
    Outage("connections terminated", 1.5, stores=True),
]
ALL = [
    Outage("stopped", 5.0),
    Outage("crashed", 5.0),
    Outage("killed", 5.0),
    Outage("restarted", 0.5, stores=True),
    Outage("paused", 3.0),
    Outage("connections terminated", 4.0, stores=True),
    Outage("network cut", 5.0),
    Outage("network silent", 3.0),
    Outage("one receiver cut off", 8.0, stores=True),
    Outage("one receiver not heard", 8.0, stores=True),
]
LONG = [Outage("paused", 25.0), Outage("network silent", 25.0)]  # longer than a receiver waits for an answer
FULL = [*ALL, *LONG, *ALL, *ALL]


@dataclass(frozen=True)
class Happened:
    """One outage, on the clock of `time.monotonic`: when it had begun, and when it was about to end."""

    outage: Outage
    incident: Incident
    begun: float
    ended: float


def test_nothing_accepted_is_lost_and_a_rollback_under_way_has_one_effect(
    tmp_path: Path, postgresql_binaries: Path, start_simulator: StartSimulator, size: Size, figures: Figures
) -> None:
    outages = size.of(short=SHORT, full=FULL)
    cloud = Cloud(ORG, FLOWS + 1, start_simulator, tmp_path, seed=SEED)
    healthy, *flows = cloud.flows
    sink = Sink()
    with database(postgresql_binaries, RECEIVERS) as data, bridge(tmp_path, cloud, data, sink) as here:
        with streaming(here.fleet.members, ORG, healthy, senders=4, pause_s=0.3, seed=SEED) as stream:
            chance = random.Random(SEED)
            turns = zip(outages, by_turns(here, ORG, flows, len(outages)), strict=True)
            happened = [go_through(here, data, stream, outage, incident, chance) for outage, incident in turns]
        incidents = [one.incident for one in happened]
        failed = [one.flow_id for one in incidents]
        here.await_ends(incidents)
        here.await_rest()
        lost, publishes = missing(here, stream), cloud.publishes()
        rollbacks = [one for tries in here.rollbacks().values() for one in tries]
        wait_until(lambda: len(told(sink)) >= len(TOLD) * len(incidents), "everybody is told", within_s=SOON_S)
        figures(line(happened, stream, lost, publishes))

        assert lost == []
        assert sorted((one.flow_id, one.version) for one in publishes) == [(flow, GOOD) for flow in sorted(failed)]
        assert [one.state for one in rollbacks if one.wrote] == [State.SUCCEEDED] * len(failed)
        assert set(stream.statuses()) <= {202, 503}
        assert wrongly_accepted(happened, stream) == []
        assert told(sink) == Counter((one.flow_id, one.version, kind) for one in incidents for kind in TOLD)
        assert not here.undecided(stream.fired)
        assert here.verify_audit()[0] == 0
        here.await_nothing_left()
        assert not here.fleet.faults_of_the_program()


@contextmanager
def bridge(folder: Path, cloud: Cloud, data: Database, sink: Sink) -> Iterator[Scene]:
    """Two receivers, each with its own way to the database."""
    asked = {"webhooks": [{"name": "people", "url": sink.url}], "timing": TIMING | {"lease_s": LEASE_S}}
    settings = {**SETTINGS, **asked, "database_url": data.url}
    sink.start()
    with fleet(folder, organizations=[patiently(cloud)], settings=settings, count=len(RECEIVERS)) as made:
        for member in made.members:
            common = yaml.safe_load(member.config.read_text())
            member.config.write_text(yaml.safe_dump(common | {"database_url": data.url_of(member.name)}))
            made.start(member)
        made.await_ready()
        here = Scene([cloud], made, data.url)
        try:
            yield here
        finally:
            here.close()
            sink.stop()


def go_through(
    here: Scene, data: Database, stream: Stream, outage: Outage, incident: Incident, chance: random.Random
) -> Happened:
    """An outage at some point of a rollback, which is confirmed before this returns."""
    postmen = Postmen(here.fleet.members, count=1, per_s=10, seed=SEED)
    postmen.deliver([payload([incident.alert(0, firing=True)])])
    if chance.random() < 0.7:
        wait_until(lambda: has(here, incident, "started_at"), f"{incident.flow_id} is published", within_s=SOON_S)
    time.sleep(chance.uniform(0.0, 1.0))
    with outage.at(data):
        begun = time.monotonic()
        time.sleep(outage.lasts_s)
        if outage.is_told:
            wait_until(lambda: bool(stream.statuses(begun)[503]), f"503 while {outage.name}", within_s=SOON_S)
        ended = time.monotonic()
    wait_until(lambda: has(here, incident, "confirmed_at"), f"{incident.flow_id} is confirmed", within_s=SOON_S)
    postmen.deliver([payload([incident.alert(0, firing=False)])])
    return Happened(outage, incident, begun, ended)


def has(here: Scene, incident: Incident, moment: str) -> bool:
    """Has a rollback of it come so far?"""
    known = here.rollbacks().get((ORG, incident.flow_id, incident.version), [])
    return any(getattr(one, moment) is not None for one in known)


def told(sink: Sink) -> Counter[tuple[str, str, str]]:
    """What people have heard of rollbacks; an event that was delivered twice counts once."""
    events = {one["event_id"]: one for one in sink.received if one["incident_type"] in TOLD}
    return Counter((one["flow_id"], one["accused_version_id"], one["incident_type"]) for one in events.values())


def missing(here: Scene, stream: Stream) -> list[str]:
    """What was accepted and is not in the database."""
    with here.store.begin() as tx:
        rows = tx.execute(sa.select(alerts.c.fingerprint, alerts.c.starts_at, alerts.c.is_open)).all()
    is_open = {(fingerprint, starts_at): is_open for fingerprint, starts_at, is_open in rows}
    lost = [f"{alert} fires" for alert in stream.fired if alert not in is_open]
    return lost + [f"{alert} is over" for alert in stream.over if is_open.get(alert, True)]


def wrongly_accepted(happened: Sequence[Happened], stream: Stream) -> list[str]:
    """What came and was accepted while it could not be stored."""
    down = [one for one in happened if not one.outage.stores]
    counted = [(one.outage.name, stream.statuses(one.begun, one.ended)[202]) for one in down]
    return [f"{count} accepted while {name}" for name, count in counted if count]


def line(happened: Sequence[Happened], stream: Stream, lost: Sequence[str], publishes: Sequence[Publish]) -> str:
    kinds = ", ".join(f"{count} × {kind}" for kind, count in Counter(one.outage.name for one in happened).items())
    seconds = sum(one.ended - one.begun for one in happened)
    statuses = stream.statuses()
    effects = sum(one.effect_at is not None for one in publishes)
    return (
        f"PostgreSQL outages: {len(happened)} of {seconds:.0f} s in sum ({kinds}), each with a rollback under way: "
        f"{len(publishes)} publishes, {effects} effects; {len(stream.answers):,} deliveries, "
        f"{statuses[202]:,} accepted, {statuses[503]:,} answered 503, {len(lost)} accepted and lost (seed {SEED})"
    )
