"""Large blocks go back to the system, or the program runs without that; reference cycles are looked for seldom."""

import gc
import sys
import weakref

import pytest

from exporter.memory import COLLECT_S, collect_seldom, return_large_blocks


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert return_large_blocks() is False


def test_it_can_be_said_twice() -> None:
    assert return_large_blocks() == return_large_blocks()


class Ring:
    """Refers to itself, so that only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


def test_reference_cycles_are_collected_at_each_wait_and_not_between() -> None:
    waits: list[float] = []
    rings: list[weakref.ref[Ring]] = []
    freed: list[bool] = []

    def wait(seconds: float) -> bool:
        assert not gc.isenabled()
        waits.append(seconds)
        rings.append(weakref.ref(Ring()))
        freed.append(rings[0]() is None)
        return len(waits) == 2

    collect_seldom(wait)
    assert waits == [COLLECT_S, COLLECT_S]
    assert freed == [False, True]
    assert gc.isenabled(), "as it was before"
