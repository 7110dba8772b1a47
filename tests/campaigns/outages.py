"""What can happen to a PostgreSQL server, and to the network before it, while receivers need it; and that it passes."""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import psycopg
import sqlalchemy as sa

from tests import postgresql_server
from tests.campaigns.ways import Way
from tests.postgresql_server import Server

DATABASE = "rollback"
_CUT_EVERY_S = 0.2
_TRIES_S, _WAITS_S = 3.5, 20.0  # some more than a receiver's own limits


@dataclass(frozen=True)
class Database:
    """A server that writes what it commits to its disk, and each receiver's own way to it."""

    server: Server
    ways: Mapping[str, Way]

    @property
    def url(self) -> str:
        """Past all ways, for whoever wants to know what is true."""
        return self.server.tcp_url.replace("/postgres?", f"/{DATABASE}?")

    def url_of(self, receiver: str) -> str:
        return sa.make_url(self.url).set(port=self.ways[receiver].port).render_as_string(hide_password=False)


@contextmanager
def database(binaries: Path, receivers: Sequence[str]) -> Iterator[Database]:
    """An empty database of a server of its own."""
    with ExitStack() as opened:
        server = opened.enter_context(postgresql_server.serving(binaries, tcp=True, fsync=True))
        ways = {name: opened.enter_context(Way(("127.0.0.1", server.port))) for name in receivers}
        with psycopg.connect(server.tcp_url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{DATABASE}"')
        yield Database(server, ways)


@dataclass(frozen=True)
class Outage:
    """`stores`: some receiver may be able to store alerts while it lasts; else none can."""

    name: str
    lasts_s: float
    stores: bool = False

    @property
    def is_told(self) -> bool:
        """Is it longer than a receiver tries to store, or waits for an answer? Then it says 503 meanwhile."""
        return not self.stores and self.lasts_s > (_WAITS_S if self.name in _UNANSWERED else _TRIES_S)

    @contextmanager
    def at(self, database: Database) -> Iterator[None]:
        """It has begun when the context is entered, and is over when it is left."""
        with _KINDS[self.name](database):
            yield


@contextmanager
def _stopped(database: Database) -> Iterator[None]:
    database.server.stop()
    try:
        yield
    finally:
        database.server.start()


@contextmanager
def _crashed(database: Database) -> Iterator[None]:
    database.server.stop("immediate")
    try:
        yield
    finally:
        database.server.start()


@contextmanager
def _killed(database: Database) -> Iterator[None]:
    database.server.kill()
    try:
        yield
    finally:
        database.server.start()


@contextmanager
def _restarted(database: Database) -> Iterator[None]:
    database.server.restart()
    yield


@contextmanager
def _paused(database: Database) -> Iterator[None]:
    """The kernel still takes connections, and acknowledges what is sent; nobody reads it."""
    first, *_ = database.server.processes()
    os.kill(first, signal.SIGSTOP)  # it starts no other from now on
    stopped = database.server.processes()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def _terminated(database: Database) -> Iterator[None]:
    """Again and again the server ends every connection but the one that tells it to."""
    over = Event()

    def cut() -> None:
        with psycopg.connect(database.url.replace("+psycopg", ""), autocommit=True) as connection:
            while not over.wait(_CUT_EVERY_S):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    thread = Thread(target=cut)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _cut_off(ways: list[Way]) -> Iterator[None]:
    for way in ways:
        way.cut()
    try:
        yield
    finally:
        for way in ways:
            way.open()


@contextmanager
def _silent(ways: list[Way]) -> Iterator[None]:
    for way in ways:
        way.fall_silent()
    try:
        yield
    finally:
        for way in ways:
            way.open()


_KINDS = {
    "stopped": _stopped,
    "crashed": _crashed,
    "killed": _killed,
    "restarted": _restarted,
    "paused": _paused,
    "connections terminated": _terminated,
    "network cut": lambda database: _cut_off(list(database.ways.values())),
    "network silent": lambda database: _silent(list(database.ways.values())),
    "one receiver cut off": lambda database: _cut_off(list(database.ways.values())[:1]),
    "one receiver not heard": lambda database: _silent(list(database.ways.values())[:1]),
}
_UNANSWERED = ("paused", "network silent")
