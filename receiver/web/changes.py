"""`GET /changes`: who changed what in Genesys Cloud, as far as it was seen. Newest first."""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from typing_extensions import TypedDict

from receiver.config import Role
from receiver.store import changes
from receiver.store.changes import Changed
from receiver.store.database import Store
from receiver.web.auth import Tokens
from receiver.web.documented import Time, documented
from receiver.web.fields import Limit, Moment, Name, Strict, query, rfc3339
from receiver.web.paging import AfterMoment, page
from receiver.web.reach import check_reach, seen_in_audit

_DEFAULT_LIMIT = 100


class ChangeQuery(Strict):
    """`since`: what was changed then, or later."""

    org: Name | None = None
    object_id: Name | None = None
    since: Moment | None = None
    after: AfterMoment | None = None
    limit: Limit = _DEFAULT_LIMIT


class ChangeAnswer(TypedDict):
    """One change; `source` is a service of the audit or `listing`, `own` whether it was the bridge's."""

    id: str
    org: str
    at: Time
    seen_at: Time
    source: str
    action: str
    object_type: str
    object_id: str
    object_name: str
    version: str | None
    by: str
    application: str | None
    own: bool


class ChangesAnswer(TypedDict):
    changes: list[ChangeAnswer]
    next: str | None


def blueprint(store: Store, tokens: Tokens) -> Blueprint:
    """One reading call, with the role `viewer` or `operator`."""
    calls = Blueprint("changes", __name__)

    @calls.get("/changes")
    @tokens.requires(Role.VIEWER, Role.OPERATOR)
    @documented("Who changed what in Genesys Cloud, newest first.", ChangesAnswer, query=ChangeQuery)
    def list_changes() -> ResponseReturnValue:
        asked = query(ChangeQuery)
        if asked.org is not None:
            check_reach(asked.org)
        within = seen_in_audit()  # a queue or a data table is of no flow's division
        with store.begin() as tx:
            found = changes.newest(
                tx,
                org=asked.org,
                orgs=within,
                object_id=asked.object_id,
                since=asked.since,
                after=asked.after,
                limit=asked.limit + 1,
            )
        shown, following = page(found, asked.limit, lambda one: (one.at, one.id))
        answer: ChangesAnswer = {"changes": [_change(one) for one in shown], "next": following}
        return answer

    return calls


def _change(change: Changed) -> ChangeAnswer:
    return {
        "id": change.id,
        "org": change.org,
        "at": rfc3339(change.at),
        "seen_at": rfc3339(change.seen_at),
        "source": change.source,
        "action": change.action,
        "object_type": change.object_type,
        "object_id": change.object_id,
        "object_name": change.object_name,
        "version": change.version,
        "by": change.changed_by,
        "application": change.application,
        "own": change.own,
    }
