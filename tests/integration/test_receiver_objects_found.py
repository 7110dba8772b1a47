"""Objects that a filter finds by their names: kept, restored and forgotten as those that are named by their ids."""

import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from genesys.objects import Objects
from receiver.objects.kept import MOST_FOUND, KeptObjects
from receiver.objects.standing import object_standings
from receiver.store import objects as object_store
from receiver.store.rollbacks import State
from receiver.web.app import create_app
from simulator.scenario import parse
from tests.integration.object_world import GROUP, IVR, MAIN, SCENARIO, SCHEDULE, URL, ObjectScene, object_scene
from tests.integration.test_receiver_objects import approve
from tests.integration.test_receiver_objects_shown import AS_OPERATOR

ROUTES = {"org": "retail", "type": "ivr", "name": "Main*", "flow_id": MAIN, "mode": "approve", "owner": "team-voice"}
SCHEDULES = {"org": "retail", "type": "schedule", "name": "*", "flow_id": MAIN, "mode": "approve"}
AS_FILTER = "name:ivr:Main*"


def scene(folder: Path, *policies: dict[str, Any], **changes: Any) -> Any:
    return object_scene(folder, objects=policies or [ROUTES], **changes)


def known(here: ObjectScene) -> list[str]:
    with here.store.begin() as tx:
        return [one.policy.kept_as for one in object_standings(tx, here.settings, ["retail"])]


def pass_a_turn(here: ObjectScene) -> None:
    """Everything is read once more, and what is new for the first time."""
    here.time.pass_(here.settings.timing.objects_s)
    while here.keeper.read_due():
        here.time.pass_(1.0)


def rename(here: ObjectScene, object_id: str, name: str, object_type: str = "ivr") -> None:
    here.happen({"event": "change_object", "type": object_type, "id": object_id, "fields": {"name": name}})


def problem_of(here: ObjectScene, kept_as: str) -> str:
    with here.store.begin() as tx:
        return {one.object_id: one.problem for one in object_store.states(tx, "retail")}[kept_as]


def test_what_a_filter_matches_is_kept_under_its_own_id_and_nothing_else_is(tmp_path: Path) -> None:
    with scene(tmp_path, ROUTES, SCHEDULES | {"name": "Sundays"}) as here:
        assert known(here) == [AS_FILTER, IVR, "name:schedule:Sundays"]
        assert here.live(IVR)


def test_an_entry_by_id_applies_before_a_filter(tmp_path: Path) -> None:
    by_id = {"org": "retail", "type": "ivr", "id": IVR, "mode": "ignore"}
    with scene(tmp_path, ROUTES, by_id) as here:
        assert known(here) == [AS_FILTER, IVR]
        assert here.kept.policies[IVR].mode.value == "ignore"


def test_the_first_filter_that_matches_applies(tmp_path: Path) -> None:
    with scene(tmp_path, ROUTES | {"name": "Main line", "owner": "first"}, ROUTES) as here:
        assert known(here) == ["name:ivr:Main line", IVR, AS_FILTER]
        assert here.kept.policies[IVR].owner == "first"


def test_another_organization_s_filter_finds_nothing_here(tmp_path: Path) -> None:
    with scene(tmp_path, ROUTES | {"org": "bank", "owner": "theirs"}, ROUTES) as here:
        assert known(here) == [AS_FILTER, IVR]
        assert here.settings.of("retail").objects[0].owner == "team-voice"


def test_one_glob_for_two_types_is_two_filters(tmp_path: Path) -> None:
    with scene(tmp_path, ROUTES | {"name": "*"}, SCHEDULES) as here:
        assert known(here) == ["name:ivr:*", IVR, "name:schedule:*", SCHEDULE]


def test_what_is_new_is_found_and_what_is_gone_is_forgotten(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with scene(tmp_path, SCHEDULES | {"name": "Week*"}) as here:
        assert known(here) == ["name:schedule:Week*", SCHEDULE]
        version = here.live(SCHEDULE)
        rename(here, SCHEDULE, "Closed", "schedule")
        pass_a_turn(here)
        assert known(here) == ["name:schedule:Week*"]
        assert "object_forgotten org=retail object_type=schedule object_id=weekdays object_name=Weekdays" in caplog.text
        rename(here, SCHEDULE, "Weekdays", "schedule")
        pass_a_turn(here)
        assert known(here) == ["name:schedule:Week*", SCHEDULE]
        assert here.live(SCHEDULE) == version, "what it was like is known still"
        here.happen({"event": "delete_object", "type": "schedule", "id": SCHEDULE})
        pass_a_turn(here)
        assert known(here) == ["name:schedule:Week*"]


def test_a_listing_that_is_refused_is_told_and_forgets_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with scene(tmp_path) as here:
        caplog.set_level(logging.WARNING)
        here.fault({"kind": "status", "status": 403, "match": {"path_prefix": "/api/v2/architect/ivrs"}})
        pass_a_turn(here)
        assert "403" in problem_of(here, AS_FILTER)
        assert "object_not_read" in caplog.text
        assert known(here) == [AS_FILTER, IVR]
        here.fault()
        pass_a_turn(here)
        assert not problem_of(here, AS_FILTER)


def test_of_too_many_the_first_are_kept_and_people_are_told(tmp_path: Path) -> None:
    queues = [{"type": "queue", "id": f"q{number}", "name": f"Queue {number:03}"} for number in range(MOST_FOUND + 1)]
    many = SCENARIO.model_dump(mode="json", exclude_defaults=True) | {"objects": queues}
    policy = {"org": "retail", "type": "queue", "name": "Queue*", "mode": "ignore"}
    with scene(tmp_path, policy, scenario=parse(json.dumps(many))) as here:
        pass_a_turn(here)
        assert known(here) == ["name:queue:Queue*", *[f"q{number}" for number in range(MOST_FOUND)]]
        assert "matches 101 objects" in problem_of(here, "name:queue:Queue*")


def test_one_that_was_found_is_restored_like_any_other(tmp_path: Path) -> None:
    with scene(tmp_path, SCHEDULES) as here:
        here.break_it(SCHEDULE)
        here.accuse(SCHEDULE)
        receiver = here.receiver()
        here.run(receiver, 10)
        approve(here)
        done = here.run_to_the_end(receiver)
        assert (done.state, here.content(SCHEDULE)) == (State.SUCCEEDED, here.before[SCHEDULE])
        assert len(here.writes()) == 1


def test_a_receiver_that_has_just_started_knows_what_others_found(tmp_path: Path) -> None:
    with scene(tmp_path, SCHEDULES) as here:
        started = KeptObjects(Objects(here.session(), api_url=URL), here.store, here.settings.objects, {})
        assert set(started.policies) == {SCHEDULE}


def test_one_that_has_got_another_name_while_people_were_asked_is_not_written(tmp_path: Path) -> None:
    with scene(tmp_path, SCHEDULES | {"name": "Week*"}) as here:
        here.break_it(SCHEDULE)
        here.accuse(SCHEDULE)
        receiver = here.receiver()
        here.run(receiver, 10)
        approve(here)
        rename(here, SCHEDULE, "Closed", "schedule")
        pass_a_turn(here)
        done = here.run_to_the_end(receiver)
        assert (done.state, here.writes()) == (State.FAILED, [])


@pytest.mark.parametrize(
    ("object_id", "labels"),
    [
        pytest.param(GROUP, {}, id="a type of which nothing is kept"),
        pytest.param(IVR, {}, id="a name that no filter matches"),
        pytest.param(SCHEDULE, {"object_type": "", "flow_id": SCHEDULE, "flow_version": "1"}, id="accused as a flow"),
    ],
)
def test_what_no_filter_matches_is_not_touched(tmp_path: Path, object_id: str, labels: dict[str, str]) -> None:
    with scene(tmp_path, ROUTES | {"name": "Other*"}, SCHEDULES) as here:
        here.accuse(object_id, labels=labels)
        here.run(here.receiver(), 10)
        assert here.verdicts() == ["unknown_contract"]
        assert not here.writes()


def test_people_see_the_filter_and_what_it_matches(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        client = create_app(here.store, here.settings, ["retail"], here.receiver().metrics, lambda: ()).test_client()
        listed = client.get("/api/v1/objects", headers=AS_OPERATOR).get_json()["objects"]
        assert [(one["object_id"], one["name"]) for one in listed] == [
            (AS_FILTER, "every one named Main*"),
            (IVR, "Main line"),
        ]
        assert (listed[0]["live_version"], bool(listed[0]["read_at"])) == (None, True)
        for path in ("/console/objects", f"/console/objects/retail/ivr/{quote(AS_FILTER)}"):
            shown = client.get(path, headers=AS_OPERATOR)
            assert (shown.status_code, "every one named Main*" in shown.text) == (200, True)
        assert (
            f"/console/objects/retail/ivr/{quote(AS_FILTER, safe=':*')}"
            in client.get("/console/objects", headers=AS_OPERATOR).text
        )
