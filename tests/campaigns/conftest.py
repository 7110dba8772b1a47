"""Campaigns: long runs of real things, each of which tells one line of figures.

`make campaign` runs them at full size, `make test` runs a short form of each. A campaign takes its numbers from `Size`,
so that both forms are the same code.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeVar

import pytest

T = TypeVar("T")
Figures = Callable[[str], None]

_FIGURES = "figures"


class Size(StrEnum):
    """How much of a campaign runs; the one place that decides it is the option `--full`."""

    SHORT = "short"  # half a minute at most
    FULL = "full"

    def of(self, *, short: T, full: T) -> T:
        """What belongs to this size."""
        return full if self is Size.FULL else short


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="campaigns at the size that docs/tested.md quotes")


@pytest.fixture(scope="session")
def size(pytestconfig: pytest.Config) -> Size:
    return Size.FULL if pytestconfig.getoption("--full", default=False) else Size.SHORT


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Tells the campaign's line: `figures("10,000 deliveries, 52 incidents, ...")`.

    It stands at the end of the run, whatever pytest captures, and whether or not the campaign passes afterwards: it is
    told before anything is asserted.
    """

    def tell(line: str) -> None:
        request.node.user_properties.append((_FIGURES, line))

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])]
    lines = [line for one in reports if one.when == "call" for line in _lines(one.user_properties)]
    if lines:
        terminalreporter.section("campaigns")
        for line in lines:
            terminalreporter.line(line)


def _lines(properties: Iterable[tuple[str, object]]) -> list[str]:
    return [str(value) for name, value in properties if name == _FIGURES]
