"""A connection to PostgreSQL that nobody waits for without an end.

Imported where the first connection is made: the driver is an extra, which SQLite does without.
"""

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")


class Impatient(psycopg.Connection[Any]):
    """Gives up, and closes, when the server does not answer within `answer_s`.

    No parameter of the driver does that: TCP is content with a host that is there, and the server's own limits need a
    server that can look at its clock.
    """

    answer_s = float("inf")

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        return super().wait(self._in_time(gen), *args, **kwargs)

    def _in_time(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """The driver's own steps, until one has waited for too long; an answer that is there is taken, however late."""
        give_up_at = time.monotonic() + self.answer_s
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() >= give_up_at:
                    self.close()
                    raise psycopg.OperationalError(f"no answer within {self.answer_s:g} s")
                wanted = gen.send(ready)
        except StopIteration as done:
            result: T = done.value
            return result
