"""When each feed was read, by whichever receiver, and what came of it. Their windows are `controls`'."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from receiver.store.database import Transaction
from receiver.store.schema import feeds


@dataclass(frozen=True, slots=True)
class FeedState:
    """How the readings of one feed went. Times are Unix seconds.

    `lapsed`: what was open in the source at `read_at`, and held nothing back any more.
    """

    name: str
    due_at: float
    asked_at: float | None
    read_at: float | None
    problem: str
    lapsed: int = 0


def claim(tx: Transaction, name: str, *, now: float, next_at: float) -> bool:
    """True for the one receiver that is to read the feed now; nobody else is before `next_at`."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(feeds).values(
        name=name, due_at=next_at, asked_at=None, read_at=None, problem="", lapsed=0
    )
    claimed = statement.on_conflict_do_update(
        index_elements=[feeds.c.name], set_={"due_at": next_at}, where=feeds.c.due_at <= now
    )
    return tx.execute(claimed.returning(feeds.c.name)).first() is not None


def finish(tx: Transaction, name: str, *, asked_at: float, problem: str) -> bool:
    """Note the end of the reading that began at `asked_at`; False if one that began later has ended already.

    Rewriting the row is the lock: until the transaction ends, every other reading of the feed waits here.
    """
    newest = sa.or_(feeds.c.asked_at.is_(None), feeds.c.asked_at < asked_at)
    values = {"asked_at": asked_at, "problem": problem} | ({} if problem else {"read_at": asked_at})
    return tx.execute(sa.update(feeds).where(feeds.c.name == name, newest).values(values)).rowcount > 0


def note_lapsed(tx: Transaction, name: str, lapsed: int) -> None:
    """Of a reading that was finished in this transaction."""
    tx.execute(sa.update(feeds).where(feeds.c.name == name).values(lapsed=lapsed))


def states(tx: Transaction) -> dict[str, FeedState]:
    """By name; a feed that nobody has begun to read is not among them."""
    return {row["name"]: FeedState(**row) for row in tx.execute(sa.select(feeds)).mappings()}
