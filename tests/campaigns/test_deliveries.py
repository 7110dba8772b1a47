"""Deliveries come again and in any order, receivers are killed: one publish an incident, a decision for each alert."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from receiver.store.rollbacks import State
from tests import postgresql_server
from tests.campaigns.clouds import GOOD, Cloud
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.incidents import VARIANTS, Incident, Kind, payload
from tests.campaigns.killers import Killings, Pace, killing
from tests.campaigns.postmen import Postbag, Postmen
from tests.campaigns.scene import Scene, scene
from tests.conftest import StartSimulator

SEED = 4
ORGS = ("retail", "bank")
FLOWS = 10  # of each organization
NOT_TO_BE_ROLLED_BACK = (Kind.FORGED, Kind.OVER, Kind.HELD)


@dataclass(frozen=True)
class Plan:
    """How much of it there is; `bad` incidents of each organization and round have to be rolled back."""

    rounds: int
    bad: int
    deliveries: int
    per_s: float

    @property
    def of_a_round(self) -> int:
        return -(-self.deliveries // self.rounds)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What happens at once, each to another flow of an organization."""
        return (Kind.BAD,) * self.bad + NOT_TO_BE_ROLLED_BACK


SHORT = Plan(rounds=1, bad=2, deliveries=400, per_s=60)
FULL = Plan(rounds=6, bad=5, deliveries=10_000, per_s=60)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'rollback.db'}"
        return
    with postgresql_server.fresh_database(request.getfixturevalue("postgresql_url"), "deliveries") as url:
        yield url


def test_one_publish_for_each_incident_and_a_decision_for_each_alert_whoever_is_killed(
    database_url: str, tmp_path: Path, start_simulator: StartSimulator, size: Size, figures: Figures
) -> None:
    on_postgresql = database_url.startswith("postgresql")
    plan = size.of(short=SHORT, full=FULL)
    clouds = [Cloud(org, FLOWS, start_simulator, tmp_path, seed=SEED) for org in ORGS]
    begun = time.monotonic()
    with scene(tmp_path, clouds, database_url, clock_offsets_s=[0.0] * (3 if on_postgresql else 1)) as here:
        postmen = Postmen(here.fleet.members, count=4, per_s=plan.per_s, seed=SEED)
        # What one of three does not come to, the others do.
        pace = Pace((0.1, 0.5)) if on_postgresql else Pace((0.3, 1.5))
        with killing(here.fleet, pace, seed=SEED) as killings:
            incidents = [one for number in range(plan.rounds) for one in play(here, postmen, plan, number)]
        here.await_rest()
        lasted_s = time.monotonic() - begun
        database = "PostgreSQL" if on_postgresql else "SQLite"
        figures(
            f"deliveries, {database}, {line(here, incidents, postmen.bag, killings)}, {lasted_s:.0f} s (seed {SEED})"
        )

        assert not wrong_publishes(here, incidents)
        assert not here.undecided(postmen.bag.accepted)
        assert here.verify_audit()[0] == 0
        here.await_nothing_left()
        assert not here.fleet.faults_of_the_program()


def play(here: Scene, postmen: Postmen, plan: Plan, number: int) -> list[Incident]:
    """One round: incidents begin, are told of again and again, and end."""
    rng = random.Random(f"{SEED} round {number}")
    incidents = [
        here.begin(org, flow_id, f"{14 + number}.0", kind)
        for org, cloud in here.clouds.items()
        for flow_id, kind in zip(rng.sample(cloud.flows, len(plan.kinds)), plan.kinds, strict=True)
    ]
    variants = [(incident, variant) for incident in incidents for variant in range(VARIANTS)]
    over = [incident.alert(variant, firing=False) for incident, variant in variants if incident.kind is Kind.OVER]
    postmen.deliver([payload(over)])
    firing = [incident.alert(variant, firing=True) for incident, variant in variants]
    late = plan.of_a_round // 5
    postmen.deliver(shuffled(rng, firing, plan.of_a_round - late - 1))
    here.await_ends(incidents)
    here.end(incidents)
    ended = [incident.alert(variant, firing=False) for incident, variant in variants]
    postmen.deliver(shuffled(rng, firing + ended, late))
    return incidents


def shuffled(rng: random.Random, alerts: Sequence[dict[str, Any]], count: int) -> list[bytes]:
    """So many deliveries of one to four of these alerts; each is in some of them."""
    deliveries = [[alert] for alert in alerts]
    deliveries += [rng.sample(alerts, rng.randint(1, 4)) for _ in range(count - len(alerts))]
    rng.shuffle(deliveries)
    return [payload(delivery) for delivery in deliveries]


def wrong_publishes(here: Scene, incidents: Sequence[Incident]) -> list[str]:
    """What is wrong with what the organizations were sent; and with what they and the records say of its effect."""
    found = []
    known = here.rollbacks()
    for org, cloud in here.clouds.items():
        publishes, live = cloud.publishes(), cloud.live()
        due = [one for one in incidents if one.org == org and one.kind is Kind.BAD]
        if len(publishes) != len(due):
            found.append(f"{org}: {len(publishes)} publishes for {len(due)} incidents")
        for one in (one for one in incidents if one.org == org):
            wanted = 1 if one.kind is Kind.BAD else 0
            later = [other.began_at for other in incidents if (other.org, other.flow_id) == (org, one.flow_id)]
            ends_at = min((at for at in later if at > one.began_at), default=float("inf"))
            own = [p for p in publishes if p.flow_id == one.flow_id and one.began_at <= p.at < ends_at]
            effects = [p for p in own if p.version == GOOD and p.effect_at is not None]
            tries = known.get((org, one.flow_id, one.version), [])
            states = [rollback.state for rollback in tries if rollback.wrote]
            if (len(own), len(effects), states) != (wanted, wanted, [State.SUCCEEDED] * wanted):
                found.append(f"{one}: {len(own)} publishes, {len(effects)} effects, {states}")
            if live[one.flow_id] != GOOD:
                found.append(f"{one}: {live[one.flow_id]} is live")
    return found


def line(here: Scene, incidents: Sequence[Incident], bag: Postbag, killings: Killings) -> str:
    """The campaign's figures."""
    members = len(here.fleet.members)
    publishes = [publish for cloud in here.clouds.values() for publish in cloud.publishes()]
    effects = sum(publish.effect_at is not None for publish in publishes)
    undecided = here.undecided(bag.accepted)
    due = sum(incident.kind is Kind.BAD for incident in incidents)
    return (
        f"{members} receiver{'s' if members > 1 else ''}: "
        f"{bag.delivered:,} deliveries ({bag.tries:,} sent) of {len(incidents)} incidents over {len(ORGS) * FLOWS} "
        f"flows and {len(ORGS)} organizations, {due} of them to be rolled back; {killings.kills} SIGKILLs; "
        f"{len(publishes)} publishes, {effects} effects; {len(bag.accepted)} alerts accepted, {len(undecided)} without "
        f"a decision; audit: {here.verify_audit()[1]}"
    )
