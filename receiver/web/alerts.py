"""`POST /alerts`: takes Alertmanager's webhook, records it, answers. What is decided later is not its business.

Alertmanager sends again after a 5xx and after no answer, and after nothing else: so
whatever was not stored for a passing reason is 503, and whatever cannot be helped
by repetition is 4xx.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial
from http import HTTPStatus

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from pydantic_core import from_json
from typing_extensions import TypedDict

from genesys.log import event
from receiver.config import Role
from receiver.metrics import Outcome, ReceiverMetrics
from receiver.payload import Delivery, Payload, PayloadError, parse
from receiver.store import alerts, watchdog
from receiver.store.alerts import Recorded
from receiver.store.database import Store, Transaction, clock
from receiver.web.auth import Tokens
from receiver.web.documented import documented
from receiver.web.fields import NoParameters, each_key_once, query, raw_body
from receiver.web.problems import Problem
from receiver.web.reach import check_reach, reach, reaches

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


class DeliveryAnswer(TypedDict):
    """How many alerts of the delivery were new, and how many were known already."""

    stored: int
    duplicate: int


Hurry = Callable[[Iterable[str]], None]
"""Told of the organizations of which new alerts were stored."""


def blueprint(store: Store, tokens: Tokens, metrics: ReceiverMetrics, orgs: Collection[str], hurry: Hurry) -> Blueprint:
    """The one call with the role `alertmanager`; `orgs` are the configured organizations."""
    calls = Blueprint("intake", __name__)
    record = partial(_record, frozenset(orgs))

    @calls.post("/alerts")
    @tokens.requires(Role.ALERTMANAGER)
    @documented("Alertmanager's webhook, version 4.", DeliveryAnswer, status=HTTPStatus.ACCEPTED, body=Payload)
    def deliver() -> ResponseReturnValue:
        query(NoParameters)
        delivery = _delivery(raw_body())
        recorded = store.transact(record, delivery)
        if recorded.stored:
            hurry({alert.label("org") for alert in delivery.alerts})
        metrics.received(Outcome.WATCHDOG, sum(alert.is_watchdog for alert in delivery.alerts))
        metrics.received(Outcome.STORED, recorded.stored)
        metrics.received(Outcome.DUPLICATE, recorded.duplicate)
        if delivery.truncated:
            cure = "remove max_alerts from Alertmanager's webhook_configs"
            event(log, logging.WARNING, "alerts_left_out", count=delivery.truncated, cure=cure)
        answer: DeliveryAnswer = {"stored": recorded.stored, "duplicate": recorded.duplicate}
        return answer, HTTPStatus.ACCEPTED

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


def _record(orgs: frozenset[str], tx: Transaction, delivery: Delivery) -> Recorded:
    now = clock(tx)
    delivered = [alert for alert in delivery.alerts if not alert.is_watchdog]
    if not reach().is_everything:
        # An alert is known by its fingerprint, so who knows one could refresh or close what is of others.
        named = {alert.label("org") for alert in delivered}
        for org in sorted(named | alerts.orgs_of(tx, {alert.fingerprint for alert in delivered})):
            check_reach(org)
    recorded = alerts.record(tx, delivered, now)
    watchdogs = [alert for alert in delivery.alerts if alert.is_watchdog and alert.firing]
    if watchdogs:
        watchdog.arrived(tx, now=now)
    for org in sorted({alert.label("org") for alert in watchdogs} & orgs):
        if reaches(org):
            watchdog.arrived(tx, now=now, org=org)
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
