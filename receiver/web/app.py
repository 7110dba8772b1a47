"""The WSGI application, put together from its blueprints."""

from collections.abc import Callable, Collection, Sequence

from flask import Flask, Response
from flask.json.provider import DefaultJSONProvider

from receiver.config import ReceiverSettings
from receiver.metrics import ReceiverMetrics
from receiver.store.database import Store
from receiver.tools import telling_of
from receiver.web import alerts, audit, controls, deployments, flows, health, holds, orders, problems, records
from receiver.web.auth import Tokens

API = "/api/v1"


def create_app(
    store: Store,
    settings: ReceiverSettings,
    orgs: Collection[str],
    metrics: ReceiverMetrics,
    worker_health: Callable[[], Sequence[str]],
) -> Flask:
    """The whole API and the pages beside it.

    `orgs` are the configured organizations. `worker_health` gives what is wrong with
    the worker, a sentence each; nothing is wrong when it gives none.
    """
    app = Flask(__name__, static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=settings.max_body_bytes, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.json = _InOrder(app)
    app.url_map.merge_slashes = False  # an unknown path is 404, never a redirect
    tokens = Tokens(settings.tokens)
    problems.install(app, settings.max_body_bytes)
    for blueprint in (
        alerts.blueprint(store, tokens, metrics),
        records.blueprint(store, tokens),
        flows.blueprint(store, tokens, settings, orgs),
        controls.blueprint(store, tokens, orgs),
        holds.blueprint(store, tokens, orgs),
        orders.blueprint(store, tokens, settings, metrics),
        audit.blueprint(store, tokens),
        deployments.blueprint(store, tokens, orgs, settings.timing, telling_of(settings)),
    ):
        app.register_blueprint(blueprint, url_prefix=API)
    app.register_blueprint(health.blueprint(store, metrics, worker_health))
    app.after_request(_not_cached)
    return app


class _InOrder(DefaultJSONProvider):
    """Keys stay in the order in which people want to read them."""

    sort_keys = False


def _not_cached(response: Response) -> Response:
    """Every answer is about this moment: a proxy that keeps a pause would show it for ever."""
    response.headers.setdefault("Cache-Control", "no-store")
    return response
