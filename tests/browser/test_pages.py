"""Every page as people meet it: small and large, light and dark, by keyboard, and for those who do not see it.

axe-core is what the W3C's rules can be checked with by a machine; what it cannot find is looked at in the screenshots.
"""

from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Route, expect

from receiver.policy import Verdict
from receiver.store import controls
from receiver.store.rollbacks import State
from tests.browser.office import Office
from tests.browser.pages import DESKTOP, PAGES, PHONE
from tests.browser.world import world as opened

SCREENS = {"phone": PHONE, "desktop": DESKTOP}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# Everything that axe knows, and not only what a law asks for.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """What axe-core finds, a line each, with the elements."""
    found = Axe().run(page, options={"runOnly": TAGS}).response
    return [f"{one['id']}: {[node['target'] for node in one['nodes']]}" for one in found["violations"]]


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(busy: Office, name: str) -> None:
    """A viewer's page is a part of an operator's: it is looked at once."""
    page = busy.open(PAGES[name](busy.world))
    for screen in SCREENS.values():
        for scheme in SCHEMES:
            page.set_viewport_size(screen)
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], (screen, scheme)
    page.context.close()
    viewers = busy.open(PAGES[name](busy.world), "vic")
    assert violations(viewers) == []
    viewers.context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_where_nothing_happens_and_where_nobody_is_known(office: Office, scheme: str) -> None:
    for path in ("", "/approvals", "/rollbacks", "/decisions", "/windows"):
        assert violations(office.open(path, color_scheme=scheme)) == [], path
    stranger = office.open("", None, color_scheme=scheme)
    expect(stranger.get_by_role("heading", level=1)).to_have_text("Who are you?")
    assert violations(stranger) == []


def test_axe_finds_nothing_in_what_was_refused_and_in_what_was_done(office: Office) -> None:
    with office.world.store.begin() as tx:
        controls.hold(tx, "retail", ["flow-1"], owner="bob", reason="load test", by="bob", now=office.world.time.now)
    page = office.open("/flows/retail/flow-1")
    page.get_by_role("region", name="Roll back by hand").get_by_label("Why").fill("x")
    page.get_by_role("button", name="Roll back from 14.0").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Held back")
    assert violations(page) == []
    page.goto(f"{office.address}/windows")
    page.get_by_label("Why").fill("   ")
    page.get_by_role("button", name="Open the window").click()
    expect(page.get_by_role("alert")).to_contain_text("reason is missing")
    assert violations(page) == []
    page.goto(f"{office.address}?said=paused")
    expect(page.locator(".said")).to_be_visible()
    assert violations(page) == []


def test_axe_would_find_something(office: Office) -> None:
    page = office.open()
    page.evaluate("() => document.querySelector('main').append(document.createElement('input'))")
    assert any("label" in one for one in violations(page))


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_a_small_phone(busy: Office, name: str) -> None:
    page = busy.open(PAGES[name](busy.world), viewport=PHONE)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
    page.context.close()


@pytest.mark.parametrize("name", [name for name in PAGES if name != "nothing there"])
def test_the_browser_complains_of_nothing(busy: Office, name: str) -> None:
    """A blocked style or script, a file that is missing, a fault of the script: it stands in the browser's console."""
    busy.complaints.clear()
    page = busy.open(PAGES[name](busy.world))
    assert page.evaluate("() => [...document.styleSheets].every((one) => one.cssRules.length > 20)")
    assert busy.complaints == []
    page.context.close()


def test_by_keyboard_the_first_stop_leads_past_the_navigation(busy: Office) -> None:
    page = busy.open()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.context.close()


def test_by_keyboard_every_stop_can_be_seen(busy: Office) -> None:
    page = busy.open("/flows/retail/flow-3")
    stops = 0
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() == 0 or focused.evaluate("one => one === document.body"):
            break
        assert focused.evaluate("one => getComputedStyle(one).outlineStyle") != "none", focused.inner_html()
        stops += 1
    assert stops > 10
    page.context.close()


def test_a_pause_by_keyboard_alone(office: Office) -> None:
    page = office.open()
    page.get_by_label("Organization").focus()
    page.keyboard.press("Tab")
    page.keyboard.type("storm")
    page.keyboard.press("Enter")
    expect(page.locator(".said")).to_contain_text("Paused")


def test_what_changes_is_shown_without_loading_the_page_anew(office: Office) -> None:
    page = office.person()
    page.clock.install()
    page.goto(office.address)
    expect(page.locator("#summary")).to_have_text("No alert is open, and nothing is under way.")
    office.world.run_until(State.VERIFYING)
    page.clock.run_for(5100)
    expect(page.locator("#summary")).to_have_text("1 rollback is under way, 1 alert is open.")
    expect(page.get_by_role("region", name="Under way")).to_contain_text("confirmed")
    assert office.complaints == []


def test_nobody_loses_what_they_are_doing_when_the_page_changes(office: Office) -> None:
    office.world.ask_for_approval()
    page = office.person()
    page.clock.install()
    page.goto(f"{office.address}/rollbacks/11111111-waits")
    why = page.get_by_label("Why (may be left out)")
    why.fill("half a sen")
    office.world.ask_for_approval("33333333-other", "flow-3")
    page.clock.run_for(5100)
    expect(why).to_have_value("half a sen")
    expect(why).to_be_focused()


def test_a_receiver_that_is_gone_is_said(tmp_path: Path, browser: Browser) -> None:
    with opened(tmp_path) as (world, address):
        office = Office(world, address, browser)
        page = office.person()
        page.clock.install()
        page.goto(address)
    page.clock.run_for(5100)
    expect(page.locator("[data-live-note]")).to_have_text("The receiver does not answer: what you see may be old.")
    office.close()


def test_a_tab_asks_for_one_thing_at_a_time_and_does_not_wait_for_ever(office: Office) -> None:
    page = office.person()
    page.clock.install()
    page.goto(office.address)
    asked: list[Route] = []

    def leave(route: Route) -> None:
        asked.append(route)

    page.route(office.address, leave)
    with page.expect_request(office.address):
        page.clock.run_for(14_000)
    expect(note(page)).to_have_text("It is looked again every 5 seconds.")
    page.clock.run_for(2_000)
    expect(note(page)).to_have_text("The receiver does not answer: what you see may be old.")
    assert len(asked) == 1
    page.unroute_all(behavior="ignoreErrors")


def test_a_receiver_that_does_not_answer_is_asked_less_and_less(office: Office) -> None:
    page = office.person()
    page.clock.install()
    page.goto(office.address)
    asked: list[Route] = []
    again: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route)
        route.abort()

    page.route(office.address, refuse)
    for _ in range(120):
        page.clock.run_for(1_000)
    assert 1 < len(asked) < 5  # after 5, 15, 35 and 75 seconds
    page.unroute(office.address)
    page.on("request", lambda one: again.append(one.url))
    for _ in range(70):
        if not again:  # the time that the answer takes is not let pass
            page.clock.run_for(1_000)
    expect(note(page)).to_have_text("It is looked again every 5 seconds.")


def note(page: Page) -> Locator:
    return page.locator("[data-live-note]")


def test_a_lockout_counts_down(office: Office) -> None:
    office.world.run_until(State.VERIFYING)
    page = office.person()
    page.clock.install()
    page.goto(office.address)
    page.route(office.address, lambda route: route.abort())  # it counts by itself; the receiver's time does not jump
    left = page.get_by_role("region", name="Lockouts").locator("[data-until]")
    before = seconds(left.inner_text())
    page.clock.run_for(61_000)
    assert 60 <= before - seconds(left.inner_text()) < 120  # the page's clock goes on by itself, too


def seconds(text: str) -> int:
    """'12 min 59 s' and '13 min': a part that is nothing is not written."""
    words = text.split()
    return sum(int(number) * {"min": 60, "s": 1}[unit] for number, unit in zip(words[::2], words[1::2], strict=True))


NASTY = {
    "flow-1": "<script>alert('name')</script>",
    "flow-2": "\"quoted\" 'twice' & <b>bold</b>",
    "flow-3": "two\nlines and \t a tab",
    "flow-4": "Störung ☎️ 👩‍🚒 שלום",
    "flow-5": "{{ 7 * 7 }} {% raw %}",
}


def test_whatever_a_flow_is_called_it_is_text(tmp_path: Path, browser: Browser) -> None:
    with opened(tmp_path, NASTY) as (world, address):
        office = Office(world, address, browser)
        world.everything()
        with world.store.begin() as tx:
            controls.pause(tx, "retail", by="<i>eve</i>", reason="<img src=x onerror=alert(1)>", now=0.0)
        for name in PAGES:
            page = office.open(PAGES[name](world))
            assert page.locator("main script, main b > b, main i, main img").count() == 0
        flows = office.open("/flows")
        shown = flows.locator("tbody th a").all_inner_texts()
        assert sorted(shown) == sorted(" ".join(name.split()) for name in NASTY.values())
        flows.get_by_role("link", name="<script>").click()
        expect(flows.get_by_role("heading", level=1)).to_contain_text(NASTY["flow-1"])
        assert [one for one in office.complaints if "404" not in one] == []
        office.close()


def test_links_lead_to_prometheus_and_grafana_where_they_are_configured(busy: Office) -> None:
    page = busy.open("/flows/retail/flow-1")
    links: dict[str, Any] = {one.inner_text(): one.get_attribute("href") for one in page.locator(".elsewhere a").all()}
    assert links["Prometheus"].startswith(
        "https://prometheus.example.org/graph?g0.expr=org_flow%3Agenesys_flow_error_ratio"
    )
    assert links["Dashboard"] == "https://grafana.example.org/d/genesys-flow?var-org=retail&var-flow_id=flow-1"
    page.context.close()


def test_the_record_shows_each_guard_and_the_evidence_as_a_chart(busy: Office) -> None:
    page = busy.open(PAGES["rollback that runs"](busy.world))
    tables = page.locator("table", has_text="Guards")
    assert tables.count() == 2  # decided when it was planned, and again before the publish
    assert tables.first.locator("tbody tr").count() == len(Verdict) - 1  # roll_back is what remains
    chart = page.locator("table.evidence")
    expect(chart).to_contain_text("how many may (5 %, the line)")
    assert chart.locator("svg.bar").count() >= 5
    widths = [float(one.get_attribute("width") or 0) for one in chart.locator("rect.accused").all()]
    assert all(0 < width <= 100 for width in widths)
    page.context.close()
