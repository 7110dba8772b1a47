"""The official SDK reads every object after its restoration as it was before the change."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PureCloudPlatformClientV2 as sdk  # noqa: N813 - as its own examples have it
import pytest

from genesys.access import open_session
from genesys.objects import Objects, ObjectType
from receiver.objects.kept import KeptObjects
from receiver.objects.settings import ObjectPolicy
from receiver.store.database import Store
from tests.conftest import StartSimulator
from tests.integration.object_world import ACTION, CHANGES, GROUP, IVR, MAIN, SCENARIO, SCHEDULE, TABLE, TYPES

READ: dict[str, Callable[[Any], Any]] = {
    ACTION: lambda client: sdk.IntegrationsApi(client).get_integrations_action(ACTION, include_config=True),
    IVR: lambda client: sdk.ArchitectApi(client).get_architect_ivr(IVR),
    SCHEDULE: lambda client: sdk.ArchitectApi(client).get_architect_schedule(SCHEDULE),
    GROUP: lambda client: sdk.ArchitectApi(client).get_architect_schedulegroup(GROUP),
    TABLE: lambda client: sdk.ArchitectApi(client).get_flows_datatable_rows(TABLE, showbrief=False),
}


def read(client: Any, object_id: str) -> dict[str, Any]:
    """As the SDK has it, but for the count of its changes."""
    found: dict[str, Any] = READ[object_id](client).to_dict()
    return {name: value for name, value in found.items() if name != "version"}


@pytest.mark.parametrize("object_id", READ)
def test_a_restored_object_is_what_it_was(
    store: Store, tmp_path: Path, start_simulator: StartSimulator, object_id: str
) -> None:
    file = tmp_path / "objects.yml"
    file.write_text(SCENARIO.model_dump_json(exclude_defaults=True))  # JSON is YAML
    simulator = start_simulator(scenario=str(file))
    client = sdk.ApiClient(host=simulator.url).get_client_credentials_token("simulator", "simulator")
    session = open_session(
        login_url=simulator.url, client_id="simulator", client_secret="simulator", timeout_s=10.0, deadline_s=30.0
    )
    flow = {} if object_id in (ACTION, IVR) else {"flow_id": MAIN}
    named = {"org": "retail", "type": TYPES[object_id], "id": object_id, "mode": "approve"} | flow
    kept = KeptObjects(
        Objects(session, api_url=simulator.url), store, [ObjectPolicy.model_validate(named)], {ACTION: MAIN}
    )

    before, version = read(client, object_id), kept.read(object_id).live_version
    event = {"event": "change_object", "type": TYPES[object_id].value, "id": object_id}
    simulator.control("POST", "events", event | dict(CHANGES[object_id]))
    changed = kept.read(object_id).live_version
    assert (changed != version, read(client, object_id) != before) == (True, True)
    kept.restore(object_id, str(version), accused=str(changed), within_s=30.0)
    assert read(client, object_id) == before
    assert kept.read(object_id).live_version == version
    kept.close()


LISTED: dict[ObjectType, Callable[[Any], Any]] = {
    ObjectType.DATA_TABLE: lambda client: sdk.ArchitectApi(client).get_flows_datatables(),
    ObjectType.DATA_ACTION: lambda client: sdk.IntegrationsApi(client).get_integrations_actions(),
    ObjectType.IVR: lambda client: sdk.ArchitectApi(client).get_architect_ivrs(),
    ObjectType.SCHEDULE: lambda client: sdk.ArchitectApi(client).get_architect_schedules(),
    ObjectType.SCHEDULE_GROUP: lambda client: sdk.ArchitectApi(client).get_architect_schedulegroups(),
    ObjectType.EMERGENCY_GROUP: lambda client: sdk.ArchitectApi(client).get_architect_emergencygroups(),
    ObjectType.QUEUE: lambda client: sdk.RoutingApi(client).get_routing_queues(),
}


def test_the_same_objects_are_listed(tmp_path: Path, start_simulator: StartSimulator) -> None:
    group = {"type": "emergency_group", "id": "fire", "name": "Fire"}
    scenario = SCENARIO.model_dump(mode="json", exclude_defaults=True)
    file = tmp_path / "objects.yml"
    file.write_text(json.dumps(scenario | {"objects": [*scenario["objects"], group]}))  # JSON is YAML
    simulator = start_simulator(scenario=str(file))
    client = sdk.ApiClient(host=simulator.url).get_client_credentials_token("simulator", "simulator")
    session = open_session(
        login_url=simulator.url, client_id="simulator", client_secret="simulator", timeout_s=10.0, deadline_s=30.0
    )
    ours = Objects(session, api_url=simulator.url)
    for object_type, listing in LISTED.items():
        theirs = {one.id: one.name for one in listing(client).entities}
        assert len(theirs) == 1
        assert ours.names(object_type) == theirs
    ours.close()
