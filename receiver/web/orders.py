"""What people order: `POST /rollbacks`, and about one rollback `POST /rollbacks/{id}/approve`, `/deny`, `/undo`."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue
from pydantic import AfterValidator, Field, StringConstraints

from genesys.evidence import Signal
from receiver import orders, policy
from receiver.by_hand import HeldBack, held_back
from receiver.config import ReceiverSettings, Role
from receiver.desk import Desk, NotReadable, Order, Plan
from receiver.metrics import ReceiverMetrics
from receiver.orders import NotPossible
from receiver.payload import storable
from receiver.policy import UNDO_PASSES, Verdict
from receiver.store import rollbacks
from receiver.store.database import Store, Transaction, clock
from receiver.store.idempotency import Answer
from receiver.store.rollbacks import Rollback
from receiver.web import concealed
from receiver.web.auth import Tokens, caller
from receiver.web.controls import Guard
from receiver.web.documented import documented
from receiver.web.explain import told
from receiver.web.fields import Name, NoParameters, Strict, Words, body, body_or, query
from receiver.web.idempotency import Request, this_request
from receiver.web.problems import Fault, Problem, not_found
from receiver.web.reach import check_org, reaches
from receiver.web.records import RollbackAnswer, rollback_json

Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), AfterValidator(storable)]


def _overridable(guard: Verdict) -> Verdict:
    if guard not in UNDO_PASSES:
        raise ValueError(f"cannot be overridden; these can: {', '.join(sorted(UNDO_PASSES))}")
    return guard


class HandOrder(Strict):
    """A rollback by hand. `accused_version`: only if this one is live; `override`: guards that do not matter."""

    org: Name
    flow_id: Annotated[Name, StringConstraints(min_length=1)]
    reason: Words
    accused_version: Name | None = None
    signal: Signal = Signal.ERROR_EXIT
    override: Annotated[
        tuple[Annotated[Verdict, AfterValidator(_overridable)], ...], Field(max_length=len(Verdict))
    ] = ()


class Comments(Strict):
    """The body of an approval or a denial; it may be left out."""

    reason: Comment = ""


class UndoOrder(Strict):
    reason: Words


_REFUSALS = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)

Change = Callable[[Transaction, Rollback, str, float], Rollback]
"""What is done to the rollback, by whom, when. Raises NotPossible."""


def blueprint(
    store: Store, tokens: Tokens, settings: ReceiverSettings, metrics: ReceiverMetrics, desks: Mapping[str, Desk]
) -> Blueprint:
    """The role `operator`."""
    calls = Blueprint("orders", __name__)
    writing = tokens.requires(Role.OPERATOR)
    _add_by_hand(calls, store, desks, writing)

    @calls.post("/rollbacks/<rollback_id>/approve")
    @writing
    @documented(
        "Let a rollback begin that waits for approval.",
        RollbackAnswer,
        body=Comments,
        body_may_be_left_out=True,
        refusals=_REFUSALS,
        keyed=True,
    )
    def approve(rollback_id: str) -> ResponseReturnValue:
        query(NoParameters)
        change = approving(body_or(Comments, Comments()), settings)
        return ordered(store, this_request(), rollback_id, change)

    @calls.post("/rollbacks/<rollback_id>/deny")
    @writing
    @documented(
        "End a rollback that waits for approval.",
        RollbackAnswer,
        body=Comments,
        body_may_be_left_out=True,
        refusals=_REFUSALS,
        keyed=True,
    )
    def deny(rollback_id: str) -> ResponseReturnValue:
        query(NoParameters)
        change = denying(body_or(Comments, Comments()), metrics)
        return ordered(store, this_request(), rollback_id, change)

    @calls.post("/rollbacks/<rollback_id>/undo")
    @writing
    @documented(
        "Make the version live again that a rollback took away.",
        RollbackAnswer,
        status=HTTPStatus.CREATED,
        body=UndoOrder,
        refusals=_REFUSALS,
        keyed=True,
    )
    def undo(rollback_id: str) -> ResponseReturnValue:
        query(NoParameters)
        change = undoing(body(UndoOrder), settings)
        return ordered(store, this_request(), rollback_id, change, HTTPStatus.CREATED)

    return calls


def _add_by_hand(calls: Blueprint, store: Store, desks: Mapping[str, Desk], writing: Guard) -> None:
    @calls.post("/rollbacks")
    @writing
    @documented(
        "Roll a flow back by hand: the same guards, but for those that the order names.",
        RollbackAnswer,
        status=HTTPStatus.CREATED,
        body=HandOrder,
        refusals=_REFUSALS,
        keyed=True,
    )
    def roll_back() -> ResponseReturnValue:
        query(NoParameters)
        asked = body(HandOrder)
        return ordered_by_hand(store, this_request(), asked, desks)


def ordered_by_hand(store: Store, this: Request, asked: HandOrder, desks: Mapping[str, Desk]) -> Response:
    """The rollback that was planned, also by the same order that came a moment earlier.

    Raises Problem 409 with the guards that hold back, or with the reason; 404 and 503 as `told` has them.
    """
    check_org(asked.org, desks, {"pointer": "#/org"}, [asked.flow_id])
    order = Order(asked.reason, asked.accused_version, asked.signal, asked.override)
    known = this.answered(store)  # before Genesys Cloud is asked
    if known is not None:
        return this.respond(known)
    try:
        with told():
            made = _roll_back(store, this, asked, order, desks[asked.org])
    except HeldBack as problem:
        guards = concealed.guards(asked.org, problem.guards)
        raise Problem(HTTPStatus.CONFLICT, held_back(guards), errors=[_fault(one) for one in guards]) from None
    except NotPossible as problem:
        raise Problem(HTTPStatus.CONFLICT, str(problem)) from None
    return this.respond(made)


def _roll_back(store: Store, this: Request, asked: HandOrder, order: Order, desk: Desk) -> Answer:
    try:
        return desk.roll_back(asked.org, asked.flow_id, order, _kept(this), by=caller().name)
    except (NotReadable, NotPossible):
        # A second click waits for its turn while the first has its rollback planned.
        known = this.answered(store)
        if known is None:
            raise
        return known


def _kept(this: Request) -> Callable[[Transaction, Plan], Answer]:
    """Plan, and keep the answer in the same transaction."""

    def keep(tx: Transaction, plan: Plan) -> Answer:
        return this.once(tx, lambda tx: (rollback_json(plan(tx)), HTTPStatus.CREATED))

    return keep


def _fault(guard: policy.Guard) -> Fault:
    return {"detail": f"{guard.value}; allowed: {guard.limit}", "guard": guard.name.value}


def approving(said: Comments, settings: ReceiverSettings) -> Change:
    return lambda tx, one, by, now: orders.approve(tx, one, settings, by=by, reason=said.reason, now=now)


def denying(said: Comments, metrics: ReceiverMetrics) -> Change:
    return lambda tx, one, by, now: orders.deny(tx, one, metrics, by=by, reason=said.reason, now=now)


def undoing(said: UndoOrder, settings: ReceiverSettings) -> Change:
    return lambda tx, one, by, now: orders.undo(tx, one, settings, by=by, reason=said.reason, now=now)


def ordered(
    store: Store, this: Request, rollback_id: str, change: Change, status: HTTPStatus = HTTPStatus.OK
) -> Response:
    """The rollback that came of it. Raises Problem 404, and 409 with the reason."""
    by = caller().name

    def order(tx: Transaction) -> Answer:
        found = rollbacks.get(tx, rollback_id)
        # Also of one that was answered when the caller could reach it.
        if found is None or not reaches(found.org, found.object_id):
            raise not_found(f"there is no rollback {rollback_id}")
        return this.once(tx, lambda tx: (rollback_json(change(tx, found, by, clock(tx))), status))

    if "\x00" in rollback_id:  # PostgreSQL would take it for a fault of the statement
        raise not_found("there is no such rollback")
    try:
        return this.respond(store.transact(order))
    except NotPossible as problem:
        raise Problem(HTTPStatus.CONFLICT, str(problem)) from None
