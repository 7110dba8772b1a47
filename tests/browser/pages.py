"""Every page of the console, and the screens that it is looked at on."""

from collections.abc import Callable

from playwright.sync_api import ViewportSize

from tests.browser.world import World

PHONE: ViewportSize = {"width": 320, "height": 640}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}

PAGES: dict[str, Callable[[World], str]] = {
    "now": lambda _: "",
    "approvals": lambda _: "/approvals",
    "rollbacks": lambda _: "/rollbacks",
    "rollback that runs": lambda world: f"/rollbacks/{next(one.id for one in world.rollbacks() if one.wrote)}",
    "rollback that waits": lambda _: "/rollbacks/11111111-waits",
    "rollback that is over": lambda _: "/rollbacks/22222222-done",
    "decisions": lambda _: "/decisions",
    "decision": lambda _: "/decisions/1",
    "flows": lambda _: "/flows",
    "flow": lambda _: "/flows/retail/flow-1",
    "flow in quarantine": lambda _: "/flows/retail/flow-3",
    "flow that is held": lambda _: "/flows/retail/flow-5",
    "explain": lambda _: "/flows/retail/flow-1/explain",
    "windows": lambda _: "/windows?ended=true",
    "nothing there": lambda _: "/no/such/page",
}
"""Every page of the console, by what it shows in the night with something of everything."""
