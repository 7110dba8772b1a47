"""PostgreSQL as it really fails: restarted, cut off, stopped, silent; and a client that is stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Timer

import pytest
import sqlalchemy as sa

from receiver.store import leases
from receiver.store.database import OutcomeUnknown, Store, StoreUnavailable, Transaction, after_commit, clock
from receiver.store.patience import Patience
from receiver.store.postgresql import Timeouts
from tests.postgresql_server import ROOT, Server
from tests.postgresql_wire import AtCommit, Wire

LONG_S = 15.0  # beyond every sum of the short ones
SHORT = Timeouts(connect_s=2.0, statement_s=1.0, lock_s=6.0, idle_s=1.0, answer_s=1.5)


@contextmanager
def opened(url: str, *, timeouts: Timeouts = SHORT, patience: Patience | None = None) -> Iterator[Store]:
    store = Store(url, timeouts=timeouts, patience=patience)
    try:
        yield store
    finally:
        store.close()


def put(tx: Transaction, name: str = "n") -> int:
    """A row that cannot be put twice; gives the server process that serves the transaction."""
    tx.execute(sa.text("INSERT INTO leases (name, owner, fence, expires_at) VALUES (:name, '', 0, 0)"), {"name": name})
    return int(tx.scalar(sa.text("SELECT pg_backend_pid()")))


def names(store: Store) -> list[str]:
    with store.begin() as tx:
        return sorted(tx.scalars(sa.text("SELECT name FROM leases")))


def shown(tx: Transaction, name: str) -> str:
    return str(tx.scalar(sa.text(f"SHOW {name}")))


@contextmanager
def at_the_latest(seconds: float, help_out: Callable[[], None]) -> Iterator[None]:
    """Whoever waits without an end is helped out of it, so that the test fails instead of waiting too."""
    timer = Timer(seconds, help_out)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def go_on(stopped: Iterable[int]) -> None:
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)


def cut(url: str, pid: int) -> None:
    """The server ends one connection, as an administrator or a failing network does."""
    with opened(url) as other, other.begin() as tx:
        tx.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


# What is in force ----------------------------------------------------------------------------------------------------


def test_the_limits_are_in_force_on_both_sides_of_a_connection(tcp_url: str) -> None:
    with opened(tcp_url, timeouts=Timeouts()) as store, store.begin() as tx:
        assert {name: shown(tx, name) for name in Timeouts().of_session()} == {
            "statement_timeout": "10s",
            "lock_timeout": "5s",
            "idle_in_transaction_session_timeout": "10s",
            "tcp_keepalives_idle": "10",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
            "tcp_user_timeout": "10000",
        }
        assert shown(tx, "transaction_isolation") == "read committed"
        driver = tx.connection.driver_connection
        assert driver is not None
        with socket.socket(fileno=os.dup(driver.fileno())) as ours:
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 5
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


def test_what_is_committed_is_on_the_disk_even_where_the_server_would_not_wait_for_it(tcp_url: str) -> None:
    with opened(tcp_url) as store, store.begin() as tx:
        name = tx.engine.url.database
        tx.execute(sa.text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    with opened(tcp_url) as store, store.begin() as tx:
        assert shown(tx, "synchronous_commit") == "on"
    with opened(f"{tcp_url}&options=-c%20synchronous_commit%3Dremote_apply") as store, store.begin() as tx:
        assert shown(tx, "synchronous_commit") == "remote_apply", "the URL has the last word"


def test_a_migration_may_take_its_time(tcp_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("receiver.store.migration.upgrade", lambda tx: seen.append(shown(tx, "statement_timeout")))
    with opened(tcp_url) as store:
        store.migrate()
    assert seen == ["10min"]


def test_what_the_url_says_wins(tcp_url: str) -> None:
    changed = f"{tcp_url}&options=-c%20lock_timeout%3D7s&keepalives_idle=33"
    with opened(changed) as store, store.begin() as tx:
        assert (shown(tx, "lock_timeout"), shown(tx, "statement_timeout")) == ("7s", "1s")
        driver = tx.connection.driver_connection
        assert driver is not None
        with socket.socket(fileno=os.dup(driver.fileno())) as ours:
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 33


@pytest.mark.parametrize(
    ("use", "why"),
    [
        pytest.param(lambda tx: tx.execute(sa.text("SELECT pg_sleep(9)")), "statement timeout", id="a slow statement"),
        pytest.param(lambda tx: leases.lock(tx, "held"), "lock timeout", id="a lock that somebody keeps"),
    ],
)
def test_a_wait_that_lasts_too_long_ends_and_is_not_begun_again(
    tcp_url: str, use: Callable[[Transaction], None], why: str
) -> None:
    hasty = Timeouts(statement_s=1.0, lock_s=0.5)
    with opened(tcp_url, timeouts=hasty) as store, opened(tcp_url, timeouts=Timeouts()) as other, other.begin() as tx:
        leases.lock(tx, "held")
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable, match=why):
            store.transact(use)
        assert time.monotonic() - begun < 3


# A client that is gone without a word --------------------------------------------------------------------------------

HOLD_A_LOCK = """
import sys
from receiver.store import leases
from receiver.store.database import Store
from receiver.store.postgresql import Timeouts

with Store(sys.argv[1], timeouts=Timeouts(idle_s=1.0)).begin() as tx:
    leases.lock(tx, "org:retail")
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_client_that_is_stopped_inside_a_transaction_loses_its_locks_in_time(tcp_url: str) -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_LOCK, tcp_url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with client, opened(tcp_url, timeouts=Timeouts()) as store:
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == "locked\n"
            client.send_signal(signal.SIGSTOP)
            assert store.transact(lambda tx: leases.take(tx, "org:retail", "b", now=clock(tx), lease_s=30)) is not None
        finally:
            client.kill()


def test_a_client_whose_network_is_silent_loses_its_locks_in_time_and_hears_that_there_is_no_answer(
    tcp_url: str,
) -> None:
    with Wire(tcp_url) as wire, opened(wire.url) as cut_off, opened(tcp_url, timeouts=Timeouts()) as store:

        def fall_silent(tx: Transaction) -> None:
            leases.lock(tx, "org:retail")
            wire.silent = True
            leases.lock(tx, "org:retail")

        begun = time.monotonic()
        with pytest.raises(StoreUnavailable), at_the_latest(LONG_S, lambda: setattr(wire, "silent", False)):
            cut_off.transact(fall_silent)
        assert time.monotonic() - begun < LONG_S
        store.transact(leases.lock, "org:retail")


# A server that is gone, or does not answer ---------------------------------------------------------------------------


def test_a_restart_of_the_server_between_two_transactions_is_not_noticed(tcp_server: Server, tcp_url: str) -> None:
    with opened(tcp_url) as store:
        store.transact(put, "before")
        tcp_server.restart()
        with store.begin() as tx:
            put(tx, "after, tried once")
        tcp_server.restart()
        store.transact(put, "after")
        assert names(store) == ["after", "after, tried once", "before"]


def test_a_server_that_starts_within_seconds_is_waited_for(tcp_server: Server, tcp_url: str) -> None:
    with opened(tcp_url, patience=Patience(tries=50, within_s=30.0)) as store, ThreadPoolExecutor(1) as pool:
        store.transact(clock)
        restarting = pool.submit(tcp_server.restart)
        for number in range(20):
            store.transact(put, f"{number}")
            time.sleep(0.02)
        restarting.result()
        assert len(names(store)) == 20


def test_a_connection_that_is_cut_in_the_middle_of_a_transaction_is_made_good_once(tcp_url: str) -> None:
    tries: list[int] = []
    told = []

    def work(tx: Transaction) -> str:
        after_commit(tx, lambda: told.append("durable"))
        tries.append(put(tx))
        if len(tries) == 1:
            cut(tcp_url, tries[0])
        put(tx, "second")
        return "done"

    with opened(tcp_url) as store:
        assert store.transact(work) == "done"
        assert (len(tries), told) == (2, ["durable"])
        assert names(store) == ["n", "second"]


def test_a_transaction_that_is_tried_once_keeps_nothing_when_its_connection_is_cut(tcp_url: str) -> None:
    def put_and_lose(store: Store) -> None:
        with store.begin() as tx:
            cut(tcp_url, put(tx))
            put(tx, "second")

    with opened(tcp_url) as store:
        with pytest.raises(StoreUnavailable):
            put_and_lose(store)
        assert names(store) == []


def test_a_server_that_is_stopped_is_not_waited_for_without_an_end(tcp_server: Server, tcp_url: str) -> None:
    """The kernel still acknowledges what is sent to it: nothing but our own clock can end this."""
    with opened(tcp_url) as store:
        store.transact(clock)  # a connection that the pool believes in
        stopped = tcp_server.processes()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable), at_the_latest(LONG_S, lambda: go_on(stopped)):
                store.transact(put)
            assert time.monotonic() - begun < LONG_S
        finally:
            go_on(stopped)
        store.transact(put)
        assert names(store) == ["n"]


def test_without_a_server_every_use_ends_soon(tcp_url: str) -> None:
    nowhere = sa.make_url(tcp_url).set(port=1).render_as_string(hide_password=False)
    with opened(nowhere) as store:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable, match="refused"):
            store.transact(put)
        assert time.monotonic() - begun < 8


# The answer to a commit ----------------------------------------------------------------------------------------------


def test_a_commit_whose_answer_is_lost_is_not_repeated_and_gives_its_result(tcp_url: str) -> None:
    calls = []
    told = []

    def work(tx: Transaction) -> str:
        calls.append(put(tx))
        after_commit(tx, lambda: told.append("kept"))
        return f"call {len(calls)}"

    with Wire(tcp_url) as wire, opened(wire.url) as store:
        store.transact(clock)
        wire.at_commit = AtCommit.UNANSWERED
        assert store.transact(work) == "call 1"
        assert (wire.cuts, len(calls), told) == (1, 1, ["kept"])
        assert names(store) == ["n"]


def test_a_commit_that_never_arrived_is_repeated_and_has_its_effect_once(tcp_url: str) -> None:
    calls = []
    with Wire(tcp_url) as wire, opened(wire.url) as store:
        store.transact(clock)
        wire.at_commit = AtCommit.LOST
        store.transact(lambda tx: calls.append(put(tx)))
        assert (wire.cuts, len(calls)) == (1, 2)
        assert names(store) == ["n"]


def test_a_commit_of_which_nobody_can_tell_is_said_to_be_unknown(tcp_url: str) -> None:
    """The server still waits for it, and would keep it if it came."""
    with Wire(tcp_url) as wire, opened(wire.url, timeouts=Timeouts(idle_s=60.0)) as store:
        store.transact(clock)
        wire.at_commit = AtCommit.HELD
        with pytest.raises(OutcomeUnknown, match="no answer to the commit"):
            store.transact(put)


def test_a_lost_answer_is_unknown_to_whoever_tries_once(tcp_url: str) -> None:
    def put_once(store: Store) -> None:
        with store.begin() as tx:
            put(tx)

    with Wire(tcp_url) as wire, opened(wire.url) as store:
        wire.at_commit = AtCommit.UNANSWERED
        with pytest.raises(OutcomeUnknown):
            put_once(store)
        assert names(store) == ["n"]


# Conflicts -----------------------------------------------------------------------------------------------------------


def test_two_transactions_that_lock_each_other_out_both_have_their_effect_once(tcp_url: str) -> None:
    met = Barrier(2)

    def work(tx: Transaction, first: str, second: str, tries: list[str]) -> None:
        tries.append(first)
        tx.execute(sa.text("UPDATE leases SET fence = fence + 1 WHERE name = :name"), {"name": first})
        if len(tries) == 1:
            met.wait(timeout=10)
        tx.execute(sa.text("UPDATE leases SET fence = fence + 10 WHERE name = :name"), {"name": second})

    tries: tuple[list[str], list[str]] = ([], [])
    with opened(tcp_url, timeouts=Timeouts()) as store, ThreadPoolExecutor(2) as pool:
        store.transact(put, "a")
        store.transact(put, "b")
        one = pool.submit(store.transact, work, "a", "b", tries[0])
        other = pool.submit(store.transact, work, "b", "a", tries[1])
        one.result()
        other.result()
        with store.begin() as tx:
            assert sorted(tx.scalars(sa.text("SELECT fence FROM leases"))) == [11, 11]
    assert sorted(map(len, tries)) == [1, 2]


def test_a_transaction_that_cannot_be_put_in_order_with_another_is_repeated(tcp_url: str) -> None:
    tries = []
    with opened(tcp_url) as store, opened(tcp_url) as other:
        store.transact(put)

        def work(tx: Transaction) -> None:
            tx.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            tries.append(tx.scalar(sa.text("SELECT fence FROM leases")))
            if len(tries) == 1:
                other.transact(lambda its: its.execute(sa.text("UPDATE leases SET fence = 5")))
            tx.execute(sa.text("UPDATE leases SET fence = fence + 1"))

        store.transact(work)
        with store.begin() as tx:
            assert tx.scalar(sa.text("SELECT fence FROM leases")) == 6
    assert tries == [0, 5]
