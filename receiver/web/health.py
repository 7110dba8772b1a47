"""The pages beside the API, without a token: metrics, health and an index."""

import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus

from flask import Blueprint, Response, redirect, request
from flask.typing import ResponseReturnValue

from genesys.log import event
from receiver.metrics import CONTENT_TYPE, ReceiverMetrics
from receiver.store import leases
from receiver.store.database import Store, StoreUnavailable, clock
from receiver.web.problems import BRING_BACK, Problem

log = logging.getLogger(__name__)

_TEXT = "text/plain; charset=utf-8"
_INDEX = (
    "<!doctype html><html lang=en><title>Rollback receiver</title><p>Rollback receiver: "
    "<a href=console>/console</a> "
    "<a href=/metrics>/metrics</a> <a href=/-/healthy>/-/healthy</a> <a href=/-/ready>/-/ready</a>; "
    "the API is under /api/v1, rollbackctl speaks it.</p></html>\n"
)


def blueprint(store: Store, metrics: ReceiverMetrics, worker_health: Callable[[], Sequence[str]]) -> Blueprint:
    pages = Blueprint("health", __name__)

    @pages.get("/")
    def index() -> ResponseReturnValue:
        if "text/html" in request.headers.get("Accept", ""):  # a browser: nothing else asks for it by name
            return redirect("console", HTTPStatus.SEE_OTHER)
        return _INDEX

    @pages.get("/metrics")
    def show_metrics() -> ResponseReturnValue:
        return Response(metrics.page(), content_type=CONTENT_TYPE)

    @pages.get("/-/healthy")
    def healthy() -> ResponseReturnValue:
        return Response("healthy\n", content_type=_TEXT)

    @pages.get("/-/ready")
    def ready() -> ResponseReturnValue:
        wrong = [*_database_problems(store), *worker_health()]
        if wrong:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "; ".join(wrong))
        return Response("ready\n", content_type=_TEXT)

    return pages


def _database_problems(store: Store) -> list[str]:
    """Found out by a write: a full disk and a standby server can be read, and take no alert."""
    try:
        with store.begin() as tx:
            leases.take(tx, "readiness", "", now=clock(tx), lease_s=0)  # over at once: nobody holds it
            return []
    except StoreUnavailable as problem:
        event(log, logging.WARNING, "database_unavailable", path="/-/ready", error=problem, cure=BRING_BACK)
        return ["the database cannot be used"]
