"""Compressed pages: whatever pieces they are made of, they are one gzip stream of exactly these."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.compression import begin, compressed

pieces = st.lists(st.binary(max_size=200))


@given(pieces=pieces, rest=st.binary(max_size=200))
def test_a_page_reads_as_its_pieces_one_after_the_other(pieces: list[bytes], rest: bytes) -> None:
    beginning = begin(map(compressed, pieces))

    assert gzip.decompress(b"".join(beginning.ended(rest))) == b"".join(pieces) + rest
    assert b"".join(beginning.plain) == b"".join(pieces)


@given(pieces=pieces, rest=st.binary(max_size=200))
def test_a_page_is_one_stream_also_to_those_who_stop_after_the_first(pieces: list[bytes], rest: bytes) -> None:
    first = zlib.decompressobj(zlib.MAX_WBITS | 16)

    assert first.decompress(b"".join(begin(map(compressed, pieces)).ended(rest))) == b"".join(pieces) + rest
    assert (first.eof, first.unused_data) == (True, b"")


@given(first=st.binary(max_size=200), other=st.binary(max_size=200))
def test_a_beginning_can_be_continued_many_times(first: bytes, other: bytes) -> None:
    beginning = begin([compressed(b"samples\n")])

    for rest in (first, other, first):
        assert gzip.decompress(b"".join(beginning.ended(rest))) == b"samples\n" + rest


def test_a_piece_that_was_changed_on_its_way_is_noticed() -> None:
    page = bytearray(b"".join(begin([compressed(b"genesys_up 1.0\n" * 50)]).ended(b"x 1\n")))
    page[-8] ^= 1  # of the checksum

    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(page)


def test_lines_that_resemble_each_other_take_little_room() -> None:
    plain = b"".join(b'genesys_flow_errors{flow_id="%d"} 0.0\n' % number for number in range(10_000))

    assert len(b"".join(begin([compressed(plain)]).ended(b""))) < len(plain) / 8
