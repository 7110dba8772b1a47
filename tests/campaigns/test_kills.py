"""Receivers die, stand still and have wrong clocks, answers are lost, effects come late: one effect an incident."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from receiver.store.rollbacks import Permit, Rollback, State
from tests import postgresql_server
from tests.campaigns.clouds import PUBLISH, UPLOAD, Cloud, Publish
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.incidents import VARIANTS, Incident, Kind, payload
from tests.campaigns.killers import Killings, Pace, killing
from tests.campaigns.postmen import Postmen
from tests.campaigns.scene import TIMING, Scene, scene
from tests.conftest import StartSimulator

SEED = 4
ORGS = ("retail", "bank")
FLOWS = 10  # of each organization
CLOCK_OFFSETS_S = (30.0, -30.0, 0.0)
EFFECT_DELAYS_S = (0.0, 5.0, 60.0)  # of Genesys Cloud's time, in turn

# The first that meets a publish. Most are answered slowly (here after 2.5 s), so that many a receiver dies between the
# last byte sent and the first byte received.
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "slow", "delay_s": 150.0, "probability": 0.5},
    {"kind": "drop_after", "probability": 0.2},
    {"kind": "drop_before", "probability": 0.1},
    {"kind": "hang", "delay_s": 20.0, "probability": 0.1},
    {"kind": "status_after", "status": 502, "probability": 0.1},
)
NO_EFFECT = (State.FAILED, "no_effect")  # two permits, and neither publish arrived or was carried out


@dataclass(frozen=True)
class Plan:
    """Until so many SIGKILLs; `bad` incidents of each organization at once."""

    kills: int
    bad: int


SHORT = Plan(kills=15, bad=1)
FULL = Plan(kills=1000, bad=5)


def problems_of_end(rollback: Rollback, effects: int) -> list[str]:
    """It has worked with one effect, or had none, and says so."""
    end = (rollback.state, rollback.reason)
    found = [] if end[0] is State.SUCCEEDED or end == NO_EFFECT else [f"ended as {end}"]
    return found if effects == (end != NO_EFFECT) else [*found, f"{effects} effects, ended as {end}"]


@dataclass(frozen=True)
class Story:
    """One incident, what was sent for it, each with its permit, and how its rollback ended."""

    incident: Incident
    sent: tuple[tuple[Publish, Permit], ...]
    rollback: Rollback

    @property
    def effects(self) -> int:
        return sum(publish.effect_at is not None for publish, _ in self.sent)

    def problems(self) -> list[str]:
        """One effect; a second send only after a proven non-effect; and where there is none at all, the end says so."""
        found = problems_of_end(self.rollback, self.effects)
        for (earlier, _), (later, _) in pairwise(self.sent):
            after_s = later.at - earlier.at
            if earlier.effect_at is not None or after_s < TIMING["publish_deadline_s"]:
                found.append(f"sent again after {after_s:.1f} s, effect of the first: {earlier.effect_at}")
        return [f"{self.incident}: {problem}" for problem in found]


@pytest.mark.parametrize("way_back", ["republish", "redeploy"])
def test_one_effect_whoever_dies_or_stands_still(
    postgresql_url: str, tmp_path: Path, start_simulator: StartSimulator, size: Size, figures: Figures, way_back: str
) -> None:
    plan = size.of(short=SHORT, full=FULL)
    clouds = [Cloud(org, FLOWS, start_simulator, tmp_path, seed=SEED) for org in ORGS]
    # Stopped for longer than a lease, and now and then for longer than a permit.
    stopped_s = (1.2 * TIMING["lease_s"], 1.2 * TIMING["permit_s"])
    pace = Pace((0.05, 0.6), stop_ratio=0.05, stopped_s=stopped_s, aimed_ratio=0.7)
    begun = time.monotonic()
    with (
        postgresql_server.fresh_database(postgresql_url, "kills") as database_url,
        scene(tmp_path, clouds, database_url, clock_offsets_s=CLOCK_OFFSETS_S, ways_back=[way_back]) as here,
    ):
        errors_s = [member.clock_error_s() for member in here.fleet.members]
        postmen = Postmen(here.fleet.members, count=2, per_s=60, seed=SEED)
        incidents: list[Incident] = []
        with killing(here.fleet, pace, seed=SEED, aim=here.at_send) as killings:
            for number in count():
                incidents += play(here, postmen, plan, number)
                if killings.kills >= plan.kills and number + 1 >= len(EFFECT_DELAYS_S):
                    break
        here.await_rest()
        time.sleep(TIMING["permit_s"])
        stories = stories_of(here, incidents)
        took_s = time.monotonic() - begun
        figures(f"kills, PostgreSQL, {way_back}, {line(here, stories, killings)}; {took_s:.0f} s (seed {SEED})")

        assert errors_s == pytest.approx(CLOCK_OFFSETS_S, abs=10)
        assert not [problem for story in stories for problem in story.problems()]
        assert sum(len(story.sent) for story in stories) == sum(len(cloud.publishes()) for cloud in clouds)
        here.await_nothing_left()
        assert here.verify_audit()[0] == 0
        assert not here.fleet.faults_of_the_program()


def play(here: Scene, postmen: Postmen, plan: Plan, number: int) -> list[Incident]:
    """One round: incidents begin, are told of, and end."""
    rng = random.Random(f"{SEED} round {number}")
    for cloud in here.clouds.values():
        cloud.set(effect_delay=EFFECT_DELAYS_S[number % len(EFFECT_DELAYS_S)])
        cloud.fault(*(fault | {"match": match} for match in (PUBLISH, UPLOAD) for fault in FAULTS))
    incidents = [
        here.begin(org, flow_id, f"{100 * (1 + number)}.0", Kind.BAD)  # far from what a job makes: one more each
        for org, cloud in here.clouds.items()
        for flow_id in rng.sample(cloud.flows, plan.bad)
    ]
    alerts = [(incident, variant) for incident in incidents for variant in range(VARIANTS)]
    rng.shuffle(alerts)
    postmen.deliver(payload([incident.alert(variant, firing=True)]) for incident, variant in alerts)
    here.await_ends(incidents)
    here.end(incidents)
    postmen.deliver(payload([incident.alert(variant, firing=False)]) for incident, variant in alerts)
    return incidents


def stories_of(here: Scene, incidents: Sequence[Incident]) -> list[Story]:
    """What became of each incident; a publish belongs to the permit that was given last before it arrived."""
    known, permits = here.rollbacks(), here.permits()
    publishes = {org: cloud.publishes() for org, cloud in here.clouds.items()}
    stories = []
    for one in incidents:
        rollback = known[one.org, one.flow_id, one.version][-1]
        own = [permit for permit in permits if permit.rollback_id == rollback.id]
        later = [other for other in incidents if (other.org, other.flow_id) == (one.org, one.flow_id)]
        next_at = min((other.began_at for other in later if other.began_at > one.began_at), default=float("inf"))
        jobs = {permit.operation_id: permit for permit in own if permit.operation_id is not None}
        sent = []
        for publish in publishes[one.org]:
            if publish.job_id in jobs:
                sent.append((publish, jobs[publish.job_id]))
            elif publish.job_id is None and publish.flow_id == one.flow_id and one.began_at <= publish.at < next_at:
                sent.append((publish, [permit for permit in own if permit.issued_at <= publish.at][-1]))
        stories.append(Story(one, tuple(sent), rollback))
    return stories


def line(here: Scene, stories: Sequence[Story], killings: Killings) -> str:
    """The campaign's figures."""
    sent = [one for story in stories for one in story.sent]
    unanswered = sum(permit.answer is None for _, permit in sent)
    second = sum(len(story.sent) - 1 for story in stories if story.sent)
    late = sum(publish.at > permit.valid_until for publish, permit in sent)
    actors = here.actors()
    taken_over = sum(len(actors[story.rollback.id]) > 1 for story in stories)
    windows_ms = sorted(1000 * window_s for member in here.fleet.members for window_s in member.windows_s())
    ahead, behind, right = CLOCK_OFFSETS_S
    return (
        f"{len(CLOCK_OFFSETS_S)} receivers with clocks {ahead:+g}, {behind:+g} and {right:g} s: "
        f"{killings.kills:,} SIGKILLs, {killings.stops} SIGSTOPs for longer than the lease; {len(stories)} incidents, "
        f"effects after {', '.join(f'{delay_s:g}' for delay_s in EFFECT_DELAYS_S)} s; {taken_over} taken over by "
        f"another process; {len(sent)} publishes ({unanswered} whose sender died before the answer), "
        f"{sum(story.effects for story in stories)} effects, {second} second sends after a proven non-effect, "
        f"{sum(not story.effects for story in stories)} given up after two without effect, {late} sent after their "
        "permit; "
        f"from permit to first byte {median(windows_ms):.1f} ms (median), {windows_ms[-1]:.0f} ms (longest)"
    )
