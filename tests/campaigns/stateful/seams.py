"""Where a process may be interrupted: before and after every transaction and every request, by anything."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from receiver.store.database import Store, Transaction
from receiver.store.postgresql import Timeouts

ANY = "any"  # every seam but the one inside a transaction
IN_TRANSACTION = "in a transaction"  # everything is written, nothing is committed
PERMITTED = "after a permit"
SEAMS = (
    "before a transaction",
    IN_TRANSACTION,
    "after a transaction",
    PERMITTED,
    "before a read",
    "after a read",
    "before the publish",
    "after the publish",
)


class Killed(BaseException):
    """The process ends here."""


@dataclass(frozen=True)
class Act:
    """Something that happens: the name of a function in `acts`, and what it is given."""

    name: str
    args: tuple[Any, ...] = ()


CRASH = Act("crash")


@dataclass(frozen=True)
class Interruption:
    """Happens once, at the seam of this kind that is reached as number `nth`."""

    seam: str
    nth: int
    act: Act


@dataclass
class Run:
    """One round of one process, and what interrupts it."""

    process: str
    org: str
    interruptions: list[Interruption]
    reached: Counter[str] = field(default_factory=Counter)


@dataclass
class Seams:
    """Knows which process is running, innermost last; tells `interrupt` when something is to happen there."""

    interrupt: Callable[[Run, str, Act], None]
    running: list[Run | None] = field(default_factory=list)  # None: not a process, but people

    @property
    def run(self) -> Run | None:
        return self.running[-1] if self.running else None

    @contextmanager
    def of(self, run: Run | None) -> Iterator[None]:
        self.running.append(run)
        try:
            yield
        finally:
            self.running.pop()

    def reach(self, seam: str) -> None:
        run = self.run
        if run is None or not run.interruptions:
            return
        kinds = (seam,) if seam == IN_TRANSACTION else (seam, ANY)
        for kind in kinds:
            run.reached[kind] += 1
        for one in [one for one in run.interruptions if one.seam in kinds and run.reached[one.seam] == one.nth]:
            run.interruptions.remove(one)
            self.interrupt(run, seam, one.act)


class SeamStore(Store):
    """A store with seams around its transactions, which tells `committed` of what was written to which tables."""

    def __init__(
        self, url: str, seams: Seams, committed: Callable[[frozenset[str]], bool], timeouts: Timeouts | None = None
    ) -> None:
        """`committed` says whether the transaction gave a permit."""
        super().__init__(url, timeouts=timeouts)
        self._seams = seams
        self._committed = committed
        self._written: list[set[str]] = []  # of the open transactions, innermost last
        sa.event.listen(self._engine, "before_cursor_execute", self._note)

    @contextmanager
    def _transaction(self, this: Any) -> Iterator[Transaction]:
        self._seams.reach("before a transaction")
        written: set[str] = set()
        self._written.append(written)
        try:
            with super()._transaction(this) as tx:
                yield tx
                self._seams.reach(IN_TRANSACTION)
        finally:
            self._written.pop()
        gave_permit = bool(written) and self._committed(frozenset(written))
        self._seams.reach("after a transaction")
        if gave_permit:
            self._seams.reach(PERMITTED)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not self._written or statement.startswith("SELECT"):
            return
        self._written[-1] |= {table for table in _WATCHED if f" {table} " in statement}


_WATCHED = ("leases", "rollbacks", "permits", "decisions")
