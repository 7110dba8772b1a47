"""202 means that the alert is on the disk: no answer leaves the socket before the database has synced its log.

Seen from outside, by strace, in whole receivers. It shows that nobody forgets to sync, or answers first; that the
kernel and the disk keep what they have synced is theirs.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy as sa

from receiver.store.database import Store
from tests.campaigns.clouds import GOOD, Cloud
from tests.campaigns.conftest import Figures, Size
from tests.campaigns.fleet import Fleet, fleet
from tests.campaigns.incidents import Incident, Kind, payload
from tests.campaigns.outages import database
from tests.campaigns.postmen import Postmen
from tests.campaigns.scene import SETTINGS
from tests.campaigns.tracing import Call, NotPermittedError, calls, family, find_strace, traced
from tests.conftest import StartSimulator

SYNCS = ("fsync", "fdatasync")
WRITES = ("write", "writev", "pwrite64", "pwritev")
SENDS = ("sendto", "sendmsg", "write", "writev")
ACCEPTED = '"HTTP/1.1 202 '
COMMIT = r"COMMIT\0"


@pytest.fixture
def strace() -> str:
    found = find_strace()
    if found is None:
        cannot_look("strace is neither in PATH nor in .tools/bin; dev/install-tools puts it there")
    return found


def cannot_look(reason: str) -> NoReturn:
    """Whether it is durable is not known then: fails in CI, and skips at a desk."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def test_with_sqlite_the_log_is_synced_before_each_202(
    tmp_path: Path, start_simulator: StartSimulator, strace: str, size: Size, figures: Figures
) -> None:
    count = size.of(short=20, full=500)
    url = f"sqlite:///{tmp_path / 'rollback.db'}"
    with one_receiver(tmp_path, start_simulator, url) as made:
        seen = watch(strace, tmp_path, running(made), lambda: deliver(made, count))

    answers = accepted(seen)
    unsafe = [one for one in answers if not is_synced(seen, one, "rollback.db-wal")]
    figures(f"durability, SQLite: {len(answers)} answers 202, {len(unsafe)} before the sync of the log")
    assert len(answers) >= count, "one that came too late was delivered again"
    assert unsafe == []
    assert asked(url, "PRAGMA journal_mode", "PRAGMA synchronous") == ["wal", 2]  # FULL


def test_with_postgresql_the_log_is_synced_between_each_commit_and_its_202(
    tmp_path: Path,
    start_simulator: StartSimulator,
    postgresql_binaries: Path,
    strace: str,
    size: Size,
    figures: Figures,
) -> None:
    count = size.of(short=20, full=500)
    with database(postgresql_binaries, []) as data, one_receiver(tmp_path, start_simulator, data.url) as made:
        programs = [*running(made), *data.server.processes()]
        seen = watch(strace, tmp_path, programs, lambda: deliver(made, count))
        in_force = asked(data.url, "SHOW fsync", "SHOW synchronous_commit")

    answers = accepted(seen)
    unsafe = [one for one in answers if not is_synced_since_commit(seen, one, "/pg_wal/")]
    figures(f"durability, PostgreSQL: {len(answers)} answers 202, {len(unsafe)} before the sync of the log")
    assert len(answers) >= count, "one that came too late was delivered again"
    assert unsafe == []
    assert in_force == ["on", "on"]


@contextmanager
def one_receiver(folder: Path, start_simulator: StartSimulator, database_url: str) -> Iterator[Fleet]:
    """It runs, and is ready."""
    cloud = Cloud("retail", 1, start_simulator, folder, seed=1)
    settings = {**SETTINGS, "database_url": database_url}
    with fleet(folder, organizations=[cloud.organization()], settings=settings, count=1) as made:
        made.start(made.members[0])
        made.await_ready()
        yield made


def running(made: Fleet) -> list[int]:
    """The receiver's processes."""
    pid = made.members[0].pid
    assert pid is not None
    return family(pid)


def deliver(made: Fleet, count: int) -> None:
    """So many alerts, one after the other."""
    incident = Incident("retail", "retail-flow-1", GOOD, Kind.FORGED, time.time())
    bodies = [payload([incident.alert(number, firing=False)]) for number in range(count)]
    Postmen(made.members, count=1, per_s=1000, seed=1).deliver(bodies)


def watch(strace: str, folder: Path, pids: list[int], during: Callable[[], None]) -> list[Call]:
    """What these processes do meanwhile."""
    log = folder / "strace.log"
    try:
        with traced(strace, pids, log):
            during()
    except NotPermittedError as problem:
        cannot_look(f"strace is not permitted to look at a program of the same user: {problem}")
    return calls(log)


def accepted(seen: list[Call]) -> list[Call]:
    return [one for one in seen if one.name in SENDS and ACCEPTED in one.arguments]


def is_synced(seen: list[Call], answer: Call, log: str) -> bool:
    """Did the thread that answers write to the log since its answer before, and sync it after the last write?"""
    before = [one for one in seen if one.thread == answer.thread and one.ended < answer.begun]
    last = max((one.ended for one in before if one.name in SENDS and ACCEPTED in one.arguments), default=-1)
    writes = [one.ended for one in before if one.name in WRITES and log in one.arguments and one.begun > last]
    syncs = [one.begun for one in before if one.name in SYNCS and log in one.arguments and one.result == "0"]
    return bool(writes) and bool(syncs) and max(syncs) > max(writes)


def is_synced_since_commit(seen: list[Call], answer: Call, log: str) -> bool:
    """Did the server, whichever of its processes, sync its log after the thread that answers had sent its COMMIT?"""
    own = [one for one in seen if one.thread == answer.thread and one.ended < answer.begun]
    commits = [one.begun for one in own if one.name in SENDS and COMMIT in one.arguments]
    last = max((one.ended for one in own if one.name in SENDS and ACCEPTED in one.arguments), default=-1)
    if not commits or commits[-1] < last:
        return False
    syncs = [one for one in seen if one.name in SYNCS and log in one.arguments and one.result == "0"]
    return any(commits[-1] < one.begun and one.ended < answer.begun for one in syncs)


def asked(url: str, *questions: str) -> list[object]:
    """What the database says of a session of ours."""
    store = Store(url)
    try:
        with store.begin() as tx:
            return [tx.scalar(sa.text(question)) for question in questions]
    finally:
        store.close()
