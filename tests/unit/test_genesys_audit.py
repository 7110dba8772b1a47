"""The audit of Genesys Cloud: what is asked, over pages, and how entries are read."""

import pytest

from genesys.audit import MAX_PAGES, Audit, Change
from genesys.errors import NotAllowed, Unavailable
from genesys.http import Request
from genesys.probe import is_read
from tests.genesys_wire import API_URL, Wire, ok, refused

START = 1_795_356_000.0  # 2026-11-22T14:00:00Z
PUBLISHED = {
    "id": "entry-1",
    "user": {"id": "user-1", "name": "Ann"},
    "serviceName": "Architect",
    "eventDate": "2026-11-22T14:02:11.000Z",
    "action": "Publish",
    "entityType": "Flow",
    "entity": {"id": "flow-1", "name": "Main IVR"},
    "status": "SUCCESS",
    "context": {"version": "14.0"},
    "propertyChanges": [],
}
BY_CLIENT = {key: value for key, value in PUBLISHED.items() if key not in ("user", "context", "entity")} | {
    "id": "entry-2",
    "client": {"id": "client-1", "selfUri": "/api/v2/oauth/clients/client-1"},
    "application": "terraform",
}


def page(*entries: object, count: int = 1) -> object:
    return ok({"entities": list(entries), "pageSize": 100, "pageNumber": 1, "total": len(entries), "pageCount": count})


def read(*answers: object) -> tuple[Wire, list[Change]]:
    wire = Wire(answers)
    return wire, Audit(wire.session(deadline_s=1), api_url=API_URL).changes("Architect", START, START + 3600)


def test_one_service_is_asked_for_newest_first_with_the_names_of_people():
    wire, _ = read(page())
    assert wire.bodies() == [
        {
            "interval": "2026-11-22T14:00:00.000Z/2026-11-22T15:00:00.000Z",
            "serviceName": "Architect",
            "sort": [{"name": "Timestamp", "sortOrder": "descending"}],
            "pageNumber": 1,
            "pageSize": 100,
        }
    ]
    assert str(wire.requests[0].url) == f"{API_URL}/api/v2/audits/query/realtime?expand=user"


def test_a_person_and_a_client_are_told_apart():
    _, found = read(page(PUBLISHED, BY_CLIENT))
    assert found == [
        Change("entry-1", START + 131, "Architect", "Publish", "Flow", "flow-1", "Main IVR", "14.0", "Ann", None, None),
        Change(
            *("entry-2", START + 131, "Architect", "Publish", "Flow", "", "", None, "client-1", "client-1", "terraform")
        ),
    ]


@pytest.mark.parametrize(
    ("user", "by"),
    [({"id": "user-1"}, "user-1"), ({}, "unknown"), (None, "unknown")],
    ids=["without a name", "without anything", "nobody"],
)
def test_whoever_is_not_named_is_somebody_all_the_same(user, by):
    _, (found,) = read(page(PUBLISHED | {"user": user}))
    assert found.by == by


def test_what_failed_changed_nothing():
    assert read(page(PUBLISHED | {"status": "FAILURE"}))[1] == []


def test_every_page_is_read_and_what_moves_to_the_next_one_counts_once():
    other = PUBLISHED | {"id": "entry-3"}
    wire, found = read(page(PUBLISHED, other, count=2), page(other, BY_CLIENT, count=2))
    assert [body["pageNumber"] for body in wire.bodies()] == [1, 2]
    assert [one.id for one in found] == ["entry-1", "entry-3", "entry-2"]


def test_a_flood_of_pages_is_not_read_to_its_end():
    wire = Wire()
    wire.answer_always(page(PUBLISHED, count=1000))
    Audit(wire.session(), api_url=API_URL).changes("Architect", START, START + 3600)
    assert len(wire.requests) == MAX_PAGES


@pytest.mark.parametrize("broken", [{"eventDate": None}, {"eventDate": "now"}, {"action": None}, {"id": 5}])
def test_an_entry_that_is_not_as_documented_is_no_answer(broken):
    wire = Wire()
    wire.answer_always(page(PUBLISHED | broken))
    with pytest.raises(Unavailable):
        Audit(wire.session(deadline_s=1), api_url=API_URL).changes("Architect", START, START + 3600)


def test_a_missing_permission_is_told():
    with pytest.raises(NotAllowed):
        read(refused(403))


def test_the_audit_is_only_read():
    assert is_read(Request("POST", f"{API_URL}/api/v2/audits/query/realtime", "audits/query/realtime"))
    assert not is_read(Request("POST", f"{API_URL}/api/v2/audits/query", "audits/query"))
