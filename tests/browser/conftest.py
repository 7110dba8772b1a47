"""A real Chromium, and the console's world in front of it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.office import FAR, Office, chromium
from tests.browser.world import world as opened


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="write docs/console/*.png anew")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for each file: it has an event loop of its own, which must not be there while others' tests run."""
    program = chromium()
    with sync_playwright() as playwright:
        # Without a sandbox: it needs rights that neither root nor a container has. Only our own pages are loaded.
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        options.append(f"--host-resolver-rules=MAP {FAR} 127.0.0.1")
        started = playwright.chromium.launch(executable_path=program, args=options, env=dict(os.environ))
        yield started
        started.close()


@pytest.fixture
def office(tmp_path: Path, browser: Browser) -> Iterator[Office]:
    with opened(tmp_path) as (world, address):
        made = Office(world, address, browser)
        yield made
        made.close()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Office]:
    """A night with something of everything, for those who only look."""
    with opened(tmp_path_factory.mktemp("night")) as (world, address):
        world.everything()
        made = Office(world, address, browser)
        yield made
        made.close()
