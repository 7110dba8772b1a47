"""Threads that want the same take turns, in the order in which they came."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class TooLate(Exception):
    """The turn did not come in time."""


class Turns:
    """One thread at a time.

    SQLite lets its writers try again after ever longer sleeps, and whoever has slept longest is overtaken by all who
    have just come: under load an answer took seconds. Here the next one goes on at once.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()

    @contextmanager
    def turn(self, within_s: float) -> Iterator[None]:
        """Raises TooLate. Not to be entered again by who is inside."""
        self._take(within_s)
        try:
            yield
        finally:
            self._pass_on()

    def _take(self, within_s: float) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            called = Lock()
            called.acquire()
            self._waiting.append(called)
        if called.acquire(timeout=within_s):
            return
        with self._lock:
            if called in self._waiting:
                self._waiting.remove(called)
                raise TooLate
            # Called between the two: the turn is ours all the same.

    def _pass_on(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False
