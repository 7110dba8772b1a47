"""Configuration objects other than flows: which calls are made, and that half an object is none."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from genesys.errors import Gone, NotAllowed, Refused, Throttled, Unavailable
from genesys.objects import MAX_LISTED, MAX_ROWS, PAGE_SIZE, Objects, ObjectType
from tests.genesys_wire import API_URL, Wire, ok, refused

TABLE = {"id": "t/1", "name": "Holidays"}


def rows(keys: Sequence[str], *, total: int, count: int) -> object:
    entities = [{"key": key, "closed": True} for key in keys]
    return ok({"entities": entities, "pageSize": 100, "pageNumber": 1, "total": total, "pageCount": count})


def read(object_type: ObjectType, object_id: str, *answers: Any) -> tuple[Wire, Any]:
    wire = Wire(answers)
    return wire, Objects(wire.session(deadline_s=1), api_url=API_URL).read(object_type, object_id)


@pytest.mark.parametrize(
    ("object_type", "path"),
    [
        (ObjectType.DATA_ACTION, "integrations/actions/x?includeConfig=true"),
        (ObjectType.IVR, "architect/ivrs/x"),
        (ObjectType.SCHEDULE, "architect/schedules/x"),
        (ObjectType.SCHEDULE_GROUP, "architect/schedulegroups/x"),
        (ObjectType.EMERGENCY_GROUP, "architect/emergencygroups/x"),
        (ObjectType.QUEUE, "routing/queues/x"),
    ],
)
def test_an_object_is_one_call(object_type: ObjectType, path: str) -> None:
    wire, found = read(object_type, "x", ok({"id": "x", "name": "X", "more": [1]}))
    assert [(one.method, str(one.url)) for one in wire.requests] == [("GET", f"{API_URL}/api/v2/{path}")]
    assert found == {"id": "x", "name": "X", "more": [1]}


def test_a_data_table_is_read_with_its_rows_over_pages() -> None:
    pages = rows(["a", "b"], total=3, count=2), rows(["c"], total=3, count=2)
    wire, found = read(ObjectType.DATA_TABLE, "t/1", ok(TABLE), *pages)
    first, *others = [str(one.url).removeprefix(f"{API_URL}/api/v2/flows/datatables/t%2F1") for one in wire.requests]
    assert first == "?expand=schema"
    assert others == [f"/rows?showbrief=false&pageNumber={page}&pageSize=100" for page in (1, 2)]
    assert found["name"] == "Holidays"
    assert found["rows"] == {key: {"key": key, "closed": True} for key in "abc"}


def test_a_data_table_without_rows_is_whole() -> None:
    empty = ok({"pageSize": 100, "pageNumber": 1, "total": 0, "pageCount": 0})
    assert read(ObjectType.DATA_TABLE, "t/1", ok(TABLE), empty)[1]["rows"] == {}


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        pytest.param([rows(["a", "b"], total=3, count=1)], "2 of 3 rows", id="the last page is missing"),
        pytest.param(
            [rows(["a", "b"], total=3, count=2), rows(["b"], total=3, count=2)], "2 of 3 rows", id="a row comes twice"
        ),
        pytest.param([rows(["a"], total=2, count=2), rows([], total=2, count=2)], "1 of 2 rows", id="a page is empty"),
        pytest.param([rows([""], total=1, count=1)], "key is missing", id="a row has no key"),
        pytest.param([ok({"entities": {}, "total": 0, "pageCount": 1})], "not a list", id="rows are no list"),
        pytest.param([ok({"entities": []})], "pageCount", id="nobody says how many pages"),
    ],
)
def test_a_table_of_which_not_every_row_was_told_is_not_known(pages: list[Any], why: str) -> None:
    with pytest.raises(Unavailable, match=why):
        read(ObjectType.DATA_TABLE, "t/1", ok(TABLE), *pages)


def test_a_table_that_is_too_large_is_refused_after_its_first_page() -> None:
    wire = Wire([ok(TABLE), rows(["a"], total=MAX_ROWS + 1, count=51)])
    with pytest.raises(Refused, match="5001 rows"):
        Objects(wire.session(deadline_s=1), api_url=API_URL).read(ObjectType.DATA_TABLE, "t/1")
    assert len(wire.requests) == 2


def test_pages_without_an_end_are_not_followed() -> None:
    wire = Wire()
    wire.answer_always(ok(TABLE | {"entities": [{"key": "a"}], "total": 2, "pageCount": 10**6}))
    with pytest.raises(Unavailable, match="1 of 2 rows"):
        Objects(wire.session(deadline_s=1), api_url=API_URL).read(ObjectType.DATA_TABLE, "t/1")
    assert len(wire.requests) == 1 + MAX_ROWS // PAGE_SIZE


@pytest.mark.parametrize(
    ("status", "error"), [(404, Gone), (410, Gone), (401, NotAllowed), (403, NotAllowed), (429, Throttled)]
)
@pytest.mark.parametrize("before", [(), (ok(TABLE),)], ids=["of the table", "of its rows"])
def test_what_cannot_be_read_is_never_empty(status: int, error: type[Exception], before: tuple[Any, ...]) -> None:
    wire = Wire([*before, *[refused(status)] * 3])
    with pytest.raises(error):
        Objects(wire.session(deadline_s=1), api_url=API_URL).read(ObjectType.DATA_TABLE, "t/1")


def test_the_answer_of_another_object_is_not_taken() -> None:
    with pytest.raises(Unavailable, match="another one"):
        read(ObjectType.QUEUE, "x", ok({"id": "y"}))


@pytest.mark.parametrize(
    ("object_type", "method", "path"),
    [
        (ObjectType.DATA_ACTION, "PATCH", "integrations/actions/x"),
        (ObjectType.IVR, "PUT", "architect/ivrs/x"),
        (ObjectType.SCHEDULE, "PUT", "architect/schedules/x"),
        (ObjectType.SCHEDULE_GROUP, "PUT", "architect/schedulegroups/x"),
    ],
)
def test_an_object_is_written_with_one_call(object_type: ObjectType, method: str, path: str) -> None:
    wire = Wire([ok({"id": "x"})])
    Objects(wire.session(deadline_s=1), api_url=API_URL).write(object_type, "x", {"name": "X", "version": 3})
    (sent,) = wire.requests
    assert (sent.method, str(sent.url)) == (method, f"{API_URL}/api/v2/{path}")
    assert json.loads(sent.content) == {"name": "X", "version": 3}


def test_each_row_is_a_call_of_its_own() -> None:
    wire = Wire([ok({}), ok({}), httpx.Response(204)])
    objects = Objects(wire.session(deadline_s=1), api_url=API_URL)
    objects.write_row("t/1", {"key": "a/b", "open": True}, is_new=False)
    objects.write_row("t/1", {"key": "c"}, is_new=True)
    objects.delete_row("t/1", "d e")
    called = [(one.method, str(one.url).removeprefix(f"{API_URL}/api/v2/flows/datatables/")) for one in wire.requests]
    assert called == [("PUT", "t%2F1/rows/a%2Fb"), ("POST", "t%2F1/rows"), ("DELETE", "t%2F1/rows/d%20e")]


@pytest.mark.parametrize(("status", "error"), [(409, Refused), (404, Gone), (429, Throttled), (500, Unavailable)])
def test_a_write_is_sent_once_whatever_is_answered(status: int, error: type[Exception]) -> None:
    wire = Wire()
    wire.answer_always(refused(status))
    with pytest.raises(error):
        Objects(wire.session(deadline_s=9), api_url=API_URL).write(ObjectType.IVR, "x", {})
    assert len(wire.requests) == 1


def names(*answers: Any) -> tuple[Wire, dict[str, str]]:
    wire = Wire(answers)
    return wire, Objects(wire.session(deadline_s=1), api_url=API_URL).names(ObjectType.IVR)


def listed(ids: Sequence[str], *, total: int, count: int) -> object:
    entities = [{"id": one, "name": f"Line {one}"} for one in ids]
    return ok({"entities": entities, "pageSize": 100, "pageNumber": 1, "total": total, "pageCount": count})


def test_all_of_a_type_are_listed_over_pages() -> None:
    wire, found = names(listed(["a", "b"], total=3, count=2), listed(["c"], total=3, count=2))
    assert found == {"a": "Line a", "b": "Line b", "c": "Line c"}
    assert [str(one.url) for one in wire.requests] == [
        f"{API_URL}/api/v2/architect/ivrs?pageNumber={page}&pageSize=100" for page in (1, 2)
    ]


def test_where_there_is_none_the_list_is_empty() -> None:
    assert names(ok({"entities": [], "pageSize": 100, "pageNumber": 1, "total": 0, "pageCount": 0}))[1] == {}


@pytest.mark.parametrize(
    ("page", "problem", "why"),
    [
        (listed(["a"], total=2, count=1), Unavailable, "1 of 2 objects were told"),
        (listed(["a"], total=MAX_LISTED + 1, count=51), Refused, "5001 of type ivr"),
        (ok({"entities": [{"id": "a"}], "total": 1, "pageCount": 1}), Unavailable, "name"),
        (ok({"entities": []}), Unavailable, "pageCount"),
    ],
)
def test_a_part_of_them_is_no_list(page: object, problem: type[Exception], why: str) -> None:
    with pytest.raises(problem, match=why):
        names(page, page, page)
