"""The receiver as a program reads a calendar: its web server and the process that unfolds calendars live together."""

import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import yaml

from tests.integration.feed_services import CalendarService
from tests.postgresql_server import ROOT
from tests.receiver_world import TOKENS, listening

SERVE = "from receiver.cli import main; main()"


def windows(file: Path) -> list[tuple[str, str]]:
    """Reason and author of each; none as long as there is no database."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        try:
            return database.execute("SELECT reason, created_by FROM windows").fetchall()
        except sqlite3.OperationalError:
            return []


def test_a_calendar_is_read_and_unfolded_and_the_program_ends_when_it_is_told_to(tmp_path: Path) -> None:
    calendar = CalendarService()
    calendar.events["s"] = "SUMMARY:backup|DTSTART;TZID=Europe/Berlin:20260101T013000|DURATION:PT3H|RRULE:FREQ=WEEKLY"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nowhere = {"name": "retail", "api_url": "http://127.0.0.1:1", "login_url": "http://127.0.0.1:1"}
    credentials = {"client_id": "c", "client_secret_env": "SECRET"}
    organizations = {"organizations": [nowhere | {"credentials": credentials}]}
    (tmp_path / "organizations.yml").write_text(yaml.safe_dump(organizations))
    with listening(calendar.app) as calendar_port:
        (tmp_path / "calendar.url").write_text(f"http://127.0.0.1:{calendar_port}/secret/basic.ics")
        feed = {
            "name": "changes",
            "url_file": "calendar.url",
            "username": "rollback",
            "password_env": "PASSWORD",
            "covers": [{"org": "retail"}],
        }
        settings = {
            "listen": f"127.0.0.1:{port}",
            "database_url": f"sqlite:///{tmp_path / 'rollback.db'}",
            "tokens": [{"name": "am", "roles": ["alertmanager"], "token_env": "TOKEN"}],
            "flows": [{"match": "*", "mode": "observe"}],
            "feeds": {"icalendar": [feed]},
        }
        (tmp_path / "receiver.yml").write_text(yaml.safe_dump(settings))
        files = ["--organizations", str(tmp_path / "organizations.yml"), "--config", str(tmp_path / "receiver.yml")]
        environ = {"TOKEN": TOKENS["alertmanager"], "SECRET": "s", "PASSWORD": "secret-of-the-user"}
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", SERVE, "serve", *files],
                env=os.environ | environ,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        try:
            end = time.monotonic() + 60
            while time.monotonic() < end and not (
                (tmp_path / "rollback.db").exists() and windows(tmp_path / "rollback.db")
            ):
                assert process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.1)
            found = windows(tmp_path / "rollback.db")
        finally:
            process.terminate()
            assert process.wait(60) == 0
    said = (tmp_path / "log").read_text()
    assert found == [("backup", "feed:changes")], said
    assert "Traceback" not in said
    assert "basic.ics" not in said
    assert "secret-of-the-user" not in said
