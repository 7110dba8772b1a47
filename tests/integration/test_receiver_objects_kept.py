"""Snapshots are kept now and then, at once when somebody changes an object or is about to, and nothing gets lost."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from genesys.audit import Change
from genesys.errors import Unavailable
from receiver.store import changes
from receiver.store import objects as object_store
from receiver.store.objects import Key
from tests.integration.object_world import ACTION, IVR, TABLE, TYPES, ObjectScene, object_scene


@pytest.fixture
def here(tmp_path: Path) -> Iterator[ObjectScene]:
    with object_scene(tmp_path) as made:
        yield made


def key(object_id: str) -> Key:
    return Key("retail", TYPES[object_id].value, object_id)


def test_every_object_is_read_in_its_time_and_not_before(here: ObjectScene) -> None:
    here.time.pass_(here.settings.timing.objects_s - 1)
    assert here.keeper.read_due() == 0
    here.time.pass_(1)
    assert here.keeper.read_due() == len(TYPES)


def test_what_somebody_changed_is_read_at_once(here: ObjectScene) -> None:
    first = here.live(IVR)
    here.change(IVR)
    here.time.pass_(1)
    told = Change("1", here.time.now, "Routing", "Update", "IVR", IVR, "Main line", None, "ann", None, None)
    with here.store.begin() as tx:
        changes.put(tx, "retail", [told], own_client_id="us", now=here.time.now)
    here.time.pass_(1)
    assert here.keeper.read_due() == 1
    assert here.live(IVR) != first
    here.time.pass_(1)
    assert here.keeper.read_due() == 0


def test_an_object_that_cannot_be_read_is_said_once_and_the_others_are_read(
    here: ObjectScene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    match = {"path_prefix": "/api/v2/architect/ivrs"}
    here.fault({"kind": "status", "status": 403, "match": match})
    for _ in range(2):
        here.time.pass_(here.settings.timing.objects_s)
        here.keeper.read_due()
    with here.store.begin() as tx:
        states = {one.object_id: one for one in object_store.states(tx, "retail")}
    assert "403" in states[IVR].problem
    assert [one.problem for one in states.values()].count("") == len(TYPES) - 1
    assert caplog.text.count("object_not_read") == 1
    here.fault()
    here.time.pass_(here.settings.timing.objects_s)
    here.keeper.read_due()
    with here.store.begin() as tx:
        found = object_store.state(tx, key(IVR))
    assert found is not None
    assert not found.problem


def test_an_object_that_was_deleted_keeps_what_it_was_like(here: ObjectScene) -> None:
    version = here.live(TABLE)
    here.happen({"event": "delete_object", "type": "data_table", "id": TABLE})
    here.time.pass_(here.settings.timing.objects_s)
    here.keeper.read_due()
    with here.store.begin() as tx:
        found = object_store.state(tx, key(TABLE))
        content = object_store.content(tx, key(TABLE), version)
    assert found is not None
    assert "does not exist" in found.problem
    assert content is not None


def test_an_older_view_is_no_change(here: ObjectScene) -> None:
    """Genesys Cloud numbers an action's changes: what has a lower number is what it was before."""
    with here.simulation.present():
        before = here.simulation.objects.read("data_action", ACTION)
    here.change(ACTION)
    here.time.pass_(1)
    here.kept.read(ACTION)
    changed = here.live(ACTION)
    with here.simulation.present():
        here.simulation.objects._found["data_action", ACTION] = dict(before)
    here.time.pass_(1)
    with pytest.raises(Unavailable, match="older view"):
        here.kept.read(ACTION)
    assert here.live(ACTION) == changed


def test_a_restart_forgets_nothing(here: ObjectScene) -> None:
    here.break_it(IVR)
    versions = [one.id for one in here.kept.versions(IVR)]
    assert len(versions) == 2
    with here.store.begin() as tx:
        assert all(object_store.content(tx, key(IVR), version) is not None for version in versions)
