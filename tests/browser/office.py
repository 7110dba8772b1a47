"""People in front of the console, each with a browser of their own."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.pages import DESKTOP
from tests.browser.world import PEOPLE, World
from tests.receiver_world import TOKENS

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CURE = "Chromium is neither on PATH nor in .tools: install it, or let dev/install-tools browser unpack Debian's package"

FAR = "receiver.test"  # a name of the console's host that the browser takes for one far away


def chromium() -> str:
    """Where it is. It is part of what is tested, so that a machine without it fails, and says the cure."""
    unpacked = ROOT / ".tools" / "bin" / "chromium"
    found = str(unpacked) if unpacked.exists() else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail(CURE, pytrace=False)
    return found


class Office:
    """The console's world with a browser in front of it."""

    def __init__(self, world: World, address: str, browser: Browser) -> None:
        self.world = world
        self.address = address
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def person(self, name: str | None = "ann", **options: Any) -> Page:
        """A page of somebody's own browser; None: of somebody whom nobody knows. What it complains of is kept."""
        if name is None:  # as if from far away: here the browser would ask for a password, and without a person give up
            options |= {"extra_http_headers": {"X-Forwarded-For": "192.0.2.1"}}
        else:
            options |= {"http_credentials": {"username": name, "password": TOKENS[PEOPLE[name]]}}
        context = self._browser.new_context(**({"viewport": DESKTOP} | options))
        self._contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        return page

    def open(self, path: str = "", name: str | None = "ann", **options: Any) -> Page:
        page = self.person(name, **options)
        page.goto(self.address + path)
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()
