"""`POST /notifications/test`: tries the sinks now, and shows what came back from each."""

from collections.abc import Sequence

from flask import Blueprint
from flask.typing import ResponseReturnValue
from typing_extensions import TypedDict

from receiver.config import Role
from receiver.notify.sink import Sink
from receiver.notify.trial import Tried, try_sinks
from receiver.store import audit
from receiver.store.controls import EVERY_ORG
from receiver.store.database import Store, Transaction, clock
from receiver.web.auth import Tokens, caller
from receiver.web.documented import documented
from receiver.web.fields import Name, NoParameters, Strict, body_or, query
from receiver.web.problems import bad_request
from receiver.web.reach import check_reach


class TrialOrder(Strict):
    """Without `sink`, every one that is configured."""

    sink: Name | None = None


class TriedAnswer(TypedDict):
    sink: str
    taken: bool
    detail: str


class TrialAnswer(TypedDict):
    results: list[TriedAnswer]


def blueprint(store: Store, tokens: Tokens, sinks: Sequence[Sink]) -> Blueprint:
    """The role `operator` in every organization: sinks are told of all of them."""
    calls = Blueprint("notifications", __name__)

    @calls.post("/notifications/test")
    @tokens.requires(Role.OPERATOR)
    @documented(
        "Send a test event to the configured sinks, and say what came back.",
        TrialAnswer,
        body=TrialOrder,
        body_may_be_left_out=True,
    )
    def test_notifications() -> ResponseReturnValue:
        query(NoParameters)
        check_reach(EVERY_ORG)
        asked = _asked(sinks, body_or(TrialOrder, TrialOrder()).sink)
        by = caller().name
        results = try_sinks(asked, by)
        store.transact(lambda tx: _record(tx, results, by))
        answer: TrialAnswer = {"results": [_shown(one) for one in results]}
        return answer

    return calls


def _asked(sinks: Sequence[Sink], name: str | None) -> list[Sink]:
    """Raises Problem 400, with the names that there are, for one that is not configured."""
    found = [sink for sink in sinks if name in (None, sink.name)]
    if name is not None and not found:
        known = ", ".join(sink.name for sink in sinks) or "none"
        raise bad_request([{"detail": f"is not configured; known: {known}", "pointer": "#/sink"}])
    return found


def _record(tx: Transaction, results: Sequence[Tried], by: str) -> None:
    facts = {"results": [_shown(one) for one in results]}
    audit.record(tx, audit.Kind.NOTIFICATIONS_TESTED, facts, at=clock(tx), actor=by)


def _shown(one: Tried) -> TriedAnswer:
    return {"sink": one.sink, "taken": one.taken, "detail": one.detail}
