"""Kills and stops the receivers of a fleet at random moments, in a thread of its own."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from demo.processes import answers
from tests.campaigns.fleet import Fleet, Member

# Most receivers are let come up before the next one is killed: on a busy machine nobody would ever do anything. The
# others are killed while they start.
_COMES_UP_RATIO = 0.8
_COMES_UP_WITHIN_S = 10.0


Aim = Callable[[], Member | None]


@dataclass(frozen=True)
class Pace:
    """After each pause (shortest, longest) one receiver is killed; or, that share of the times, stopped for a while."""

    pause_s: tuple[float, float]
    stop_ratio: float = 0.0
    stopped_s: tuple[float, float] = (0.0, 0.0)
    aimed_ratio: float = 0.0  # of the times it is the one that `aim` gives, if it gives any


@dataclass
class Killings:
    """What has happened so far."""

    kills: int = 0
    stops: int = 0
    problems: list[BaseException] = field(default_factory=list)


@contextmanager
def killing(fleet: Fleet, pace: Pace, *, seed: int, aim: Aim = lambda: None) -> Iterator[Killings]:
    """Meanwhile receivers are killed, and started again at once. On return every receiver runs.

    Raises what went wrong in the thread.
    """
    stop = threading.Event()
    done = Killings()
    thread = threading.Thread(target=_kill, args=(fleet, pace, random.Random(f"{seed} killers"), aim, stop, done))
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()
    if done.problems:
        raise done.problems[0]


def _kill(fleet: Fleet, pace: Pace, rng: random.Random, aim: Aim, stop: threading.Event, done: Killings) -> None:
    newest = fleet.members[0]
    try:
        while not stop.wait(rng.uniform(*pace.pause_s)):
            aimed = aim() if rng.random() < pace.aimed_ratio else None
            if aimed is None and rng.random() < _COMES_UP_RATIO:
                _let_come_up(newest, stop)
            victim = aimed or rng.choice(fleet.members)
            if aimed is None and rng.random() < pace.stop_ratio:
                _stop_for(fleet, victim, rng.uniform(*pace.stopped_s))
                done.stops += 1
            else:
                fleet.restart(victim)
                done.kills += 1
                newest = victim
    except BaseException as problem:  # noqa: BLE001 - the caller raises it
        done.problems.append(problem)


def _stop_for(fleet: Fleet, victim: Member, seconds: float) -> None:
    fleet.send(victim, signal.SIGSTOP)
    time.sleep(seconds)
    fleet.send(victim, signal.SIGCONT)


def _let_come_up(victim: Member, stop: threading.Event) -> None:
    give_up_at = time.monotonic() + _COMES_UP_WITHIN_S
    while time.monotonic() < give_up_at and not stop.is_set() and not answers(f"{victim.url}/-/ready"):
        time.sleep(0.02)
