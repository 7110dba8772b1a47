"""Feeds and their windows as people see them: in the API and in `rollbackctl`, each as far as their reach goes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from receiver.ctl.cli import main
from receiver.metrics import ReceiverMetrics
from receiver.store import controls, feeds
from receiver.store.database import Store
from receiver.web import create_app
from tests.openapi_document import held_to_its_document
from tests.receiver_world import ORGS, TOKENS, listening, opened, settings_of

PAGES = [
    {"name": name, "url": "https://status.example.org", "covers": [{"org": org} for org in orgs]}
    for name, orgs in (("genesys", ORGS), ("of-retail", ["retail"]), ("never", ["bank"]))
]


@dataclass(frozen=True)
class Desk:
    """Somebody at a shell, with a receiver to talk to."""

    url: str
    store: Store

    def shows(self, *arguments: str) -> str:
        environ = {"ROLLBACKCTL_URL": self.url, "ROLLBACKCTL_TOKEN": TOKENS["operator"]}
        done = CliRunner().invoke(main, arguments, env=environ)
        assert done.exit_code == 0, done.output
        return done.stdout


@dataclass(frozen=True)
class World:
    store: Store
    client: Any

    def get(self, role: str, query: str = "") -> Any:
        answer = self.client.get(f"/api/v1/maintenance{query}", headers={"Authorization": f"Bearer {TOKENS[role]}"})
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def page(self, role: str, path: str) -> str:
        answer = self.client.get(f"/console{path}", headers={"Authorization": f"Bearer {TOKENS[role]}"})
        assert answer.status_code == 200, answer.text
        return str(answer.text)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    tokens = [
        {"name": "am", "roles": ["alertmanager"], "token_env": "ALERTMANAGER"},
        {"name": "on-call", "roles": ["operator"], "token_env": "OPERATOR"},
        {"name": "of-bank", "roles": ["viewer"], "organizations": ["bank"], "token_env": "VIEWER"},
        {"name": "pipeline", "roles": ["ci"], "token_env": "CI"},
    ]
    now = time.time()
    settings = settings_of(tmp_path, tokens=tokens, feeds={"statuspage": PAGES})
    with opened(settings) as store:
        app = create_app(store, settings, ORGS, ReceiverMetrics(store, settings, ORGS), lambda: ())
        held_to_its_document(app)
        with store.begin() as tx:
            feeds.claim(tx, "genesys", now=now - 60, next_at=now + 60)
            feeds.finish(tx, "genesys", asked_at=now - 60, problem="")
            feeds.note_lapsed(tx, "genesys", 2)
            feeds.claim(tx, "of-retail", now=now - 60, next_at=now + 60)
            feeds.finish(tx, "of-retail", asked_at=now - 60, problem="status.example.org did not answer")
            controls.open_window(
                tx,
                org="retail",
                flow_ids=(),
                kind="incident",
                starts_at=now - 60,
                ends_at=now + 3600,
                reason="Voice is impaired (major)",
                owner="",
                created_by="feed:genesys",
                now=now - 60,
                feed="genesys",
                feed_uid="a",
                url="https://status.example.org/a",
            )
        yield World(store, app.test_client())


def test_the_api_shows_where_a_window_comes_from_and_how_it_stands_with_each_feed(world: World) -> None:
    told = world.get("operator")
    (window,) = told["windows"]
    assert {name: window[name] for name in ("feed", "url", "created_by", "kind")} == {
        "feed": "genesys",
        "url": "https://status.example.org/a",
        "created_by": "feed:genesys",
        "kind": "incident",
    }
    assert [(one["name"], one["current"], one["problem"], one["lapsed"]) for one in told["feeds"]] == [
        ("genesys", True, "", 2),
        ("of-retail", False, "status.example.org did not answer", 0),
        ("never", False, "not read yet", 0),
    ]
    assert [one["read_at"] is None for one in told["feeds"]] == [False, True, True]


def test_nobody_sees_feeds_for_organizations_out_of_reach(world: World) -> None:
    assert [one["name"] for one in world.get("viewer")["feeds"]] == ["genesys", "never"]
    assert [one["name"] for one in world.get("operator", "?org=retail")["feeds"]] == ["genesys", "of-retail"]


def test_a_pipeline_closes_no_window_of_a_feed_and_a_person_does(world: World) -> None:
    (window,) = world.get("operator")["windows"]
    path = f"/api/v1/maintenance/{window['id']}"
    for role, status in (("ci", 403), ("operator", 204)):
        answer = world.client.delete(path, headers={"Authorization": f"Bearer {TOKENS[role]}"})
        assert answer.status_code == status
    (ended,) = world.get("operator", "?ended=true")["windows"]
    assert (ended["state"], ended["closed_by"]) == ("ended", "on-call")


@pytest.mark.parametrize("path", ["", "/windows"])
def test_the_console_shows_which_feed_has_announced_a_window_and_leads_there(world: World, path: str) -> None:
    text = world.page("operator", path)
    assert '<a href="https://status.example.org/a" rel="noreferrer">Voice is impaired (major)</a>' in text
    assert "announced by the feed genesys" in text


def test_the_console_says_who_has_closed_a_window(world: World) -> None:
    (window,) = world.get("operator")["windows"]
    world.client.delete(
        f"/api/v1/maintenance/{window['id']}", headers={"Authorization": f"Bearer {TOKENS['operator']}"}
    )
    assert "closed by on-call" in world.page("operator", "/windows?ended=true")


def test_no_link_of_a_feed_is_a_script(world: World) -> None:
    with world.store.begin() as tx:
        (window,) = controls.list_windows(tx, now=time.time())
        assert controls.change_window(
            tx, replace(window, url="javascript:alert(1)"), by="feed:genesys", now=time.time()
        )
    assert "javascript:" not in world.page("operator", "/windows")


def test_the_console_tells_feeds_that_are_not_current_to_those_whom_they_concern(world: World) -> None:
    everybodys = world.page("operator", "")
    assert "the feed of-retail was never read, its windows may be missing: status.example.org" in everybodys
    assert "the feed never was never read" in everybodys
    assert "the feed genesys" not in everybodys.replace("announced by the feed genesys", "")
    banks = world.page("viewer", "")
    assert "the feed never" in banks
    assert "of-retail" not in banks


def test_rollbackctl_lists_windows_with_their_feed_and_says_which_feed_is_not_current(world: World) -> None:
    with listening(world.client.application) as port:
        desk = Desk(f"http://127.0.0.1:{port}", world.store)
        for command in (["maintenance", "list"], ["status"]):
            lines = [" ".join(line.split()) for line in desk.shows(*command).splitlines()]
            assert any("feed:genesys" in line and "Voice is impaired (major)" in line for line in lines)
            assert any(
                line.startswith("genesys incident current")
                and line.endswith(" 2 open in the source whose window is over")
                for line in lines
            )
            assert "never incident NOT CURRENT - not read yet" in lines
            assert "of-retail incident NOT CURRENT - status.example.org did not answer" in lines
