"""Gives memory back: answers of analytics and pages are large, and live for a second or a minute."""

import ctypes
import gc
import sys
from collections.abc import Callable

LARGE_BYTES = 256 * 1024
COLLECT_S = 600.0
_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


def return_large_blocks() -> bool:
    """Have the C library return large blocks as soon as they are free; False where it cannot be told so.

    glibc otherwise raises the limit with every large block that is freed, up to 32 MB, and the holes between polls
    stay with the process: at 5,000 busy flows 226 MB instead of 175.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES))
    except (AttributeError, OSError):
        return False  # another C library


def collect_seldom(wait: Callable[[float], bool]) -> None:
    """Look for reference cycles every ten minutes only, until `wait(seconds)` says that it was told to stop.

    A poll's objects are free as soon as nobody needs them. Python would look through all of them several times a
    poll, and scrapes would wait for it: 40 ms each time at 5,000 busy flows. What is in cycles is little.
    """
    gc.disable()
    try:
        while not wait(COLLECT_S):
            gc.collect()
    finally:
        gc.enable()
