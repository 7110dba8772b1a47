"""Which flows use a common module, as dependency tracking tells it."""

import pytest

from genesys.dependencies import MOST_PAGES, PAGE_SIZE, Dependencies, Dependent
from genesys.errors import GenesysError, NotAllowed, Unavailable
from tests.genesys_wire import API_URL, Wire, ok, refused

OPERATIONAL = ok({"status": "OPERATIONAL"})


def user(number: int, **more: object) -> dict[str, object]:
    told = {"id": f"f{number:03}", "name": f"Flow {number:03}", "version": "2.0", "type": "INBOUNDCALLFLOW"}
    return told | {"deleted": False} | more


def of_module(wire: Wire) -> list[Dependent]:
    return Dependencies(wire.session(), api_url=API_URL).of_module("m1")


def test_published_flows_are_asked_for_and_told_once_each_by_name() -> None:
    users = [user(2), user(1), user(2, version="3.0"), user(3, deleted=True), user(4, type="COMPOSERSCRIPT")]
    wire = Wire([OPERATIONAL, ok({"entities": users})])

    assert of_module(wire) == [
        Dependent("f001", "Flow 001", "inboundcall", "2.0"),
        Dependent("f002", "Flow 002", "inboundcall", "3.0"),
    ]
    build, asked = wire.requests
    assert str(build.url) == f"{API_URL}/api/v2/architect/dependencytracking/build"
    assert asked.url.path == "/api/v2/architect/dependencytracking/consumingresources"
    assert dict(asked.url.params) == {
        "id": "m1",
        "objectType": "COMMONMODULEFLOW",
        "flowFilter": "published",
        "pageNumber": "1",
        "pageSize": str(PAGE_SIZE),
    }


def test_all_pages_are_read_and_no_more_than_anybody_reads() -> None:
    pages = [ok({"entities": [user(PAGE_SIZE * page + number) for number in range(PAGE_SIZE)]}) for page in range(9)]
    wire = Wire([OPERATIONAL, *pages])

    assert len(of_module(wire)) == MOST_PAGES * PAGE_SIZE
    assert len(wire.requests) == 1 + MOST_PAGES


@pytest.mark.parametrize("status", ["NOTBUILT", "BUILDINPROGRESS", "OPERATIONALNEEDSREBUILD", "SOMETHING"])
def test_a_tracking_that_is_not_up_to_date_is_no_empty_list(status: str) -> None:
    wire = Wire([ok({"status": status}), ok({"entities": []})])

    with pytest.raises(Unavailable, match=status):
        of_module(wire)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([refused(403)], NotAllowed),
        ([ok({})], Unavailable),
        ([OPERATIONAL, ok({"entities": "none"})], Unavailable),
        ([OPERATIONAL, ok({"entities": [{"name": "x", "type": "BOTFLOW"}]})], Unavailable),
    ],
    ids=["not allowed", "no status", "no list", "no id"],
)
def test_what_cannot_be_understood_is_an_error(answers: list[object], error: type[GenesysError]) -> None:
    with pytest.raises(error):
        of_module(Wire(answers))
