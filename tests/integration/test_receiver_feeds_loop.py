"""From a feed to a flow: its window holds a rollback back, people hear why, and it goes ahead afterwards."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from receiver.feeds.polling import Poller
from receiver.feeds.sources import source_of
from receiver.outbound import Outbound
from receiver.store import controls
from receiver.store.rollbacks import State
from tests.integration.feed_services import StatusService
from tests.integration.receiver_world import Scene, scene
from tests.receiver_world import listening


@dataclass
class World:
    """A flow that fails, and a status page that is read."""

    here: Scene
    page: StatusService
    poller: Poller

    def run(self, seconds: float) -> None:
        """The loop's rounds, and the feed's readings in between."""
        until = self.here.time.now + seconds
        while self.here.time.now < until:
            self.poller.read_if_due()
            self.here.run(10.0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    page = StatusService()
    with ExitStack() as stack:
        port = stack.enter_context(listening(page.app))
        feed = {
            "name": "genesys-status",
            "url": f"http://127.0.0.1:{port}",
            "covers": [{"org": "retail"}],
            "poll_s": 20.0,
            "max_window_s": 300.0,
        }
        here = stack.enter_context(scene(tmp_path, feeds={"statuspage": [feed]}))
        http = stack.enter_context(closing(Outbound(10.0)))
        (configured,) = here.settings.feeds.all
        source = source_of(configured, http)
        poller = Poller(configured, source, here.store, here.settings.timing, clock=lambda _: here.time.now)
        yield World(here, page, poller)


def test_a_known_incident_holds_a_rollback_back_and_it_goes_ahead_when_the_incident_is_over(world: World) -> None:
    incident = world.page.put("a", world.here.time.now - 60)
    world.run(20)
    world.here.deliver()
    world.run(120)
    assert world.here.published() == []
    assert world.here.verdicts()[-1] == "maintenance"
    (told,) = [one for one in world.here.told() if one["incident_type"] == "ROLLBACK_SUPPRESSED"]
    assert "incident window" in told["reason"]
    assert "of feed:genesys-status" in told["reason"]
    assert "Voice is impaired (major)" in told["reason"]

    incident["status"] = "resolved"
    world.run(30)
    assert world.here.run_to_the_end().state is State.SUCCEEDED
    assert world.here.published() == ["13.0"]


def test_while_the_page_cannot_be_read_the_window_holds_back_until_it_ends_by_itself(world: World) -> None:
    world.page.put("a", world.here.time.now - 60)
    world.run(20)
    world.page.status = 503
    world.here.deliver()
    world.run(200)
    assert world.here.published() == []
    world.run(100)
    assert world.here.run_to_the_end().state is State.SUCCEEDED


def test_a_person_who_closes_the_window_lets_the_rollback_go_ahead_although_the_incident_goes_on(world: World) -> None:
    world.page.put("a", world.here.time.now - 60)
    world.run(20)
    world.here.deliver()
    world.run(60)
    assert world.here.published() == []
    with world.here.store.begin() as tx:
        (window,) = controls.active_windows(tx, now=world.here.time.now)
        assert controls.close_window(tx, window.id, by="ann", now=world.here.time.now)
    world.run(60)
    assert world.here.run_to_the_end().state is State.SUCCEEDED
    with world.here.store.begin() as tx:
        assert controls.active_windows(tx, now=world.here.time.now) == []


def test_without_an_incident_the_same_flow_is_rolled_back_at_once(world: World) -> None:
    world.run(20)
    world.here.deliver()
    world.run(20)
    assert world.here.published() == ["13.0"]
