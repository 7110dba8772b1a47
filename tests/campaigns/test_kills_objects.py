"""Receivers die while an object is restored, and while callers are led elsewhere: one effect, as Genesys Cloud counts.

What is written has a number there, one more for each change. As in `test_kills`, answers are lost, and most come late.
"""

import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from demo.processes import wait_until
from receiver.store.rollbacks import Permit, Rollback, State
from tests import postgresql_server
from tests.campaigns.clouds import BAD_RATIO, GOOD, Cloud
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.fleet import SECRETS
from tests.campaigns.incidents import VARIANTS, Incident, Kind, payload
from tests.campaigns.killers import Killings, Pace, killing
from tests.campaigns.postmen import Postmen
from tests.campaigns.scene import ENDS_WITHIN_S, TIMING, Scene, scene
from tests.campaigns.test_kills import CLOCK_OFFSETS_S, FAULTS, FULL, SEED, SHORT, problems_of_end
from tests.conftest import StartSimulator

ORG = "retail"
EACH = 3  # so many of each kind, in turn
FLOWS = [f"{ORG}-flow-{number}" for number in range(1, 2 * EACH + 2)]
LED, MET, ELSEWHERE = FLOWS[:EACH], FLOWS[EACH : 2 * EACH], FLOWS[-1]
ROUTES = {flow: f"route-of-{flow}" for flow in LED}
RESTORED = {flow: f"restored-of-{flow}" for flow in MET}
OF_ALL = {"match": {"method": "PUT", "path_prefix": "/api/v2/architect/"}}

OBJECTS: list[dict[str, Any]] = [
    *[
        {"type": "ivr", "id": route, "name": route, "fields": {"dnis": ["+1"], "openHoursFlow": {"id": flow}}}
        | {"while_changed": [{"flow": flow, "calls_per_min": 0.1}]}
        for flow, route in ROUTES.items()
    ],
    *[
        {"type": "ivr", "id": route, "name": route, "fields": {"dnis": ["+1"], "openHoursFlow": {"id": flow}}}
        | {"while_changed": [{"flow": flow, "error_ratio": BAD_RATIO}]}
        for flow, route in RESTORED.items()
    ],
]
SETTINGS: dict[str, Any] = {
    "timing": TIMING | {"objects_s": 1.0},
    "flows": [
        *[
            {"match": {"id": flow}, "mode": "auto", "ways_back": ["repoint"]}
            | {"repoint": {"type": "ivr", "id": route, "flow_id": ELSEWHERE}}
            for flow, route in ROUTES.items()
        ],
        {"match": "*", "mode": "auto"},
    ],
    "objects": [
        {"org": ORG, "type": "ivr", "id": route, "flow_id": flow, "mode": "approve"} for flow, route in RESTORED.items()
    ],
}


@dataclass(frozen=True)
class Broken:
    """One incident: the object that is to be written, the number that it had, and the alert."""

    object_id: str
    number: int
    began_at: float
    incident: Incident

    @property
    def is_restored(self) -> bool:
        return self.object_id in RESTORED.values()

    def alert(self, variant: int, *, firing: bool) -> dict[str, Any]:
        told = self.incident.alert(variant, firing=firing)
        if self.is_restored:
            about = {"alertname": "GenesysObjectFailing", "object_type": "ivr", "object_id": self.object_id}
            kept = {name: value for name, value in told["labels"].items() if not name.startswith("flow_")}
            told |= {"labels": kept | about, "fingerprint": f"{self.object_id}-{self.number}-{variant}"}
        return told


@dataclass(frozen=True)
class Story:
    """What became of it, `effects` as Genesys Cloud has counted them."""

    broken: Broken
    rollback: Rollback
    effects: int
    writes: int
    permits: tuple[Permit, ...]

    def problems(self) -> list[str]:
        """One effect, or none and the end says so; nothing was written without a permit of its own."""
        found = problems_of_end(self.rollback, self.effects)
        if self.writes > len(self.permits):
            found.append(f"{self.writes} writes, {len(self.permits)} permits")
        return [f"{self.broken}: {problem}" for problem in found]


def test_one_effect_of_a_restoration_and_of_a_repoint_whoever_dies(
    postgresql_url: str, tmp_path: Path, start_simulator: StartSimulator, size: Size, figures: Figures
) -> None:
    plan = size.of(short=SHORT, full=FULL)
    cloud = Cloud(ORG, len(FLOWS), start_simulator, tmp_path, seed=SEED, objects=OBJECTS)
    stopped_s = (1.2 * TIMING["lease_s"], 1.2 * TIMING["permit_s"])
    pace = Pace((0.05, 0.6), stop_ratio=0.05, stopped_s=stopped_s, aimed_ratio=0.5)
    stories: list[Story] = []
    begun = time.monotonic()
    with (
        postgresql_server.fresh_database(postgresql_url, "kills_objects") as database_url,
        scene(tmp_path, [cloud], database_url, clock_offsets_s=CLOCK_OFFSETS_S, changes=SETTINGS) as here,
    ):
        await_known(here)
        postmen = Postmen(here.fleet.members, count=2, per_s=60, seed=SEED)
        with killing(here.fleet, pace, seed=SEED, aim=here.at_send) as killings:
            for number in count():
                stories += play(here, cloud, postmen, number)
                if killings.kills >= plan.kills and number > 0:
                    break
        here.await_rest()
        figures(f"kills, PostgreSQL, {line(stories, killings)}; {time.monotonic() - begun:.0f} s (seed {SEED})")

        assert not [problem for story in stories for problem in story.problems()]
        here.await_nothing_left()
        assert here.verify_audit()[0] == 0
        assert not here.fleet.faults_of_the_program()


def await_known(here: Scene) -> None:
    """Snapshots of all that may be restored are kept."""
    headers = {"Authorization": f"Bearer {SECRETS['operator']}"}

    def are_known() -> bool:
        answer = httpx.get(f"{here.fleet.members[0].url}/api/v1/objects", headers=headers, timeout=10).json()
        return sum(one["live_version"] is not None for one in answer["objects"]) == len(RESTORED)

    wait_until(are_known, "snapshots", within_s=ENDS_WITHIN_S, every_s=0.3)


def play(here: Scene, cloud: Cloud, postmen: Postmen, number: int) -> list[Story]:
    """One round: a bad version, whose callers are led elsewhere, and another call route that somebody has broken."""
    cloud.fault(*(fault | OF_ALL for fault in FAULTS))
    before = cloud.objects()
    led, met = LED[number % EACH], MET[number % EACH]
    bad = here.begin(ORG, led, f"{14 + number}.0", Kind.BAD)
    cloud.change("ivr", RESTORED[met], dnis=[f"+{2 + number}"])
    since = time.time()
    round_ = [
        Broken(ROUTES[led], before[ROUTES[led]]["version"], bad.began_at, bad),
        Broken(RESTORED[met], before[RESTORED[met]]["version"] + 1, since, Incident(ORG, met, "", Kind.BAD, since)),
    ]
    alerts = [(one, variant) for one in round_ for variant in range(VARIANTS)]
    random.Random(f"{SEED} round {number}").shuffle(alerts)
    postmen.deliver(payload([one.alert(variant, firing=True)]) for one, variant in alerts)
    wait_until(lambda: have_ended(here, round_), f"the ends of {round_}", within_s=ENDS_WITHIN_S, every_s=0.3)
    time.sleep(TIMING["permit_s"])  # what is sent late arrives
    stories = stories_of(here, cloud, round_)
    put_right(here, cloud, bad, met)
    postmen.deliver(payload([one.alert(variant, firing=False)]) for one, variant in alerts)
    return stories


def have_ended(here: Scene, incidents: Sequence[Broken]) -> bool:
    """Whoever is asked agrees meanwhile."""
    newest = {one.object_id: rollback_of(here, one) for one in incidents}
    for rollback in newest.values():
        if rollback is not None and rollback.state is State.AWAITING_APPROVAL:
            approve(here, rollback)
    return all(one is not None and one.ended_at is not None and one.wrote for one in newest.values())


def approve(here: Scene, rollback: Rollback) -> None:
    headers = {"Authorization": f"Bearer {SECRETS['operator']}"}
    for member in here.fleet.members:
        with suppress(httpx.HTTPError):  # it has just died; another one takes it, or the next look asks again
            path = f"/api/v1/rollbacks/{rollback.id}/approve"
            httpx.post(f"{member.url}{path}", json={"reason": "as it was"}, headers=headers, timeout=5)
            return


def rollback_of(here: Scene, broken: Broken) -> Rollback | None:
    """The newest one of an incident."""
    about = broken.object_id if broken.is_restored else broken.incident.flow_id
    found = [one for (_, of, _), known in here.rollbacks().items() if of == about for one in known]
    since = [one for one in found if one.created_at >= broken.began_at - 1]
    return max(since, key=lambda one: one.created_at, default=None)


def stories_of(here: Scene, cloud: Cloud, incidents: Sequence[Broken]) -> list[Story]:
    now, writes, permits = cloud.objects(), cloud.object_writes(), here.permits()
    stories = []
    for one in incidents:
        rollback = rollback_of(here, one)
        assert rollback is not None
        written = [write for write in writes if write["path"].endswith(one.object_id) and write["at"] >= one.began_at]
        own = tuple(permit for permit in permits if permit.rollback_id == rollback.id)
        stories.append(Story(one, rollback, now[one.object_id]["version"] - one.number, len(written), own))
    return stories


def put_right(here: Scene, cloud: Cloud, bad: Incident, met: str) -> None:
    """People mend the flow and lead its callers back; and the other route, if nobody has."""
    cloud.fault()
    cloud.deploy(bad.flow_id, GOOD, error_ratio=0.01)
    cloud.change("ivr", ROUTES[bad.flow_id], openHoursFlow={"id": bad.flow_id})
    cloud.change("ivr", RESTORED[met], dnis=["+1"])
    here.release(ORG, bad.flow_id, RESTORED[met])


def line(stories: Sequence[Story], killings: Killings) -> str:
    """The campaign's figures."""

    def told(name: str, restored: bool) -> str:
        own = [one for one in stories if one.broken.is_restored is restored]
        return (
            f"{len(own)} {name}: {sum(one.writes for one in own)} writes ("
            f"{sum(permit.answer is None for one in own for permit in one.permits)} whose sender died meanwhile), "
            f"{sum(one.effects for one in own)} effects, "
            f"{sum(one.effects > 1 for one in own)} second ones, {sum(not one.effects for one in own)} given up"
        )

    return (
        f"{len(CLOCK_OFFSETS_S)} receivers: {killings.kills:,} SIGKILLs, {killings.stops} SIGSTOPs; "
        f"{told('by repoint', False)}; {told('by restore', True)}"
    )
