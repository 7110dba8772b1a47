"""PostgreSQL: how long anything may take there, and what a failure means for the transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long anything may take; seconds.

    Together they promise that whatever has died or stands still, nobody waits for it longer than half of `lease_s`
    (30 s). What the database URL says of the same parameter wins.
    """

    connect_s: float = 5.0  # a host that is away answers nothing at all
    statement_s: float = 10.0  # ours take milliseconds; longer is a disk or a table that people have to look at
    lock_s: float = 5.0  # rows are locked for one transaction, which is milliseconds too
    # A client that is stopped, or was cut off, inside a transaction: the server ends it and gives its locks back.
    idle_s: float = 10.0
    # The server's own word comes first. This is for a server that cannot speak: stopped, or waiting for its disk.
    answer_s: float = 15.0
    # Both sides probe a silent connection, so that no firewall forgets it; who answers none of the probes is dead, 25 s
    # after the last word.
    keepalive_idle_s: float = 10.0
    keepalive_interval_s: float = 5.0
    keepalive_count: int = 3
    unacknowledged_s: float = 10.0  # what was sent and did not arrive: TCP itself goes on for a quarter of an hour

    def of_client(self) -> dict[str, str]:
        """Connection parameters of libpq."""
        return {
            "connect_timeout": _s(self.connect_s),
            "keepalives": "1",
            "keepalives_idle": _s(self.keepalive_idle_s),
            "keepalives_interval": _s(self.keepalive_interval_s),
            "keepalives_count": str(self.keepalive_count),
            "tcp_user_timeout": _ms(self.unacknowledged_s),
        }

    def of_session(self) -> dict[str, str]:
        """Parameters of the server for our sessions; on a Unix socket those of TCP do nothing."""
        return {
            "statement_timeout": _ms(self.statement_s),
            "lock_timeout": _ms(self.lock_s),
            "idle_in_transaction_session_timeout": _ms(self.idle_s),
            "tcp_keepalives_idle": _s(self.keepalive_idle_s),
            "tcp_keepalives_interval": _s(self.keepalive_interval_s),
            "tcp_keepalives_count": str(self.keepalive_count),
            "tcp_user_timeout": _ms(self.unacknowledged_s),
        }


# To add to a large table may take minutes, and receivers that start meanwhile wait for the one that does it.
MIGRATING = Timeouts(statement_s=600.0, lock_s=600.0, idle_s=60.0, answer_s=620.0)


def engine(url: str, timeouts: Timeouts, *, read_only: bool = False) -> sa.Engine:
    """Connections that are tried before they are used, and never waited for without an end.

    What they commit is on the server's disk, whatever the server does by default; what the URL says of it wins.
    Transactions that only read see one moment, and what was true then.
    """
    asked = sa.make_url(url).query
    client = {name: value for name, value in timeouts.of_client().items() if name not in asked}
    session = {"synchronous_commit": "on"} | timeouts.of_session()  # 202 means durable, also when the power fails
    ours = [f"-c {name}={value}" for name, value in session.items()]
    theirs = asked.get("options", ())
    made = sa.create_engine(
        url,
        # The conditional updates are written for read committed.
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        pool_pre_ping=True,
        pool_timeout=timeouts.connect_s,
        connect_args={**client, "options": " ".join([*ours, *([theirs] if isinstance(theirs, str) else theirs)])},
    )
    event.listen(made, "do_connect", _connect_with(timeouts.answer_s))
    if read_only:
        event.listen(made, "begin", lambda connection: connection.exec_driver_sql("SET TRANSACTION READ ONLY"))
    return made


def may_pass(problem: SQLAlchemyError) -> bool:
    """Nothing was kept, and the same transaction may succeed soon: a deadlock, a conflict, a server that restarts.

    What has waited for its time already (a lock, a slow statement) is not waited for again.
    """
    return is_lost(problem) or _state(problem).startswith(("08", "40", "57P0"))


def is_lost(problem: SQLAlchemyError) -> bool:
    """No answer: for a commit this leaves open whether it happened. Elsewhere nothing was kept."""
    unanswered = isinstance(problem, OperationalError) and not _state(problem)
    return unanswered or (isinstance(problem, DBAPIError) and problem.connection_invalidated)


def number_of(connection: sa.Connection) -> str | None:
    """By what `was_kept` knows the transaction; None if it has written nothing."""
    number: str | None = connection.scalar(sa.text("SELECT CAST(pg_current_xact_id_if_assigned() AS text)"))
    return number


def was_kept(connection: sa.Connection, number: str) -> bool | None:
    """What became of a transaction; None while it is still under way, or if the server has forgotten it."""
    query = sa.text("SELECT pg_xact_status(CAST(:number AS xid8))")
    status = connection.scalar(query, {"number": number})
    return {"committed": True, "aborted": False}.get(status)


def _connect_with(answer_s: float) -> Callable[..., object]:
    def connect(_dialect: object, _record: object, args: list[Any], parameters: dict[str, Any]) -> object:
        from receiver.store.impatient import Impatient  # noqa: PLC0415 - the driver is an extra

        made = Impatient.connect(*args, **parameters)
        made.answer_s = answer_s
        return made

    return connect


def _state(problem: SQLAlchemyError) -> str:
    """The SQLSTATE with which the server refused; empty if it did not answer."""
    return getattr(getattr(problem, "orig", None), "sqlstate", None) or ""


def _s(seconds: float) -> str:
    return str(round(seconds))


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
