"""Whom people are told through, on real sockets: alive, or dead in one of three ways until they are revived."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import MSG_DONTWAIT, MSG_PEEK, socket
from threading import Event, Thread
from typing import Any


class Way(StrEnum):
    """How a sink is while it has not been revived."""

    ALIVE = "alive"
    REFUSING = "refusing"  # nobody listens: connections are refused
    HANGING = "hanging"  # takes the request, and never answers
    FAILING = "failing"  # answers 500


DEAD = (Way.REFUSING, Way.HANGING, Way.FAILING)


class Sink:
    """Every request that arrived, and those that were taken, in their order."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.tried: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []
        self.holds = Event()  # a request that nobody has answered yet
        self._revived = Event()
        self._server = _Server(self)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._server.server_bind()  # the port is its own, whether or not it listens
        self.settings = {"name": way.value, "url": f"http://127.0.0.1:{self._server.server_port}/hook"}
        if way is not Way.REFUSING:
            self._listen()

    def revive(self) -> None:
        """From now on it takes everything, what it holds in its hands included."""
        if self.way is Way.REFUSING:
            self._listen()
        self._revived.set()

    def close(self) -> None:
        self._revived.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def answer(self, event: dict[str, Any], client: socket) -> int:
        self.tried.append(event)
        if self.way is Way.HANGING:
            self.holds.set()
            self._revived.wait()
        if _is_gone(client) or (self.way is Way.FAILING and not self._revived.is_set()):
            return 500
        self.taken.append(event)
        return 200

    def _listen(self) -> None:
        self._server.server_activate()
        self._thread.start()


def _is_gone(client: socket) -> bool:
    """It has closed the connection, and will not hear the answer."""
    try:
        return client.recv(1, MSG_PEEK | MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


class _Server(ThreadingHTTPServer):
    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.sink.answer(event, self.connection))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True  # the client has given up long ago

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """What arrived is kept."""


@contextmanager
def sinks(ways: Sequence[Way]) -> Iterator[list[Sink]]:
    made = [Sink(way) for way in ways]
    try:
        yield made
    finally:
        for one in made:
            one.close()
