"""The tools that read the shipped files: from PATH, else from `.tools/bin`, where `make` puts them."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., str]


def path_of(tool: str) -> str:
    """Where a tool is; without it the test fails in CI, and is skipped at a desk."""
    found = shutil.which(tool) or shutil.which(tool, path=str(ROOT / ".tools" / "bin"))
    if found is None:
        reason = f"{tool} is neither in PATH nor in .tools/bin"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _runner(tool: str) -> Run:
    found = path_of(tool)

    def run(*arguments: str | Path, read: str = "") -> str:
        """Run the tool, which may read something; its output, or a failure that shows it."""
        command = [found, *map(str, arguments)]
        done = subprocess.run(command, input=read, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            pytest.fail(f"{tool} {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}", pytrace=False)
        return done.stdout

    return run


@pytest.fixture(scope="session")
def promtool() -> Run:
    return _runner("promtool")


@pytest.fixture(scope="session")
def amtool() -> Run:
    return _runner("amtool")
