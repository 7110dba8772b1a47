"""The exporter's HTTP server: four pages, one thread per request.

`/-/ready` is 503 until every organization has been polled once, successfully or
not: an organization that cannot be reached must not take the others' samples away.
"""

import socket
from collections.abc import Callable, Iterable
from html import escape
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from exporter.negotiation import accepts_gzip, format_for
from exporter.page import Board, Published
from genesys.settings import Address

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

METRICS = "/metrics"
TEXT, HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"

Answer = tuple[str, str, list[bytes]]
"""Status, content type, pieces of the body."""


def application(board: Board) -> "WSGIApplication":
    """The pages of the exporter as a WSGI application."""
    pages: dict[str, Callable[[], Answer]] = {
        "/": lambda: ("200 OK", HTML, [_landing(board)]),
        "/-/healthy": lambda: ("200 OK", TEXT, [b"healthy\n"]),
        "/-/ready": lambda: _readiness(board),
    }

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path, method, headers = environ.get("PATH_INFO", "/"), environ["REQUEST_METHOD"], []
        if path not in pages and path != METRICS:
            status, content_type, body = "404 Not Found", TEXT, [b"not found; see / and /metrics\n"]
        elif method not in ("GET", "HEAD"):
            status, content_type, body = "405 Method Not Allowed", TEXT, [b"only GET and HEAD\n"]
            headers.append(("Allow", "GET, HEAD"))
        elif path == METRICS:
            (status, content_type, body), headers = _metrics(board, environ)
        else:
            status, content_type, body = pages[path]()
        headers += [("Content-Type", content_type), ("Content-Length", str(sum(map(len, body))))]
        start_response(status, headers)
        return [] if method == "HEAD" else body

    return answer


def _metrics(board: Board, environ: "WSGIEnvironment") -> tuple[Answer, list[tuple[str, str]]]:
    """The page in the format and encoding that the scrape asks for, and the headers that say so."""
    form = format_for(environ.get("HTTP_ACCEPT"))
    page = board.page(form)
    headers = [("Vary", "Accept, Accept-Encoding")]
    if not accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING")):
        return ("200 OK", form.value, page.plain()), headers
    return ("200 OK", form.value, page.gzipped()), [*headers, ("Content-Encoding", "gzip")]


def _readiness(board: Board) -> Answer:
    waiting = [published.org for published in board.all() if not published.polled]
    if waiting:
        return "503 Service Unavailable", TEXT, [f"waiting for the first poll of {', '.join(waiting)}\n".encode()]
    return "200 OK", TEXT, [b"ready\n"]


def _landing(board: Board) -> bytes:
    states = "".join(f"<li>{escape(each.org)}: {_state(each)}</li>" for each in board.all())
    return (
        "<!doctype html><html lang=en><title>Genesys exporter</title><h1>Genesys exporter</h1>"
        f"<ul>{states}</ul>"
        "<p><a href=/metrics>/metrics</a> <a href=/-/healthy>/-/healthy</a> <a href=/-/ready>/-/ready</a></p></html>\n"
    ).encode()


def _state(published: Published) -> str:
    if not published.polled:
        return "not polled yet"
    return "up" if published.up else "the last poll failed; see the log"


class Server(ThreadingMixIn, WSGIServer):
    """Requests do not wait for each other, and none keeps the process from ending."""

    daemon_threads = True
    request_queue_size = 64  # Prometheus servers that scrape at the same second

    def server_bind(self) -> None:
        """Bind without asking DNS for our own name, as the library does: that can take many seconds."""
        TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)
        self.setup_environ()

    @property
    def address(self) -> Address:
        """Where it really listens: the port that was taken, if 0 was asked for."""
        return Address(self.server_name, self.server_port)


class _Server6(Server):
    address_family = socket.AF_INET6


class _QuietHandler(WSGIRequestHandler):
    timeout = 10.0  # a client that opens a connection and says nothing

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing: a scrape is no event."""


def bind(listen: Address, app: "WSGIApplication") -> Server:
    """A server that listens, but does not serve yet. Raises `OSError` when the address cannot be had."""
    family = _Server6 if ":" in listen.host else Server
    return make_server(listen.host, listen.port, app, server_class=family, handler_class=_QuietHandler)
