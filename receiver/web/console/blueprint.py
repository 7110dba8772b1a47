"""The console's routes, put together from its pages; and what is answered there instead of a problem document."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from pathlib import Path

from flask import Blueprint, Response, current_app, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import MethodNotAllowed

from receiver.config import ReceiverSettings
from receiver.desk import Desk
from receiver.metrics import ReceiverMetrics
from receiver.store.database import Store
from receiver.web.auth import Tokens
from receiver.web.console import decisions, flows, now, objects, orders, rollbacks, windows
from receiver.web.console.again import shown_again
from receiver.web.console.now import Health
from receiver.web.console.pages import NAME, PREFIX, Console, link, problem_page
from receiver.web.problems import Problem, not_found

_FILES = Path(__file__).parent / "static"
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_RECORD = "records.show_rollback"  # GET /api/v1/rollbacks/{id}
_ORDERS = frozenset({"orders.approve", "orders.deny", "orders.undo"})  # POST /api/v1/rollbacks/{id}/…


def blueprint(
    store: Store,
    tokens: Tokens,
    settings: ReceiverSettings,
    orgs: Collection[str],
    metrics: ReceiverMetrics,
    desks: Mapping[str, Desk],
    health: Health,
) -> Blueprint:
    """Pages with the role `viewer` or `operator`, forms with `operator`; style sheet and script are anybody's."""
    pages = Blueprint(NAME, __name__, template_folder="templates")
    files = {file.name: file.read_bytes() for file in _FILES.iterdir()}
    console = Console(store, tokens, settings, tuple(orgs), metrics, desks)

    @pages.before_app_request
    def from_api_to_page() -> ResponseReturnValue | None:
        """Webhooks carry the API's addresses of a rollback: a browser gets the page that shows it, with its buttons."""
        about = _rollback_of_api() if request.method == "GET" and _is_browser() else None
        return None if about is None else redirect(link("show_rollback", **about), HTTPStatus.SEE_OTHER)

    @pages.get("/static/<filename>")
    def static(filename: str) -> ResponseReturnValue:
        """From memory: three small files, of which none stays open when a browser goes away."""
        if filename not in files:
            raise not_found("there is no such file")
        return Response(files[filename], mimetype=_TYPES[filename.rpartition(".")[2]])

    @pages.get("/")
    def with_slash() -> ResponseReturnValue:
        return redirect(link("now"), HTTPStatus.SEE_OTHER)

    now.add(pages, console, health)
    rollbacks.add(pages, console)
    decisions.add(pages, console)
    flows.add(pages, console)
    objects.add(pages, console)
    windows.add(pages, console)
    orders.add(pages, console)
    return pages


def _rollback_of_api() -> dict[str, str] | None:
    """The rollback whose record, or whose order, has the request's address; an order takes a POST alone."""
    if request.endpoint == _RECORD:
        return request.view_args
    refused = request.routing_exception
    adapter = current_app.create_url_adapter(request)
    if adapter is None or not isinstance(refused, MethodNotAllowed) or "POST" not in (refused.valid_methods or ()):
        return None
    endpoint, about = adapter.match(method="POST")
    return dict(about) if endpoint in _ORDERS else None


def _is_browser() -> bool:
    """Programs may accept HTML too; but they have a token, or like JSON as much."""
    has_token = request.authorization is not None and request.authorization.type == "bearer"
    accepted = request.accept_mimetypes
    return not has_token and accepted.quality("text/html") > accepted.quality("application/json")


def shown(settings: ReceiverSettings, problem: Problem) -> Response:
    """A problem as whoever asked can read it: a page below `/console`, a problem document everywhere else."""
    if request.path == PREFIX or request.path.startswith(f"{PREFIX}/"):
        return shown_again(problem) or problem_page(problem, settings)
    return problem.response()
