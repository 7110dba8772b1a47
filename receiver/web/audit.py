"""`GET /audit`: what was decided, done and ordered, as the chain has it. Newest first."""

import json
from typing import Annotated

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import Field
from typing_extensions import TypedDict

from receiver.chain import Row
from receiver.config import Role
from receiver.store import audit
from receiver.store.database import Store
from receiver.web.auth import Tokens
from receiver.web.documented import Json, Time, documented
from receiver.web.fields import Limit, Strict, query, rfc3339
from receiver.web.paging import AfterNumber, page
from receiver.web.reach import seen_in_audit

_DEFAULT_LIMIT = 100
_MAX_NUMBER = 2**63 - 1  # what a database can compare with


class AuditQuery(Strict):
    """`before`: the rows before this number; `after`: the next page, which is the same for who has no number."""

    before: Annotated[int, Field(ge=1, le=_MAX_NUMBER)] | None = None
    after: AfterNumber | None = None
    limit: Limit = _DEFAULT_LIMIT


class AuditRow(TypedDict):
    """One row; its hash covers the one before it."""

    number: int
    at: Time
    actor: str
    kind: str
    facts: Json
    hash: str


class AuditHead(TypedDict):
    number: int
    hash: str


class AuditAnswer(TypedDict):
    """`head` is the newest row; null if somebody has removed the record of it."""

    audit: list[AuditRow]
    next: str | None
    head: AuditHead | None


def blueprint(store: Store, tokens: Tokens) -> Blueprint:
    """One reading call, with the role `viewer` or `operator`."""
    calls = Blueprint("audit", __name__)

    @calls.get("/audit")
    @tokens.requires(Role.VIEWER, Role.OPERATOR)
    @documented("What was decided, done and ordered, newest first.", AuditAnswer, query=AuditQuery)
    def list_rows() -> ResponseReturnValue:
        asked = query(AuditQuery)
        ends = [number for number in (asked.before, asked.after) if number is not None]
        within = seen_in_audit()
        with store.begin() as tx:
            found = audit.newest(tx, before=min(ends, default=None), limit=asked.limit + 1, orgs=within)
            head = audit.head(tx)
        shown, following = page(found, asked.limit, lambda one: one.number)
        answer: AuditAnswer = {
            "audit": [_row(row) for row in shown],
            "next": following,
            "head": None if head is None else {"number": head.number, "hash": head.hash},
        }
        return answer

    return calls


def _row(row: Row) -> AuditRow:
    return {
        "number": row.number,
        "at": rfc3339(row.at),
        "actor": row.actor,
        "kind": row.kind,
        "facts": json.loads(row.facts),
        "hash": row.hash,
    }
