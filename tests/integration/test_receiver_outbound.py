"""Calls to everybody but Genesys Cloud end, whatever the other side does."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from receiver.outbound import Outbound, OutboundError

TIMEOUT_S = 0.3


@pytest.fixture
def trickle() -> Iterator[str]:
    """A server that answers at once and then sends a byte now and then, for long; gives its URL."""
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            try:
                for _ in range(60):
                    connection.sendall(b" ")
                    if over.wait(TIMEOUT_S / 3):
                        return
            except OSError:
                return  # the client has given up

    thread = threading.Thread(target=answer)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/v2/alerts"
    over.set()
    thread.join()
    listening.close()


def test_an_answer_that_trickles_is_given_up(trickle: str) -> None:
    with closing(Outbound(TIMEOUT_S)) as http:
        begun = time.monotonic()
        with pytest.raises(OutboundError, match=r"127\.0\.0\.1 did not answer: ReadTimeout"):
            http.get_json(trickle)
        assert time.monotonic() - begun < 10 * TIMEOUT_S
