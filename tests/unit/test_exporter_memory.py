"""Large blocks go back to the system, or the program runs without that."""

import sys

import pytest

from exporter.memory import return_large_blocks


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    assert return_large_blocks() is False


def test_it_can_be_said_twice() -> None:
    assert return_large_blocks() == return_large_blocks()
