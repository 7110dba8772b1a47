"""The receiver is killed again and again in the midst of a stream of alerts: SQLite keeps whatever was accepted."""

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from demo.processes import wait_until
from tests.campaigns.clouds import Cloud
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.fleet import fleet
from tests.campaigns.scene import SETTINGS, Scene
from tests.campaigns.stream import Stream, streaming
from tests.conftest import StartSimulator

SEED = 9
SOON_S = 60.0
MIDST_S = 0.2  # at most so long after an alert was accepted: longer than it takes to accept the next ones


def test_no_accepted_alert_is_lost_however_often_the_receiver_is_killed(
    tmp_path: Path, start_simulator: StartSimulator, size: Size, figures: Figures
) -> None:
    kills = size.of(short=20, full=1_000)
    file = tmp_path / "rollback.db"
    cloud = Cloud("retail", 1, start_simulator, tmp_path, seed=SEED)
    settings = {**SETTINGS, "database_url": f"sqlite:///{file}"}
    with fleet(tmp_path, organizations=[cloud.organization()], settings=settings, count=1) as made:
        (member,) = made.members
        chance = random.Random(SEED)
        with streaming(made.members, "retail", cloud.flows[0], senders=8, pause_s=0.05, seed=SEED) as stream:
            for _ in range(kills):
                made.start(member)
                await_accepted(stream)
                time.sleep(chance.uniform(0.0, MIDST_S))
                made.kill(member)
        lost, damage = missing(file, stream), damages(file)
        figures(line(kills, stream, lost, damage))
        assert (lost, damage) == ([], ["ok"])
        assert set(stream.statuses()) <= {202, 503, None}

        made.start(member)
        here = Scene([cloud], made, settings["database_url"])
        here.await_rest()
        assert not here.undecided(stream.fired)
        assert here.verify_audit()[0] == 0
        assert not made.faults_of_the_program()
        here.close()


def await_accepted(stream: Stream) -> None:
    """Return when another alert has been accepted."""
    before = stream.accepted
    wait_until(lambda: stream.accepted > before, "an alert is accepted", within_s=SOON_S, every_s=0.01)


def missing(file: Path, stream: Stream) -> list[str]:
    """What was accepted and is not in the file."""
    with closing(sqlite3.connect(file)) as database:
        rows = database.execute("SELECT fingerprint, starts_at, is_open FROM alerts").fetchall()
    is_open = {(fingerprint, starts_at): bool(is_open) for fingerprint, starts_at, is_open in rows}
    lost = [f"{alert} fires" for alert in stream.fired if alert not in is_open]
    return lost + [f"{alert} is over" for alert in stream.over if is_open.get(alert, True)]


def damages(file: Path) -> list[str]:
    """What SQLite finds wrong with its file; `ok` if nothing is."""
    with closing(sqlite3.connect(file)) as database:
        return [str(row[0]) for row in database.execute("PRAGMA integrity_check")]


def line(kills: int, stream: Stream, lost: list[str], damage: list[str]) -> str:
    statuses = stream.statuses()
    return (
        f"killed while alerts arrive, SQLite: {kills:,} SIGKILLs; {len(stream.answers):,} deliveries, "
        f"{statuses[None]:,} without an answer, {statuses[202]:,} accepted, {len(lost)} accepted and lost; "
        f"integrity check: {', '.join(damage)} (seed {SEED})"
    )
