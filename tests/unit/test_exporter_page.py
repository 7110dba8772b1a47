"""When the page of many organizations is put together: often enough to be true, and seldom enough to cost little."""

from exporter.compression import Piece
from exporter.exposition import render
from exporter.metrics import DATA_END
from exporter.page import BEGUN_EVERY_S, Board, Published, prepared
from exporter.process import ProcessMetrics

ORGS = ("north", "south")


class Pieces(dict[str, Piece]):
    """An organization's lines that count how often they are put into a page."""

    read = 0

    def __getitem__(self, name: str) -> Piece:
        self.read += 1
        return super().__getitem__(name)


def found(org: str) -> Pieces:
    return Pieces(prepared(render([(DATA_END, (org,), 1.0)])))


def test_what_polls_that_end_in_one_second_found_is_put_together_once_by_them_and_is_on_the_next_page() -> None:
    now = 1000.0
    board = Board(ORGS, ProcessMetrics(), stale_after_s=180.0, clock=lambda: now)
    north, south, later = (found(org) for org in (*ORGS, "north"))

    board.publish(Published("north", True, True, now, north))
    assert north.read == 1, "not by a scrape"
    now += BEGUN_EVERY_S / 2
    board.publish(Published("south", True, True, now, south))
    assert (north.read, south.read) == (1, 0)

    page = b"".join(board.page().plain())
    assert all(f'genesys_data_end_timestamp_seconds{{org="{org}"}} 1'.encode() in page for org in ORGS)
    board.page()
    assert (north.read, south.read) == (2, 1), "a second scrape has nothing to put together"

    now += BEGUN_EVERY_S
    board.publish(Published("north", True, True, now, later))
    assert (south.read, later.read) == (2, 1)


def test_a_clock_that_was_set_back_keeps_no_poll_from_the_page() -> None:
    now = 1000.0
    board = Board(ORGS, ProcessMetrics(), stale_after_s=180.0, clock=lambda: now)
    board.publish(Published("north", True, True, now, found("north")))
    now -= 500.0
    south = found("south")
    board.publish(Published("south", True, True, now, south))
    assert south.read == 1
