"""Whole stacks of real processes, ten times as fast as the world."""

from collections.abc import Generator, Iterator

import pytest

from tests.acceptance.stacks import StartStack, forget_ended, log_tails, stacks


@pytest.fixture
def start_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartStack]:
    """Starts worlds that end with the test."""
    with stacks(tmp_path_factory) as start:
        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The reason for a failure is mostly in one of the logs."""
    report = yield
    if report.failed:
        report.sections.extend(log_tails())
    if report.when == "teardown":
        forget_ended()
    return report
