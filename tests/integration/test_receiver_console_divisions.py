"""The console for who is limited to divisions: what pages show of their flows, and which forms work."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.store import divisions
from receiver.web.console.windows import LIMIT
from tests.integration.test_receiver_console import FORMS, PAGES, Form, look, send
from tests.integration.test_receiver_divisions import FOREIGN, RETAIL, open_window, two_divisions
from tests.integration.test_receiver_reach import EVERYWHERE, HIDDEN, OWN, SAID, SALES, World, a_flow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with two_divisions(tmp_path) as made:
        yield made


@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_nothing_of_other_divisions(world: World, path: str) -> None:
    with world.store.begin() as tx:
        open_window(tx, HIDDEN, reason="over and foreign", ends_in_s=-60)
        open_window(tx, HIDDEN, OWN, reason="over", ends_in_s=-60)
    shown = look(world, path, SALES)
    assert shown.status_code == 200
    for foreign in (*FOREIGN, "foreign"):
        assert foreign not in shown.text
    assert HIDDEN in look(world, path).text or path in ("/flows",)
    if path not in ("/flows", "/objects"):  # nothing was listed here, and objects are of no division
        assert OWN in shown.text
    if "ended" in path:
        assert ">over " in shown.text


@pytest.mark.parametrize("path", ["/rollbacks/waiting", "/rollbacks/confirmed", "/decisions/1"])
def test_a_record_of_another_division_has_no_page(world: World, path: str) -> None:
    answer = look(world, path, SALES)
    assert (answer.status_code, HIDDEN in answer.text) == (404, False)


def test_however_many_windows_of_others_are_over_theirs_are_shown(world: World) -> None:
    with world.store.begin() as tx:
        open_window(tx, HIDDEN, OWN, reason="the one of theirs", ends_in_s=-600)
        for _ in range(LIMIT + 1):
            open_window(tx, HIDDEN, ends_in_s=-60)
    text = look(world, "/windows?ended=true", SALES).text
    assert "the one of theirs" in text
    assert "there were more" not in text


def test_counts_are_those_of_their_own(world: World) -> None:
    text = look(world, "", SALES).text
    assert "1 rollback waits for approval, 1 rollback is under way, 1 alert is open" in text


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.path} {form.fields.get('org', '')}")
def test_a_form_about_another_division_is_refused_and_changes_nothing(world: World, form: Form) -> None:
    before = world.tables()
    refused = send(world, form, SALES)
    assert refused.status_code == form.refused, refused.text
    assert HIDDEN in str(form.fields) or HIDDEN not in refused.text
    assert world.tables() == before


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/rollbacks/own-waiting/approve", {}),
        ("/rollbacks/own-done/undo", SAID),
        ("/hold", RETAIL | SAID | {"flow_ids": OWN}),
        ("/release", RETAIL | {"flow_id": OWN}),
        ("/windows", RETAIL | SAID | {"minutes": "60", "flow_ids": OWN}),
        ("/windows/{own_window}/close", {}),
        ("/quarantines/{own_quarantine}/lift", {}),
    ],
)
def test_a_form_about_their_flow_is_done(world: World, path: str, fields: dict[str, str]) -> None:
    assert send(world, Form(path, 303, fields), SALES).status_code == 303


def test_forms_are_offered_for_what_is_theirs_only(world: World) -> None:
    assert "Stop the bridge" not in look(world, "", SALES).text
    assert "Hold every flow" not in look(world, "/flows", SALES).text
    windows = look(world, "/windows", SALES).text
    assert "Open the window" in windows
    assert windows.count("<button>Close") == 1  # of their own; not of that for both, and not of that for every flow
    assert look(world, "/windows", EVERYWHERE).text.count("<button>Close") == 4
    flow = look(world, f"/flows/retail/{OWN}", SALES).text
    assert "Hold this flow" in flow
    assert flow.count("<button>Release") == 1


def test_whose_divisions_have_no_flow_is_told_that_nothing_is_shown(world: World) -> None:
    said = "no flow is known in your divisions"
    assert said not in look(world, "", SALES).text
    with world.store.begin() as tx:
        divisions.remember(tx, "retail", [a_flow(OWN, division="Support"), a_flow(HIDDEN)], now=time.time())
    assert said in look(world, "", SALES).text
    assert said not in look(world, "", EVERYWHERE).text
