"""The whole receiver in one process: its threads work, and all of it ends when it is told to."""

import threading
import time
from pathlib import Path

import pytest

from receiver.process import Process
from receiver.store import changes, controls, flows
from receiver.store.controls import Window
from receiver.store.database import Store
from tests.integration.feed_services import StatusService
from tests.integration.receiver_world import GenesysInMemory, Time
from tests.receiver_world import listening, opened, organizations_of, settings_of


class Cloud(GenesysInMemory):
    """Remembers whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


def test_it_lists_the_flows_becomes_ready_and_closes_everything_at_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds = {name: Cloud(Time(time.time())) for name in ("retail", "bank")}
    monkeypatch.setattr("receiver.process.open_organization", lambda organization: clouds[organization.name])
    settings = settings_of(tmp_path, timing={"tick_s": 0.02})
    with opened(settings) as store:
        process = Process(settings, organizations_of(tmp_path, list(clouds)))
        assert len(process.problems()) == 2
        before = threading.active_count()
        process.start()
        end = time.monotonic() + 20
        while time.monotonic() < end and (process.problems() or not _listed(store)):
            time.sleep(0.02)
        assert process.problems() == []
        assert _listed(store)

        process.stop(10.0)
        assert threading.active_count() == before
        assert all(cloud.closed for cloud in clouds.values())


def _listed(store: Store) -> bool:
    with store.begin() as tx:
        return all(flows.of(tx, org) for org in ("retail", "bank"))


def test_its_feeds_are_read_until_the_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.process.open_organization", lambda _: Cloud(Time(time.time())))
    page = StatusService()
    page.put("a", time.time() - 60)
    with listening(page.app) as port:
        feed = {"name": "status", "url": f"http://127.0.0.1:{port}", "covers": [{"org": "retail"}], "poll_s": 0.05}
        settings = settings_of(tmp_path, timing={"tick_s": 0.02}, feeds={"statuspage": [feed]})
        with opened(settings) as store:
            process = Process(settings, organizations_of(tmp_path, ["retail"]))
            process.start()
            end = time.monotonic() + 20
            while time.monotonic() < end and (len(page.requests) < 3 or not _windows(store)):
                time.sleep(0.02)
            process.stop(10.0)
            (window,) = _windows(store)
            assert window.feed == "status"
            assert len(page.requests) >= 3


def _windows(store: Store) -> list[Window]:
    with store.begin() as tx:
        return controls.active_windows(tx, now=time.time())


def test_the_audit_is_read_where_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.process.open_organization", lambda _: Cloud(Time(time.time())))
    for wanted in (False, True):
        settings = settings_of(tmp_path, audit=wanted, timing={"tick_s": 0.02})
        with opened(settings) as store:
            process = Process(settings, organizations_of(tmp_path, ["retail"]))
            process.start()
            try:
                until = time.monotonic() + (10.0 if wanted else 0.3)
                asked: set[str] = set()
                while time.monotonic() < until and not asked:
                    with store.begin() as tx:
                        asked = set(changes.readings(tx, "retail"))
                    time.sleep(0.02)
            finally:
                process.stop(1.0)
        assert bool(asked) is wanted
