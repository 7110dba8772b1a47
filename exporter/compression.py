"""Pages as gzip, put together from pieces that were compressed before.

A gzip stream is a header, deflated blocks, and a checksum of the whole. Blocks that
do not look back at each other can be put one after the other, so that a scrape
compresses its own few lines only. One stream, and not several concatenated ones:
many clients read the first of those, and take it for the whole.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

LEVEL = 1  # lines resemble each other so much that a higher level takes four times the time for a fifth of the size
_RAW = -15  # zlib's name for blocks without a header and a checksum of their own
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflated, no name, no time, unknown system


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a page, and the blocks that stand for them anywhere in a stream."""

    plain: bytes
    blocks: bytes


def compressed(plain: bytes) -> Piece:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, _RAW)
    return Piece(plain, compressor.compress(plain) + compressor.flush(zlib.Z_FULL_FLUSH))


@dataclass(frozen=True, slots=True)
class Beginning:
    """What many pages begin with, ready to be continued."""

    plain: tuple[bytes, ...]
    blocks: bytes
    size: int
    checksum: int

    def ended(self, rest: bytes) -> list[bytes]:
        """The gzip stream of this beginning and the rest of a page."""
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, _RAW)
        last = compressor.compress(rest) + compressor.flush(zlib.Z_FINISH)
        trailer = struct.pack("<LL", zlib.crc32(rest, self.checksum), (self.size + len(rest)) & 0xFFFFFFFF)
        return [_HEADER, self.blocks, last + trailer]


def begin(pieces: Iterable[Piece]) -> Beginning:
    """The pieces as one beginning; takes a pass over all their bytes for the checksum."""
    given = list(pieces)
    checksum = 0
    for piece in given:
        checksum = zlib.crc32(piece.plain, checksum)
    plain = tuple(piece.plain for piece in given)
    return Beginning(plain, b"".join(piece.blocks for piece in given), sum(map(len, plain)), checksum)
