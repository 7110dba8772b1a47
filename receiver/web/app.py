"""The WSGI application, put together from its blueprints."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from flask import Flask
from flask.json.provider import DefaultJSONProvider
from jinja2 import StrictUndefined

from receiver.config import ReceiverSettings
from receiver.desk import Desk
from receiver.metrics import ReceiverMetrics
from receiver.notify.sink import Sink
from receiver.store.database import Store
from receiver.tools import telling_of
from receiver.web import (
    alerts,
    audit,
    changes,
    console,
    controls,
    deployments,
    explain,
    flows,
    health,
    holds,
    notifications,
    objects,
    openapi,
    orders,
    problems,
    records,
)
from receiver.web.auth import Tokens
from receiver.web.headers import harden
from receiver.web.people import People

API = "/api/v1"
_NO_DESKS: Mapping[str, Desk] = MappingProxyType({})


def _in_its_time(_orgs: Iterable[str]) -> None:
    """Nobody is hurried: the loop finds what is new in its next round."""


def create_app(
    store: Store,
    settings: ReceiverSettings,
    orgs: Collection[str],
    metrics: ReceiverMetrics,
    worker_health: Callable[[], Sequence[str]],
    desks: Mapping[str, Desk] = _NO_DESKS,
    sinks: Sequence[Sink] = (),
    hurry: alerts.Hurry = _in_its_time,
) -> Flask:
    """The whole API and the pages beside it.

    `orgs` are the configured organizations. `worker_health` gives what is wrong with
    the worker, a sentence each; nothing is wrong when it gives none. `desks` are the
    organizations that can be asked about a flow, and be ordered to roll it back. `sinks` are
    those that can be tried. `hurry` is told of whom a webhook has brought something new.
    """
    app = Flask(__name__, static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=settings.max_body_bytes, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.json = _InOrder(app)
    app.jinja_options = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    app.url_map.merge_slashes = False  # an unknown path is 404, never a redirect
    tokens = Tokens(settings.tokens, store, People(settings.proxy, settings.people, settings.external_url))
    problems.install(app, settings.max_body_bytes, partial(console.shown, settings))
    for blueprint in (
        alerts.blueprint(store, tokens, metrics, orgs, hurry),
        records.blueprint(store, tokens),
        flows.blueprint(store, tokens, settings, orgs),
        objects.blueprint(store, tokens, settings, orgs),
        explain.blueprint(tokens, desks),
        controls.blueprint(store, tokens, orgs, settings.feeds.all),
        holds.blueprint(store, tokens, orgs),
        orders.blueprint(store, tokens, settings, metrics, desks),
        audit.blueprint(store, tokens),
        changes.blueprint(store, tokens),
        notifications.blueprint(store, tokens, sinks),
        deployments.blueprint(store, tokens, orgs, settings.timing, telling_of(settings)),
    ):
        app.register_blueprint(blueprint, url_prefix=API)
    openapi.install(app, API)
    pages = console.blueprint(store, tokens, settings, orgs, metrics, desks, worker_health)
    app.register_blueprint(pages, url_prefix=console.PREFIX)
    app.register_blueprint(health.blueprint(store, metrics, worker_health))
    app.after_request(partial(harden, with_tls=settings.tls is not None))
    return app


class _InOrder(DefaultJSONProvider):
    """Keys stay in the order in which people want to read them."""

    sort_keys = False
