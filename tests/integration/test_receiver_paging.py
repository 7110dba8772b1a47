"""Pages: every row once, newest first, whatever is added or removed between two of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from receiver.metrics import ReceiverMetrics
from receiver.policy import Verdict
from receiver.store import deployments, quarantines
from receiver.store.database import Store
from receiver.store.deployments import Consent, Member, Registration
from receiver.store.rollbacks import State
from receiver.web import create_app
from receiver.web.fields import rfc3339
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, list_live, opened, put_alert, put_decision, put_rollback, settings_of

NOW = 1_795_348_800.0
COUNT = 7
LISTS = {
    "alerts": "id",
    "decisions": "id",
    "rollbacks": "id",
    "deployments": "id",
    "quarantines": "id",
    "audit": "number",
    "flows": "flow_id",
}


class Reader:
    def __init__(self, client: FlaskClient, store: Store) -> None:
        self.store = store
        self._client = client

    def get(self, name: str, **asked: str | int) -> Any:
        headers = {"Authorization": f"Bearer {TOKENS['viewer']}"}
        answer = self._client.get(f"/api/v1/{name}", headers=headers, query_string=asked)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def refused(self, name: str, **asked: str) -> Any:
        headers = {"Authorization": f"Bearer {TOKENS['viewer']}"}
        answer = self._client.get(f"/api/v1/{name}", headers=headers, query_string=asked)
        assert answer.status_code == 400, answer.text
        return answer.get_json()

    def pages(self, name: str, limit: int, **asked: str) -> list[list[Any]]:
        """Keys of the rows of each page."""
        found = []
        after: dict[str, str] = {}
        while True:
            document = self.get(name, limit=limit, **asked, **after)
            found.append([row[LISTS[name]] for row in document[name]])
            if document["next"] is None:
                return found
            after = {"after": document["next"]}


def add(store: Store, number: int) -> None:
    """One more of everything; two at a time are of the same moment."""
    now = NOW + number // 2
    with store.begin() as tx:
        alert = put_alert(tx, flow_id=f"flow-{number}", now=now)
        put_decision(tx, alert, Verdict.LOCKOUT, now=now)
        done = put_rollback(tx, alert, f"rollback-{number}", now=now, state=State.SUCCEEDED, ended_at=now)
        quarantines.put(tx, done, now=now)
        told = Registration(
            "retail", (Member(f"flow-{number}", "a" * 64, "14.0"),), f"commit-{number}", "", "", Consent.AUTO
        )
        deployments.register(tx, told, by="ci", now=now, repeat_s=600.0, resolve_s=3600.0)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    settings = settings_of(tmp_path)
    with opened(settings) as store:
        for number in range(COUNT):
            add(store, number)
        with store.begin() as tx:
            list_live(tx, *(["14.0"] * COUNT), now=NOW)
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        held_to_its_document(app)
        yield Reader(app.test_client(), store)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("name", LISTS)
def test_the_pages_together_are_the_whole_list_in_its_order(reader: Reader, name: str, limit: int) -> None:
    whole = [row[LISTS[name]] for row in reader.get(name, limit=1000)[name]]
    pages = reader.pages(name, limit)

    assert [key for page in pages for key in page] == whole
    assert len(whole) >= COUNT
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert 1 <= len(pages[-1]) <= limit, "no page is empty"


@pytest.mark.parametrize("name", [name for name in LISTS if name != "flows"])
def test_what_is_added_meanwhile_is_on_no_later_page(reader: Reader, name: str) -> None:
    whole = [row[LISTS[name]] for row in reader.get(name, limit=1000)[name]]
    first = reader.get(name, limit=3)
    add(reader.store, COUNT + 2)
    rest = reader.get(name, limit=1000, after=first["next"])

    assert [row[LISTS[name]] for row in rest[name]] == whole[3:]
    assert rest["next"] is None


def test_a_page_keeps_to_what_was_asked_for(reader: Reader) -> None:
    assert reader.pages("decisions", 2, flow_id="flow-3") == [[4]]
    assert [len(page) for page in reader.pages("rollbacks", 3, org="retail")] == [3, 3, 1]
    assert reader.pages("flows", 3, org="bank") == [[]]


def since(reader: Reader, name: str, moment: float, limit: int) -> list[Any]:
    return [key for page in reader.pages(name, limit, since=rfc3339(moment)) for key in page]


@pytest.mark.parametrize("limit", [2, 1000])
@pytest.mark.parametrize("name", ["decisions", "rollbacks"])
def test_since_leaves_out_what_is_older(reader: Reader, name: str, limit: int) -> None:
    """Two are of each second: of seconds 2 and 3 there are three."""
    assert since(reader, name, NOW + 2, limit) == reader.pages(name, 3)[0]
    assert reader.pages(name, limit, since=rfc3339(NOW + 9)) == [[]]
    assert len(since(reader, name, NOW - 9, limit)) == COUNT


def test_alerts_since_are_those_that_were_open_then_or_later(reader: Reader) -> None:
    with reader.store.begin() as tx:
        tx.execute(sa.text(f"UPDATE alerts SET is_open = false, closed_at = {NOW} + id WHERE id <= 4"))
    assert sorted(since(reader, "alerts", NOW + 3, 2)) == [3, 4, 5, 6, 7]


@pytest.mark.parametrize("written", ["yesterday", "14d", "2024-01-01T12:00:00"])
def test_since_needs_a_time_with_its_offset(reader: Reader, written: str) -> None:
    for name in ("alerts", "decisions", "rollbacks"):
        assert reader.refused(name, since=written)["errors"][0]["parameter"] == "since"


def test_without_a_limit_every_flow_is_listed(reader: Reader) -> None:
    document = reader.get("flows")
    assert (len(document["flows"]), document["next"]) == (COUNT, None)
    assert [one["org"] for one in document["listings"]] == ["retail", "bank"]


def test_the_audit_can_be_read_from_a_number_on_as_before(reader: Reader) -> None:
    assert reader.get("audit", before=3)["audit"][0]["number"] == 2
    page = reader.get("audit", before=9, limit=2)
    assert [row["number"] for row in reader.get("audit", before=9, limit=2, after=page["next"])["audit"]] == [6, 5]


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "after",
    [
        "",
        "x",
        "!!!",
        "é",
        "bnVsbA",
        "WzFd",
        "W10",
        "WzEsIngiLCJ5Il0",
        "eyJhIjoxfQ",
        "LTE",
        "MWUzMDA",
        "WzFlOTk5LCJhIl0",
    ],
)
def test_a_cursor_that_is_none_of_ours_is_400(reader: Reader, name: str, after: str) -> None:
    document = reader.refused(name, after=after)
    assert document["errors"][0]["parameter"] == "after"


def test_the_cursor_of_another_list_is_400(reader: Reader) -> None:
    following = reader.get("rollbacks", limit=1)["next"]
    assert reader.get("quarantines", limit=1, after=following)["quarantines"]
    for name in ("alerts", "decisions", "audit", "flows"):
        reader.refused(name, after=following)
