"""`GET /flows/{org}/{flow_id}/explain`: what would happen now if the live version were accused."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import cast

from flask import Blueprint
from flask.typing import ResponseReturnValue
from typing_extensions import TypedDict

from genesys.evidence import Signal
from receiver.config import Role
from receiver.desk import Desk, Explanation, NotKnown, NotReadable
from receiver.planning import facts_of
from receiver.web import concealed
from receiver.web.auth import Tokens
from receiver.web.documented import Json, Time, documented
from receiver.web.fields import Strict, query, rfc3339
from receiver.web.problems import Problem, not_found
from receiver.web.reach import check_reach
from receiver.web.records import GuardAnswer


class ExplainQuery(Strict):
    """`signal`: what the version is accused of."""

    signal: Signal = Signal.ERROR_EXIT


class CandidateAnswer(TypedDict):
    """A version that was considered, and why it is not eligible; an empty reason means it is."""

    version: str
    reason: str


class ExplanationAnswer(TypedDict):
    """The verdict, and each guard: the first that holds back gives it.

    Without an `alert_id` nobody accuses the version: the guards are judged as if somebody did.
    """

    at: Time
    org: str
    flow_id: str
    flow_version: str
    signal: str
    alert_id: int | None
    verdict: str
    guards: list[GuardAnswer]
    target_version: str | None
    considered: list[CandidateAnswer]
    facts: Json


def blueprint(tokens: Tokens, desks: Mapping[str, Desk]) -> Blueprint:
    """One reading call, with the role `viewer` or `operator`."""
    calls = Blueprint("explain", __name__)

    @calls.get("/flows/<org>/<flow_id>/explain")
    @tokens.requires(Role.VIEWER, Role.OPERATOR)
    @documented(
        "What would happen now if the live version were accused: each guard. Nothing is written.",
        ExplanationAnswer,
        query=ExplainQuery,
        refusals=(HTTPStatus.NOT_FOUND,),
    )
    def explain(org: str, flow_id: str) -> ResponseReturnValue:
        signal = query(ExplainQuery).signal
        check_reach(org, [flow_id])
        desk = desks.get(org)
        if desk is None or "\x00" in flow_id:  # PostgreSQL would take NUL for a fault of the statement
            raise not_found("there is no such flow")
        with told():
            found = desk.explain(org, flow_id, signal)
        return _explanation(found)

    return calls


@contextmanager
def told() -> Iterator[None]:
    """Why a desk cannot answer, as a problem."""
    try:
        yield
    except NotKnown as problem:
        raise not_found(str(problem)) from None
    except NotReadable as problem:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(problem)) from None


def _explanation(found: Explanation) -> ExplanationAnswer:
    alert, facts = found.alert, found.situation
    considered = () if facts.target is None else facts.target.considered
    guards = concealed.guards(alert.org, found.decision.guards)
    return {
        "at": rfc3339(facts.at),
        "org": alert.org,
        "flow_id": alert.object_id,
        "flow_version": alert.version,
        "signal": alert.signal,
        "alert_id": None if found.is_hypothetical else alert.id,
        "verdict": found.decision.verdict.value,
        "guards": cast("list[GuardAnswer]", [one.as_json() for one in guards]),
        "target_version": facts.proposed,
        "considered": [{"version": one.version, "reason": one.reason} for one in considered],
        "facts": concealed.facts(alert.org, facts_of(facts)),
    }
