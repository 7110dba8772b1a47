"""What of the rate limit is left to others: what can wait is put off before the reserve is touched.

Genesys Cloud tells with each answer how many requests of the running minute it has
counted (`inin-ratelimit-*`), whoever shares the count with us: so several programs
of ours, and other people's, keep out of each other's way without knowing of each
other. First whatever can wait does: polls, lists, histories, the audit. Evidence about an
alert, and all that belongs to a rollback, never does. Headers that are absent, which is normal, put nothing off.
"""

import logging
from collections.abc import Callable

from genesys.dialect import RateLimit
from genesys.log import event

log = logging.getLogger(__name__)

LONGEST_S = 60.0  # limits are by the minute; a header that says more is none

PutOff = Callable[[str], float]
"""For how many seconds something that can wait has to; 0.0 to go on. It is given a word for the log."""


def nothing(_what: str) -> float:
    """Puts nothing off."""
    return 0.0


class Budget:
    """The limit of one organization as one program sees it. For one thread."""

    def __init__(
        self, org: str, limit: Callable[[], RateLimit | None], *, reserve_ratio: float, now: Callable[[], float]
    ) -> None:
        """`reserve_ratio`: so much of what is allowed is left to others and to rollbacks. `now` in Unix seconds."""
        self._org = org
        self._limit = limit
        self._reserve_ratio = reserve_ratio
        self._now = now
        self._told_until = 0.0

    def put_off_s(self, what: str) -> float:
        """For how many seconds `what` has to wait; 0.0 to go on. Says so in the log once a minute."""
        limit, now = self._limit(), self._now()
        if limit is None:
            return 0.0
        wait_s = _wait_s(limit, now, self._reserve_ratio)
        if wait_s and now >= self._told_until:
            self._told_until = now + wait_s
            count = f"{limit.used} of {limit.allowed}"
            event(log, logging.INFO, "put_off", org=self._org, what=what, used=count, wait_s=round(wait_s))
        return wait_s


def _wait_s(limit: RateLimit, now: float, reserve_ratio: float) -> float:
    """Until the minute that was counted is over, if the reserve is all that is left of it."""
    if limit.used < (1.0 - reserve_ratio) * limit.allowed or not limit.allowed:
        return 0.0
    return max(0.0, min(LONGEST_S, limit.reset_s) - max(0.0, now - limit.read_at))
