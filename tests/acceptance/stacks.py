"""Starts stacks for tests, and keeps the end of their logs at hand for a failure."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from demo.processes import TOOLS
from demo.stack import Stack, World

StartStack = Callable[[World], Stack]

_known: list[Stack] = []


@contextmanager
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartStack]:
    """Gives a function that starts a world and returns when it is ready; all that it started end with the context."""
    require_tools()
    with ExitStack() as opened:

        def start(world: World) -> Stack:
            stack = opened.enter_context(Stack(tmp_path_factory.mktemp("stack"), world))
            _known.append(stack)
            return stack

        yield start


def log_tails() -> Iterator[tuple[str, str]]:
    """Path and last lines of every log of the stacks that run, or have ended since `forget_ended`."""
    for stack in _known:
        for process in stack.processes.values():
            yield str(process.log), process.tail()


def forget_ended() -> None:
    """Their logs have nothing to do with what comes next."""
    _known[:] = [stack for stack in _known if any(process.running for process in stack.processes.values())]


def require_tools() -> None:
    """Fail in CI, and skip at a desk, where Prometheus or Alertmanager is missing."""
    missing = [tool for tool in ("prometheus", "alertmanager") if not (TOOLS / tool).exists()]
    if missing:
        reason = f"not in .tools/bin: {', '.join(missing)}; dev/install-tools puts them there"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
