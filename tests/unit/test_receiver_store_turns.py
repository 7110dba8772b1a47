"""Turns: one thread at a time, and the one that came first is the next."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.store import sqlite
from receiver.store.database import Store, StoreUnavailable
from receiver.store.turns import TooLate, Turns

LONG_S = 60.0


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_threads_take_turns_in_the_order_in_which_they_came() -> None:
    turns, order = Turns(), []

    def work(number: int) -> None:
        with turns.turn(LONG_S):
            order.append(number)

    threads = []
    with turns.turn(LONG_S):
        for number in range(8):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            wait_until(lambda number=number: len(turns._waiting) == number + 1)
    for thread in threads:
        thread.join(LONG_S)
    assert order == list(range(8))


def test_two_are_never_inside() -> None:
    turns, inside, most = Turns(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with turns.turn(LONG_S):
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG_S)
    assert most == 1


def test_a_turn_that_does_not_come_in_time_is_given_up_and_keeps_nobody_waiting() -> None:
    turns = Turns()
    with turns.turn(LONG_S), pytest.raises(TooLate), turns.turn(0.01):
        pass
    with turns.turn(0.01):
        pass


def test_after_an_error_the_next_one_has_its_turn() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn(LONG_S):
        raise ZeroDivisionError
    with turns.turn(0.01):
        pass


def test_a_transaction_whose_turn_does_not_come_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.01)
    store = Store(f"sqlite:///{tmp_path / 'rollback.db'}")
    with store.begin(), pytest.raises(StoreUnavailable, match="other threads"), store.begin():
        pass
    with store.begin():
        pass
    store.close()
