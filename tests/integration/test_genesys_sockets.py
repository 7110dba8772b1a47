"""Our HTTP side against real sockets: what a scripted transport cannot show."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from genesys.errors import Unavailable
from genesys.http import Connection, Request

Reply = Callable[[socket.socket], None]

BODY = b'{"id": "x"}'


class Server:
    """Answers each request with the reply of the test; counts connections and requests."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self.requests = 0
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                while b"\r\n\r\n" in connection.recv(65536):
                    self.requests += 1
                    try:
                        self._reply(connection)
                    except OSError:
                        break

    def end(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=5)


@contextmanager
def serving(reply: Reply) -> Iterator[tuple[Server, Connection]]:
    server = Server(reply)
    connection = Connection()
    try:
        yield server, connection
    finally:
        connection.close()
        server.end()


def answer(body: bytes = BODY, *headers: str, length: int | None = None) -> Reply:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]
    return lambda connection: connection.sendall("\r\n".join(lines).encode() + body)


def drop(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def fail(reply: Reply, within_s: float = 2.0) -> tuple[Unavailable, float]:
    with serving(reply) as (server, connection):
        started = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            connection.send(Request("GET", server.url, "x"), within_s=within_s)
        took_s = time.monotonic() - started
        assert server.requests == 1
    return caught.value, took_s


def test_a_connection_is_used_for_many_requests():
    with serving(answer()) as (server, connection):
        for _ in range(5):
            assert connection.send(Request("GET", server.url, "x"), within_s=2) == {"id": "x"}
        assert (server.connections, server.requests) == (1, 5)


def test_a_compressed_answer_is_read():
    with serving(answer(gzip.compress(BODY), "Content-Encoding: gzip")) as (server, connection):
        assert connection.send(Request("GET", server.url, "x"), within_s=2) == {"id": "x"}


BROKEN = {
    "a connection that is closed without an answer": drop,
    "an answer that ends too early": lambda connection: (answer(length=100)(connection), drop(connection)),
    "an answer that is not HTTP": lambda connection: (connection.sendall(b"hello\r\n\r\n"), drop(connection)),
    "a compressed answer that is broken": answer(b"no gzip at all", "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_answer_is_no_answer(reply):
    fail(reply)


def test_silence_ends_with_the_time_that_was_given():
    _, took_s = fail(lambda connection: time.sleep(1), within_s=0.3)
    assert 0.2 < took_s < 0.9


def test_a_trickle_ends_with_the_time_that_was_given():
    def trickle(connection: socket.socket) -> None:
        answer(b"", length=1000)(connection)
        for _ in range(30):
            connection.sendall(b" ")
            time.sleep(0.1)

    error, took_s = fail(trickle, within_s=0.5)
    assert "not complete in time" in error.message
    assert took_s < 1.5


def test_the_error_of_a_refused_connection_names_the_host():
    server = Server(drop)
    server.end()
    connection = Connection()
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        connection.send(Request("GET", server.url, "x"), within_s=1)
    connection.close()
