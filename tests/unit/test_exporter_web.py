"""The exporter's pages over a real socket."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from exporter.exposition import CONTENT_TYPE
from exporter.page import Board, Published
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


def test_metrics_are_served_in_the_text_format(client: httpx.Client, board: Board) -> None:
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text, text/plain;q=0.5"})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == CONTENT_TYPE
    assert answer.content == board.page()


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


def test_an_address_that_is_taken_is_an_error(client: httpx.Client, board: Board) -> None:
    taken = Address(client.base_url.host, client.base_url.port or 0)

    with pytest.raises(OSError, match="in use"):
        bind(taken, application(board))
