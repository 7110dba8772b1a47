"""The simulator's server on a real socket: keep-alive and dropped connections; and its command line."""

import http.client
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from click.testing import CliRunner

from simulator.cli import main
from simulator.server import drop, listen

answered: list[str] = []
DATE = "Mon, 23 Nov 2026 08:00:00 GMT"


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Echoes the body; drops the connection of /drop after it has taken note."""
    body = environ["wsgi.input"].read()
    answered.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
    if environ["PATH_INFO"] == "/drop":
        drop(environ)
    dated = [("Date", DATE)] if environ["PATH_INFO"] == "/dated" else []
    start_response("200 OK", [("Content-Length", str(len(body))), *dated])
    return [body]


@contextmanager
def served() -> Iterator[http.client.HTTPConnection]:
    with listen("127.0.0.1", 0, application) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        port: Any = server.server_address[1]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            yield connection
        finally:
            connection.close()
            server.shutdown()
            thread.join()


def test_the_date_is_the_applications_if_it_tells_one() -> None:
    with served() as connection:
        for path in ("/echo", "/dated"):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            told = answer.headers.get_all("Date") or []
            assert len(told) == 1
            assert (told[0] == DATE) == (path == "/dated")


def test_one_connection_carries_many_requests() -> None:
    with served() as connection:
        connection.connect()
        socket = connection.sock
        for body in (b"first", b"", b"third"):
            connection.request("POST", "/echo", body)
            assert connection.getresponse().read() == body
            assert connection.sock is socket


def test_a_dropped_connection_gives_no_answer_but_the_request_was_handled() -> None:
    answered.clear()
    with served() as connection:
        connection.request("POST", "/drop", b"x")
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()
    assert answered == ["POST /drop"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scenario", "nothing"], "backend-outage, bad-deploy, burst, calm"),
        (["--listen", "9744"], "not HOST:PORT"),
        (["--time-factor", "0"], "--time-factor"),
        (["--switch", "republish=maybe"], "republish: Input should be 'works', 'refused' or 'nothing'"),
        (["--switch", "n_flow_exit_reason=yes"], "n_flow_exit_reason"),
        (["--switch", "nothing=works"], "nothing: Extra inputs"),
        (["--switch", "republish"], "republish"),
    ],
)
def test_a_wrong_command_line_is_refused_with_a_reason(arguments: list[str], told: str) -> None:
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 2
    assert told in refused.output


def test_help_names_scenarios_and_the_control_api() -> None:
    told = CliRunner().invoke(main, ["--help"]).output
    assert all(word in told for word in ("bad-deploy", "/sim/requests", "/sim/faults", "/sim/switches", "republish:"))
