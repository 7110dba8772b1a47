"""The exporter's pages over a real socket."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from exporter.exposition import Format, render
from exporter.metrics import DATA_END
from exporter.page import Board, Published, prepared
from exporter.process import ProcessMetrics
from exporter.web import application, bind
from genesys.settings import Address


@pytest.fixture
def board() -> Board:
    return Board(["north", "south"], ProcessMetrics(), stale_after_s=180.0, clock=lambda: 0.0)


@pytest.fixture
def client(board: Board) -> Iterator[httpx.Client]:
    server = bind(Address("127.0.0.1", 0), application(board))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with httpx.Client(base_url=f"http://{server.address}", timeout=5.0, trust_env=False) as client:
        yield client
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_metrics_are_served_in_the_format_and_encoding_that_are_asked_for(
    client: httpx.Client, board: Board, form: Format, encoding: str
) -> None:
    board.publish(Published("north", True, True, 0.0, prepared(render([(DATA_END, ("north",), 1.0)]))))

    answer = client.get("/metrics", headers={"Accept": form.value, "Accept-Encoding": encoding})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == form.value
    assert answer.headers.get("Content-Encoding", "identity") == encoding
    assert answer.headers["Vary"] == "Accept, Accept-Encoding"
    assert answer.content == b"".join(board.page(form).plain())


def test_who_asks_for_nothing_gets_the_text_format_uncompressed(client: httpx.Client, board: Board) -> None:
    request = client.build_request("GET", "/metrics")
    for name in ("Accept", "Accept-Encoding"):
        del request.headers[name]

    answer = client.send(request)

    assert answer.headers["Content-Type"] == Format.TEXT.value
    assert "Content-Encoding" not in answer.headers
    assert answer.content == b"".join(board.page().plain())


@pytest.mark.parametrize(
    ("polled", "status", "says"),
    [
        pytest.param([], 503, "waiting for the first poll of north, south", id="nothing polled"),
        pytest.param(["north"], 503, "waiting for the first poll of south", id="one polled"),
        pytest.param(["north", "south"], 200, "ready", id="all polled, all failed"),
    ],
)
def test_readiness_waits_for_the_first_poll_of_every_organization(
    client: httpx.Client, board: Board, polled: list[str], status: int, says: str
) -> None:
    for org in polled:
        board.publish(Published(org, polled=True))

    answer = client.get("/-/ready")

    assert (answer.status_code, answer.text.strip()) == (status, says)


def test_the_landing_page_tells_the_state_of_each_organization(client: httpx.Client, board: Board) -> None:
    board.publish(replace(board.last("south"), polled=True, up=True))

    page = client.get("/").text

    assert "north: not polled yet" in page
    assert "south: up" in page
    assert "/metrics" in page


def test_healthy_while_it_answers(client: httpx.Client) -> None:
    assert client.get("/-/healthy").status_code == 200


def test_what_does_not_exist_and_what_is_not_a_read_is_refused(client: httpx.Client) -> None:
    assert client.get("/metric").status_code == 404
    refused = client.post("/metrics", content=b"x 1")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    head = client.head("/metrics")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Vary"] == "Accept, Accept-Encoding"


def test_an_address_that_is_taken_is_an_error(client: httpx.Client, board: Board) -> None:
    taken = Address(client.base_url.host, client.base_url.port or 0)

    with pytest.raises(OSError, match="in use"):
        bind(taken, application(board))
