"""The strategies by which an earlier version is made live again, and the order in which they have their turn. Pure."""

from collections.abc import Collection, Sequence
from enum import StrEnum


class Strategy(StrEnum):
    """A way back."""

    REPUBLISH = "republish"  # publish the old label again: fastest, and nobody has proved that it works everywhere
    REDEPLOY = "redeploy"  # export the old version and deploy the file: a new label with the old content, in minutes
    REPOINT = "repoint"  # lead callers to another flow, which is known to be good: no publish, and in seconds
    ANEW = "anew"  # of a flow that uses a rolled-back module: publish what is live once more
    RESTORE = "restore"  # of an object that is no flow: write what a snapshot of it has


def in_order(configured: Sequence[Strategy], in_vain: Collection[str]) -> str:
    """As `Rollback.ways_back` keeps it. What did nothing in this organization has its turn last: it may work again."""
    return " ".join(sorted(configured, key=lambda one: one in in_vain))


def first_of(ways_back: str) -> Strategy:
    return Strategy(ways_back.split(maxsplit=1)[0])


def following(ways_back: str, current: Strategy) -> Strategy | None:
    """The one after; None after the last."""
    order = [Strategy(name) for name in ways_back.split()]
    position = order.index(current) + 1
    return order[position] if position < len(order) else None
