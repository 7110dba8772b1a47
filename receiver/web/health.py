"""The pages beside the API, without a token: metrics, health and an index."""

from collections.abc import Callable, Sequence
from http import HTTPStatus

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from receiver.metrics import CONTENT_TYPE, ReceiverMetrics
from receiver.store.database import Store, StoreUnavailable
from receiver.web.problems import Problem

_TEXT = "text/plain; charset=utf-8"
_INDEX = (
    "<!doctype html><html lang=en><title>Rollback receiver</title><p>Rollback receiver: "
    "<a href=/metrics>/metrics</a> <a href=/-/healthy>/-/healthy</a> <a href=/-/ready>/-/ready</a>; "
    "the API is under /api/v1, rollbackctl speaks it.</p></html>\n"
)


def blueprint(store: Store, metrics: ReceiverMetrics, worker_health: Callable[[], Sequence[str]]) -> Blueprint:
    pages = Blueprint("health", __name__)

    @pages.get("/")
    def index() -> ResponseReturnValue:
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
    try:
        with store.begin():
            return []
    except StoreUnavailable:
        return ["the database cannot be used"]
