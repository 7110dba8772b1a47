"""Kills the receivers of a fleet at random moments, in a thread of its own."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.campaigns.fleet import Fleet


@dataclass
class Killings:
    """How many there were so far."""

    count: int = 0
    problems: list[BaseException] = field(default_factory=list)


@contextmanager
def killing(fleet: Fleet, *, every_s: tuple[float, float], seed: int, most: int | None = None) -> Iterator[Killings]:
    """Meanwhile one of the receivers is killed after each pause from that range, and started again at once.

    On return every receiver runs. Raises what went wrong in the thread.
    """
    stop = threading.Event()
    done = Killings()
    rng = random.Random(f"{seed} killers")

    def kill() -> None:
        try:
            while not stop.wait(rng.uniform(*every_s)) and (most is None or done.count < most):
                fleet.restart(rng.choice(fleet.members))
                done.count += 1
        except BaseException as problem:  # noqa: BLE001 - the caller raises it
            done.problems.append(problem)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()
    if done.problems:
        raise done.problems[0]
