"""Who changed what: the audit of Genesys Cloud. Dialect `platform`.

Owns the call and how its entries are read. What a change means, and whose it is, is the business of others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from genesys.access import Session
from genesys.aggregates import iso
from genesys.answers import Answer
from genesys.http import Request

SERVICES = ("Architect", "Routing", "Integrations")
PAGE_SIZE = 100  # the most that is shown in Genesys' own examples
MAX_PAGES = 10  # of one reading: newest first, so that a flood of entries loses the oldest
PUBLISHED = "Publish"  # the action by which a version of a flow becomes live
_ENDPOINT = "audits/query/realtime"


@dataclass(frozen=True, slots=True)
class Change:
    """One entry; `by` is the name of a person where Genesys Cloud tells it, else the id of whoever it was.

    `client_id` is the OAuth client, if it was one. `at` is in Unix seconds. `version` is told of flows.
    """

    id: str
    at: float
    service: str
    action: str
    object_type: str
    object_id: str
    object_name: str
    version: str | None
    by: str
    client_id: str | None
    application: str | None


class Audit:
    """The audit of one organization. Safe to be shared by threads; raises what `Session.read` raises."""

    def __init__(self, session: Session, *, api_url: str) -> None:
        self._session = session
        self._url = f"{api_url}/api/v2/{_ENDPOINT}"

    def changes(self, service: str, start: float, end: float) -> list[Change]:
        """What was changed in [start, end) (Unix seconds), newest first; what failed changed nothing.

        More than MAX_PAGES pages are not read.
        """
        deadline = self._session.deadline()
        found: dict[str, Change] = {}
        number, count = 1, 1
        while number <= min(count, MAX_PAGES):
            page = self._page(service, start, end, number, deadline)
            for entry in page.items("entities"):
                change = _change(service, entry)
                if change is not None:
                    found[change.id] = change  # by id: what is added meanwhile moves others to the next page
            count = page.count("pageCount")
            number += 1
        return list(found.values())

    def _page(self, service: str, start: float, end: float, number: int, deadline: float) -> Answer:
        body = {
            "interval": f"{iso(start)}/{iso(end)}",
            "serviceName": service,
            "sort": [{"name": "Timestamp", "sortOrder": "descending"}],
            "pageNumber": number,
            "pageSize": PAGE_SIZE,
        }
        request = Request("POST", self._url, _ENDPOINT, params={"expand": "user"}, json=body)
        return Answer(_ENDPOINT, self._session.read(request, deadline=deadline))


def _change(service: str, entry: Answer) -> Change | None:
    """None for what was tried in vain."""
    if entry.optional_text("status") == "FAILURE":
        return None
    subject = entry.optional_object("entity")
    user, client = entry.optional_object("user"), entry.optional_object("client")
    client_id = client.optional_text("id") if client else None
    context = entry.optional_object("context")
    told: Mapping[str, str] = context.texts() if context else MappingProxyType({})
    who = (user.optional_text("name") or user.optional_text("id")) if user else client_id
    return Change(
        id=entry.text("id"),
        at=entry.moment("eventDate"),
        service=service,
        action=entry.text("action"),
        object_type=entry.text("entityType"),
        object_id=(subject and subject.optional_text("id")) or "",
        object_name=(subject and subject.optional_text("name")) or "",
        version=told.get("version"),
        by=who or "unknown",
        client_id=client_id,
        application=entry.optional_text("application"),
    )
