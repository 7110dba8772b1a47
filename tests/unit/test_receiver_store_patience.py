"""How often something that may pass is tried: bounded, with pauses that differ, on a clock that is an argument."""

import logging
from dataclasses import dataclass, field

import pytest

from receiver.store.patience import Patience


class Busy(Exception):
    """May pass."""


@dataclass
class World:
    """Time that passes in pauses, and in calls that take some."""

    now: float = 0.0
    call_takes_s: float = 0.0
    pauses: list[float] = field(default_factory=list)
    calls: int = 0

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def patience(self, *, random: float = 1.0) -> Patience:
        return Patience(monotonic=lambda: self.now, sleep=self.sleep, random=lambda: random)

    def call(self, *, fails: int) -> str:
        self.calls += 1
        self.now += self.call_takes_s
        if self.calls <= fails:
            raise Busy(f"busy {self.calls}")
        return "done"


def test_what_succeeds_at_once_is_called_once_and_without_a_pause() -> None:
    world = World()
    assert world.patience().repeat(lambda: world.call(fails=0), Busy) == "done"
    assert (world.calls, world.pauses) == (1, [])


def test_pauses_double_and_the_result_of_the_last_try_is_given(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World()
    assert world.patience().repeat(lambda: world.call(fails=3), Busy) == "done"
    assert world.pauses == pytest.approx([0.1, 0.2, 0.4])
    assert [record.message.split()[0] for record in caplog.records] == ["transaction_repeated"] * 3


def test_pauses_are_shorter_by_chance_so_that_two_receivers_do_not_meet_again() -> None:
    world = World()
    world.patience(random=0.0).repeat(lambda: world.call(fails=2), Busy)
    assert world.pauses == pytest.approx([0.05, 0.1])


def test_the_tries_are_bounded_and_the_last_failure_is_raised() -> None:
    world = World()
    with pytest.raises(Busy, match="busy 6"):
        world.patience().repeat(lambda: world.call(fails=100), Busy)
    assert sum(world.pauses) < 4


def test_no_try_begins_after_the_time_is_used_up() -> None:
    world = World(call_takes_s=2.6)
    with pytest.raises(Busy, match="busy 2"):
        world.patience().repeat(lambda: world.call(fails=100), Busy)


def test_anything_else_is_raised_at_once() -> None:
    world = World()
    with pytest.raises(Busy, match="busy 1"):
        world.patience().repeat(lambda: world.call(fails=100), KeyError)
