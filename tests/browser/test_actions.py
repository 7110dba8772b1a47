"""Each thing that a person can order in the console, clicked in a real browser, with who did it in the audit."""

from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask, request, request_started
from playwright.sync_api import Page, expect

from receiver.store import controls, quarantines
from receiver.store.rollbacks import State
from tests.browser.office import FAR, Office
from tests.browser.world import World


def said(page: Page, text: str) -> None:
    """What the page says after an order; it is another page than the form's, so that it can be loaded anew."""
    expect(page.locator(".said")).to_contain_text(text)
    assert "said=" in page.url


def pauses(world: World) -> list[tuple[str, str]]:
    with world.store.begin() as tx:
        return [(one.org, one.reason) for one in controls.list_pauses(tx)]


def holds(world: World) -> list[tuple[str, str, str]]:
    with world.store.begin() as tx:
        return [(one.org, one.flow_id, one.owner) for one in controls.list_holds(tx)]


def windows(world: World) -> list[Any]:
    with world.store.begin() as tx:
        return controls.list_windows(tx, now=0.0, ended=True)


@pytest.mark.parametrize("org", ["*", "retail"])
def test_pause_and_resume(office: Office, org: str) -> None:
    page = office.open()
    page.get_by_label("Organization").select_option(org)
    page.get_by_label("Why").fill("storm")
    page.get_by_role("button", name="Pause").click()
    said(page, "Paused")
    assert pauses(office.world) == [(org, "storm")]
    expect(page.get_by_role("region", name="Paused")).to_contain_text("paused by basic:ann since")

    page.get_by_role("button", name="Resume").click()
    said(page, "Resumed")
    assert pauses(office.world) == []
    assert office.world.audited() == [("basic:ann", "pause"), ("basic:ann", "resume")]


def test_hold_and_release_a_flow(office: Office) -> None:
    page = office.open("/flows/retail/flow-2")
    page.get_by_role("region", name="Hands off").get_by_label("Why").fill("load test")
    page.get_by_role("button", name="Hold this flow").click()
    said(page, "Held")
    assert holds(office.world) == [("retail", "flow-2", "basic:ann")]
    expect(page.get_by_role("region", name="Live: 13.0")).to_contain_text("held by basic:ann: load test")

    page.get_by_role("button", name="Release the hold").click()
    said(page, "Released")
    assert holds(office.world) == []
    assert office.world.audited() == [("basic:ann", "hold"), ("basic:ann", "release")]


def test_hold_and_release_every_flow(office: Office) -> None:
    page = office.open("/flows")
    page.get_by_label("Organization").select_option("bank")
    page.get_by_label("Why").fill("audit")
    page.get_by_role("button", name="Hold every flow").click()
    said(page, "Held")
    assert holds(office.world) == [("bank", "*", "basic:ann")]
    page.get_by_role("button", name="Release the hold").click()
    said(page, "Released")
    assert holds(office.world) == []


def test_open_and_close_a_window(office: Office) -> None:
    page = office.open("/windows")
    page.get_by_label("Organization").select_option("retail")
    page.get_by_label("Flow ids").fill("flow-1 flow-2")
    page.get_by_label("Kind").select_option("incident")
    page.get_by_label("Lasts").select_option("120")
    page.get_by_label("Why").fill("carrier is down")
    page.get_by_role("button", name="Open the window").click()
    said(page, "The window is set")
    (window,) = windows(office.world)
    assert (window.org, window.flow_ids, window.kind) == ("retail", ("flow-1", "flow-2"), "incident")
    assert (window.reason, window.created_by) == ("carrier is down", "basic:ann")
    assert window.ends_at - window.starts_at == pytest.approx(7200, abs=0.002)

    page.get_by_role("button", name="Close the window").click()
    said(page, "The window is closed")
    assert windows(office.world)[0].closed_at is not None
    assert office.world.audited() == [("basic:ann", "window_opened"), ("basic:ann", "window_closed")]


def test_a_window_may_begin_later(office: Office) -> None:
    page = office.open("/windows")
    page.get_by_label("Begins").fill("2030-01-31T22:00")
    page.get_by_label("Why").fill("release")
    page.get_by_role("button", name="Open the window").click()
    said(page, "The window is set")
    (window,) = windows(office.world)
    assert window.starts_at == 1896127200.0  # 2030-01-31T22:00:00Z
    assert window.ends_at == 1896127200.0 + 3600
    assert window.flow_ids == ()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_window_that_is_filled_in_wrongly_is_corrected_where_it_stands(office: Office, *, scripts: bool) -> None:
    page = office.open("/windows", java_script_enabled=scripts)
    page.get_by_label("Organization").select_option("retail")
    page.get_by_label("Flow ids").fill("flow-1 flow-2")
    page.get_by_label("Kind").select_option("incident")
    page.get_by_label("Lasts").select_option("240")
    page.get_by_label("Begins").fill("2020-01-31T22:00")
    page.get_by_label("Why").fill('carrier "X" is down')
    page.get_by_role("button", name="Open the window").click()
    expect(page.get_by_role("alert")).to_contain_text("It was not done.")
    assert windows(office.world) == []
    office.complaints.clear()  # the browser says so too: 400

    expect(page.get_by_label("Organization")).to_have_value("retail")
    expect(page.get_by_label("Flow ids")).to_have_value("flow-1 flow-2")
    expect(page.get_by_label("Kind")).to_have_value("incident")
    expect(page.get_by_label("Lasts")).to_have_value("240")
    expect(page.get_by_label("Begins")).to_have_value("2020-01-31T22:00")
    expect(page.get_by_label("Why")).to_have_value('carrier "X" is down')
    page.get_by_label("Begins").fill("")
    page.get_by_role("button", name="Open the window").click()
    said(page, "The window is set")
    (window,) = windows(office.world)
    assert (window.org, window.flow_ids, window.kind) == ("retail", ("flow-1", "flow-2"), "incident")
    assert (window.reason, window.ends_at - window.starts_at) == (
        'carrier "X" is down',
        pytest.approx(14400, abs=0.002),
    )


def test_a_pause_without_a_reason_keeps_what_was_chosen(office: Office) -> None:
    page = office.open()
    page.get_by_label("Organization").select_option("retail")
    page.get_by_label("Why").fill("   ")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("alert")).to_contain_text("reason is missing")
    expect(page.get_by_label("Organization")).to_have_value("retail")
    expect(page.get_by_role("link", name="Now")).to_have_attribute("aria-current", "page")
    office.complaints.clear()  # the browser says so too: 400
    page.get_by_label("Why").fill("storm")
    page.get_by_role("button", name="Pause").click()
    said(page, "Paused")
    assert pauses(office.world) == [("retail", "storm")]


@pytest.mark.parametrize("place", ["/approvals", "/rollbacks/11111111-waits"])
def test_approve(office: Office, place: str) -> None:
    office.world.ask_for_approval()
    page = office.open(place)
    page.get_by_label("Why (may be left out)").fill("the silence is real")
    page.get_by_role("button", name="Approve the rollback to 13.0").click()
    said(page, "Approved")
    one = office.world.rollback("11111111-waits")
    assert (one.state, one.approved_by) == (State.PLANNED, "basic:ann")
    assert office.world.audited() == [("basic:ann", "approved")]
    expect(page.locator("#record")).to_contain_text("the silence is real")


@pytest.mark.parametrize("place", ["/approvals", "/rollbacks/11111111-waits"])
def test_deny(office: Office, place: str) -> None:
    office.world.ask_for_approval()
    page = office.open(place)
    page.get_by_label("Why not").fill("it is the back end")
    page.get_by_role("button", name="Deny").click()
    said(page, "Denied")
    one = office.world.rollback("11111111-waits")
    assert (one.state, one.reason, one.facts["denied_by"]) == (State.FAILED, "denied", "basic:ann")
    assert office.world.audited() == [("basic:ann", "denied")]


def test_who_comes_second_is_told_what_was_decided(office: Office) -> None:
    office.world.ask_for_approval()
    first, second = office.open("/approvals"), office.open("/approvals")
    first.get_by_role("button", name="Deny").click()
    said(first, "Denied")
    second.get_by_role("button", name="Approve").click()
    expect(second.get_by_role("alert")).to_contain_text("It was not done.")
    expect(second.get_by_role("alert")).to_contain_text("it does not wait for approval: it is failed (denied)")
    assert office.world.rollback("11111111-waits").state is State.FAILED
    office.complaints.clear()  # the browser says so too: 409


def test_undo(office: Office) -> None:
    done = office.world.run_until(State.VERIFYING)
    page = office.open(f"/rollbacks/{done.id}")
    page.get_by_label("Why").fill("14.0 was right")
    page.get_by_role("button", name="Undo: make 14.0 live again").click()
    said(page, "The undo is ordered")
    undo, first = office.world.rollbacks()
    assert (undo.undoes, undo.target_version, first.id) == (done.id, "14.0", done.id)
    assert page.url.partition("?")[0].endswith(f"/rollbacks/{undo.id}")
    assert office.world.audited() == [("basic:ann", "undo")]
    page.get_by_role("link", name=f"rollback {done.id[:8]}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Main IVR retail: 14.0 to 13.0")


def test_lift_a_quarantine(office: Office) -> None:
    office.world.end_one()
    page = office.open("/flows/retail/flow-3")
    page.get_by_role("button", name="Lift the quarantine of 14.0").click()
    said(page, "The quarantine is lifted")
    expect(page.get_by_role("region", name="Quarantine")).to_contain_text("No version is in quarantine")
    with office.world.store.begin() as tx:
        assert quarantines.newest(tx, org=None, limit=9) == []
    assert office.world.audited() == [("basic:ann", "quarantine_lifted")]


def test_roll_back_by_hand(office: Office) -> None:
    page = office.open("/flows/retail/flow-1")
    page.get_by_role("region", name="Roll back by hand").get_by_label("Why").fill("callers hear silence")
    page.get_by_role("button", name="Roll back from 14.0").click()
    said(page, "The rollback is ordered")
    (one,) = office.world.rollbacks()
    assert (one.state, one.approved_by, one.overrides) == (State.PLANNED, "basic:ann", "")
    assert (one.accused_version, one.target_version) == ("14.0", "13.0")
    assert one.facts["ordered_because"] == "callers hear silence"
    assert office.world.audited() == [("basic:ann", "by_hand")]


def test_who_rolls_back_by_hand_names_the_guards_that_do_not_matter(office: Office) -> None:
    with office.world.store.begin() as tx:
        controls.hold(tx, "retail", ["flow-1"], owner="bob", reason="load test", by="bob", now=office.world.time.now)
    page = office.open("/flows/retail/flow-1")
    page.get_by_role("region", name="Roll back by hand").get_by_label("Why").fill("callers hear silence")
    page.get_by_role("button", name="Roll back from 14.0").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Held back")
    assert office.world.rollbacks() == []
    office.complaints.clear()  # the browser says so too: 409

    page.get_by_label("held: somebody wants hands off the flow").check()
    page.get_by_role("button", name="Roll back all the same").click()
    said(page, "The rollback is ordered")
    (one,) = office.world.rollbacks()
    assert (one.overrides, one.facts["ordered_because"]) == ("held", "callers hear silence")


def test_a_form_that_is_sent_twice_has_one_effect(office: Office) -> None:
    page = office.open("/windows")
    page.get_by_label("Why").fill("release 12")
    # Two clicks before the first answer is there: the browser sends both, and shows what comes of the second.
    page.evaluate("""() => {
        const form = document.querySelector("form[action$=windows]");
        const body = new URLSearchParams(new FormData(form));
        return Promise.all([1, 2].map(() => fetch(form.action, { method: "POST", body })));
    }""")
    page.get_by_role("button", name="Open the window").click()
    said(page, "The window is set")
    assert len(windows(office.world)) == 1
    assert office.world.audited() == [("basic:ann", "window_opened")]


def test_a_page_of_another_site_orders_nothing(office: Office) -> None:
    """Although the browser knows the password, and sends it along."""
    page = office.open()
    fields = '<input name="org" value="*"><input name="reason" value="x">'
    form = f'<form method="post" action="{office.address}/pause">{fields}<button>Win</button></form>'
    page.goto(f"data:text/html,{quote(form)}")
    page.get_by_role("button", name="Win").click()
    expect(page.get_by_role("alert")).to_contain_text("a page of another site has asked for this change")
    assert pauses(office.world) == []
    office.complaints.clear()  # the browser says so too: 403


def test_a_form_is_taken_where_the_browser_tells_no_more_than_its_origin(office: Office) -> None:
    """Far away and without TLS it sends no Sec-Fetch-Site; and no Origin either, were pages not to allow it."""
    page = office.person()
    page.goto(office.address.replace("127.0.0.1", FAR))
    received = []

    def note(_: Flask) -> None:
        if request.method == "POST":  # the page before may still ask for its icon
            received.append((request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")))

    page.get_by_label("Why").fill("storm")
    with request_started.connected_to(note, office.world.app):
        page.get_by_role("button", name="Pause").click()
        said(page, "Paused")
    assert received == [(None, office.address.replace("127.0.0.1", FAR).removesuffix("/console"))]
    office.complaints.clear()  # the browser regrets that without TLS it ignores Cross-Origin-Opener-Policy


def test_whoever_may_only_look_sees_everything_and_no_button(office: Office) -> None:
    office.world.everything()
    for path in ("", "/approvals", "/rollbacks/11111111-waits", "/flows", "/flows/retail/flow-3", "/windows"):
        page = office.open(path, "vic")
        assert page.locator("form[method=post]").count() == 0, path
        assert page.get_by_role("heading", level=1).count() == 1
        operators = office.open(path, "ann")
        assert operators.locator("form[method=post]").count() > 0, path


def test_an_operator_of_one_organization_is_one_there_only(office: Office) -> None:
    office.world.everything()
    page = office.open("", "bob")
    expect(page.locator("body")).not_to_contain_text("retail")
    expect(page.locator("body")).not_to_contain_text("Main IVR")
    assert page.get_by_label("Organization").locator("option").all_text_contents() == ["bank"]
    page.get_by_role("button", name="Resume bank").click()
    said(page, "Resumed")


def test_what_was_filled_in_wrongly_is_said_and_nothing_is_done(office: Office) -> None:
    page = office.open("/windows")
    page.get_by_label("Why").fill("x")
    page.get_by_label("Begins").fill("2020-01-01T00:00")
    page.get_by_role("button", name="Open the window").click()
    expect(page.get_by_role("alert")).to_contain_text("It was not done.")
    expect(page.get_by_role("alert")).to_contain_text("must be in the future")
    assert windows(office.world) == []
    office.complaints.clear()  # the browser says so too: 400


def test_everything_works_without_scripts(office: Office) -> None:
    office.world.everything()
    page = office.open("", java_script_enabled=False)
    expect(page.get_by_role("region", name="Under way")).to_contain_text("confirmed")
    page.get_by_label("Organization").select_option("retail")
    page.get_by_label("Why").fill("storm")
    page.get_by_role("button", name="Pause").click()
    said(page, "Paused")
    assert ("retail", "storm") in pauses(office.world)


@pytest.fixture(autouse=True)
def _nothing_else_is_complained_of(office: Office) -> Any:
    """A blocked script, a missing file, a fault of ours: the browser's console has it."""
    yield
    assert office.complaints == []
