"""What people order about one rollback: `POST /rollbacks/{id}/approve`, `/deny`, `/undo`."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import AfterValidator, StringConstraints

from receiver import orders
from receiver.config import ReceiverSettings, Role
from receiver.metrics import ReceiverMetrics
from receiver.orders import NotPossible
from receiver.payload import storable
from receiver.store import rollbacks
from receiver.store.database import Store, Transaction, clock
from receiver.store.rollbacks import Rollback
from receiver.web.auth import Tokens, caller
from receiver.web.fields import NoParameters, Strict, Words, body, body_or, query
from receiver.web.problems import Problem, not_found
from receiver.web.records import rollback_json

Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), AfterValidator(storable)]


class Answer(Strict):
    """The body of an approval or a denial; it may be left out."""

    reason: Comment = ""


class UndoOrder(Strict):
    reason: Words


Change = Callable[[Transaction, Rollback, str, float], Rollback]
"""What is done to the rollback, by whom, when. Raises NotPossible."""


def blueprint(store: Store, tokens: Tokens, settings: ReceiverSettings, metrics: ReceiverMetrics) -> Blueprint:
    """The role `operator`."""
    calls = Blueprint("orders", __name__)
    writing = tokens.requires(Role.OPERATOR)

    @calls.post("/rollbacks/<rollback_id>/approve")
    @writing
    def approve(rollback_id: str) -> ResponseReturnValue:
        query(NoParameters)
        said = body_or(Answer, Answer()).reason
        done = _ordered(
            store, rollback_id, lambda tx, one, by, now: orders.approve(tx, one, settings, by=by, reason=said, now=now)
        )
        return rollback_json(done)

    @calls.post("/rollbacks/<rollback_id>/deny")
    @writing
    def deny(rollback_id: str) -> ResponseReturnValue:
        query(NoParameters)
        said = body_or(Answer, Answer()).reason
        done = _ordered(
            store, rollback_id, lambda tx, one, by, now: orders.deny(tx, one, metrics, by=by, reason=said, now=now)
        )
        return rollback_json(done)

    @calls.post("/rollbacks/<rollback_id>/undo")
    @writing
    def undo(rollback_id: str) -> ResponseReturnValue:
        query(NoParameters)
        said = body(UndoOrder).reason
        done = _ordered(
            store, rollback_id, lambda tx, one, by, now: orders.undo(tx, one, settings, by=by, reason=said, now=now)
        )
        return rollback_json(done), HTTPStatus.CREATED

    return calls


def _ordered(store: Store, rollback_id: str, change: Change) -> Rollback:
    """The rollback that came of it. Raises Problem 404, and 409 with the reason."""
    by = caller().name

    def order(tx: Transaction) -> Rollback:
        found = rollbacks.get(tx, rollback_id)
        if found is None:
            raise not_found(f"there is no rollback {rollback_id}")
        return change(tx, found, by, clock(tx))

    if "\x00" in rollback_id:  # PostgreSQL would take it for a fault of the statement
        raise not_found("there is no such rollback")
    try:
        return store.transact(order)
    except NotPossible as problem:
        raise Problem(HTTPStatus.CONFLICT, str(problem)) from None
