"""The database: connections, transactions, and its clock.

StoreUnavailable      nothing was kept; the same may succeed later
└── OutcomeUnknown    the answer to a commit was lost: only reading can tell what was kept
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from receiver.store import migration, postgresql, sqlite
from receiver.store.migration import SchemaMismatch
from receiver.store.patience import Patience
from receiver.store.postgresql import MIGRATING, Timeouts
from receiver.store.turns import TooLate, Turns

P = ParamSpec("P")
T = TypeVar("T")

Transaction = sa.Connection
"""An open transaction; the functions of this package take one, nobody else looks inside."""

_AFTER_COMMIT = "after_commit"
_AT_END = "at_end"
_ACTOR = "actor"


class StoreUnavailable(Exception):
    """The database cannot be read or written now; nothing of the transaction was kept."""


class OutcomeUnknown(StoreUnavailable):
    """The database did not answer to a commit and cannot be asked now: the transaction was kept as a whole, or not.

    To do the same again is safe. An alert is known by `uq_alerts_fingerprint_starts_at`, a try by `uq_rollbacks_try`,
    an event by `uq_outbox_sink_subject`, a quarantine by `uq_quarantines_rollback`; a pause and a hold replace their
    like; each step of a rollback begins by reading where it stands, and a permit that was given for nothing is waited
    out. Only a window may be there twice, and not if it is ordered with an Idempotency-Key.
    """


class _Passing(StoreUnavailable):
    """Nothing was kept, and the same may succeed soon."""


@dataclass(slots=True)
class _Try:
    """One try of a transaction; with a `number` nothing but its commit is left to do, and that matters."""

    calls: list[Callable[[], None]] = field(default_factory=list)
    work: dict["_Work", list[Any]] = field(default_factory=dict)
    number: str | None = None  # by which PostgreSQL knows it, if it has written anything


class Store:
    """One database. Safe to be shared by threads."""

    def __init__(
        self,
        url: str,
        *,
        actor: str = "bridge",
        read_only: bool = False,
        timeouts: Timeouts | None = None,
        patience: Patience | None = None,
    ) -> None:
        """`actor` is what the audit calls whoever uses this store, where nobody else is named.

        One that is read only changes nothing, not even the database's schema. Each of its transactions sees one
        moment, and keeps no writer waiting. `timeouts` are PostgreSQL's.
        """
        self._url = url
        self._is_postgresql = sa.make_url(url).get_backend_name() == "postgresql"
        self._actor = actor
        self._read_only = read_only
        self._engine = self._open(timeouts or Timeouts())
        self._patience = patience or Patience()
        self._turns = Turns()

    def transact(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Give what `work` gives, with its transaction durable. Raises StoreUnavailable, or what `work` raises.

        After a deadlock, a conflict or a lost connection `work` is called again, in a new transaction that sees nothing
        of the earlier one: what it changes besides the database, it changes by `after_commit`. It has its effect once
        all the same: where the answer to the commit is lost, the database is asked what became of the transaction, and
        if it cannot be asked, that is an OutcomeUnknown.
        """
        done, result = self._patience.repeat(lambda: self._try(work, *args, **kwargs), _Passing)
        for call in done.calls:
            call()
        return result

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction that is tried once: for reading, and where the next round does the same again.

        It is durable when the block is left. Raises StoreUnavailable; nothing was kept then, unless it is an
        OutcomeUnknown.
        """
        this = _Try()
        with self._transaction(this) as tx:
            yield tx
        for call in this.calls:
            call()

    def migrate(self) -> None:
        """Bring the schema to this release's revision; safe when several receivers start at once.

        Raises StoreUnavailable, or SchemaMismatch if this release must not work with the database.
        """
        with self._apart() as connection:
            migration.upgrade(connection)

    def check_schema(self) -> str:
        """Say in a sentence at which revision the schema is; nothing is changed.

        Raises StoreUnavailable, or SchemaMismatch if this release cannot work with the database as it is, or there is
        none.
        """
        if not self._is_postgresql and sqlite.is_missing(self._url):
            raise SchemaMismatch("there is no such file; `rollback-receiver db migrate` makes it")
        with self._apart() as connection:
            return migration.check(connection)

    def close(self) -> None:
        self._engine.dispose()

    def _try(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> tuple[_Try, T]:
        this = _Try()
        try:
            with self._transaction(this) as tx:
                result = work(tx, *args, **kwargs)
        except OutcomeUnknown:
            if not self._was_kept(this):
                raise _Passing("the connection was lost at the commit") from None
        return this, result

    @contextmanager
    def _transaction(self, this: _Try) -> Iterator[Transaction]:
        try:
            with self._turn(), self._engine.begin() as connection:
                connection.info.update({_AFTER_COMMIT: this.calls, _AT_END: this.work, _ACTOR: self._actor})
                yield connection
                for do, items in this.work.items():
                    do(connection, items)
                if self._is_postgresql:
                    this.number = postgresql.number_of(connection)
        except TooLate as problem:
            raise StoreUnavailable("other threads of this process hold the database") from problem
        except SQLAlchemyError as problem:
            raise self._kind(problem, this)(_sentence(problem)) from problem

    def _turn(self) -> AbstractContextManager[None]:
        """SQLite has one writer at a time, and every transaction of ours may write."""
        return nullcontext() if self._is_postgresql or self._read_only else self._turns.turn(sqlite.BUSY_TIMEOUT_S)

    def _kind(self, problem: SQLAlchemyError, this: _Try) -> type[StoreUnavailable]:
        if not self._is_postgresql:
            return StoreUnavailable
        if this.number is not None and postgresql.is_lost(problem):
            return OutcomeUnknown
        return _Passing if postgresql.may_pass(problem) else StoreUnavailable

    def _was_kept(self, this: _Try) -> bool:
        """What became of a transaction whose commit was not answered; raises OutcomeUnknown if nobody can tell."""

        def ask() -> bool:
            try:
                with self._engine.begin() as connection:
                    kept = postgresql.was_kept(connection, this.number or "")
            except SQLAlchemyError as problem:
                raise OutcomeUnknown(f"no answer to the commit, and then {_sentence(problem)}") from problem
            if kept is None:
                raise OutcomeUnknown("no answer to the commit, and the database does not know what became of it")
            return kept

        return self._patience.repeat(ask, OutcomeUnknown)

    @contextmanager
    def _apart(self) -> Iterator[sa.Connection]:
        """A connection with the time that a migration takes."""
        engine = self._open(MIGRATING)
        try:
            with engine.begin() as connection:
                yield connection
        except SQLAlchemyError as problem:
            raise StoreUnavailable(_sentence(problem)) from problem
        finally:
            engine.dispose()

    def _open(self, timeouts: Timeouts) -> sa.Engine:
        if self._is_postgresql:
            return postgresql.engine(self._url, timeouts, read_only=self._read_only)
        return sqlite.read_only_engine(self._url) if self._read_only else sqlite.engine(self._url)


_Work = Callable[[Transaction, list[Any]], None]


def at_end(tx: Transaction, work: _Work, item: object) -> None:
    """Have `work` called once with every `item` given for it, as the last thing before the commit.

    It may lock what everybody needs: nothing of the transaction waits for anybody after it. It is not called if the
    transaction is rolled back. Only of a Store's own.
    """
    tx.info[_AT_END].setdefault(work, []).append(item)


def actor(tx: Transaction) -> str:
    """What the audit calls whoever opened the transaction."""
    return str(tx.info[_ACTOR])


def after_commit(tx: Transaction, call: Callable[[], None]) -> None:
    """Have `call` made once the transaction is durable; never, if it is rolled back. Only of a Store's own."""
    tx.info[_AFTER_COMMIT].append(call)


def clock(tx: Transaction) -> float:
    """The database's time in Unix seconds: one clock for all receivers.

    A SQLite file belongs to one host, so there it is the host's clock.
    """
    if tx.dialect.name == "postgresql":
        return float(tx.scalar(sa.text("SELECT extract(epoch FROM clock_timestamp())")))
    return time.time()


def older(moment: sa.Column[float], name: sa.Column[str], than: tuple[float, str]) -> sa.ColumnElement[bool]:
    """What comes after a row where the newest come first, and of those of one moment the smallest name."""
    at, last = than
    return sa.or_(moment < at, sa.and_(moment == at, name > last))


def _sentence(problem: SQLAlchemyError) -> str:
    """The driver's own first line: SQLAlchemy's text adds the statement with its parameters."""
    cause = getattr(problem, "orig", None) or problem
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause).strip() else 'no detail'}"
