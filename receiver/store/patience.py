"""How often a transaction that failed for a passing reason is tried, and with which pauses."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from genesys.log import event

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """Tries and pauses; together short, because Alertmanager waits for an answer and a rollback for its next step.

    A server that restarts is away for a second or two. One that is away for longer is a matter of the next round, and
    of the 503 that Alertmanager takes for "later".
    """

    tries: int = 6
    first_pause_s: float = 0.1  # doubles, so that all pauses together are some 2 s
    within_s: float = 5.0  # no further try begins later than that
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random

    def repeat(self, call: Callable[[], T], passing: type[Exception]) -> T:
        """Call until it raises no `passing`; the last one is raised when tries or time are used up."""
        give_up_at = self.monotonic() + self.within_s

        def pause_s(state: tenacity.RetryCallState) -> float:
            doubled = self.first_pause_s * 2.0 ** (state.attempt_number - 1)
            return doubled * (0.5 + 0.5 * self.random())

        def is_used_up(state: tenacity.RetryCallState) -> bool:
            return state.attempt_number >= self.tries or self.monotonic() + state.upcoming_sleep >= give_up_at

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(passing),
            wait=pause_s,
            stop=is_used_up,
            sleep=self.sleep,
            before_sleep=_tell,
            reraise=True,
        )
        return retrying(call)


def _tell(state: tenacity.RetryCallState) -> None:
    problem = state.outcome.exception() if state.outcome else None
    event(log, logging.INFO, "transaction_repeated", tries=state.attempt_number, error=problem)
