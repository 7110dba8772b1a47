"""`POST /alerts`: takes Alertmanager's webhook, records it, answers. What is decided later is not its business.

Alertmanager sends again after a 5xx and after no answer, and after nothing else: so
whatever was not stored for a passing reason is 503, and whatever cannot be helped
by repetition is 4xx.
"""

import logging
from http import HTTPStatus

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from pydantic_core import from_json

from genesys.log import event
from receiver.config import Role
from receiver.metrics import Outcome, ReceiverMetrics
from receiver.payload import Delivery, PayloadError, parse
from receiver.store import alerts, watchdog
from receiver.store.alerts import Recorded
from receiver.store.database import Store, Transaction, clock
from receiver.web.auth import Tokens
from receiver.web.fields import NoParameters, each_key_once, query, raw_body
from receiver.web.problems import Problem

log = logging.getLogger(__name__)

_OUTCOMES = {
    HTTPStatus.BAD_REQUEST: Outcome.MALFORMED,
    HTTPStatus.UNAUTHORIZED: Outcome.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN: Outcome.UNAUTHORIZED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Outcome.TOO_LARGE,
    HTTPStatus.SERVICE_UNAVAILABLE: Outcome.NOT_STORED,
    HTTPStatus.INTERNAL_SERVER_ERROR: Outcome.NOT_STORED,
}
_MAX_DETAIL_CHARS = 500


def blueprint(store: Store, tokens: Tokens, metrics: ReceiverMetrics) -> Blueprint:
    """The one call with the role `alertmanager`."""
    calls = Blueprint("intake", __name__)

    @calls.post("/alerts")
    @tokens.requires(Role.ALERTMANAGER)
    def deliver() -> ResponseReturnValue:
        query(NoParameters)
        delivery = _delivery(raw_body())
        recorded = store.transact(_record, delivery)
        metrics.received(Outcome.WATCHDOG, sum(alert.is_watchdog for alert in delivery.alerts))
        metrics.received(Outcome.STORED, recorded.stored)
        metrics.received(Outcome.DUPLICATE, recorded.duplicate)
        if delivery.truncated:
            cure = "remove max_alerts from Alertmanager's webhook_configs"
            event(log, logging.WARNING, "alerts_left_out", count=delivery.truncated, cure=cure)
        return {"stored": recorded.stored, "duplicate": recorded.duplicate}, HTTPStatus.ACCEPTED

    @calls.after_request
    def count_rejected(response: Response) -> Response:
        outcome = _OUTCOMES.get(HTTPStatus(response.status_code))
        if outcome is not None:
            metrics.received(outcome)
            detail = str((response.get_json(silent=True) or {}).get("detail"))[:_MAX_DETAIL_CHARS]
            event(
                log,
                logging.WARNING,
                "delivery_rejected",
                outcome=outcome.value,
                sender=request.remote_addr,
                detail=detail,
            )
        return response

    return calls


def _record(tx: Transaction, delivery: Delivery) -> Recorded:
    now = clock(tx)
    recorded = alerts.record(tx, [alert for alert in delivery.alerts if not alert.is_watchdog], now)
    if any(alert.is_watchdog and alert.firing for alert in delivery.alerts):
        watchdog.arrived(tx, now=now)
    return recorded


def _delivery(data: bytes) -> Delivery:
    """The delivery, whatever its Content-Type says. Raises Problem 400."""
    try:
        content = from_json(data, allow_inf_nan=False)
        each_key_once(data)
        return parse(content)
    except PayloadError as problem:
        raise Problem(HTTPStatus.BAD_REQUEST, str(problem)) from None
    except ValueError as problem:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {problem}") from None
