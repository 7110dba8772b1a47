"""`GET /audit`: what was decided, done and ordered, as the chain has it. Newest first."""

import json
from typing import Annotated, Any

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import Field

from receiver.chain import Row
from receiver.config import Role
from receiver.store import audit
from receiver.store.database import Store
from receiver.web.auth import Tokens
from receiver.web.fields import Limit, Strict, query, rfc3339

_DEFAULT_LIMIT = 100
_MAX_NUMBER = 2**63 - 1  # what a database can compare with


class AuditQuery(Strict):
    """`before`: the page after the one that ended with this number."""

    before: Annotated[int, Field(ge=1, le=_MAX_NUMBER)] | None = None
    limit: Limit = _DEFAULT_LIMIT


def blueprint(store: Store, tokens: Tokens) -> Blueprint:
    """One reading call, with the role `viewer` or `operator`."""
    calls = Blueprint("audit", __name__)

    @calls.get("/audit")
    @tokens.requires(Role.VIEWER, Role.OPERATOR)
    def list_rows() -> ResponseReturnValue:
        asked = query(AuditQuery)
        with store.begin() as tx:
            found = audit.newest(tx, before=asked.before, limit=asked.limit)
            head = audit.head(tx)
        return {
            "audit": [_row(row) for row in found],
            "head": None if head is None else {"number": head.number, "hash": head.hash},
        }

    return calls


def _row(row: Row) -> dict[str, Any]:
    return {
        "number": row.number,
        "at": rfc3339(row.at),
        "actor": row.actor,
        "kind": row.kind,
        "facts": json.loads(row.facts),
        "hash": row.hash,
    }
