"""What is written so that an object is again as a snapshot has it: never a secret of ours, never half of it."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesys.objects import ObjectType
from receiver.objects.restoration import CannotRestore, is_between, restoration
from receiver.objects.snapshot import REDACTED, snapshot_of

SECRET = "hunter2"
IVR = {"id": "i", "name": "Main", "version": 3, "dnis": ["+1"], "openHoursFlow": {"id": "f"}, "modifiedBy": "ann"}
ACTION: dict[str, Any] = {
    "id": "a",
    "name": "Get customer",
    "integrationId": "crm",
    "category": "CRM",
    "contract": {"input": {}, "output": {}},
    "version": 7,
    "config": {
        "request": {
            "requestUrlTemplate": "https://crm.example/v1/customers/${input.id}",
            "requestTemplate": f'{{"key": "{SECRET}", "id": "${{input.id}}"}}',
            "headers": {"X-Key": SECRET},
        },
        "response": {"translationMap": {"name": "$.name"}},
    },
}
TABLE: dict[str, Any] = {
    "id": "t",
    "name": "Holidays",
    "schema": {"properties": {}},
    "rows": {"a": {"key": "a", "open": True}, "b": {"key": "b", "open": False}},
}


def changed(whole: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    found = copy.deepcopy(whole)
    place = found
    *way, last = path.split("/")
    for name in way:
        place = place[name]
    place[last] = value
    return found


def kept_of(object_type: ObjectType, whole: dict[str, Any]) -> Any:
    return json.loads(json.dumps(snapshot_of(object_type, "x", whole).content))


def test_a_call_route_is_written_as_a_whole_with_the_version_it_has_now() -> None:
    now = changed(IVR, "openHoursFlow", {"id": "g"}) | {"version": 4, "state": "active"}
    body = restoration(ObjectType.IVR, kept_of(ObjectType.IVR, IVR), now).body
    assert body == {"id": "i", "name": "Main", "dnis": ["+1"], "openHoursFlow": {"id": "f"}, "version": 4}


def test_a_data_action_is_written_with_the_secrets_that_it_has_now() -> None:
    now = changed(ACTION, "config/request/requestUrlTemplate", "https://old.example/${input.id}") | {"version": 8}
    now = changed(now, "config/request/headers", {"X-Key": "rotated"})
    body = restoration(ObjectType.DATA_ACTION, kept_of(ObjectType.DATA_ACTION, ACTION), now).body
    expected = changed(ACTION, "config/request/headers", {"X-Key": "rotated"})["config"]
    assert body == {"name": "Get customer", "category": "CRM", "config": expected, "version": 8}


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("config/request/headers", {"X-Other": SECRET}, "config.request.headers"),
        ("config/request/requestTemplate", "${input.all}", "config.request.requestTemplate"),
        ("contract", {"input": {}}, "contract"),
        ("integrationId", "other", "integrationId"),
    ],
    ids=["a header is another one", "the body is another one", "the contract", "the integration"],
)
def test_what_nobody_knows_how_to_write_is_not_restored(path: str, value: Any, why: str) -> None:
    with pytest.raises(CannotRestore, match=why):
        restoration(ObjectType.DATA_ACTION, kept_of(ObjectType.DATA_ACTION, ACTION), changed(ACTION, path, value))


def test_rows_that_changed_are_written_and_others_are_left_alone() -> None:
    now = changed(TABLE, "rows", {"a": {"key": "a", "open": False}, "b": TABLE["rows"]["b"], "c": {"key": "c"}})
    found = restoration(ObjectType.DATA_TABLE, kept_of(ObjectType.DATA_TABLE, TABLE), now)
    assert found.body is None
    assert found.rows == (({"key": "a", "open": True}, False),)
    assert found.deleted == ("c",)


def test_a_row_that_was_deleted_is_added() -> None:
    now = changed(TABLE, "rows", {"a": TABLE["rows"]["a"]})
    found = restoration(ObjectType.DATA_TABLE, kept_of(ObjectType.DATA_TABLE, TABLE), now)
    assert (found.rows, found.deleted) == ((({"key": "b", "open": False}, True),), ())


def test_a_deleted_row_that_had_a_secret_is_not_made_up() -> None:
    table = changed(TABLE, "rows/a", {"key": "a", "api_key": SECRET})
    now = changed(table, "rows", {"b": TABLE["rows"]["b"]})
    with pytest.raises(CannotRestore, match=r"rows\.a\.api_key"):
        restoration(ObjectType.DATA_TABLE, kept_of(ObjectType.DATA_TABLE, table), now)


def test_a_table_with_another_schema_is_not_restored() -> None:
    now = changed(TABLE, "schema", {"properties": {"x": {}}})
    with pytest.raises(CannotRestore, match="schema"):
        restoration(ObjectType.DATA_TABLE, kept_of(ObjectType.DATA_TABLE, TABLE), now)


@pytest.mark.parametrize("object_type", [ObjectType.QUEUE, ObjectType.EMERGENCY_GROUP])
def test_what_is_only_read_is_not_written(object_type: ObjectType) -> None:
    with pytest.raises(CannotRestore, match="not written"):
        restoration(object_type, {"id": "x"}, {"id": "x"})


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
FIELDS = st.dictionaries(st.sampled_from(["name", "dnis", "note", "token", "api_key"]), VALUES, max_size=4)


@given(FIELDS, FIELDS)
def test_what_is_restored_is_always_what_was_kept_and_never_a_placeholder(before: Any, after: Any) -> None:
    kept = kept_of(ObjectType.SCHEDULE, before)
    try:
        body = restoration(ObjectType.SCHEDULE, kept, after).body
    except CannotRestore:
        return
    assert body is not None
    assert snapshot_of(ObjectType.SCHEDULE, "x", body).content == kept
    assert REDACTED not in body.values() or REDACTED in after.values()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({"a": 1, "b": 2, "c": 3}, True),
        ({"a": 1, "b": 1}, True),
        ({"a": 9, "b": 1}, False),
        ({"a": 1, "b": 1, "d": 4}, False),
    ],
    ids=["nothing was written", "one of two was", "somebody else's row", "somebody else's new row"],
)
def test_a_table_is_between_when_each_row_is_one_of_the_two(rows: dict[str, int], expected: bool) -> None:
    accused, target = {"rows": {"a": 1, "b": 2, "c": 3}}, {"rows": {"a": 1, "b": 1}}
    assert is_between(accused, target, {"rows": rows}) is expected
